"""Regular expressions of users, on RE2: linear time whatever the pattern and the text. The one home of that library.

Compiled patterns are kept, because policy is compiled again and again from the same manifests. Nothing of ours that a
user can write reaches Python's `re`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import re2

MAX_PATTERN_BYTES = 1024
_MAX_MEMORY_BYTES = 1 << 20
"""Of one compiled pattern; RE2 refuses what would need more."""


class PatternRefused(ValueError):
    """A pattern that RE2 does not take; the text says why."""


def _options() -> re2.Options:
    import re2

    options = re2.Options()
    options.log_errors = False
    options.never_capture = True
    options.dot_nl = True
    options.max_mem = _MAX_MEMORY_BYTES
    return options


class Pattern:
    """A compiled pattern; it is asked about whole texts only."""

    __slots__ = ("_compiled", "text")

    def __init__(self, text: str) -> None:
        import re2  # three megabytes that a process without any pattern does without

        self.text = text
        try:
            # Bytes, because text that came off the wire may hold what is not UTF-8; it must be compared, not raise.
            raw = text.encode()
        except UnicodeEncodeError as problem:
            raise PatternRefused("is not valid Unicode") from problem
        if len(raw) > MAX_PATTERN_BYTES:
            raise PatternRefused(f"is {len(raw)} bytes long, at most {MAX_PATTERN_BYTES} are taken")
        try:
            self._compiled = re2.compile(raw, _options())
        except re2.error as problem:
            words = problem.args[0] if problem.args else b"unknown error"
            reason = words.decode(errors="replace") if isinstance(words, bytes) else str(words)
            raise PatternRefused(f"is no RE2 pattern: {reason}") from problem

    def fullmatch(self, text: str) -> bool:
        return self._compiled.fullmatch(text.encode(errors="surrogateescape")) is not None


@lru_cache(maxsize=4096)
def compile_pattern(text: str) -> Pattern:
    """The pattern, ready for use. Raises PatternRefused."""
    return Pattern(text)
