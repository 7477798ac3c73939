"""Survey: asks the questions of its YAML one by one and keeps the typed answers."""

import math
from typing import Literal

from pipecat.services.llm_service import FunctionCallParams
from pydantic import BaseModel, ConfigDict

from pipelines import Bot, CallResources, end_call, resources


class Question(BaseModel):
    """One question: `key` names the answer, `ask` is spoken, `type` is what an answer must be."""

    model_config = ConfigDict(extra="forbid")

    key: str
    ask: str
    type: Literal["text", "number", "yes_no"] = "text"

    def read(self, answer: str) -> str | float | bool:
        """Turn the model's words into a typed answer. Raises ValueError for one that does not fit."""
        if self.type == "number":
            value = float(answer)
            if not math.isfinite(value):
                raise ValueError("no number")
            return value
        if self.type == "yes_no":
            return {"yes": True, "no": False, "true": True, "false": False}[answer.strip().lower()]
        return answer


class Questions(BaseModel):
    """The agent's `settings:`."""

    model_config = ConfigDict(extra="forbid")

    questions: list[Question]


def _open_question(desk: CallResources) -> Question | None:
    assert isinstance(desk.settings, Questions)
    asked: int = desk.state.get("answered", 0)
    return desk.settings.questions[asked] if asked < len(desk.settings.questions) else None


async def next_question(params: FunctionCallParams) -> None:
    """Get the question to ask next. Call it first, and ask it in exactly these words."""
    question = _open_question(resources(params))
    await params.result_callback({"question": question.ask, "type": question.type} if question else {"done": True})


async def record_answer(params: FunctionCallParams, answer: str) -> None:
    """Keep the answer to the question just asked; returns the next one.

    Args:
        params: Given by the pipeline.
        answer: A number as digits, "yes" or "no", or the caller's own words, as the question's type demands.
    """
    desk = resources(params)
    question = _open_question(desk)
    if question is None:
        await params.result_callback({"done": True})
        return
    try:
        value = question.read(answer)
    except (ValueError, KeyError):
        await params.result_callback({"not_understood": True, "question": question.ask, "type": question.type})
        return
    key = f"{desk.call.call_id} {question.key}"
    await desk.records.put("answer", key, {"question": question.ask, "value": value}, call_id=desk.call.call_id)
    desk.state["answered"] = desk.state.get("answered", 0) + 1
    await next_question(params)


bot = Bot(tools=[next_question, record_answer, end_call], settings=Questions)
