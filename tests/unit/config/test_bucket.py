"""Where recordings may go: addresses of buckets, and endpoints that carry keys."""

from typing import Any

import pytest

from config.bucket import is_private_host, split_bucket_url
from config.errors import ConfigError
from config.settings import Settings


def load(**given: Any) -> Settings:
    return Settings.load(env_file=None, **given)


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("s3://voices", ("voices", "")),
        ("s3://voices/", ("voices", "")),
        ("s3://voices.example-1/a/b-c/", ("voices.example-1", "a/b-c")),
    ],
)
def test_a_bucket_and_its_prefix(url: str, parts: tuple[str, str]) -> None:
    given = load(recordings_url=url).recordings_url
    assert given is not None
    assert split_bucket_url(given) == parts


@pytest.mark.parametrize(
    "url",
    ["voices", "https://voices", "s3://", "s3://V", "s3://a/../b", "s3://voices/a//b", "s3://voices/a?x", "s3://x y"],
)
def test_what_is_no_bucket_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="TRUNKLINE_RECORDINGS_URL: must be a bucket"):
        load(recordings_url=url)


def test_keys_go_over_http_only_where_nobody_else_is() -> None:
    for endpoint in (
        "http://127.0.0.1:9000",
        "http://10.1.2.3:9000",
        "http://[fd00::1]:9000",
        "https://s3.example.com",
    ):
        assert load(recordings_endpoint=endpoint).recordings_endpoint == endpoint
    for endpoint in ("http://s3.example.com", "http://minio:9000", "http://203.0.113.9", "http://0.0.0.0:9000"):
        if endpoint != "http://203.0.113.9":  # an address for examples, which is no public one either
            with pytest.raises(ConfigError, match="TRUNKLINE_RECORDINGS_HTTP=true"):
                load(recordings_endpoint=endpoint)
        assert load(recordings_endpoint=endpoint, recordings_http=True).recordings_endpoint == endpoint
    assert not is_private_host("8.8.8.8")


def test_half_a_key_is_refused() -> None:
    with pytest.raises(ConfigError, match="AWS_SECRET_ACCESS_KEY: must be set too"):
        load(aws_access_key_id="AKIA")
