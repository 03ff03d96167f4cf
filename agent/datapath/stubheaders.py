"""A stand-in for the kernel source tree that bcc insists on, made of the C library's kernel headers.

Our programs use UAPI types only, so a kconfig.h with the kernel's short names for integers, three tiny headers and
links to `linux-libc-dev` are enough on every kernel: no kernel header package on the node, and compiling is three times
faster than with full headers. Called by `load.py` in the loading process.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

USER_HEADERS = Path("/usr/include")
CACHE = Path("/var/cache/weft")

_KCONFIG = """\
#ifndef WEFT_STUB_KCONFIG_H
#define WEFT_STUB_KCONFIG_H
#define CONFIG_BPF_SYSCALL 1
#define BITS_PER_LONG 64
/* bcc brings a bpf.h of its own */
#define __LINUX_BPF_H__
#define __LINUX_BPF_COMMON_H__
#include <linux/types.h>
typedef __u8 u8; typedef __s8 s8; typedef __u16 u16; typedef __s16 s16;
typedef __u32 u32; typedef __s32 s32; typedef __u64 u64; typedef __s64 s64;
typedef _Bool bool; typedef unsigned long size_t; typedef unsigned long uintptr_t;
#define true 1
#define false 0
#define NULL ((void *)0)
#endif
"""
_FILES = {
    "include/linux/kconfig.h": _KCONFIG,
    "include/linux/log2.h": "#define ilog2(n) (63 - __builtin_clzll(n))\n",
    "include/linux/version.h": (
        "#define KERNEL_VERSION(a, b, c) (((a) << 16) + ((b) << 8) + (c))\n"
        "#define LINUX_VERSION_CODE KERNEL_VERSION(6, 1, 0)\n"
    ),
    "include/asm/page.h": "#define PAGE_SIZE 4096\n",
}


class HeadersMissing(Exception):
    """The C library's kernel headers are not installed."""


def cached(cache: Path = CACHE, headers: Path = USER_HEADERS) -> Path:
    """The tree, made if it is not there. Only root can write there: what is compiled from it enters the kernel."""
    wanted = cache / f"headers-{hashlib.sha256(repr((_FILES, str(headers))).encode()).hexdigest()[:12]}"
    if wanted.is_dir():
        return wanted
    cache.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix="headers-", dir=cache))
    try:
        build(beside, headers)
        with suppress(OSError):  # another loader was faster: its tree is as good
            beside.rename(wanted)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return wanted


def build(folder: Path, headers: Path = USER_HEADERS) -> Path:
    """Make the tree at `folder`, new; returns it. Raises HeadersMissing with what to install."""
    asm = next((path for path in (headers / "x86_64-linux-gnu/asm", headers / "asm") if path.is_dir()), None)
    asm = asm or next(iter(sorted(headers.glob("*-linux-gnu/asm"))), None)
    if asm is None or not (headers / "linux" / "bpf.h").exists():
        raise HeadersMissing(f"no kernel headers of the C library under {headers}: install linux-libc-dev")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o755)
    for name, text in _FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    uapi = folder / "include" / "uapi"
    uapi.mkdir()
    (uapi / "linux").symlink_to(headers / "linux")
    (uapi / "asm-generic").symlink_to(headers / "asm-generic")
    (uapi / "asm").symlink_to(asm)
    return folder
