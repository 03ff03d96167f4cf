"""Every name that a lab gives to something outside its own process: namespaces, links, cgroups, pins, files.

`down` finds what an interrupted `up` left by these names alone, so they must tell one lab from another whatever the
labs are called: a lab may not have `-node` or `-pod` inside its name (then `weft-a-node-b-fabric` could be two things).
Pure. Everything else in `lab` asks here and builds no name of its own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

RUN_ROOT = Path("/run/weft")
NETNS_ROOT = Path("/run/netns")
BPFFS_ROOT = Path("/sys/fs/bpf/weft")
HEADER_CACHE = Path("/var/cache/weft")
"""What agents compile their programs with, the same for all of a machine."""

_LAB = re.compile(r"[a-z0-9]([-a-z0-9]{0,30}[a-z0-9])?")
_RESERVED = re.compile(r"-(node|pod)(-|$)")
_LONGEST = 200
"""Of a file name in /run/netns; the file system's own limit is 255."""


class BadLabName(ValueError):
    """The name cannot be told apart from others, or does not fit where names go."""


def _digest(text: str, digits: int) -> str:
    return sha256(text.encode()).hexdigest()[:digits]


@dataclass(frozen=True, slots=True)
class LabNames:
    """All names of one lab."""

    lab: str

    def __post_init__(self) -> None:
        if not _LAB.fullmatch(self.lab):
            raise BadLabName(f"lab name {self.lab!r}: use 1 to 32 lower-case letters, digits and '-'")
        if _RESERVED.search(self.lab):
            raise BadLabName(f"lab name {self.lab!r}: must not contain '-node' or '-pod' as a word")

    # -- network namespaces ------------------------------------------------------------------------------------

    @property
    def fabric(self) -> str:
        """Holds the bridge and the controller."""
        return f"weft-{self.lab}-fabric"

    @property
    def world(self) -> str:
        """Outside of every cluster range."""
        return f"weft-{self.lab}-world"

    def node(self, node: str) -> str:
        return self._short(f"weft-{self.lab}-node-{node}")

    def pod(self, namespace: str, name: str) -> str:
        # a/b-c and a-b/c must differ, so the slash becomes a sign that no Kubernetes name holds
        return self._short(f"weft-{self.lab}-pod-{namespace}_{name}")

    @staticmethod
    def _short(text: str) -> str:
        return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 17]}-{_digest(text, 16)}"

    def owns_netns(self, name: str) -> bool:
        head = f"weft-{self.lab}-"
        rest = name.removeprefix(head)
        return name.startswith(head) and (rest in ("fabric", "world") or rest.startswith(("node-", "pod-")))

    @staticmethod
    def netns_path(name: str) -> str:
        return str(NETNS_ROOT / name)

    # -- links (15 characters at most) -------------------------------------------------------------------------

    @staticmethod
    def pod_link(namespace: str, name: str) -> str:
        """The pod's veth as its node sees it."""
        return "v" + _digest(f"{namespace}/{name}", 10)

    @staticmethod
    def port_link(node: str) -> str:
        """The node's uplink as the bridge sees it."""
        return "n" + _digest(node, 10)

    # -- cgroups, relative to the version 2 mount --------------------------------------------------------------

    @property
    def cgroup(self) -> str:
        return f"weft/{self.lab}"

    @property
    def supervisor_cgroup(self) -> str:
        return f"weft/{self.lab}/_supervisor"

    @property
    def controller_cgroup(self) -> str:
        return f"weft/{self.lab}/_controller"

    @property
    def world_cgroup(self) -> str:
        return f"weft/{self.lab}/_world"

    def pods_cgroup(self, node: str) -> str:
        """Where the agent attaches its socket hooks."""
        return f"weft/{self.lab}/{node}/pods"

    def pod_cgroup(self, node: str, namespace: str, name: str) -> str:
        return self._cgroup_leaf(self.pods_cgroup(node), namespace, name)

    def host_pod_cgroup(self, node: str, namespace: str, name: str) -> str:
        """Host-network pods stand outside of the hooks: they have the node's identity."""
        return self._cgroup_leaf(f"weft/{self.lab}/{node}/hostpods", namespace, name)

    @classmethod
    def _cgroup_leaf(cls, parent: str, namespace: str, name: str) -> str:
        return f"{parent}/{cls._short(f'{namespace}_{name}')}"

    def system_cgroup(self, node: str, component: str) -> str:
        return f"weft/{self.lab}/{node}/system/{component}"

    # -- pins --------------------------------------------------------------------------------------------------

    def instance(self, node: str) -> str:
        """The agent's name on this machine; names its folder under bpffs, where a dot is refused (bpf_lookup)."""
        return f"{self.lab}_{node.replace('.', '_')}"  # neither a lab's nor a node's name holds an underscore

    def owns_instance(self, name: str) -> bool:
        return name.startswith(f"{self.lab}_")

    # -- files -------------------------------------------------------------------------------------------------

    @property
    def run_dir(self) -> Path:
        return RUN_ROOT / "labs" / self.lab

    @property
    def supervisor_socket(self) -> Path:
        return self.run_dir / "supervisor.sock"

    @property
    def supervisor_pid(self) -> Path:
        return self.run_dir / "supervisor.pid"

    @property
    def admin_socket(self) -> Path:
        return self.run_dir / "controller" / "admin.sock"

    @property
    def zone(self) -> Path:
        return self.run_dir / "zone.json"

    @property
    def manifests(self) -> Path:
        """What `up` was given, for the supervisor."""
        return self.run_dir / "lab.json"

    def node_dir(self, node: str) -> Path:
        return self.run_dir / "nodes" / node

    def pod_dir(self, namespace: str, name: str) -> Path:
        return self.run_dir / "pods" / self._short(f"{namespace}_{name}")

    def log(self, name: str) -> Path:
        return self.run_dir / "logs" / f"{name}.log"
