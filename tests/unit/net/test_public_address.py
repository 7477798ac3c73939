"""Which addresses a tool may be sent to, and which hosts are refused by their name alone."""

import pytest

from net.public_address import host_fault, is_public

PRIVATE = [
    "127.0.0.1",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",
    "224.0.0.1",
    "239.1.1.1",
    "240.0.0.1",
    "255.255.255.255",
    "198.18.0.1",
    "192.0.2.7",
    "::",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::127.0.0.1",
    "64:ff9b::10.0.0.1",
    "2002:7f00:1::",
    "fe80::1",
    "fe80::1%eth0",
    "fc00::1",
    "fec0::1",
    "ff02::1",
    "2001:db8::1",
    "no address",
]
PUBLIC = ["8.8.8.8", "93.184.216.34", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:808:808::"]


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_of_no_single_public_host_is_private(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_an_address_of_the_open_internet_is_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    ("host", "fault"),
    [
        ("2130706433", "is an address in an odd form"),
        ("0x7f000001", "is an address in an odd form"),
        ("0177.0.0.1", "is an address in an odd form"),
        ("127.1", "is an address in an odd form"),
        ("localhost", "is a private name"),
        ("LOCALHOST.", "is a private name"),
        ("db.localhost", "is a private name"),
        ("metadata.google.internal", "is a private name"),
        ("printer.local", "is a private name"),
        ("intranet", "is a private name"),
        ("10.0.0.1", "is a private address"),
        ("[::1]", "is a private address"),
        ("shop.example.com", None),
        ("8.8.8.8", None),
        ("[2606:4700::1111]", None),
    ],
)
def test_a_host_is_judged_as_it_is_written(host: str, fault: str | None) -> None:
    assert host_fault(host) == fault
