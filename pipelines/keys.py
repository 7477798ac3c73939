"""The keys of one call: pressed by the agent, or by the caller when he is asked to."""

import asyncio
import re
from collections.abc import Callable
from typing import Any

from config.digits import DigitField, Digits
from pipelines.announcer import Announcer
from pipelines.away import Away, Leave
from pipelines.key_tones import key_tones
from pipelines.scribe import Scribe
from pipelines.secret_digits import HIDDEN, NotEntered, SecretDigits, has_handle
from pipelines.sentences import Spoken
from telephony.away_step import AwayStep, ComeBack, DialReport, PlayKeys
from transcripts.call import EndReason

_PRESSABLE = re.compile(r"[0-9*#A-DwW]{1,40}")
_TONES_HZ = 24_000
"""The rate of the agent's voice, which goes the same way."""
_POLL_SECS = 0.05
_HEARD_OUT_SECS = 8.0
"""The most that keys wait for what the agent is just saying."""
_AFTERGLOW_SECS = 0.3
"""What was said and pressed is on its way for so long after the key was told."""
_MOST_KEYS = 64
_NO_FIELD = DigitField()


class KeysTrip:
    """Twilio presses keys, and connects the stream again. Implements `pipelines.away.Trip`."""

    purpose = "digits"

    def __init__(self, keys: str) -> None:
        """Take the keys."""
        # Twilio knows one kind of pause.
        self._keys = keys.replace("W", "ww")

    def first(self) -> AwayStep:
        """Press them."""
        return PlayKeys(self._keys)

    def answered(self, at_ms: float) -> None:
        """Nobody is rung."""

    def after(self, report: DialReport) -> AwayStep | Leave:
        """Nobody is rung."""
        return ComeBack()

    def left(self, reason: EndReason) -> EndReason:
        """Nothing else is known."""
        return reason


