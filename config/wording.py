"""Pydantic's error details, said in the words of somebody who edits a YAML file or a `.env`."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from pydantic_core import ErrorDetails, PydanticCustomError

_SHOWN_CHARACTERS = 60


def problem(message: str, cure: str = "") -> PydanticCustomError:
    """Return the error that a validator raises when it knows the cure as well."""
    return PydanticCustomError("explained", "{message}", {"message": message, "cure": cure})


def suggest(name: str, known: Iterable[str], what: str = "known are") -> str:
    """Return the cure for a name that is not in `known`: the nearest one, or all of them."""
    names = sorted(known)
    nearest = get_close_matches(name, names, n=1, cutoff=0.6)
    if nearest:
        return f"did you mean {nearest[0]!r}?"
    return f"{what} {', '.join(names)}." if names else "remove it"


def shown(value: object) -> str:
    """Return `value` as the operator wrote it, shortened; None reads as nothing."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    # Sliced before repr(), which for a huge text would build a huge copy first.
    text = repr(value[:_SHOWN_CHARACTERS]) if isinstance(value, str) else str(value)
    is_cut = len(text) > _SHOWN_CHARACTERS or (isinstance(value, str) and len(value) > _SHOWN_CHARACTERS)
    return f"{text[:_SHOWN_CHARACTERS]}..." if is_cut else text


def describe(error: ErrorDetails, *, is_secret: bool = False) -> tuple[str, str]:
    """Return (what is wrong, how to cure it or ""); `is_secret` leaves the value itself out."""
    context: dict[str, Any] = error.get("ctx") or {}
    if error["type"] == "explained":
        return context["message"], context["cure"]
    if error["type"] == "missing":
        return "is missing", "add it"
    message, cure = _expectation(error, context)
    if cure == "" and error["input"] is None:
        cure = "give it a value, or remove the line"
    return (message if is_secret else f"{message} (got {shown(error['input'])})"), cure


def _expectation(error: ErrorDetails, context: dict[str, Any]) -> tuple[str, str]:
    match error["type"]:
        case "string_type":
            is_plain = isinstance(error["input"], bool | int | float)
            return "must be text", f'put it in quotes: "{shown(error["input"])}"' if is_plain else ""
        case "bool_type" | "bool_parsing":
            return "must be true or false", ""
        case "int_type" | "int_parsing" | "int_from_float" | "int_parsing_size":
            return "must be a whole number", ""
        case "float_type" | "float_parsing" | "finite_number":
            return "must be a number", ""
        case "greater_than_equal" | "greater_than" | "less_than_equal" | "less_than" if isinstance(
            error["input"], bool
        ):
            return "must be a number", ""
        case "greater_than_equal":
            return f"must be >= {context['ge']:g}", ""
        case "greater_than":
            return f"must be > {context['gt']:g}", ""
        case "less_than_equal":
            return f"must be <= {context['le']:g}", ""
        case "less_than":
            return f"must be < {context['lt']:g}", ""
        case "literal_error" | "enum":
            return f"must be {context['expected']}", ""
        case "string_too_short" | "too_short":
            return "must not be empty" if context["min_length"] == 1 else error["msg"].lower(), ""
        case "path_type":
            return "must be a path", ""
        case "list_type" | "tuple_type":
            return "must be a list", "write it in brackets or with a dash per line" if error[
                "input"
            ] is not None else ""
        case "dict_type" | "model_type" | "model_attributes_type":
            return "must be a mapping of names to values", ""
        case kind if kind.startswith("url_"):
            return "must be a whole URL such as https://example.com/calls", ""
        case _:
            text = error["msg"].removeprefix("Value error, ")
            return text[:1].lower() + text[1:], ""
