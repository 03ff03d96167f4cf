"""Put a process into its place and become the program: `python -S -m lab.enter SPEC-JSON` starts all that a lab runs.

In this order: cgroup, network namespace, mounts (a mount namespace of its own, where /etc/resolv.conf and /etc/hosts
are the pod's), hostname, directory, exec. Few imports: this stands before the start of every program, and before
every `lab exec`, which calls `enter` itself.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any, NoReturn

from lab import kernel

NOT_FOUND = 127
CANNOT_RUN = 126


def enter(place: dict[str, Any]) -> None:
    """Move this process. `place`: cgroup, netns, binds [[source, target]], hostname; empty means stay."""
    if place.get("cgroup"):
        with open(os.path.join(place["cgroup"], "cgroup.procs"), "w", encoding="ascii") as procs:
            procs.write(str(os.getpid()))
    if place.get("netns"):
        kernel.setns(place["netns"], kernel.CLONE_NEWNET)
    if place.get("binds"):
        kernel.unshare(kernel.CLONE_NEWNS)
        # what the host unmounts later goes here too; what is mounted here stays here
        kernel.mount("none", "/", "", kernel.MS_REC | kernel.MS_SLAVE)
        for source, target in place["binds"]:
            if os.path.exists(target):
                kernel.bind(source, os.path.realpath(target))
    if place.get("hostname"):
        kernel.unshare(kernel.CLONE_NEWUTS)
        kernel.sethostname(place["hostname"][:63])


def become(argv: list[str], env: dict[str, str]) -> NoReturn:
    """Exec, or say why not and leave with the shell's numbers."""
    try:
        os.execvpe(argv[0], argv, env)
    except FileNotFoundError:
        print(f"{argv[0]}: no such program on this machine", file=sys.stderr)
        sys.exit(NOT_FOUND)
    except OSError as error:
        print(f"{argv[0]}: {error.strerror}", file=sys.stderr)
        sys.exit(CANNOT_RUN)


def main(spec: str) -> NoReturn:
    place = json.loads(spec)
    try:
        enter(place)
        if place.get("cwd"):
            os.chdir(place["cwd"])
    except OSError as error:
        print(f"cannot enter the pod: {error}", file=sys.stderr)
        sys.exit(CANNOT_RUN)
    become(place["argv"], place["env"])


if __name__ == "__main__":
    main(sys.argv[1])
