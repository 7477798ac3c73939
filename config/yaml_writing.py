"""Plain values to YAML text, which `config.yaml_text` reads back as the same values."""

import json
from collections.abc import Mapping
from typing import Any

import yaml

from config.yaml_text import is_plain_text


class _Writer(yaml.SafeDumper):
    """PyYAML's, but for the text that only our reader takes for a number or for nothing."""

    def ignore_aliases(self, data: Any) -> bool:
        """Write a value that stands in two places twice: our reader knows no aliases."""
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        """Set lists below their names in by two, as all our own files do."""
        _ = indentless
        super().increase_indent(flow, False)


def _text(writer: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    if "\n" in value and all(line == line.rstrip() for line in value.split("\n")):
        return writer.represent_scalar("tag:yaml.org,2002:str", value, style="|")
    return writer.represent_scalar("tag:yaml.org,2002:str", value, style=None if is_plain_text(value) else '"')


_Writer.add_representer(str, _text)


def write_yaml(content: Mapping[str, Any]) -> str:
    """Return the content as a YAML document, its names in the order in which they were written."""
    # Through JSON, so that only what JSON knows comes here.
    plain = json.loads(json.dumps(content, allow_nan=False))
    return yaml.dump(plain, Dumper=_Writer, allow_unicode=True, sort_keys=False, width=110)
