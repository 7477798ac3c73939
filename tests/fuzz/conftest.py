"""Fixtures of this folder."""

from tests.calls.conftest import make_house, never_block_the_loop
from tests.databases import database_url

__all__ = ["database_url", "make_house", "never_block_the_loop"]
