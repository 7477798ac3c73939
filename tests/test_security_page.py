"""What docs/security.md says, sentence by sentence, as far as a sentence can be a test."""

import os
import re
import stat
from pathlib import Path

import pytest
from sqlalchemy import Table

import aftercall.models
import privacy.tables
import storage.audit
import storage.idempotency
import storage.keys
import storage.known_keys
import storage.stored_agents
import transcripts.do_not_call
import transcripts.models
import transcripts.moves
import transcripts.word_index
from config.agent import AgentConfig
from config.recording import Recording
from config.settings import Settings
from storage.key_ring import KEY_FILE, KeyRing
from storage.known_keys import PURPOSES, WORDS
from storage.rows import Row
from storage.sealing import SealedText
from tests.test_docs import INLINE_CODE, read, slug, table
from transcripts.words import HASH_BYTES

PAGE = Path(__file__).resolve().parent.parent / "docs" / "security.md"
TABLES: dict[str, Table] = dict(Row.metadata.tables)
DECLARED = (
    aftercall.models.CostRow,
    privacy.tables.ReceiptRow,
    storage.audit.AuditRow,
    storage.idempotency.RepeatableRow,
    storage.keys.KeyRow,
    storage.known_keys.PurposeKeyRow,
    storage.stored_agents.StoredAgentRow,
    transcripts.do_not_call.DoNotCallRow,
    transcripts.models.CallRow,
    transcripts.moves.CallMoveRow,
    transcripts.word_index.WordHashRow,
)
"""One row of each file that has tables: all of them are read here."""


def legible(name: str) -> set[str]:
    return {column.name for column in TABLES[name].columns if not isinstance(column.type, SealedText)}


def sealed(name: str) -> set[str]:
    return {column.name for column in TABLES[name].columns if isinstance(column.type, SealedText)}


def shown() -> dict[str, set[str]]:
    """What the page says is legible, by table."""
    rows = table(read(PAGE), "table")
    return {name.strip("`"): set(INLINE_CODE.findall(columns)) for name, columns in rows}


def test_the_page_lists_every_column_that_is_not_sealed_and_no_other() -> None:
    assert set(shown()) == set(TABLES)
    wrong = {name: legible(name) ^ columns for name, columns in shown().items() if legible(name) != columns}
    assert wrong == {}


def test_what_people_said_their_numbers_and_names_are_in_sealed_columns() -> None:
    assert sealed("turns") >= {"text"}
    assert sealed("call_events") == {"data"}
    assert sealed("calls") >= {"from_number", "to_number", "variables", "overrides", "transfer_attempts"}
    assert sealed("consents") >= {"number", "wording"}
    assert sealed("records") >= {"key", "data"}
    assert sealed("transfers") >= {"address"}
    assert sealed("analyses") >= {"result"}
    assert sealed("webhook_deliveries") >= {"payload", "url"}
    assert sealed("idempotent_requests") >= {"headers", "body"}
    assert sealed("stored_agent_versions") >= {"content", "note"}


def test_of_an_api_key_there_is_a_hash_and_never_the_key() -> None:
    assert {"secret_hash", "previous_hash"} <= legible("api_keys")
    assert not {name for name in legible("api_keys") if "secret" in name} - {"secret_hash"}


def test_search_is_off_and_its_hashes_have_a_key_of_their_own() -> None:
    assert AgentConfig.model_fields["search"].default is False
    assert WORDS in PURPOSES
    assert HASH_BYTES == 16
    assert legible("word_hashes") == {"word", "call_id"}
    [foreign] = TABLES["word_hashes"].foreign_keys
    assert (foreign.target_fullname, foreign.ondelete) == ("calls.call_id", "CASCADE")


def test_everything_of_a_call_goes_with_it_or_keeps_no_trace_of_it() -> None:
    kept = {"costs", "records"}
    for name, each in TABLES.items():
        for foreign in each.foreign_keys:
            if foreign.target_fullname == "calls.call_id":
                assert foreign.ondelete == ("SET NULL" if name in kept else "CASCADE"), name


def test_a_key_is_made_beside_the_data_for_its_owner_only(tmp_path: Path) -> None:
    settings = Settings.load(env_file=None, data_dir=tmp_path, sealing_keys=None)
    KeyRing.load(settings).make_first()
    assert stat.S_IMODE(os.stat(tmp_path / KEY_FILE).st_mode) == 0o600
    assert KEY_FILE in read(PAGE)


def test_nobody_is_traced_or_analysed_and_nothing_is_said_to_others_unless_asked_for() -> None:
    settings = Settings.load(env_file=None)
    assert (settings.otel_endpoint, settings.cors_origins) == (None, ())
    assert Recording().consent == "off"


@pytest.mark.parametrize("heading", ["Not promised", "A stolen copy", "Where the key is", "Search", "Open mode"])
def test_the_page_has_its_parts(heading: str) -> None:
    headings = {slug(each) for each in re.findall(r"^#+ (.+)$", read(PAGE), re.MULTILINE)}
    assert slug(heading) in headings


def test_the_page_promises_no_secrecy_that_there_is_not() -> None:
    text = " ".join(read(PAGE).split())
    for sentence in (
        "Audio is decrypted at Twilio, in this server and at Google.",
        "Whoever runs the server with its key can read everything.",
        "An erased caller is still in the backups made before",
        "is not sealed",
    ):
        assert sentence in text
    assert not re.search(r"end-to-end encrypted(?!, and nothing)|military|unbreakable|zero.knowledge", text)
