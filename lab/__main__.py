"""`python -m lab up|down|exec|call|supervise`: the lab's entry points; people use them by way of `weft lab`.

Each command imports its own part only: `exec` stands before every probe of a test and must be quick.
"""

from __future__ import annotations

import argparse
import importlib
import os
import socket
import sys
from collections.abc import Sequence

from lab.names import BadLabName, LabNames

FAILED, USAGE, UNREACHABLE = 1, 2, 3


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="lab", description="a cluster on one machine")
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="bring up a lab from manifests")
    up.add_argument("paths", nargs="+", metavar="PATH")
    up.add_argument("--progress", choices=("plain", "json", "tty"))
    supervise = commands.add_parser("supervise", help="the daemon that `up` starts")
    for with_workers in (up, supervise):
        with_workers.add_argument("--workers", type=int, default=1, help="worker processes of each node's proxy")
    down = commands.add_parser("down", help="remove a lab, whatever state it is in")
    call = commands.add_parser("call", help="one JSON request on standard input to the supervisor")
    for command in (up, supervise, down, call):
        command.add_argument("--name", default="default")
    return parser


def _exec(arguments: Sequence[str]) -> int:
    """`exec [--name N] TARGET -- CMD...`, by hand: argparse is half of the time it takes."""
    rest = list(arguments)
    lab = "default"
    if len(rest) > 1 and rest[0] == "--name":
        lab, rest = rest[1], rest[2:]
    if len(rest) > 1 and rest[1] == "--":
        del rest[1]
    if len(rest) < 2 or rest[0].startswith("-"):
        print("usage: lab exec [--name NAME] NS/POD -- COMMAND...", file=sys.stderr)
        return USAGE
    importlib.import_module("lab.execute").execute(LabNames(lab), rest[0], rest[1:])
    return FAILED


def _call(names: LabNames) -> int:
    with socket.socket(socket.AF_UNIX) as link:
        try:
            link.connect(str(names.supervisor_socket))
        except OSError as error:
            print(f"lab {names.lab}: nobody answers at {names.supervisor_socket}: {error.strerror}", file=sys.stderr)
            return UNREACHABLE
        link.sendall(sys.stdin.readline().strip().encode() + b"\n")
        print(link.makefile("r", encoding="utf-8").readline(), end="")
    return 0


def _down(names: LabNames) -> int:
    module = importlib.import_module("lab.down")
    if os.geteuid() != 0:
        print("lab down needs root: it stops processes and removes network namespaces and cgroups", file=sys.stderr)
        return FAILED
    try:
        removed = module.down(names)
    except (module.StillThere, OSError) as error:
        print(f"lab {names.lab}: {error}", file=sys.stderr)
        return FAILED
    print(f"lab {names.lab}: " + (f"removed {', '.join(removed)}" if removed else "nothing there"))
    return 0


def main(arguments: Sequence[str]) -> int:
    try:
        if arguments[:1] == ["exec"]:
            return _exec(arguments[1:])
        given = _parser().parse_args(arguments)
        names = LabNames(given.name)
    except BadLabName as error:
        print(error, file=sys.stderr)
        return USAGE
    match given.command:
        case "up":
            up = importlib.import_module("lab.up").up
            return int(
                up(
                    names,
                    given.paths,
                    mode=given.progress or ("tty" if sys.stdout.isatty() else "plain"),
                    workers=given.workers,
                )
            )
        case "supervise":
            return int(importlib.import_module("lab.supervisor").main(names, given.workers))
        case "call":
            return _call(names)
        case _:
            return _down(names)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
