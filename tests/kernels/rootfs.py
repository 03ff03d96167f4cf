"""The guest's file system: this machine's Python, bcc, iproute2 and the project, and nothing else, in one squashfs.

The guest sees the same programs as the tests outside, so that the kernel is all that differs. Shared libraries are
found by ldd, Python packages by following the project's own dependencies. Compression is off: the image lives for
one run, and software emulation would pay for it.
"""

from __future__ import annotations

import compileall
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
GUEST_PROJECT = "weft"
GUEST_SITE = "usr/lib/python3/dist-packages"
"""Where Debian's interpreter looks by itself: programs that are started with an environment of their own find it."""

PROGRAMS = (
    "bash", "busybox", "curl", "dash", "env", "ethtool", "ip", "kmod", "ldconfig", "nsenter", "setpriv", "ss", "sysctl",
    "tc", "unshare",
)  # fmt: skip
"""Copied with their libraries where this machine has them. `ip`, `kmod` and `busybox` must be there."""

APPLETS = (
    "awk", "cat", "chmod", "cp", "cut", "date", "dirname", "dmesg", "echo", "expr", "find", "free", "grep", "head",
    "hostname", "id", "kill", "ln", "ls", "mkdir", "mktemp", "mount", "mv", "nc", "ping", "printf", "ps", "pwd",
    "readlink", "rm", "sed", "seq", "sleep", "sort", "stat", "sync", "tail", "tee", "test", "timeout", "touch",
    "tr", "true", "umount", "uname", "uniq", "wc", "which", "xargs",
)  # fmt: skip
"""busybox stands in for coreutils. Its own shell does not: it would prefer its own `ip`."""

HEADERS = ("linux", "asm-generic", "x86_64-linux-gnu/asm")
"""UAPI headers of linux-libc-dev: the programs of the unit are compiled against these alone."""

NOT_IN_THE_GUEST = shutil.ignore_patterns(
    ".*", "__pycache__", "*.egg-info", "build", "results", "vagrant", "conformance", "docs"
)


class ImageFailed(Exception):
    """Something that the image needs is not on this machine."""


