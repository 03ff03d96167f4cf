from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator

import pytest

from l7proxy.net.origin import RedirectMap, packed, plain
from mesh.layouts import REDIRECT_EGRESS, RedirectKey, RedirectRecord

BPF = 321 if os.uname().machine == "x86_64" else 280


class CreateAttr(ctypes.Structure):
    _fields_ = (
        ("map_type", ctypes.c_uint32),
        ("key_size", ctypes.c_uint32),
        ("value_size", ctypes.c_uint32),
        ("max_entries", ctypes.c_uint32),
        ("rest", ctypes.c_uint8 * 64),
    )


class UpdateAttr(ctypes.Structure):
    _fields_ = (
        ("map_fd", ctypes.c_uint32),
        ("pad", ctypes.c_uint32),
        ("key", ctypes.c_uint64),
        ("value", ctypes.c_uint64),
        ("flags", ctypes.c_uint64),
    )


def bpf(command: int, attr: ctypes.Structure) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    got = int(libc.syscall(BPF, command, ctypes.byref(attr), ctypes.sizeof(attr)))
    if got < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return got


@pytest.fixture
def records() -> Iterator[tuple[RedirectMap, int]]:
    """A hash map of the layout of the redirect map. Needs CAP_BPF."""
    made = bpf(
        0,
        CreateAttr(
            map_type=1,
            key_size=ctypes.sizeof(RedirectKey),
            value_size=ctypes.sizeof(RedirectRecord),
            max_entries=16,
        ),
    )
    found = RedirectMap(made)
    yield found, made
    found.close()


def put(descriptor: int, saddr: str, sport: int, daddr: str, dport: int, record: RedirectRecord) -> None:
    key = RedirectKey(sport=sport, dport=dport)
    key.saddr[:] = packed(saddr)
    key.daddr[:] = packed(daddr)
    bpf(2, UpdateAttr(map_fd=descriptor, key=ctypes.addressof(key), value=ctypes.addressof(record), flags=0))


@pytest.mark.parametrize(("source", "destination"), [("10.0.0.1", "10.0.0.2"), ("fd00::1", "fd00::2")])
def test_record_is_found_by_what_accept_shows(records: tuple[RedirectMap, int], source: str, destination: str) -> None:
    redirects, descriptor = records
    put(
        descriptor,
        source,
        40000,
        destination,
        8080,
        RedirectRecord(
            src_identity=300,
            dst_identity=400,
            src_endpoint=3,
            dst_endpoint=4,
            service=5,
            flags=REDIRECT_EGRESS,
        ),
    )
    facts = redirects.find((source, 40000), (destination, 8080))
    assert facts is not None
    assert (facts.source_ip, facts.source_port, facts.destination_ip) == (source, 40000, destination)
    assert (facts.source_identity, facts.destination_identity) == (300, 400)
    assert (facts.source_endpoint, facts.destination_endpoint, facts.service) == (3, 4, 5)
    assert (facts.egress, facts.ingress) == (True, False)


def test_connection_without_a_record_is_unknown(records: tuple[RedirectMap, int]) -> None:
    assert records[0].find(("10.0.0.1", 40000), ("10.0.0.2", 8080)) is None


def test_a_broken_map_is_an_error_and_not_an_answer() -> None:
    descriptor = os.open("/dev/null", os.O_RDONLY)
    broken = RedirectMap(descriptor)
    with pytest.raises(OSError, match="redirect map"):
        broken.find(("10.0.0.1", 1), ("10.0.0.2", 2))
    broken.close()


def test_addresses_are_spelt_as_in_the_maps() -> None:
    assert packed("10.0.0.1") == bytes(10) + b"\xff\xff\x0a\x00\x00\x01"
    assert plain(("::ffff:10.0.0.1", 80, 0, 0)) == ("10.0.0.1", 80)
    assert plain(("fe80::1%eth0", 80, 0, 2)) == ("fe80::1", 80)
    assert plain(("10.0.0.1", 80)) == ("10.0.0.1", 80)
