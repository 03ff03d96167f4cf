"""The documents tell the truth where a program can check it: manifests, commands, links."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from cli.__main__ import weft
from mesh.objects.documents import parse

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
COMMAND = re.compile(r"(?:^[#$] |`|&& )weft ((?:--[a-z]+ \S+ )*)([a-z]+(?: [a-z]+)?)", re.MULTILINE)


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_manifests_in_the_text_are_accepted(page: Path) -> None:
    for block in re.findall(r"^```yaml\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL):
        if "apiVersion:" in block:
            assert len(parse(block, name(page))) >= 1


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_commands_in_the_text_exist(page: Path) -> None:
    context = click.Context(weft)
    for _, words in COMMAND.findall(page.read_text()):
        first, _, second = words.partition(" ")
        command = weft.get_command(context, first)
        assert command is not None, f"weft {words}"
        if isinstance(command, click.Group) and second:
            assert command.get_command(context, second) is not None, f"weft {words}"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
        assert (page.parent / target).exists(), target
