"""Text of manifests (YAML or JSON, any number of documents) to objects. The only reader of YAML.

Values are built from the parser's events, not by PyYAML's constructors: that is how duplicate keys are refused, how
aliases are counted before they expand, and how every value keeps its line. What a plain scalar means follows the reader
that Kubernetes uses (sigs.k8s.io/yaml), so `yes` is a boolean here, too, and refused where text is wanted.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from mesh.objects.errors import ObjectsRefused, Problem
from mesh.objects.kinds import KINDS, MAX_DEPTH, Object, from_document
from mesh.objects.otherkinds import PassedBy, known, passes_by
from mesh.objects.reader import Path

MAX_BYTES = 8 << 20
MAX_VALUES = 1_000_000
"""After aliases are expanded."""
MAX_DOCUMENTS = 20_000
MAX_PROBLEMS = 100
"""A file that is wrong throughout is not listed in full."""

NAMED = 2
"""Of many files that hold nothing."""

_TOO_DEEP = f"nested deeper than {MAX_DEPTH} levels"
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)|0x[0-9a-fA-F]+|0o?[0-7]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_MAX_DIGITS = 40
# Not `y` and `n`: PyYAML writes those texts unquoted, and nobody means a boolean by them.
_WORDS: dict[str, object] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON"), True),
    **dict.fromkeys(("false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF"), False),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), math.inf),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), -math.inf),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
}
_STRING_TAGS = (None, "!", "tag:yaml.org,2002:str")
_PLAIN_TAGS = {
    f"tag:yaml.org,2002:{word}" for word in ("str", "int", "bool", "float", "null", "map", "seq", "timestamp")
}


class _Refused(Exception):
    """The text as a whole cannot be read."""

    def __init__(self, reason: str, line: int = 0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.line = line


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a text holds."""

    objects: tuple[Object, ...]
    passed_by: tuple[PassedBy, ...] = ()


def parse(text: str, file: str) -> tuple[Object, ...]:
    """Every object that weft reads, in order. Raises ObjectsRefused with all problems found."""
    return read(text, file).objects


def read(text: str, file: str) -> Manifest:
    """What stands in the text, in order; lists are expanded. Raises ObjectsRefused with all problems found."""
    objects: list[Object] = []
    passed_by: list[PassedBy] = []
    problems: list[Problem] = []
    try:
        builder = _Builder(text)
        for document in builder.documents():
            for item, path in _expanded(document):
                if len(problems) >= MAX_PROBLEMS:
                    raise _Refused(f"more than {MAX_PROBLEMS} problems; the rest was not read")
                if kind := passes_by(item):
                    passed_by.append(PassedBy(file, kind))
                    continue
                try:
                    objects.append(from_document(item, file, builder.lines.of(item)))
                except ObjectsRefused as refused:
                    problems += [_placed(problem, path) for problem in refused.problems]
    except _Refused as refused:
        problems.append(Problem(file, "", "", refused.reason, refused.line))
    except yaml.YAMLError as fault:
        problems.append(Problem(file, "", "", _yaml_reason(fault, text), _yaml_line(fault)))
    if problems:
        raise ObjectsRefused(problems)
    return Manifest(tuple(objects), tuple(passed_by))


def read_all(texts: Iterable[tuple[str, str]]) -> Manifest:
    """What stands in several (file, text). Raises ObjectsRefused with the problems of them all."""
    found: list[Manifest] = []
    problems: list[Problem] = []
    for file, text in texts:
        try:
            found.append(read(text, file))
        except ObjectsRefused as refused:
            problems += refused.problems
    if problems:
        raise ObjectsRefused(problems)
    return Manifest(
        tuple(item for one in found for item in one.objects), tuple(item for one in found for item in one.passed_by)
    )


def refuse_nothing(found: Manifest, files: Sequence[str]) -> Manifest:
    """What was read from the files; ObjectsRefused where that is nothing at all, which nobody asks for knowingly."""
    if found.objects or found.passed_by:
        return found
    more = f" and {len(files) - NAMED} more" if len(files) > NAMED else ""
    raise ObjectsRefused(
        [Problem(", ".join(files[:NAMED]) + more, "", "", "holds no object" if len(files) == 1 else "hold no object")]
    )


def _expanded(document: Any) -> Iterator[tuple[Any, str]]:
    """The objects of a document and where they stand in it; an empty document has none.

    A `List` holds whole objects. What the API itself answers is a `PodList` and the like, whose items are of that kind.
    """
    if document is None:
        return
    kind = document.get("kind") if isinstance(document, dict) else None
    of = kind.removesuffix("List") if isinstance(kind, str) and kind.endswith("List") else None
    if (
        of is None
        or (of and of not in KINDS and not known(of))
        or not isinstance(document.get("items", []), list | None)
    ):
        yield document, ""
        return
    version = KINDS[of].api_version if of in KINDS else document.get("apiVersion")
    for index, item in enumerate(document.get("items") or ()):
        if of and isinstance(item, dict):
            item.setdefault("kind", of)
            item.setdefault("apiVersion", version)
        yield item, f"items[{index}]"


def _placed(problem: Problem, path: str) -> Problem:
    """A problem of an object without a name is found by its place in the list."""
    if not path or problem.object:
        return problem
    return Problem(problem.file, path, problem.field, problem.reason, problem.line)


def _yaml_reason(fault: yaml.YAMLError, text: str) -> str:
    words = str(getattr(fault, "problem", None) or getattr(fault, "reason", None) or fault)
    if "nesting depth" in words:  # a limit of PyYAML 6.0.4, which some texts meet before ours
        return _TOO_DEEP
    if _at_a_tab(fault, text):
        return "is not YAML: a tab where it is indented; YAML takes spaces alone"
    return f"is not YAML: {words.splitlines()[0] if words else type(fault).__name__}"


