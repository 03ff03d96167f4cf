"""The rules of the house that no other tool checks: names, sizes, mirrors, and that the tree speaks of itself alone."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROGRAMS = ("mesh", "agent", "controller", "l7proxy", "cli", "lab")
GENERATED = re.compile(r"_pb2(_grpc)?\.pyi?$|mesh/layouts\.py$")
BANNED_STEMS = {"util", "utils", "helper", "helpers", "common", "manager", "misc", "base", "core2", "stuff"}
LINES_THAT_NEED_A_REASON = 400
LINES_OF_A_FUNCTION = 60
ELSEWHERE = re.compile(r"(?<![\w.}$/])/(?:work|tmp|home|root|Users)/", re.IGNORECASE)
"""A folder of somebody's machine. Who reads the tree has only the tree."""
PATHS_INSIDE = {"tests/kernels/init.sh": "folders of the virtual machine that it makes"}


def tracked(*patterns: str) -> list[Path]:
    """Files of the tree, committed or about to be."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *patterns],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    return [ROOT / name for name in sorted(set(listing.stdout.split("\n"))) if name and (ROOT / name).exists()]


def sources() -> list[Path]:
    return [
        path
        for path in tracked("*.py")
        if path.relative_to(ROOT).parts[0] in PROGRAMS and not GENERATED.search(path.as_posix())
    ]


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_no_file_has_a_name_that_says_nothing() -> None:
    assert [name_of(path) for path in sources() if path.stem in BANNED_STEMS] == []


def test_every_module_opens_with_what_it_is_for() -> None:
    silent = [
        name_of(path)
        for path in sources()
        if path.read_text().strip() and not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert silent == []


def test_long_files_say_why() -> None:
    """Above 400 lines a file explains itself with a line that begins `Long because`."""
    long = [
        name_of(path)
        for path in [*sources(), *tracked("bpf/*.c", "bpf/*.h", "tests/*.py")]
        if len(path.read_text().splitlines()) > LINES_THAT_NEED_A_REASON
        and "Long because" not in path.read_text()[:4000]
    ]
    assert long == []


def test_functions_fit_on_a_screen() -> None:
    long = [
        f"{name_of(path)}: {node.name}"
        for path in sources()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno >= LINES_OF_A_FUNCTION
    ]
    assert long == []


def test_packages_only_reexport() -> None:
    """No logic in `__init__`: a reader finds code where its name says."""
    logic = [
        name_of(path)
        for path in sources()
        if path.name == "__init__.py"
        and any(
            isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
            for node in ast.parse(path.read_text()).body
        )
    ]
    assert logic == []


def test_what_calls_itself_pure_is_held_to_it() -> None:
    """It stands in the import contract that forbids clocks, sockets and threads."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    held = next(one["source_modules"] for one in contracts if one["name"].startswith("What decides does no I/O"))
    pure = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in sources()
        if re.search(r"\bPure[.;:]", ast.get_docstring(ast.parse(path.read_text())) or "")
    ]
    assert len(pure) > 20
    assert [name for name in pure if not any(name == one or name.startswith(f"{one}.") for one in held)] == []


def mirror(path: Path) -> Path:
    inside = path.relative_to(ROOT)
    return ROOT / "tests" / "unit" / inside.parent / f"test_{inside.name}"


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_source_has_its_test(program: str) -> None:
    missing = [
        name_of(path)
        for path in sources()
        if path.relative_to(ROOT).parts[0] == program
        and path.name not in ("__init__.py", "__main__.py")
        and not mirror(path).exists()
    ]
    assert missing == []


def test_nothing_is_left_open() -> None:
    open_ends = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b|NotImplementedError")
    found = [
        name_of(path) for path in [*sources(), *tracked("bpf/*.c", "bpf/*.h")] if open_ends.search(path.read_text())
    ]
    assert found == []


def test_the_tree_speaks_of_itself_alone() -> None:
    """No file names a folder of the machine that it was written on."""
    found: list[str] = []
    for path in tracked():
        content = path.read_bytes()
        if path == Path(__file__) or name_of(path) in PATHS_INSIDE or b"\0" in content:
            continue
        for number, line in enumerate(content.decode(errors="replace").splitlines(), 1):
            if ELSEWHERE.search(line):
                found.append(f"{name_of(path)}:{number}: {line.strip()[:100]}")
    assert found == []


@pytest.mark.parametrize("line", ["log=/tmp/out", "cd /home/me/weft", "see /Users/me/notes"])
def test_folders_of_a_machine_are_known(line: str) -> None:
    assert ELSEWHERE.search(line)


@pytest.mark.parametrize("line", ["the network of a pod", "$folder/tmp/x", "GET /workers", "PodSpec.work", "a/root/b"])
def test_other_words_are_not(line: str) -> None:
    assert not ELSEWHERE.search(line)


def test_no_test_is_skipped() -> None:
    """What cannot run fails and says what is missing."""
    skip = re.compile(r"pytest\.(mark\.)?(skip|xfail)|importorskip|unittest\.skip")
    here = Path(__file__)
    assert [name_of(path) for path in tracked("tests/*.py") if path != here and skip.search(path.read_text())] == []
