"""A real S3 over HTTP for tests, and settings that name it."""

from collections.abc import Iterator
from contextlib import contextmanager

from moto.server import ThreadedMotoServer

from config.settings import Settings


@contextmanager
def serving_s3() -> Iterator[str]:
    """Yield the address of an S3 without buckets, for the length of the block. Blocks for a moment."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.stop()


def bucket_settings(recordings_url: str, endpoint: str) -> Settings:
    """Return settings with recordings at `recordings_url` (s3://bucket/prefix) of the S3 at `endpoint`."""
    return Settings.load(
        env_file=None,
        recordings_url=recordings_url,
        recordings_endpoint=endpoint,
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
