from __future__ import annotations

from pathlib import Path

import pytest

from l7proxy.config import parse


def test_flags_become_one_frozen_value() -> None:
    config = parse(
        [
            "--agent-socket",
            "/run/p.sock",
            "--workers",
            "3",
            "--access-log",
            "-",
            "--metrics",
            "[::1]:15090",
            "--drain-seconds",
            "7.5",
            "--log-level",
            "debug",
        ]
    )
    assert (config.agent_socket, config.workers, config.access_log) == (Path("/run/p.sock"), 3, "-")
    assert (config.metrics, config.drain_s, config.log_level) == (("::1", 15090), 7.5, "debug")


def test_defaults() -> None:
    config = parse(["--agent-socket", "p"])
    assert (config.workers, config.access_log, config.metrics, config.drain_s) == (1, "", None, 30.0)


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        ["--agent-socket", "p", "--workers", "0"],
        ["--agent-socket", "p", "--workers", "many"],
        ["--agent-socket", "p", "--metrics", "15090"],
        ["--agent-socket", "p", "--metrics", "a:99999"],
        ["--agent-socket", "p", "--drain-seconds", "-1"],
        ["--agent-socket", "p", "--surprise"],
    ],
)
def test_wrong_flags_end_with_status_2(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(wrong)
    assert ended.value.code == 2
    assert "l7proxy: error:" in capsys.readouterr().err
