"""A cursor over a mapping that came from outside: it knows its path, checks types, collects problems.

Parsers of kinds read fields through it and never see a wrong type: what is wrong is reported and a harmless value comes
back, so that one pass finds every fault. The object is thrown away when anything was reported. `close` refuses the
fields that nobody asked for: a misspelt field must not be ignored.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from difflib import get_close_matches
from typing import Any

from mesh.objects.errors import Problem

Path = tuple[str | int, ...]
Check = Callable[[str], str | None]
"""Answers None, or why the text is refused."""

LineOf = Callable[[Path], int]

NOT_YET = "not supported yet"


def path_text(path: Path) -> str:
    """`spec.ingress[0].port`; keys that are no plain words stand in brackets."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif part.replace("_", "a").isalnum():
            text += f".{part}" if text else part
        else:
            text += f"[{part[:80]}]"
    return text


class Report:
    """The problems of one object."""

    __slots__ = ("_line_of", "file", "object", "problems")

    def __init__(self, file: str, object: str, line_of: LineOf | None = None) -> None:
        self.file = file
        self.object = object
        self.problems: list[Problem] = []
        self._line_of = line_of

    def add(self, path: Path, reason: str) -> None:
        line = self._line_of(path) if self._line_of else 0
        self.problems.append(Problem(self.file, self.object, path_text(path), reason, line))


def type_name(value: object) -> str:
    """What a value is in a manifest's words."""
    match value:
        case None:
            return "nothing"
        case bool():
            return f"the boolean {str(value).lower()}"
        case int() | float():
            return f"the number {value}" if abs(value) < 10**20 else "a huge number"
        case str():
            return "text"
        case list():
            return "a list"
        case dict():
            return "a mapping"
    return type(value).__name__


def _text_reason(value: object) -> str:
    hint = "; write it in quotes" if isinstance(value, bool | int | float) else ""
    return f"expected text, found {type_name(value)}{hint}"


class Reader:
    """One mapping of a document. A field that is null counts as missing, as in Kubernetes."""

    __slots__ = ("_fields", "_known", "path", "report")

    def __init__(self, fields: Mapping[str, Any], path: Path, report: Report) -> None:
        self._fields = fields
        self._known: set[str] = set()
        self.path = path
        self.report = report

    def refuse(self, name: str | int | None, reason: str) -> None:
        self.report.add(self.path if name is None else (*self.path, name), reason)

    def has(self, name: str) -> bool:
        return self._fields.get(name) is not None

    def raw(self, name: str) -> Any:
        self._known.add(name)
        return self._fields.get(name)

    def require(self, name: str) -> bool:
        if not self.has(name):
            self._known.add(name)
            self.refuse(name, "is missing")
            return False
        return True

    def text(self, name: str, *, default: str = "", check: Check | None = None) -> str:
        value = self.raw(name)
        if value is None:
            return default
        if not isinstance(value, str):
            self.refuse(name, _text_reason(value))
            return default
        return value if self._passes(value, name, check) else default

    def number(self, name: str, low: int, high: int) -> int | None:
        value = self.raw(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int):
            self.refuse(name, f"expected a whole number, found {type_name(value)}")
            return None
        if not low <= value <= high:
            self.refuse(name, f"{type_name(value).removeprefix('the number ')} is not within {low} to {high}")
            return None
        return value

    def flag(self, name: str, *, default: bool = False) -> bool:
        value = self.raw(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            self.refuse(name, f"expected true or false, found {type_name(value)}")
            return default
        return value

    def choice(self, name: str, options: Collection[str], *, default: str = "") -> str:
        value = self.text(name, default=default)
        if self.has(name) and isinstance(self._fields[name], str) and value not in options:
            self.refuse(name, f"{value[:80]!r} is none of {', '.join(options)}")
            return default
        return value

    def inside(self, name: str) -> Reader:
        """The mapping under a field; an empty one where it is missing or is none."""
        value = self.raw(name)
        if value is None:
            value = {}
        elif not isinstance(value, dict):
            self.refuse(name, f"expected a mapping, found {type_name(value)}")
            value = {}
        return Reader(value, (*self.path, name), self.report)

    def each(self, name: str) -> list[Reader]:
        """The mappings of a list."""
        return [
            Reader(item, (*self.path, name, index), self.report)
            for index, item in enumerate(self._list(name))
            if self._is_mapping(item, name, index)
        ]

    def texts(self, name: str, check: Check | None = None) -> tuple[str, ...]:
        found = []
        for index, item in enumerate(self._list(name)):
            if not isinstance(item, str):
                self.report.add((*self.path, name, index), _text_reason(item))
            elif self._passes(item, (name, index), check):
                found.append(item)
        return tuple(found)

    def pairs(self, name: str, key_check: Check, value_check: Check | None) -> tuple[tuple[str, str], ...]:
        """A mapping of texts, sorted."""
        found = []
        value = self.raw(name)
        if value is None:
            return ()
        if not isinstance(value, dict):
            self.refuse(name, f"expected a mapping, found {type_name(value)}")
            return ()
        for key, item in value.items():
            if not isinstance(key, str):
                self.refuse(name, f"expected text as a key, found {type_name(key)}")
            elif not isinstance(item, str):
                self.report.add((*self.path, name, key), _text_reason(item))
            elif self._passes(key, (name, key), key_check) and self._passes(item, (name, key), value_check):
                found.append((key, item))
        return tuple(sorted(found))

    def skip(self, *names: str) -> None:
        """Fields that exist and that nothing of ours reads."""
        self._known.update(names)

    def not_yet(self, *names: str) -> None:
        """Fields that are kept for later versions: refused, never ignored."""
        for name in names:
            self._known.add(name)
            if self.has(name):
                self.refuse(name, NOT_YET)

    def close(self) -> None:
        """Every field that was neither read nor skipped is refused."""
        for name in self._fields:
            if name not in self._known:
                near = get_close_matches(str(name), sorted(self._known), n=1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                self.refuse(str(name), f"unknown field{hint}")

    def _list(self, name: str) -> list[Any]:
        value = self.raw(name)
        if value is None:
            return []
        if not isinstance(value, list):
            self.refuse(name, f"expected a list, found {type_name(value)}")
            return []
        return value

    def _is_mapping(self, item: object, name: str, index: int) -> bool:
        if not isinstance(item, dict):
            self.report.add((*self.path, name, index), f"expected a mapping, found {type_name(item)}")
            return False
        return True

    def _passes(self, value: str, where: str | tuple[str, str | int], check: Check | None) -> bool:
        reason = check(value) if check else None
        if reason is None:
            return True
        self.report.add((*self.path, *((where,) if isinstance(where, str) else where)), reason)
        return False
