"""Flags."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.config import AgentConfig, UninstallConfig, host_port, parse
from agent.errors import ConfigRefused

RUN = ["--node", "n", "--controller", "c:7000", "--state", "/s", "--cgroup", "/cg", "--uplink", "eth0"]


def test_run_is_the_default() -> None:
    assert parse(RUN) == parse(["run", *RUN])


def test_defaults() -> None:
    config = parse([*RUN, "--uplink", "eth1"])
    assert isinstance(config, AgentConfig)
    assert (config.instance, config.uplinks, config.proxy_grace_s) == ("node", ("eth0", "eth1"), 10.0)
    assert config.bpffs == Path("/sys/fs/bpf")


def test_an_agent_without_an_uplink_does_not_start(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing that comes from outside and needs the proxy would ever get there, and nobody would know why."""
    with pytest.raises(SystemExit, match="2"):
        parse(RUN[:-2])
    assert "--uplink" in capsys.readouterr().err


def test_sizes_of_maps_by_any_of_their_names() -> None:
    given = ["--map-entries", "conntrack=64", "--map-entries", "policy=32", "--map-entries", "ct=128"]
    config = parse([*RUN, *given])
    assert isinstance(config, AgentConfig)
    assert dict(config.map_entries) == {"mesh_ct": 128, "mesh_policy": 32}


def test_the_fast_path_can_be_switched_off() -> None:
    for more, wanted in (((), True), (("--fast-path", "auto"), True), (("--fast-path", "off"), False)):
        config = parse([*RUN, *more])
        assert isinstance(config, AgentConfig)
        assert config.fast_path is wanted


def test_uninstall() -> None:
    config = parse(["uninstall", "--instance", "lab_n"])
    assert isinstance(config, UninstallConfig)
    assert (config.instance, config.state) == ("lab_n", None)


@pytest.mark.parametrize(
    ("more", "named"),
    [
        (["--controller", "nowhere"], "--controller"),
        (["--controller", "c:0"], "--controller"),
        (["--metrics", "1:70000"], "--metrics"),
        (["--proxy-grace", "-1"], "--proxy-grace"),
        (["--instance", "../x"], "--instance"),
        (["--map-entries", "nothing=64"], "there are: ipcache, endpoint, policy, ct"),
        (["--map-entries", "mesh_config=64"], "--map-entries"),
        (["--map-entries", "policy"], "policy=N"),
        (["--map-entries", "policy=1"], "from 16"),
        (["--flows-per-pod", "-1"], "--flows-per-pod"),
    ],
)
def test_what_cannot_be_used_is_named(more: list[str], named: str) -> None:
    with pytest.raises(ConfigRefused, match=named):
        parse([*RUN, *more])


def test_usage_errors_end_with_two() -> None:
    with pytest.raises(SystemExit) as ended:
        parse(["--node", "n"])
    assert ended.value.code == 2


def test_ipv6_stands_in_brackets() -> None:
    assert host_port("[fd00::1]:80", "--x") == ("fd00::1", 80)
