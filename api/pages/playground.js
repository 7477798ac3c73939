// The page's behaviour: choose an agent, talk, see what is said, hang up.

import { Meter, NoMicrophone, makeOffer, openMicrophone } from "./sound.js";
import { Transcript, seconds } from "./transcript.js";

const BASE = "/playground";
const REASONS = {
  caller_hung_up: "You hung up.",
  bot_ended: "The agent ended the call.",
  silence: "The call ended because nobody spoke.",
  time_limit: "The call reached its longest duration.",
  transferred: "The call was transferred.",
  drained: "The server is stopping, so it ended the call.",
  connection_lost: "The connection was lost.",
  never_connected: "Browser and server could not reach each other, so there was no call.",
  refused_busy: "Every line was taken.",
  failed: "Something went wrong on the server; its log says what.",
};
const STATES = {
  "call.live": "Connected",
  "caller.started": "You are speaking",
  "caller.stopped": "The agent is thinking",
  "latency.first_word": "The agent is speaking",
  "latency.reply": "The agent is speaking",
  "turn.agent": "Listening",
};

const at = (id) => document.getElementById(id);
const transcript = new Transcript(at("turns"), at("empty"), at("transcript"));
const meters = { you: new Meter(at("you")), agent: new Meter(at("agent")) };
let call = null; // while one is in progress

class Refused extends Error {}

