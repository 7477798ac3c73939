"""What searches kept bytes for private texts finds each way in which one may stand there."""

import base64
import json
from pathlib import Path

import pytest

from tests.private_bytes import files_below, find_leaks

pytestmark = pytest.mark.unit

NAME = "Thessaly Örrinshade"


@pytest.mark.parametrize(
    "content",
    [
        f"I am {NAME}.".encode(),
        json.dumps({"said": NAME}).encode(),
        *(base64.b64encode(b"x" * before + f"{NAME} and more".encode()) for before in range(4)),
    ],
)
def test_it_is_found_however_it_is_written(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "of" / "calls").mkdir(parents=True)
    (tmp_path / "of" / "calls" / "file").write_bytes(content)
    (tmp_path / "of" / "other").write_bytes(b"nothing")
    assert find_leaks([NAME, "+15551230100"], files_below(tmp_path)) == [f"of/calls/file: {NAME}"]
    assert find_leaks([NAME], files_below(tmp_path, without=["calls"])) == []
