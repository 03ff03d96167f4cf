"""Follows a directory of manifests: what its files say is what is in force.

Looks once a second for files that came, went or changed. On any fault (a file that does not parse, a reference that
leads nowhere) the last good state stays and the fault is shown in the status until the files are right. Only objects
that came from the directory are deleted when they leave it.
"""

from __future__ import annotations

import asyncio
import logging
import os
from dataclasses import dataclass
from pathlib import Path

from controller.errors import ControllerError
from controller.intake import Document, Intake, Outcome
from controller.intent import DIRECTORY
from controller.telemetry import Telemetry
from mesh.objects.errors import ObjectsRefused, Problem

log = logging.getLogger(__name__)

PERIOD_S = 1.0
_SUFFIXES = (".yaml", ".yml", ".json")
MAX_FILES = 10_000

Signature = tuple[tuple[str, int, int, int], ...]


@dataclass(frozen=True, slots=True)
class Found:
    """The files of the directory: what tells whether they changed, and their texts."""

    signature: Signature
    documents: tuple[Document, ...]


class SourceFault(ControllerError):
    """The directory cannot be read as a whole."""

    def __init__(self, file: str, reason: str) -> None:
        super().__init__(f"{file}: {reason}")
        self.problem = Problem(file, "", "", reason)


class DirectorySource:
    def __init__(self, path: Path, intake: Intake, telemetry: Telemetry) -> None:
        self._path = path
        self._intake = intake
        self._telemetry = telemetry
        self._seen: Signature | None = None
        self.problems: tuple[Problem, ...] = ()
        """What is wrong with the files now; empty where all is in force."""
        self.warnings: tuple[Problem, ...] = ()
        """What was said about the files that are in force."""

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(PERIOD_S)

    async def look(self) -> Outcome | None:
        """Take what changed since the last look; None where nothing was taken."""
        try:
            found = await asyncio.to_thread(_read, self._path, self._seen)
        except SourceFault as fault:
            self._report((fault.problem,))
            return None
        if found is None:
            return None
        try:
            outcome = await self._intake.apply(found.documents, source=DIRECTORY, prune=True)
        except ObjectsRefused as refused:
            self._seen = found.signature
            self._report(refused.problems)
            return None
        except ControllerError as error:
            # Not the files' fault (a full disk): look again next time.
            self._report((Problem(str(self._path), "", "", str(error)),))
            return None
        self._seen = found.signature
        if self.problems:
            log.info("source %s: in force again", self._path)
        self.problems = ()
        self._telemetry.applied(DIRECTORY, "done")
        if outcome.warnings != self.warnings:
            for warning in outcome.warnings:
                log.warning("warning: %s", warning)
        self.warnings = outcome.warnings
        return outcome

    def _report(self, problems: tuple[Problem, ...]) -> None:
        if problems != self.problems:
            self._telemetry.applied(DIRECTORY, "refused")
            for problem in problems:
                log.error("source: %s. What is in force stays", problem)
        self.problems = problems


def _read(path: Path, seen: Signature | None) -> Found | None:
    """The files, or None where they are as `seen`. A file that changes while it is read waits for the next look."""
    before = _signature(path)
    if before == seen:
        return None
    documents = []
    for name, _, _, _ in before:
        try:
            documents.append(Document(name, Path(name).read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except UnicodeDecodeError as error:
            raise SourceFault(name, "is not UTF-8 text") from error
        except OSError as error:
            raise SourceFault(name, f"cannot be read: {error.strerror}") from error
    return Found(before, tuple(documents)) if _signature(path) == before else None


def _signature(path: Path) -> Signature:
    """Name, size, time and inode of every manifest below `path`, sorted. Hidden files and folders are left out."""
    found: list[tuple[str, int, int, int]] = []
    if not path.is_dir():
        raise SourceFault(str(path), "is not a directory; make it, or start without --source")
    for folder, folders, files in os.walk(path):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            file = Path(folder, name)
            if name.startswith(".") or file.suffix not in _SUFFIXES:
                continue
            try:
                state = file.stat()
            except FileNotFoundError:
                continue
            found.append((str(file), state.st_size, state.st_mtime_ns, state.st_ino))
            if len(found) > MAX_FILES:
                raise SourceFault(str(path), f"more than {MAX_FILES} manifests")
    return tuple(found)
