"""The headers by which a receiver knows that a message is ours, as Standard Webhooks says.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from datetime import UTC, datetime

from standardwebhooks import Webhook


def signed_headers(secret: str, message_id: str, body: str, now: datetime) -> dict[str, str]:
    """Return `webhook-id`, `webhook-timestamp` and `webhook-signature` of a body that is sent `now` (aware).

    `secret` is whsec_ and base64.
    """
    moment = now.astimezone(UTC)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": Webhook(secret).sign(message_id, moment, body),
    }
