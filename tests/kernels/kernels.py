"""Debian's cloud kernels, as files: downloaded by apt, unpacked, never installed.

A kernel is named by its series (`6.1`); apt says which build of it is the newest. Both series that weft claims come
from the sources that a Debian 12 machine has anyway. What was unpacked once is kept in the cache.
"""

from __future__ import annotations

import lzma
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

META_PACKAGES = {"6.1": "linux-image-cloud-amd64", "6.12": "linux-image-6.12-cloud-amd64"}
"""Series -> the Debian package that depends on its newest build."""


class KernelMissing(Exception):
    """apt cannot give the kernel. The text says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """An unpacked kernel package."""

    series: str
    release: str
    """As `uname -r` shows it."""
    folder: Path
    """Holds `boot/` and `lib/modules/` as the package has them, and the file `modules.squashfs`."""

    @property
    def image(self) -> Path:
        return self.folder / "boot" / f"vmlinuz-{self.release}"

    @property
    def modules(self) -> Path:
        return self.folder / "modules.squashfs"

    def insertion_order(self, names: Sequence[str]) -> list[Path]:
        """The module files to insert, dependencies first, each once; modules built into the kernel give none."""
        order: list[Path] = []
        for name in names:
            command = ["modprobe", "--dirname", str(self.folder), "--set-version", self.release, "--show-depends", name]
            for line in _run(command).splitlines():
                verb, _, rest = line.partition(" ")
                path = Path(rest.strip())
                if verb == "insmod" and path not in order:
                    order.append(path)
        return order


def cache_folder() -> Path:
    return Path(os.environ.get("WEFT_CACHE") or Path.home() / ".cache" / "weft")


def fetch(series: str) -> Kernel:
    """The newest build of a series, from the cache or from apt."""
    if series not in META_PACKAGES:
        raise KernelMissing(f"kernel {series}: known series are {', '.join(META_PACKAGES)}")
    package = _newest_build(series)
    release = package.removeprefix("linux-image-")
    kernel = Kernel(series=series, release=release, folder=cache_folder() / "kernels" / release)
    if not kernel.modules.exists():
        _download_and_unpack(package, kernel)
    return kernel


def _newest_build(series: str) -> str:
    meta = META_PACKAGES[series]
    for attempt in ("known", "updated"):
        found = re.search(r"Depends: (linux-image-\S+)", _run(["apt-cache", "depends", meta], check=False))
        if found:
            return found[1]
        if attempt == "known":
            _run(["apt-get", "update", "-qq"], check=False)
    raise KernelMissing(
        f"kernel {series}: apt knows no package {meta}; it needs Debian 12 with its security updates in its sources"
    )


def _download_and_unpack(package: str, kernel: Kernel) -> None:
    """Unpack into a folder beside the final one and rename, so that half a kernel is never taken for one."""
    partial = kernel.folder.with_name(f"{kernel.folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.rmtree(kernel.folder, ignore_errors=True)
    partial.mkdir(parents=True)
    # As root apt would warn that its own user cannot write here; the sandbox is of no use for one package.
    _run(["apt-get", "download", "-qq", "-o", "APT::Sandbox::User=root", package], cwd=partial)
    packages = list(partial.glob("*.deb"))
    if not packages:
        raise KernelMissing(f"{package}: apt-get download left no file in {partial}")
    _run(["dpkg-deb", "--extract", str(packages[0]), str(partial)])
    packages[0].unlink()
    tree = partial / "lib" / "modules"
    _decompress_modules(tree)
    _run(["depmod", "--basedir", str(partial), kernel.release])
    _run(["mksquashfs", str(tree), str(partial / "modules.squashfs"), "-noI", "-noD", "-noF", "-noX", "-quiet",
          "-no-progress"])  # fmt: skip
    partial.rename(kernel.folder)


def _decompress_modules(tree: Path) -> None:
    """6.12 ships `.ko.xz`; busybox's insmod in the first stage reads plain files alone."""
    for packed in tree.rglob("*.ko.xz"):
        packed.with_suffix("").write_bytes(lzma.decompress(packed.read_bytes()))
        packed.unlink()


def _run(command: list[str], *, cwd: Path | None = None, check: bool = True) -> str:
    try:
        done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise KernelMissing(f"{command[0]} is not installed: see tests/kernels/packages.txt") from None
    if check and done.returncode != 0:
        raise KernelMissing(f"{' '.join(command)}: exit {done.returncode}: {done.stderr.strip()}")
    return done.stdout
