"""How an agent listens and speaks from now on, as tools may change it in mid-call: more time, another language."""

from collections.abc import Callable
from weakref import ref

from loguru import logger
from pipecat.frames.frames import Frame, STTUpdateSettingsFrame, TTSUpdateSettingsFrame
from pipecat.services.settings import STTSettings, TTSSettings

from config.agent import AgentConfig
from config.phrases import has_phrases
from pipelines.caller_pauses import CallerPauses
from pipelines.conductor import Conductor
from pipelines.ladder import Ladder
from pipelines.scribe import Scribe
from pipelines.spoken_language import in_language
from pipelines.stages import Assembly
from pipelines.tools import CallResources
from pipelines.voice_activity import VoiceActivity


class Attention:
    """Implements `Attending` for one call."""

    def __init__(
        self,
        agent: AgentConfig,
        scribe: Scribe,
        conductor: Conductor,
        *,
        assembly: Callable[[], Assembly],
        ladder: Callable[[], Ladder | None],
    ) -> None:
        """Take the agent as its file has it, and who else has to know, as they are at each moment."""
        self.agent = agent
        """The agent as it speaks now."""
        self._own = agent
        self._scribe, self._conductor = scribe, conductor
        self._assembly, self._ladder = assembly, ladder
        self._desk: ref[CallResources] | None = None

    def belong_to(self, desk: CallResources) -> None:
        """What this agent's tools reach is to know the agent as it speaks, too. Not kept: it keeps this."""
        self._desk = ref(desk)

    def wait_longer(self, secs: float) -> None:
        """Give the caller time."""
        self._scribe.event("caller.given_time", secs=round(secs))
        self._conductor.wait_longer(secs)
        model, processors = self._assembly().model, self._assembly().processors
        voice = next((one for one in processors if isinstance(one, VoiceActivity)), None)
        if model is not None and voice is not None:
            CallerPauses.bridge(model, voice, self._scribe, secs)

    async def speak_language(self, code: str) -> str | None:
        """Go on in another of the agent's languages."""
        own, listed = self._own, (self._own.language, *self._own.listening.languages)
        found = next((one for one in listed if one.lower() == code.strip().lower()), None)
        if found is None:
            # A model may leave the region out, or mean another one.
            language = code.strip().split("-")[0].lower()
            found = next((one for one in listed if one.split("-")[0].lower() == language), None)
        if found is None:
            return f"speak one of {', '.join(dict.fromkeys(listed))}"
        if found != self.agent.language:
            self.agent = in_language(own, found)
            self.take_up(self._assembly())
            ladder = self._ladder()
            if ladder is not None:
                ladder.speak_as(self.agent)
            if self._desk is not None and (desk := self._desk()) is not None:
                desk.agent = self.agent
            await self._tell_services(self._assembly())
            self._scribe.event("language.switched", language=found)
            logger.bind(language=found).info("the agent speaks another language now")
        return None

    def take_up(self, assembly: Assembly) -> None:
        """Have this pipeline speak the language of the call."""
        if self.agent is self._own and assembly.agent.language == self.agent.language:
            return
        language = self.agent.language
        changed = {"language": language, "phrases": self.agent.phrases}
        assembly.agent = assembly.agent.model_copy(update=changed)
        assembly.announcer.speak_as(assembly.agent)
        is_known = language == self._own.language or has_phrases(language)
        assembly.say_in = "" if is_known else language
        self._conductor.speak_as(assembly.phrases, keeps_own=language == self._own.language)
        model = assembly.model
        if model is not None and model.model_link.setup.language != language:
            # The model has switched by itself; the connections that come are to begin in that language.
            model.model_link.setup = model.model_link.setup.speaking(language)

    async def _tell_services(self, assembly: Assembly) -> None:
        """A recognizer and a synthesizer have to be told; what they cannot do they log."""
        if assembly.is_realtime or not assembly.processors:
            return
        language = self.agent.language
        frames: list[Frame] = [
            STTUpdateSettingsFrame(delta=STTSettings(language=language)),
            TTSUpdateSettingsFrame(delta=TTSSettings(language=language)),
        ]
        for frame in frames:
            await assembly.processors[0].queue_frame(frame)
