"""The log of all programs: plain lines of key=value on standard error, times in UTC.

Secrets never come here: tokens and keys are not logged.
"""

from __future__ import annotations

import logging
import sys

LEVELS = ("debug", "info", "warning", "error")

_FORMAT = "%(asctime)s.%(msecs)03dZ level=%(levelname)s pid=%(process)d part=%(name)s %(message)s"


class _Lines(logging.Formatter):
    """Lower-case levels and UTC, one line per record; a message that is a sentence becomes `msg="..."`."""

    def format(self, record: logging.LogRecord) -> str:
        record.levelname = record.levelname.lower()
        return super().format(record).replace("\n", " | ")

    def formatMessage(self, record: logging.LogRecord) -> str:
        if not record.message.startswith('msg="'):
            record.message = line(record.message)
        return super().formatMessage(record)


def start(level: str) -> None:
    import time

    formatter = _Lines(_FORMAT, datefmt="%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())


def line(message: str, **fields: object) -> str:
    """`msg="..." key=value ...`; values with spaces are quoted."""
    parts = [f'msg="{_escaped(message)}"']
    for key, value in fields.items():
        text = str(value)
        parts.append(f"{key}={text}" if text and not set(text) & set(' "=\n') else f'{key}="{_escaped(text)}"')
    return " ".join(parts)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', "'").replace("\n", " | ")
