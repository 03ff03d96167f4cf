"""The documents tell the truth where a program can check it: manifests, commands, links."""

from __future__ import annotations

import re
from itertools import takewhile
from pathlib import Path

import click
import pytest

from agent.flows import drop_reason
from cli.__main__ import weft
from mesh import layouts
from mesh.objects.documents import parse
from tests.test_house import tracked

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    *(ROOT / page for page in ("README.md", "CONTRIBUTING.md", "bpf/README.md", "vagrant/README.md")),
    ROOT / "examples/shop/README.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
COMMAND = re.compile(r"(?:^[#$] |`|&& )weft ((?:--[a-z]+ \S+ )*)([a-z]+(?: [a-z]+)?)", re.MULTILINE)

FOLDERS = "agent|benchmarks|bpf|cli|controller|deploy|docs|examples|l7proxy|lab|mesh|tests|vagrant"
FILE = re.compile(rf"(?<![\w/.-])((?:{FOLDERS})/[\w./*-]*[\w*/])")
MADE_LATER = {"benchmarks/results/"}
METRIC = re.compile(r"\bweft_[a-z0-9_]+")
FLAG = re.compile(r"(?<![\w-])--[a-z][a-z-]+")
FLAGS_OF_OTHERS = {"--strict", "--provision-with"}


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


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_files_in_the_text_exist(page: Path) -> None:
    missing = [found for found in FILE.findall(page.read_text()) if not list(ROOT.glob(found.rstrip("/")))]
    assert set(missing) <= MADE_LATER


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_metrics_and_flags_in_the_text_exist(page: Path) -> None:
    text = page.read_text()
    code = "\n".join(path.read_text() for path in [*tracked("*.py"), ROOT / "Makefile"] if path != Path(__file__))
    named = {metric: metric.removesuffix("_total") for metric in METRIC.findall(text)}
    # some are made from a table of their last words
    missing = {
        metric
        for metric, name in named.items()
        if name not in code and f'"{name.removeprefix("weft_agent_")}"' not in code
    }
    missing |= {flag for flag in FLAG.findall(text) if flag not in code}
    assert missing <= FLAGS_OF_OTHERS


def test_drop_reasons_in_the_table_exist() -> None:
    known = {drop_reason(number) for word, number in vars(layouts).items() if word.startswith("DROP_")}
    lines = iter((ROOT / "docs" / "operations.md").read_text().splitlines())
    next(line for line in lines if line.startswith("| drop reason |"))
    rows = [line.split("|")[1] for line in takewhile(lambda line: line.startswith("|"), lines)]
    named = {word for row in rows for word in re.findall(r"`([a-z-]+)`", row)}
    assert len(named) > 5
    assert named <= known
