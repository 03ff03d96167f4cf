"""weft completion."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from tests.unit.cli.conftest import Weft


@pytest.mark.parametrize(
    ("shell", "mark"), [("bash", "complete -o nosort"), ("zsh", "#compdef weft"), ("fish", "complete")]
)
def test_each_shell_gets_its_script(weft_alone: Weft, shell: str, mark: str) -> None:
    done = weft_alone("completion", shell)
    assert done.exit_code == 0
    assert mark in done.stdout
    assert "_WEFT_COMPLETE" in done.stdout


def test_bash_can_read_its_script(weft_alone: Weft) -> None:
    bash = shutil.which("bash")
    assert bash is not None
    subprocess.run([bash, "-n"], input=weft_alone("completion", "bash").stdout, text=True, check=True)