def build(target: Path, scratch: Path) -> None:
    """Write the squashfs at `target`, by way of a tree in `scratch`."""
    root = scratch / "root"
    _skeleton(root)
    binaries = _programs(root)
    binaries += _python(root)
    binaries += _packages(root)
    _headers(root)
    _libraries(root, binaries)
    shutil.copytree(PROJECT, root / GUEST_PROJECT, ignore=NOT_IN_THE_GUEST, symlinks=True)
    # Stale .pyc files are worse than none, so none were copied; compiling here is a hundred times faster than there.
    for tree in (GUEST_PROJECT, GUEST_SITE):
        compileall.compile_dir(root / tree, quiet=2, stripdir=str(root), prependdir="/")
    plain = ["-noI", "-noD", "-noF", "-noX"]
    command = ["mksquashfs", str(root), str(target), *plain, "-all-root", "-quiet", "-no-progress"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ImageFailed(f"mksquashfs: {done.stderr.strip() or done.stdout.strip()}")


def _skeleton(root: Path) -> None:
    for folder in ("bin", "sbin", "lib", "lib64"):
        (root / "usr" / folder).mkdir(parents=True)
        (root / folder).symlink_to(f"usr/{folder}")
    for folder in ("proc", "sys", "dev", "tmp", "run", "root", "etc", "var", "opt", "usr/lib/modules"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    (root / "var/run").symlink_to("../run")
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534:nobody:/:/bin/false\n")
    (root / "etc/group").write_text("root:x:0:\nnogroup:x:65534:\n")
    (root / "etc/hosts").write_text("127.0.0.1 localhost\n::1 localhost\n")
    # The libraries' own folders are found through the loader's default paths, so no cache is needed.


def _programs(root: Path) -> list[Path]:
    copied = []
    for name in PROGRAMS:
        found = shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin")
        if found is None:
            if name in ("ip", "kmod", "busybox", "bash"):
                raise ImageFailed(f"{name} is not installed: see tests/kernels/packages.txt")
            continue
        target = root / "usr/bin" / name
        shutil.copy2(Path(found).resolve(), target)
        copied.append(target)
    for applet in APPLETS:
        if not (root / "usr/bin" / applet).exists():
            (root / "usr/bin" / applet).symlink_to("busybox")
    (root / "usr/bin/sh").symlink_to("dash" if (root / "usr/bin/dash").exists() else "bash")
    for name in ("modprobe", "insmod", "lsmod"):
        (root / "usr/sbin" / name).symlink_to("../bin/kmod")
    return copied


def _python(root: Path) -> list[Path]:
    """Debian's interpreter and standard library: bcc exists for no other."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    interpreter = root / "usr/bin" / version
    shutil.copy2(Path("/usr/bin") / version, interpreter)
    (root / "usr/bin/python3").symlink_to(version)
    shutil.copytree(
        Path("/usr/lib") / version,
        root / "usr/lib" / version,
        symlinks=False,
        ignore_dangling_symlinks=True,
        ignore=shutil.ignore_patterns("test", "idlelib", "lib2to3", "ensurepip", "config-*", "tkinter"),
    )
    return [interpreter, *(root / "usr/lib" / version).rglob("*.so")]


def _packages(root: Path) -> list[Path]:
    """The project's dependencies, bcc, and the shared libraries that Python opens by name."""
    site = root / GUEST_SITE
    site.mkdir(parents=True)
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    for distribution in _closure(project["dependencies"]):
        for file in distribution.files or ():
            source = Path(str(distribution.locate_file(file)))
            if ".." in file.parts or "__pycache__" in file.parts or not source.is_file():
                continue
            target = site / Path(*file.parts)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
    bcc = Path("/usr/lib/python3/dist-packages/bcc")
    if not bcc.is_dir():
        raise ImageFailed("python3-bpfcc is not installed: see packages.txt")
    shutil.copytree(bcc, site / "bcc", ignore=shutil.ignore_patterns("__pycache__"))
    netaddr = bcc.with_name("netaddr")
    if netaddr.is_dir():
        shutil.copytree(netaddr, site / "netaddr", ignore=shutil.ignore_patterns("__pycache__"))
    opened_by_name = []
    for pattern in ("libbcc.so.0*", "libbpf.so.1*"):
        for source in Path("/usr/lib/x86_64-linux-gnu").glob(pattern):
            target = root / "usr/lib/x86_64-linux-gnu" / source.name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target, follow_symlinks=False)
            opened_by_name.append(target)
    return [*site.rglob("*.so*"), *opened_by_name]


def _closure(requirements: Iterable[str]) -> list[metadata.Distribution]:
    """The distributions behind requirement strings, with what they require in turn (extras and markers left out)."""
    found: dict[str, metadata.Distribution] = {}
    waiting = list(requirements)
    while waiting:
        requirement = waiting.pop()
        matched = re.match(r"[A-Za-z0-9._-]+", requirement)
        if matched is None or "extra ==" in requirement:
            continue
        name = re.sub(r"[-_.]+", "-", matched[0]).lower()
        if name in found:
            continue
        try:
            found[name] = metadata.distribution(matched[0])
        except metadata.PackageNotFoundError:
            if ";" in requirement:  # a marker that does not hold here
                continue
            raise ImageFailed(f"Python package {matched[0]} is not installed: run `make setup`") from None
        waiting += found[name].requires or []
    return list(found.values())


def _headers(root: Path) -> None:
    for name in HEADERS:
        source = Path("/usr/include") / name
        if not source.is_dir():
            raise ImageFailed(f"{source} is missing: install linux-libc-dev")
        shutil.copytree(source, root / "usr/include" / name)


def _libraries(root: Path, binaries: Iterable[Path]) -> None:
    """Everything that the binaries are linked with, at the loader's default place."""
    files = [str(path) for path in binaries if path.is_file()]
    done = subprocess.run(["ldd", *files], capture_output=True, text=True, check=False)
    target = root / "usr/lib/x86_64-linux-gnu"
    target.mkdir(parents=True, exist_ok=True)
    for line in sorted(set(re.findall(r"(?:=> )?(/\S+\.so\S*) \(0x", done.stdout))):
        source = Path(line)
        if source.is_relative_to(root) or (target / source.name).exists():
            continue
        shutil.copy2(source, target / source.name)
    loader = Path("/lib64/ld-linux-x86-64.so.2")
    shutil.copy2(loader, root / "usr/lib64" / loader.name)
    for name in ("libpthread.so.0", "libdl.so.2", "librt.so.1"):  # older wheels name these without linking them
        stub = Path("/usr/lib/x86_64-linux-gnu") / name
        if stub.exists() and not (target / name).exists():
            shutil.copy2(stub, target / name)
