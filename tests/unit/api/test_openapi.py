"""`/v1/openapi.json` as those read it who make a client of it: names, examples, headers."""

import json
import re

from jsonschema import Draft202012Validator

from api.openapi import HEADERS, OF_EVERY_ANSWER, OF_OPERATION, document_of
from config.settings import Settings
from server import create_app
from tests.unit.api.test_calls import key
from tests.unit.api.wire import Line


def test_examples_fit_their_schemas_and_operations_have_names_to_call_them_by() -> None:
    made = json.loads(json.dumps(document_of(create_app(Settings.load(env_file=None, host="127.0.0.1")))))
    operations = [operation for methods in made["paths"].values() for operation in methods.values()]
    names = [operation["operationId"] for operation in operations]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch("[a-z]+(_[a-z]+)+", name) for name in names), names
    assert set(OF_OPERATION) <= set(names)
    schemas = made["components"]["schemas"]
    assert not [name for name in schemas if "__" in name], "two models have one name"
    tried = 0
    for name, schema in schemas.items():
        for told in (schema, *schema.get("properties", {}).values()):
            whole = {"$ref": "#/$defs/it", "$defs": {"it": told}, "components": made["components"]}
            for example in told.get("examples", ()):
                assert Draft202012Validator(whole).is_valid(example), (name, example)
                tried += 1
    assert tried > 40
    for operation in operations:
        if "requestBody" in operation:
            ((kind, body),) = operation["requestBody"]["content"].items()
            (asked,) = (schemas[name] for name in re.findall("schemas/([A-Za-z]+)", json.dumps(body["schema"])))
            assert kind == "application/json"
            assert "examples" in body or "examples" in asked, operation["operationId"]


async def test_answers_have_the_headers_that_are_promised(line: Line) -> None:
    headers = await key(line, "agents:write", "agents:read", "keys:write") | {"Idempotency-Key": "a"}
    made = document_of(line.server.app)["paths"]
    agent = {"name": "headers", "content": {"bot": "quiet", "greeting": "Hello."}}
    for status, method, path, at, body in (
        ("201", "post", "/v1/agents", "/v1/agents", agent),
        ("201", "post", "/v1/agents", "/v1/agents", agent),
        ("200", "get", "/v1/agents/{name}", "/v1/agents/headers", None),
        ("200", "patch", "/v1/agents/{name}", "/v1/agents/headers", {"content": {"greeting": "Hi."}}),
        ("200", "post", "/v1/agents/{name}/versions/{number}/publish", "/v1/agents/headers/versions/1/publish", None),
        ("401", "get", "/v1/calls", "/v1/calls", None),
    ):
        sent = {} if status == "401" else headers | {"If-Match": "*"}
        answer = await line.http.request(method.upper(), at, json=body, headers=sent)
        assert answer.status_code == int(status), answer.text
        told = {name.lower() for name in made[path][method]["responses"][status]["headers"]}
        had = set(answer.headers) & {name.lower() for name in ("X-Request-Id", *HEADERS)}
        repeated = {"idempotency-replayed"} - set(answer.headers)
        limits = {name.lower() for name in OF_EVERY_ANSWER} if status == "401" else set[str]()
        assert had <= told, at
        assert told - had <= repeated | limits, at
