"""Tokens for browsers: JWTs that a key makes, good for some of its scopes and for some minutes."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from secrets import token_urlsafe
from typing import Any

import jwt

from api.secret_key import derive
from storage.keys import BadKey

MOST_SECS = 15 * 60
"""The longest time that a token is good."""
LONGEST_TEXT = 4096
NOT_FOR_TOKENS = frozenset({"keys:write"})
"""Scopes that no token has: what lasts is not made by what does not."""

_ALGORITHM = "HS256"
_ISSUER = "trunkline"
_AUDIENCE = "trunkline-api"
_CLAIMS = ("iss", "aud", "sub", "jti", "iat", "nbf", "exp")
_SKEW_SECS = 5
"""Processes on several machines share the secret, and not quite the time."""


class BadToken(BadKey):
    """The token is not one of this server's. Make one with `POST /v1/tokens`."""


class TokenExpired(BadKey):
    """The token has expired. Make another one with `POST /v1/tokens`."""


@dataclass(frozen=True, slots=True)
class Token:
    """What a token says. `key_id`: of the key that made it; times are Unix, in seconds."""

    token_id: str
    key_id: str
    scopes: frozenset[str]
    expires_at: int
    call_id: str | None = None
    agent: str | None = None


class Tokens:
    """Makes tokens and reads them. All processes that have the same secret read each other's."""

    def __init__(self, secret: bytes, now: Callable[[], float]) -> None:
        """Take the server's own secret, and Unix time."""
        self._key = derive(secret, "browser tokens")
        self._key_id = derive(secret, "the name of the key of browser tokens").hex()[:16]
        self._now = now

    def issue(
        self, key_id: str, scopes: Iterable[str], ttl_secs: int, *, call_id: str | None = None, agent: str | None = None
    ) -> tuple[str, Token]:
        """Return a new token as text, and what it says.

        Args:
            key_id: of the key that makes it.
            scopes: what it is good for.
            ttl_secs: how long, `MOST_SECS` at most.
            call_id: the only call that it is good for; None: all.
            agent: the only agent that it is good for; None: all those of its key.
        """
        now = int(self._now())
        token = Token(
            token_urlsafe(12), key_id, frozenset(scopes), now + min(ttl_secs, MOST_SECS), call_id=call_id, agent=agent
        )
        claims: dict[str, Any] = {
            "iss": _ISSUER,
            "aud": _AUDIENCE,
            "sub": key_id,
            "jti": token.token_id,
            "iat": now,
            "nbf": now,
            "exp": token.expires_at,
            "scope": " ".join(sorted(token.scopes)),
        }
        bound = {"call_id": call_id, "agent": agent}
        claims |= {name: value for name, value in bound.items() if value is not None}
        return jwt.encode(claims, self._key, _ALGORITHM, {"kid": self._key_id}), token

    def read(self, text: str) -> Token:
        """Return what a token says. Raises `BadToken`, `TokenExpired`."""
        if len(text) > LONGEST_TEXT:
            raise BadToken
        try:
            # The only algorithm is ours: what the token says of itself chooses nothing.
            whole = jwt.decode_complete(
                text,
                self._key,
                algorithms=[_ALGORITHM],
                audience=_AUDIENCE,
                issuer=_ISSUER,
                # Times are looked at below, by a clock that tests can set.
                options={"require": list(_CLAIMS), "verify_exp": False, "verify_nbf": False, "verify_iat": False},
            )
        except (jwt.PyJWTError, ValueError, RecursionError) as error:
            raise BadToken from error
        claims: dict[str, Any] = whole["payload"]
        if whole["header"].get("kid") != self._key_id or not _is_sound(claims):
            raise BadToken
        now = self._now()
        if claims["nbf"] > now + _SKEW_SECS or claims["exp"] - claims["nbf"] > MOST_SECS:
            raise BadToken
        if claims["exp"] <= now:
            raise TokenExpired
        return Token(
            claims["jti"],
            claims["sub"],
            frozenset(claims["scope"].split()),
            claims["exp"],
            call_id=claims.get("call_id"),
            agent=claims.get("agent"),
        )


def is_token(text: str) -> bool:
    """Whether a text looks like a token rather than like a key."""
    return text.count(".") == 2


def _is_sound(claims: dict[str, Any]) -> bool:
    texts = [claims.get(name) for name in ("jti", "sub", "scope")]
    bound = [claims.get(name, "") for name in ("call_id", "agent")]
    times = [claims.get(name) for name in ("iat", "nbf", "exp")]
    return all(isinstance(text, str) for text in texts + bound) and all(type(time) is int for time in times)