class Keys:
    """Presses keys, and collects those of the caller. `secrets` has what may not be kept."""

    def __init__(
        self,
        digits: Callable[[], Digits],
        scribe: Scribe,
        away: Away | None,
        announcer: Callable[[], Announcer],
        *,
        is_phone: bool,
    ) -> None:
        """Take the agent's `digits:`, who hears the line, how the stream is left (None: not), and who makes sounds."""
        self.secrets = SecretDigits()
        self._digits = digits
        self._scribe = scribe
        self._away = away
        self._announcer = announcer
        self._is_phone = is_phone
        self._is_busy = False

    async def press(self, keys: str) -> dict[str, Any]:
        """Press keys, once what the agent is saying was heard; returns what the model is told."""
        try:
            pressed = re.sub(r"[\s.-]", "", self.secrets.fill_in(keys))
        except NotEntered as error:
            return {"error": f"{error}; collect it first."}
        pressed = "".join(key if key in "wW" else key.upper() for key in pressed)
        if not _PRESSABLE.fullmatch(pressed):
            return {"error": "Only 0-9, *, #, A-D and w (half a second) or W (one second) can be pressed, 1 to 40."}
        shown = HIDDEN if has_handle(keys) else pressed
        if self._is_busy or (self._away is not None and self._away.is_away):
            return {"error": "Keys are being pressed or collected already."}
        self._is_busy = self._scribe.is_with_caller = True
        try:
            await self._heard_out()
            return await self._press(pressed, shown)
        finally:
            self._is_busy = False

    async def _press(self, pressed: str, shown: str) -> dict[str, Any]:
        scribe = self._scribe
        # Twilio has no A to D.
        by_twilio = self._away is not None and self._digits().sent_by == "twilio" and not re.search("[A-D]", pressed)
        scribe.event("keys.pressing", digits=shown, sent_by="twilio" if by_twilio else "tones")
        if by_twilio and self._away is not None:
            is_done = await self._away.go(KeysTrip(pressed))
            problem = "The call is over."
        else:
            pcm = await asyncio.to_thread(key_tones, pressed, _TONES_HZ)
            began_ms = scribe.now_ms
            await self._announcer().play_out(Spoken("", pcm, _TONES_HZ))
            is_done = scribe.cut_ms is None or scribe.cut_ms < began_ms
            problem = "Somebody spoke, and the tones were cut off. Listen, then press them again."
        scribe.event("keys.pressed", digits=shown, is_done=is_done)
        if not is_done:
            return {"error": problem}
        return {"pressed": shown, "now": "Listen to what follows; do not speak until it is your turn."}

    async def collect(self, name: str, count: int, first_key_secs: float) -> dict[str, Any]:
        """Have the caller enter digits; returns what the model is told.

        Args:
            name: A field of the agent's file, or what it is for.
            count: How many; 0: until `#`. A field of the file knows it better.
            first_key_secs: How long the first key is waited for; 0: as usual. As above.
        """
        field = self._digits().fields.get(name)
        if field is None:
            if not 0 <= count <= _MOST_KEYS:
                return {"error": f"count must be 0 to {_MOST_KEYS}."}
            wait_secs = min(60.0, first_key_secs) if first_key_secs > 0 else _NO_FIELD.first_key_secs
            field = _NO_FIELD.model_copy(update={"count": count or None, "first_key_secs": wait_secs})
        if not self._is_phone:
            return {"error": "There are no keys on this line. Ask the caller to say it, unless it is secret."}
        if self._is_busy:
            return {"error": "Keys are being pressed or collected already."}
        line = self._scribe.line
        keys: asyncio.Queue[str] = asyncio.Queue()
        self._is_busy = self._scribe.is_with_caller = True
        line.keys, line.is_private = keys.put_nowait, field.secret
        try:
            self._scribe.event("keys.collecting", field=name, secret=field.secret)
            entered, problem = await self._take(keys, field)
            if field.secret:
                await asyncio.sleep(_AFTERGLOW_SECS)
        finally:
            line.keys, line.is_private = None, False
            self._is_busy = False
        self._scribe.event("keys.collected", field=name, is_complete=problem is None)
        return self._result(name, field, entered, problem)

    def _result(self, name: str, field: DigitField, entered: str, problem: str | None) -> dict[str, Any]:
        if field.secret:
            if problem is not None:
                return {"error": problem, "now": "Ask the caller to enter it again, all of it."}
            handle = self.secrets.keep(name, entered)
            return {"digits": HIDDEN, "use": handle, "now": f"Give {handle} to a tool that needs it, exactly so."}
        return {"digits": entered} | ({} if problem is None else {"error": problem})

    async def _take(self, keys: asyncio.Queue[str], field: DigitField) -> tuple[str, str | None]:
        """Take keys until there are enough; returns them, and what is wrong with that."""
        entered = ""
        most = field.count or _MOST_KEYS
        key = await self._first_key(keys, field.first_key_secs)
        while key is not None and key != field.until:
            entered += key
            if len(entered) >= most:
                return entered, None
            key = await _next_key(keys, field.next_key_secs)
        if not entered:
            return "", "The caller pressed no key."
        if field.count is not None and len(entered) < field.count:
            return entered, f"The caller pressed {len(entered)} of {field.count} keys."
        return entered, None

    async def _first_key(self, keys: asyncio.Queue[str], secs: float) -> str | None:
        """The first key; it is waited for from when the agent has asked for it."""
        scribe = self._scribe
        waited_ms, last_ms = 0.0, scribe.now_ms
        while waited_ms < secs * 1000:
            key = await _next_key(keys, _POLL_SECS)
            if key is not None:
                return key
            now_ms = scribe.now_ms
            waited_ms = waited_ms + now_ms - last_ms if scribe.is_agent_idle else 0.0
            last_ms = now_ms
        return None

    async def _heard_out(self) -> None:
        scribe = self._scribe
        try:
            async with asyncio.timeout(_HEARD_OUT_SECS):
                while not scribe.is_agent_idle:  # noqa: ASYNC110 - what was heard is known by time
                    await asyncio.sleep(_POLL_SECS)
        except TimeoutError:
            scribe.event("keys.did_not_wait")


async def _next_key(keys: asyncio.Queue[str], secs: float) -> str | None:
    try:
        async with asyncio.timeout(secs):
            return await keys.get()
    except TimeoutError:
        return None
