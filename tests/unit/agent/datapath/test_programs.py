"""The list of programs is that of the kernel unit."""

from __future__ import annotations

import re
from pathlib import Path

from agent.datapath import programs, source


def test_the_list_is_that_of_the_unit() -> None:
    assert set(re.findall(r"^int (\w+)\(struct ", source.unit_text(), re.MULTILINE)) == set(programs.ALL_PROGRAMS)


def test_an_instance_has_a_folder_of_its_own() -> None:
    assert programs.pin_folder("/sys/fs/bpf", "demo.one") == Path("/sys/fs/bpf/weft/demo.one")
