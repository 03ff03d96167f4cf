"""The command line."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path

import pytest

from controller.config import parse

NEEDED = ["--state", "/s", "--listen", "[::1]:7000", "--admin-socket", "/a.sock"]


def test_what_is_needed_and_what_is_the_default() -> None:
    config = parse(NEEDED)
    assert (config.state, str(config.listen), str(config.listen.next())) == (Path("/s"), "[::1]:7000", "[::1]:7001")
    assert config.service_cidrs == (ip_network("10.96.0.0/16"), ip_network("fd00:10:96::/112"))
    assert (config.source, config.metrics, config.enrol_all) == (None, None, True)


def test_everything_else() -> None:
    config = parse([
        *NEEDED, "--source", "dir:/m", "--service-cidr", "10.1.0.0/24", "--metrics", "127.0.0.1:9",
        "--log-level", "debug", "--enrol", "labelled",
    ])  # fmt: skip
    assert (config.source, config.service_cidrs) == (Path("/m"), (ip_network("10.1.0.0/24"),))
    assert (str(config.metrics), config.log_level, config.enrol_all) == ("127.0.0.1:9", "debug", False)


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        (["--listen", "localhost:1"], "'localhost' is not an IP address"),
        (["--listen", "127.0.0.1:65535"], "is not of the form HOST:PORT"),
        (["--source", "/m"], "is not of the form dir:PATH"),
        (["--service-cidr", "10.0.0.1/8"], "has host bits set"),
        (["--service-cidr", "10.0.0.0/31"], "has no room for Services"),
        (["--service-cidr", "10.0.0.0/8", "--service-cidr", "11.0.0.0/8"], "at most one IPv4 and one IPv6"),
    ],
)
def test_mistakes_are_named(more: list[str], reason: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse([*NEEDED, *more])
    assert ended.value.code == 2
    assert reason in capsys.readouterr().err
