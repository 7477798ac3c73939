"""A tool made of YAML that asks a web service: what the model gives is checked, sent, and the answer boiled down."""

import json
from collections.abc import Mapping
from typing import Any, cast
from uuid import uuid4

from pipecat.services.llm_service import FunctionCallParams

from config.tools import HttpTool
from config.tools_http import HttpRequest
from net.json_paths import find
from net.tool_request import RequestFailed, ToolAnswer, ToolRequests
from pipelines.secret_digits import NotEntered, SecretDigits
from pipelines.tool_failures import FailureKind, RefusalKind, ToolFailed, ToolRefused
from pipelines.tool_schemas import check_arguments
from pipelines.tool_secrets import mask
from pipelines.tool_templates import Values, facts_of, fill_request
from pipelines.tools import resources

_MOST_CHARS = 16_000
"""More than this of an answer is nothing that a voice could tell."""


async def ask_service(
    params: FunctionCallParams,
    tool: HttpTool,
    arguments: Mapping[str, Any],
    requests: ToolRequests,
    secrets: Mapping[str, str],
) -> None:
    """Run the tool once and answer the model. Raises ToolRefused before anything was sent, ToolFailed after that."""
    desk = resources(params)
    entered = SecretDigits() if desk.keys is None else desk.keys.secrets
    try:
        sent = {name: entered.fill_in(value) for name, value in arguments.items()}
    except NotEntered as error:
        raise ToolRefused(RefusalKind.BAD_ARGUMENTS, f"{error}; have the caller enter it first.") from error
    secret = (*tool.secret, *(name for name, value in arguments.items() if sent[name] != value))
    check_arguments(tool.parameters, sent, secret)
    variables = {**desk.agent.variables, **desk.call.variables}
    values = Values(sent, variables, secrets, facts_of(desk.call, desk.agent))
    request = fill_request(tool.http, values, idempotency_key=str(uuid4()))
    try:
        answer = await requests.send(request)
    except RequestFailed as error:
        raise ToolFailed(FailureKind(error.why), f"{error}.") from error
    hidden = [*secrets.values(), *(str(sent[name]) for name in secret if name in sent), *entered.values]
    result = mask(read_answer(tool.http, answer), hidden)
    await params.result_callback(result)


def read_answer(http: HttpRequest, answer: ToolAnswer) -> Any:
    """Return what the model is told. Raises ToolFailed for an answer that is none."""
    if not 200 <= answer.status < 300:
        if answer.status in http.answers:
            return {"status": answer.status, "answer": http.answers[answer.status]}
        is_redirect = 300 <= answer.status < 400
        reason = "it wants to send us elsewhere" if is_redirect else "it answered with an error"
        raise ToolFailed(FailureKind.HTTP_STATUS, f"{reason}, status {answer.status}.")
    if answer.status == 204 or http.method == "HEAD" or not answer.body:
        return {"done": True}
    if answer.content_type == "application/json" or answer.content_type.endswith("+json"):
        return _of_json(http, answer)
    if http.result is not None or not answer.content_type.startswith("text/"):
        raise ToolFailed(FailureKind.BAD_ANSWER, "its answer is no JSON.")
    try:
        text = answer.body.decode()
    except UnicodeDecodeError as error:
        raise ToolFailed(FailureKind.BAD_ANSWER, "its answer is no text.") from error
    return {"text": _bounded(text, text)}


def _of_json(http: HttpRequest, answer: ToolAnswer) -> Any:
    try:
        value: Any = json.loads(answer.body)
    except ValueError as error:  # also what is no UTF-8
        raise ToolFailed(FailureKind.BAD_ANSWER, "its answer is no JSON.") from error
    if isinstance(http.result, str):
        value = find(value, http.result)
    elif http.result is not None:
        value = {name: find(value, path) for name, path in http.result.items()}
    _bounded(json.dumps(value, ensure_ascii=False), value)
    return cast(Any, value) if isinstance(value, dict) else {"result": value}


def _bounded(text: str, value: Any) -> Any:
    if len(text) > _MOST_CHARS:
        raise ToolFailed(FailureKind.TOO_LARGE, "its answer is too long; name the part that matters under result.")
    return value
