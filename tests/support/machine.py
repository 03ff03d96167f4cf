"""A machine that lacks something: the same command as another user, on another kernel, or with mounts taken away.

Each is real for the command that it starts and for nothing else: a user without rights, a mount namespace of its own,
the kernel's own way to show an old version. What root may read stays readable, so that a checkout in root's home works.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support.cluster import ROOT, Outcome

NOBODY = 65534
AS_NOBODY = [
    "setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups",
    "--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search",
]  # fmt: skip
WITHOUT_CAPABILITIES = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]
"""Root in a container that was not given anything."""
ON_AN_OLD_KERNEL = ["setarch", "--uname-2.6"]
"""uname() answers 2.6.x (personality UNAME26)."""
_UNMOUNT_CGROUP2 = "for at in $(findmnt -nro TARGET -t cgroup2); do umount -l $at; done; "
WITHOUT_CGROUP2 = ["unshare", "--mount", "sh", "-c", _UNMOUNT_CGROUP2 + 'exec "$@"', "sh"]
IN_ITS_OWN_NETWORK = ["unshare", "--net"]
"""Should the program start after all, it touches nothing of the machine's network."""


def with_small_disk(path: Path, kilobytes: int, ballast_kilobytes: int) -> list[str]:
    """`path` is a file system of that size, `path`/ballast fills a part of it."""
    folder = shlex.quote(str(path))
    script = f"mount -t tmpfs -o size={kilobytes}k none {folder} && head -c {ballast_kilobytes}k /dev/zero > "
    return ["unshare", "--mount", "sh", "-c", f'{script}{folder}/ballast && exec "$@"', "sh"]


def run(
    how: Sequence[str],
    module: str,
    *arguments: str,
    cwd: Path = ROOT,
    environment: Mapping[str, str] | None = None,
    stdin: str | None = None,
) -> Outcome:
    """`python -m MODULE ARGUMENTS` on such a machine, to its end."""
    done = subprocess.run(
        [*how, sys.executable, "-m", module, *arguments],
        cwd=cwd, env=environment, input=stdin, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    return Outcome(done.returncode, done.stdout, done.stderr)
