"""`lab exec`: become a program inside a pod: its network, cgroup, names and hostname, the host's files. Few imports.

The place was written by the supervisor when the pod was enforced. `world` and `node:NAME` name the namespaces that
are no pods.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from lab import cgroups
from lab.enter import become, enter
from lab.names import LabNames

FAILED, UNREACHABLE = 1, 3
_NOT_PASSED_ON = ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "ftp_proxy")


def environment(caller: Mapping[str, str], place: Mapping[str, Any]) -> dict[str, str]:
    """The caller's variables, under the pod's own. Proxies of the machine mean nothing inside."""
    kept = {name: value for name, value in caller.items() if name.lower() not in _NOT_PASSED_ON}
    own = {name: value for name, value in place.get("env", {}).items() if name not in ("PATH", "HOME", "PYTHONPATH")}
    return {**kept, **own}


def execute(names: LabNames, target: str, command: Sequence[str]) -> NoReturn:
    place = _place(names, target)
    try:
        enter(place)
    except OSError as error:
        _leave(f"cannot enter {target}: {error}", UNREACHABLE)
    become(list(command), environment(os.environ, place))


def _place(names: LabNames, target: str) -> dict[str, Any]:
    if not names.run_dir.exists():
        others = ", ".join(_labs(names))
        there = f"; there is {others}: weft --lab NAME lab exec ..." if others else ""
        _leave(f"lab {names.lab} is not up: weft lab up --name {names.lab} PATH...{there}", UNREACHABLE)
    if target == "world" or target.startswith("node:"):
        space = names.world if target == "world" else names.node(target.removeprefix("node:"))
        if not os.path.exists(names.netns_path(space)):
            _leave(f"lab {names.lab} has no {target}", FAILED)
        return {"netns": names.netns_path(space), "cgroup": str(cgroups.make(names.world_cgroup))}
    namespace, _, name = target.partition("/")
    try:
        text = (names.pod_dir(namespace, name) / "pod.json").read_text(encoding="utf-8")
    except PermissionError:
        _leave("lab exec needs root: it enters the pod's network namespace and cgroup", UNREACHABLE)
    except FileNotFoundError:
        _leave(f"lab {names.lab} runs no pod {target} (yet): weft lab status lists them", FAILED)
    place: dict[str, Any] = json.loads(text)
    return place


def _labs(names: LabNames) -> list[str]:
    place = names.run_dir.parent
    return sorted(path.name for path in place.iterdir()) if place.is_dir() else []


def _leave(message: str, status: int) -> NoReturn:
    print(message, file=sys.stderr)
    sys.exit(status)