def _at_a_tab(fault: yaml.YAMLError, text: str) -> bool:
    number = _yaml_line(fault)
    line = text.split("\n")[number - 1] if 0 < number <= text.count("\n") + 1 else ""
    return "\t" in line[: len(line) - len(line.lstrip(" \t-"))]


def _yaml_line(fault: yaml.YAMLError) -> int:
    mark = getattr(fault, "problem_mark", None)
    return int(mark.line) + 1 if mark is not None else 0


class _Lines:
    """Where each key and item stands. Containers are known by identity: they live as long as the parse."""

    def __init__(self) -> None:
        self._starts: dict[int, int] = {}
        self._items: dict[tuple[int, str | int], int] = {}

    def start(self, container: object, line: int) -> None:
        self._starts[id(container)] = line

    def item(self, container: object, key: str | int, line: int) -> None:
        self._items[id(container), key] = line

    def of(self, root: Any) -> Any:
        """A function from path to line, for the object at `root`: the line of the innermost part that exists."""

        def line_of(path: Path) -> int:
            value, line = root, self._starts.get(id(root), 0)
            for part in path:
                found = self._items.get((id(value), part))
                if found is None:
                    break
                line = found
                value = value[part]
            return line

        return line_of


class _Builder:
    """Plain values from YAML events, within limits."""

    def __init__(self, text: str) -> None:
        try:
            size = len(text.encode())
        except UnicodeEncodeError as fault:
            raise _Refused("is not valid Unicode") from fault
        if size > MAX_BYTES:
            raise _Refused(f"larger than {MAX_BYTES >> 20} MiB; split it")
        self._events: Iterator[Any] = yaml.parse(text, Loader=_LOADER)
        self.lines = _Lines()
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._kept: list[Any] = []
        self._values = 0

    def documents(self) -> Iterator[Any]:
        count = 0
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                count += 1
                if count > MAX_DOCUMENTS:
                    raise _Refused(f"more than {MAX_DOCUMENTS} documents")
                self._anchors.clear()
                document = self._value(next(self._events), 0)
                self._kept.append(document)
                yield document

    def _value(self, event: Any, depth: int) -> Any:
        line = event.start_mark.line + 1
        if depth > MAX_DEPTH:
            raise _Refused(_TOO_DEEP, line)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(str(event.anchor), line)
        before = self._values
        self._count(1, line)
        if isinstance(event, yaml.ScalarEvent):
            value = _scalar(event, line)
        elif isinstance(event, yaml.MappingStartEvent):
            value = self._mapping(event, depth)
        else:
            value = self._sequence(event, depth)
        if event.anchor:
            self._anchors[event.anchor] = (value, self._values - before)
        return value

    def _alias(self, anchor: str, line: int) -> Any:
        if anchor not in self._anchors:
            raise _Refused(f"alias *{anchor[:40]} has no anchor before it", line)
        value, size = self._anchors[anchor]
        self._count(size, line)
        return value

    def _count(self, more: int, line: int) -> None:
        self._values += more
        if self._values > MAX_VALUES:
            raise _Refused(f"more than {MAX_VALUES} values, aliases counted as often as they are used", line)

    def _mapping(self, start: Any, depth: int) -> dict[str, Any]:
        _check_tag(start)
        found: dict[str, Any] = {}
        self.lines.start(found, start.start_mark.line + 1)
        for event in self._events:
            if isinstance(event, yaml.MappingEndEvent):
                break
            line = event.start_mark.line + 1
            key = self._value(event, depth + 1)
            if key == "<<" and isinstance(event, yaml.ScalarEvent) and event.implicit[0]:
                raise _Refused("merge keys (<<) are not read; write the fields out", line)
            if not isinstance(key, str):
                raise _Refused(f"keys of mappings must be text; write {_shown(event)} in quotes", line)
            if key in found:
                raise _Refused(f"the key {key[:80]!r} stands twice in one mapping", line)
            found[key] = self._value(next(self._events), depth + 1)
            self.lines.item(found, key, line)
        return found

    def _sequence(self, start: Any, depth: int) -> list[Any]:
        _check_tag(start)
        found: list[Any] = []
        self.lines.start(found, start.start_mark.line + 1)
        for event in self._events:
            if isinstance(event, yaml.SequenceEndEvent):
                break
            self.lines.item(found, len(found), event.start_mark.line + 1)
            found.append(self._value(event, depth + 1))
        return found


def _shown(event: Any) -> str:
    return repr(event.value[:40]) if isinstance(event, yaml.ScalarEvent) else "it"


def _check_tag(event: Any) -> None:
    if event.tag is not None and event.tag not in _PLAIN_TAGS:
        raise _Refused(f"tag {event.tag[:80]!r} is not read", event.start_mark.line + 1)


def _scalar(event: Any, line: int) -> Any:
    """What a scalar means. Quoted is text; plain follows YAML 1.1 as Kubernetes reads it, dates staying text."""
    text: str = event.value
    if not event.implicit[0]:
        if event.tag not in _STRING_TAGS:
            _check_tag(event)
        if event.tag in _STRING_TAGS or event.tag.endswith(":timestamp"):
            return text
    if text in _WORDS:
        return _WORDS[text]
    if len(text) > _MAX_DIGITS and text[1:].isdecimal():
        raise _Refused(f"a number of {len(text)} digits is too long; write it in quotes where it is text", line)
    if _INTEGER.fullmatch(text):
        return _integer(text)
    return float(text) if _FLOAT.fullmatch(text) else text


def _integer(text: str) -> int:
    if text.startswith("0x"):
        return int(text, 16)
    if len(text) > 1 and text[0] == "0":
        return int(text.removeprefix("0o"), 8)
    return int(text)
