// The conversation as a list: turns, with what happened between them in small print. All times are ms of call time.

const NOTES = {
  "silence.asked": "Nobody spoke, so the agent asks.",
  "time.warned": "The agent warns that the time is nearly up.",
  "model.failed": "The model cannot be reached.",
};

export class Transcript {
  constructor(list, empty, frame) {
    this.list = list;
    this.empty = empty;
    this.frame = frame;
    this.clear();
  }

  clear() {
    this.turns = [];
    this.tools = [];
    this.notes = [];
    this.delays = [];
    this.draw();
  }

  // Takes one event of the call; returns whether it changed what is shown.
  take({ kind, at_ms, data }) {
    if (kind === "turn.caller" || kind === "turn.agent") {
      this.turns.push({ ...data, speaker: kind.slice(5), start_ms: at_ms });
    } else if (kind === "tool.called") {
      this.tools.push({ at_ms, name: data.name, arguments: data.arguments });
    } else if (kind === "tool.result" || kind === "tool.failed") {
      const tool = this.tools.findLast((one) => one.name === data.name && !one.isDone);
      if (!tool) return false;
      Object.assign(tool, { isDone: true, result: data.result, error: data.error, took_ms: data.took_ms });
    } else if (kind === "latency.reply" || kind === "latency.first_word") {
      this.delays.push({ at_ms, ms: data.ms, isReply: kind === "latency.reply" });
    } else if (NOTES[kind]) {
      this.notes.push({ at_ms, text: NOTES[kind] });
    } else {
      return false;
    }
    this.draw();
    return true;
  }

  // Shows the turns that the database has in place of those that were heard of.
  keep(turns) {
    this.turns = turns;
    this.draw();
  }

  draw() {
    const items = [
      ...this.turns.map((turn) => [turn.start_ms, this.turnItem(turn)]),
      ...this.tools.map((tool) => [tool.at_ms, toolItem(tool)]),
      ...this.notes.map((note) => [note.at_ms, element("li", "aside", note.text)]),
    ];
    items.sort(([one], [other]) => one - other);
    const isAtEnd = this.frame.scrollHeight - this.frame.scrollTop - this.frame.clientHeight < 80;
    // Only what is new or changed is put in: a screen reader reads what changes.
    items.forEach(([, item], index) => {
      const present = this.list.children[index];
      if (!present) this.list.append(item);
      else if (present.outerHTML !== item.outerHTML) present.replaceWith(item);
    });
    while (this.list.children.length > items.length) this.list.lastElementChild.remove();
    this.empty.hidden = items.length > 0;
    if (isAtEnd) this.frame.scrollTop = this.frame.scrollHeight;
  }

  turnItem(turn) {
    const isAgent = turn.speaker === "agent";
    const item = element("li", `turn ${turn.speaker}${turn.interrupted ? " is-interrupted" : ""}`);
    item.append(element("p", "", turn.text));
    const facts = element("small", "", `${isAgent ? "Agent" : "You"}, ${seconds(turn.start_ms)}`);
    const delay = this.delays.find((one) => isAgent && one.at_ms >= turn.start_ms - 60 && one.at_ms <= turn.end_ms);
    if (delay) facts.append(`, ${delay.isReply ? "replied" : "spoke"} after ${delay.ms} ms`);
    if (turn.interrupted) facts.append(", ", element("span", "mark", "interrupted"));
    if (turn.error) facts.append(", ", element("span", "mark", turn.error));
    item.append(facts);
    return item;
  }
}

function toolItem(tool) {
  const item = element("li", `aside${tool.error ? " is-failed" : ""}`);
  const values = Object.entries(tool.arguments ?? {}).map(([name, value]) => `${name}: ${JSON.stringify(value)}`);
  item.append("Tool ", element("code", "", `${tool.name}(${values.join(", ")})`));
  if (tool.error) item.append(` failed: ${tool.error}`);
  else if (tool.isDone) item.append(" → ", element("code", "", JSON.stringify(tool.result)), ` in ${tool.took_ms} ms`);
  return item;
}

function element(tag, className, text = "") {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.textContent = text;
  return made;
}

export function seconds(ms) {
  const whole = Math.floor(ms / 1000);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}