async function ask(path, body) {
  const options = body && { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
  let response;
  try {
    response = await fetch(BASE + path, options);
  } catch {
    throw new Refused("The server cannot be reached.");
  }
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Refused(answer.error ?? `The server answered ${response.status}.`);
  return answer;
}

async function listAgents() {
  const { agents, has_rooms } = await ask("/agents");
  at("agents-note").hidden = agents.length > 0;
  at("agents-note").textContent = "There is no agent yet. Put a YAML file into the agents folder.";
  at("room").hidden = !has_rooms;
  for (const agent of agents) at("agents").append(choiceOf(agent));
  // An agent that speaks first is the better beginning.
  const free = agents.filter((agent) => !agent.is_phone_only);
  const first = (free.find((agent) => agent.greeting) ?? free[0])?.name;
  document.querySelectorAll('input[name="agent"]').forEach((input) => input.value === first && input.click());
}

function choiceOf(agent) {
  const label = document.createElement("label");
  label.className = "choice";
  const input = Object.assign(document.createElement("input"), { type: "radio", name: "agent", value: agent.name });
  input.disabled = agent.is_phone_only;
  const facts = agent.is_phone_only ? "phone only" : agent.language;
  label.append(
    input,
    part("choice-name", agent.name),
    part("choice-facts", `${agent.bot} bot, ${facts}`),
    part("choice-greeting", agent.greeting || "Waits for you to speak first."),
  );
  return label;
}

function part(className, text) {
  return Object.assign(document.createElement("span"), { className, textContent: text });
}

function chosenAgent() {
  return new FormData(at("choice")).get("agent");
}

function showChoice() {
  const agent = chosenAgent();
  if (call || !agent) return;
  at("talk-title").textContent = agent;
  at("talk").disabled = at("room").disabled = false;
  say("Press Talk to begin.");
}

function say(sentence) {
  if (at("state").textContent !== sentence) at("state").textContent = sentence;
}

function complain(sentence) {
  at("problem").textContent = sentence;
  at("problem").hidden = !sentence;
}

function setBusy(isBusy) {
  at("agents").disabled = isBusy;
  at("room").disabled = isBusy;
  at("talk").textContent = isBusy ? "Hang up" : "Talk";
  at("talk").classList.toggle("is-live", isBusy);
  at("clock").hidden = !isBusy;
}

function begin() {
  const agent = chosenAgent(); // a form that is disabled has no values
  transcript.clear();
  complain("");
  at("ending").hidden = true;
  at("room-note").hidden = true;
  at("clock").textContent = "0:00";
  setBusy(true);
  call = { agent };
  return call;
}

async function talk() {
  const mine = begin();
  try {
    say("Waiting for your microphone");
    mine.microphone = await openMicrophone();
    mine.context = new AudioContext();
    meters.you.watch(mine.context, mine.microphone);
    say(`Calling ${mine.agent}`);
    mine.connection = await makeOffer(mine.microphone);
    mine.connection.addEventListener("track", ({ streams, track }) => hear(mine, streams[0] ?? new MediaStream([track])));
    const { sdp, type } = mine.connection.localDescription;
    const answer = await ask("/offer", { agent: mine.agent, sdp, type });
    mine.id = answer.call_id;
    if (call !== mine) return void stop(mine); // hung up while the server was asked
    await mine.connection.setRemoteDescription({ sdp: answer.sdp, type: answer.type });
    follow(mine);
  } catch (error) {
    fail(mine, error);
  }
}

async function talkInRoom() {
  const mine = begin();
  try {
    say("Asking Daily for a room");
    const answer = await ask("/room", { agent: mine.agent });
    mine.id = answer.call_id;
    if (call !== mine) return void stop(mine);
    at("room-link").href = answer.url;
    at("room-note").hidden = false;
    say("The agent waits for you in the room");
    follow(mine);
    window.open(answer.url, "_blank", "noopener,noreferrer");
  } catch (error) {
    fail(mine, error);
  }
}

function hear(mine, stream) {
  at("speaker").srcObject = stream;
  at("speaker").play().catch(() => complain("The browser does not play sound here. Allow it for this page."));
  meters.agent.watch(mine.context, stream);
}

function follow(mine) {
  mine.events = new EventSource(`${BASE}/events/${mine.id}`);
  mine.events.addEventListener("message", ({ data }) => takeEvent(mine, JSON.parse(data)));
  mine.events.addEventListener("end", () => finish(mine));
}

function takeEvent(mine, event) {
  transcript.take(event);
  if (call !== mine) return;
  if (event.kind === "call.live") startClock(mine);
  if (STATES[event.kind]) say(STATES[event.kind]);
}

function startClock(mine) {
  const began = Date.now();
  mine.clock ??= setInterval(() => (at("clock").textContent = seconds(Date.now() - began)), 500);
}

// Lets go of microphone, connection and clock. The events go on until the server has told the end.
function stop(mine) {
  clearInterval(mine.clock);
  mine.connection?.close();
  mine.microphone?.getTracks().forEach((track) => track.stop());
  meters.you.stop();
  meters.agent.stop();
  mine.context?.close();
  mine.context = null;
  at("speaker").srcObject = null;
  // Closing the connection says it too; this is for rooms, for calls not yet connected, and for a page that closes.
  if (mine.id && !mine.isOver) navigator.sendBeacon(`${BASE}/calls/${mine.id}/hang-up`);
}

function hangUp() {
  const mine = call;
  if (!mine) return;
  call = null;
  setBusy(false);
  stop(mine);
  say(mine.events ? "Hanging up" : "Press Talk to begin.");
}

async function finish(mine) {
  mine.events.close();
  mine.isOver = true;
  const isCurrent = call === mine || call === null;
  if (call === mine) {
    call = null;
    setBusy(false);
    stop(mine);
  }
  if (!isCurrent) return; // another call has begun meanwhile
  try {
    const kept = await ask(`/calls/${mine.id}`);
    if (call !== null) return;
    transcript.keep(kept.turns);
    const count = kept.turns.length;
    at("reason").textContent = REASONS[kept.end_reason] ?? "The call is over.";
    at("kept").textContent = `Kept in the database: ${count} ${count === 1 ? "turn" : "turns"}, call ${kept.call_id}`;
    at("ending").hidden = false;
    say("The call is over");
  } catch (error) {
    complain(error.message);
    say("The call is over");
  }
}

function fail(mine, error) {
  if (!(error instanceof Refused || error instanceof NoMicrophone)) console.error(error);
  if (call === mine) {
    call = null;
    setBusy(false);
    say("There is no call.");
    complain(error instanceof Refused || error instanceof NoMicrophone ? error.message : "The call could not be set up.");
  }
  stop(mine);
}

at("choice").addEventListener("change", showChoice);
at("choice").addEventListener("submit", (event) => event.preventDefault());
at("talk").addEventListener("click", () => (call ? hangUp() : talk()));
at("room").addEventListener("click", talkInRoom);
document.addEventListener("keydown", (event) => event.key === "Escape" && hangUp());
window.addEventListener("pagehide", hangUp);
listAgents().catch((error) => {
  at("agents-note").hidden = true;
  complain(error.message);
});
