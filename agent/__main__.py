"""`python -m agent`: reads flags, looks at the machine, runs or uninstalls. Exit 0, 1 (a sentence why) or 2 (usage)."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import Any

from agent import memory
from agent.config import AgentConfig, UninstallConfig, parse
from agent.datapath import preflight
from agent.datapath.interface import DatapathError
from agent.errors import AgentError
from mesh import journal
from mesh.journal import line
from mesh.model import Address

log = logging.getLogger("agent")


def run(config: AgentConfig) -> None:
    """Enforce until SIGTERM."""
    memory.restrain()
    journal.start(config.log_level)
    try:
        config.state.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise AgentError(f"--state {config.state}: {error.strerror}") from error
    refusal = preflight.refusal(str(config.bpffs))
    if refusal:
        raise AgentError(f"this machine cannot run the datapath: {refusal}")

    from agent.datapath.kernel import KernelDatapath

    datapath = KernelDatapath(config.instance, str(config.bpffs), dict(config.map_entries))
    with ThreadPoolExecutor(1) as beside:
        loading = beside.submit(datapath.ensure_loaded)
        # While another process compiles and loads, on another CPU.
        from agent.app import App, Machine

        cold = loading.result()
    machine = Machine(datapath=datapath, cold=cold, destroy=_destroy, checks=lambda: _checks(config))

    async def main() -> None:
        app = App(config, machine)
        # What was built up to here lives as long as the process: the collector need not look at it again.
        gc.collect()
        gc.freeze()
        await app.run()

    asyncio.run(main())


def uninstall(config: UninstallConfig) -> None:
    if os.geteuid() != 0:
        raise AgentError("uninstall needs root: it takes programs off interfaces and cgroups, and removes pins")
    from agent.datapath.kernel import KernelDatapath
    from agent.uninstall import uninstall as remove

    datapath = KernelDatapath(config.instance, str(config.bpffs))
    pins = config.bpffs / "weft" / config.instance
    remove(state=config.state, pins=pins, remove_datapath=datapath.uninstall)


def _checks(config: AgentConfig) -> list[dict[str, Any]]:
    return [asdict(check) for check in preflight.checks(str(config.bpffs))]


def _destroy(netns: str, protocol: int, source: Address, sport: int, destination: Address, dport: int) -> bool:
    from agent.datapath import sockdestroy

    try:
        return sockdestroy.destroy(netns, protocol, source, sport, destination, dport)
    except sockdestroy.SocketDestroyError as error:
        raise DatapathError(str(error)) from error


def main(arguments: Sequence[str] | None = None) -> int:
    try:
        config = parse(sys.argv[1:] if arguments is None else arguments)
        if isinstance(config, UninstallConfig):
            uninstall(config)
        else:
            run(config)
    except (AgentError, DatapathError) as error:
        sys.stderr.write(line("cannot go on", why=error) + "\n")
        return 1
    except BaseExceptionGroup as group:
        known, unknown = group.split((AgentError, DatapathError))
        if unknown is not None or known is None:
            raise
        sys.stderr.write(line("cannot go on", why=_leaf(known)) + "\n")
        return 1
    return 0


def _leaf(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


if __name__ == "__main__":
    sys.exit(main())
