"""Whether the bucket that recordings are moved to can be reached and looked into."""

import asyncio

from config.settings import Settings
from doctor.findings import Finding, ok, problem
from transcripts.bucket import Bucket, BucketAway


async def check_bucket(settings: Settings) -> list[Finding]:
    """Ask the bucket for its first object, where one is set; writes nothing."""
    bucket = await asyncio.to_thread(Bucket.of, settings)
    if bucket is None:
        return []
    try:
        await asyncio.to_thread(bucket.ping)
    except BucketAway as error:
        return [problem("bucket of recordings", str(error))]
    return [ok("bucket of recordings", f"{settings.recordings_url} answers")]
