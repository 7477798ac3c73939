"""What every call of this process shares."""

from collections.abc import Callable
from dataclasses import dataclass

from google.genai import Client

from config.agents_folder import AgentWatch
from pipelines.callbacks import Callbacks
from pipelines.ringing import Ringing
from pipelines.sentences import Sentences
from pipelines.toolbox import Toolbox
from pipelines.transfer_attempt import Ringer
from transcripts.do_not_call import DoNotCall
from transcripts.recording_store import RecordingStore
from transcripts.records import Records


@dataclass(frozen=True)
class CallServices:
    """What every call of this process shares.

    Attributes:
        gemini: The Gemini client; None when neither a key nor an endpoint is set.
        ringing: The models of the calls that ring.
        sentences: What can be said without a model.
        recordings: Where recordings go.
        toolbox: What their models may use.
        agents: Those that a call may be handed over to.
        callbacks: Who arranges calls back.
        records_of: Gives an agent, by its name, its bot's own rows.
        do_not_call: The list of numbers that nobody calls.
        ringer: Rings people for warm transfers; None: nobody can be rung.
    """

    gemini: Client | None
    ringing: Ringing
    sentences: Sentences
    recordings: RecordingStore
    toolbox: Toolbox
    records_of: Callable[[str], Records]
    agents: AgentWatch | None = None
    callbacks: Callbacks | None = None
    ringer: Ringer | None = None
    do_not_call: DoNotCall | None = None
