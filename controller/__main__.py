"""`python -m controller`: reads the command line, says on standard error what went wrong, and ends with its status."""

from __future__ import annotations

import asyncio
import sys

from controller.app import run
from controller.config import parse
from controller.errors import ControllerError
from mesh import journal
from mesh.objects.errors import ObjectsRefused


def main() -> int:
    config = parse(sys.argv[1:])
    journal.start(config.log_level)
    status = 0
    try:
        asyncio.run(run(config))
    except* (ControllerError, ObjectsRefused) as failures:
        status = 1
        for failure in _leaves(failures):
            sys.stderr.write(f"controller: {failure}\n")
    return status


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    found: list[BaseException] = []
    for item in group.exceptions:
        found += _leaves(item) if isinstance(item, BaseExceptionGroup) else [item]
    return found


if __name__ == "__main__":
    sys.exit(main())
