"""One run of a command on one kernel, under QEMU's software emulation.

The kernel and a small first stage (busybox, the few modules that reach the disks, `init.sh`) are handed to QEMU; the
root file system and the kernel's modules are two read-only disks, because Debian's cloud kernels have no 9p. The
guest has no network card. What it prints comes out as it comes; a second serial port carries results back.
"""

from __future__ import annotations

import gzip
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.kernels.kernels import Kernel

FIRST_STAGE_MODULES = ("virtio_pci", "virtio_blk", "squashfs", "overlay")
MEMORY_MB = 3072
KERNEL_TROUBLE = re.compile(r"BUG: |Oops|kernel BUG|Kernel panic|WARNING: CPU|soft lockup|rcu_sched self-detected")


class GuestFailed(Exception):
    """QEMU or a tool could not run. The text says which."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    exit_status: int | None
    """None: the guest never said; it hung or died."""
    boot_s: float
    """From the start of QEMU to the first line of our own."""
    command_s: float
    kernel_trouble: tuple[str, ...]
    log: tuple[str, ...]
    results: str
    """What the command wrote to /dev/ttyS1."""

    @property
    def passed(self) -> bool:
        return self.exit_status == 0 and not self.kernel_trouble


def run(
    kernel: Kernel, root: Path, command: str, *, scratch: Path, limit_s: float, show: Callable[[str], None]
) -> Outcome:
    """Boot, run `command` with bash in /weft as root, power off."""
    initrd = scratch / f"initrd-{kernel.series}.gz"
    _first_stage(kernel, command, initrd, scratch / f"initrd-{kernel.series}")
    results = scratch / f"results-{kernel.series}"
    qemu = [
        "qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", str(MEMORY_MB),
        "-display", "none", "-monitor", "none", "-nic", "none", "-no-reboot",
        "-serial", "stdio", "-serial", f"file:{results}",
        "-kernel", str(kernel.image), "-initrd", str(initrd),
        "-append", "console=ttyS0 quiet loglevel=5 panic=-1 oops=panic random.trust_cpu=on",
        "-drive", f"file={root},format=raw,if=virtio,readonly=on",
        "-drive", f"file={kernel.modules},format=raw,if=virtio,readonly=on",
    ]  # fmt: skip
    started = time.monotonic()
    try:
        process = subprocess.Popen(qemu, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    except FileNotFoundError:
        raise GuestFailed("qemu-system-x86_64 is not installed: see tests/kernels/packages.txt") from None
    deadline = threading.Timer(limit_s, process.kill)
    deadline.start()
    try:
        return _follow(process, started, results, show)
    finally:
        deadline.cancel()
        process.kill()
        process.wait()


def _follow(process: subprocess.Popen[bytes], started: float, results: Path, show: Callable[[str], None]) -> Outcome:
    log: list[str] = []
    booted = ended = None
    status: int | None = None
    assert process.stdout is not None
    for raw in process.stdout:
        line = raw.decode(errors="replace").rstrip()
        log.append(line)
        if line.startswith("== kernel "):
            booted = time.monotonic()
        elif match := re.fullmatch(r"== exit (\d+)", line):
            ended, status = time.monotonic(), int(match[1])
        elif booted is not None or KERNEL_TROUBLE.search(line) or line.startswith("== problem"):
            show(line)
    now = time.monotonic()
    return Outcome(
        exit_status=status,
        boot_s=(booted or now) - started,
        command_s=(ended or now) - (booted or now),
        kernel_trouble=tuple(line for line in log if KERNEL_TROUBLE.search(line)),
        log=tuple(log),
        results=results.read_text(errors="replace") if results.exists() else "",
    )


def _first_stage(kernel: Kernel, command: str, target: Path, tree: Path) -> None:
    for folder in ("bin", "proc", "sys", "dev", "root", "lower", "writable", "modules"):
        (tree / folder).mkdir(parents=True)
    busybox = shutil.which("busybox")
    if busybox is None:
        raise GuestFailed("busybox is not installed: see tests/kernels/packages.txt (busybox-static)")
    shutil.copy2(busybox, tree / "bin/busybox")
    modules = kernel.insertion_order(FIRST_STAGE_MODULES)
    for module in modules:
        shutil.copy2(module, tree / "modules" / module.name)
    (tree / "modules/order").write_text("".join(f"{module.name}\n" for module in modules))
    shutil.copy2(Path(__file__).with_name("init.sh"), tree / "init")
    (tree / "command").write_text(command)
    names = "\n".join(str(path.relative_to(tree)) for path in sorted(tree.rglob("*")))
    command_line = ["cpio", "--create", "--format=newc", "--quiet"]
    done = subprocess.run(command_line, cwd=tree, input=names.encode(), capture_output=True, check=False)
    if done.returncode != 0:
        raise GuestFailed(f"cpio: {done.stderr.decode().strip()}")
    target.write_bytes(gzip.compress(done.stdout, compresslevel=1))
