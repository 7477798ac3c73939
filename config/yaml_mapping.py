"""The bytes of one of the operator's YAML files as a mapping, or what is wrong with them."""

from typing import Any, cast

from config.errors import Fault
from config.yaml_text import FaultyYaml, parse_yaml

MAX_FILE_BYTES = 256 * 1024


def parse_mapping(content: bytes, *, when_large: str, when_empty: str) -> dict[str, Any]:
    """Return the mapping that a file holds; the two texts are the cures of a file too large, and of no mapping.

    Raises:
        FaultyYaml: with every fault; they do not know their file.
    """
    if len(content) > MAX_FILE_BYTES:
        raise FaultyYaml([Fault((), f"is larger than {MAX_FILE_BYTES // 1024} KiB", when_large)])
    try:
        values = parse_yaml(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise FaultyYaml([Fault((), f"is not UTF-8 text (byte {error.start})", "save it as UTF-8")]) from error
    if not isinstance(values, dict):
        what = "is empty" if values is None else "must be a mapping of names to values"
        raise FaultyYaml([Fault((), what, when_empty)])
    return cast(dict[str, Any], values)
