"""Rooms at Daily, by its REST API: https://docs.daily.co/reference/rest-api."""

from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import quote, urlsplit

from net.outgoing import Outgoing, OutgoingFailed, OutgoingRefused


class DailyFailed(Exception):
    """Daily could not be reached, or gave no room."""


@dataclass(frozen=True, slots=True)
class Room:
    """A private room. At `expires_at`, Unix time in seconds, whoever is still in it is put out."""

    name: str
    url: str
    expires_at: int

    def url_for(self, token: str) -> str:
        """Return the address that lets in whoever opens it."""
        return f"{self.url}?t={quote(token, safe='')}"


class DailyRooms:
    """Makes rooms and the tokens that open them."""

    def __init__(self, outgoing: Outgoing, *, api_base: str, api_key: str) -> None:
        """Take the client to ask with, the API's address without a trailing slash, and the account's key."""
        self._outgoing = outgoing
        self._api_base = api_base
        self._api_key = api_key

    async def create_room(self, *, expires_at: int) -> Room:
        """Make a private room for two, under a name that Daily chooses. Raises `DailyFailed`."""
        properties = {"exp": expires_at, "eject_at_room_exp": True, "max_participants": 2, "start_video_off": True}
        answer = await self._post("rooms", {"privacy": "private", "properties": properties})
        name, url = _text(answer, "name"), _text(answer, "url")
        if urlsplit(url).scheme not in ("https", "http"):
            raise DailyFailed("Daily's answer names a room that is no web address")
        return Room(name, url, expires_at)

    async def create_token(self, room: Room, *, user_name: str, is_owner: bool = False) -> str:
        """Make a token that admits one person to the room, under a name, for as long as the room is there.

        Raises `DailyFailed`.
        """
        properties = {
            "room_name": room.name,
            "user_name": user_name,
            "is_owner": is_owner,
            "exp": room.expires_at,
        }
        return _text(await self._post("meeting-tokens", {"properties": properties}), "token")

    async def _post(self, path: str, body: dict[str, Any]) -> Any:
        try:
            return await self._outgoing.post_json(f"{self._api_base}/{path}", body, bearer=self._api_key)
        except OutgoingFailed as error:
            raise DailyFailed(f"Daily cannot be asked for a room: {error}") from error
        except OutgoingRefused as error:
            if error.status in (401, 403):
                raise DailyFailed("Daily does not accept DAILY_API_KEY") from error
            raise DailyFailed(f"Daily refused: {error.status} {_reason(error.answer)}".rstrip()) from error


def _text(answer: Any, name: str) -> str:
    value = cast(dict[str, Any], answer).get(name) if isinstance(answer, dict) else None
    if not isinstance(value, str) or not value:
        raise DailyFailed(f"Daily's answer has no {name}")
    return value


def _reason(answer: Any) -> str:
    if not isinstance(answer, dict):
        return ""
    fields = cast(dict[str, Any], answer)
    return str(fields.get("info") or fields.get("error") or "")[:200]
