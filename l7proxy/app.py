"""The proxy as a process: one worker in the main process, or a parent that forks workers and keeps them alive.

Workers share the agent's listening sockets, not memory: each has its own link to the agent, policy and counters.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import logging
import os
import resource
import signal
import time
from functools import partial

import uvloop

from l7proxy.config import ProxyConfig
from l7proxy.core.tally import Counters
from l7proxy.net.metrics_page import MetricsPage
from l7proxy.worker import Worker
from mesh import journal

log = logging.getLogger(__name__)

FIRST_BACKOFF_S = 0.2
LAST_BACKOFF_S = 10.0
STEADY_S = 30.0
"""A worker that lived this long starts its back-off anew."""
EXTRA_DRAIN_S = 5.0
_PR_SET_PDEATHSIG = 1


def main(config: ProxyConfig) -> int:
    journal.start(config.log_level)
    _allow_many_files()
    if config.workers == 1:
        return serve(config, 0)
    return Workers(config).run()


def _allow_many_files() -> None:
    """Two descriptors for each client connection: take what the system lets us have."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _end_with(parent: int) -> None:
    """A worker must not outlive its parent, which may be killed: the next parent brings its own."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGTERM)


def serve(config: ProxyConfig, index: int) -> int:
    """One worker, until SIGTERM or SIGINT."""
    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(_serve(config, index))
    return 0


async def _serve(config: ProxyConfig, index: int) -> None:
    loop = asyncio.get_running_loop()
    worker = Worker(config)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, worker.stop)
    loop.add_signal_handler(signal.SIGHUP, worker.reopen_log)
    page = None
    if config.metrics is not None:
        host, port = config.metrics
        factory = partial(MetricsPage, partial(_render, worker.counters))
        page = await loop.create_server(factory, host, port + index)
    try:
        async with asyncio.TaskGroup() as tasks:
            await worker.run(tasks)
    finally:
        if page is not None:
            page.close()


def _render(counters: Counters) -> tuple[bytes, str]:
    from l7proxy.telemetry import CONTENT_TYPE, page  # 4 MB that a worker which nobody scrapes does without

    return page(counters), CONTENT_TYPE


class Workers:
    """The parent: forks before any loop exists, starts again what dies, passes signals on."""

    def __init__(self, config: ProxyConfig) -> None:
        self._config = config
        self._slots: dict[int, tuple[int, float]] = {}
        """pid -> index and time of start."""
        self._backoff = dict.fromkeys(range(config.workers), FIRST_BACKOFF_S)
        self._due: dict[int, float] = dict.fromkeys(range(config.workers), 0.0)
        """Index -> when to start it."""
        self._stopping = False

    def run(self) -> int:
        waited = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD}
        signal.pthread_sigmask(signal.SIG_BLOCK, waited)
        deadline = float("inf")
        while not self._stopping or (self._slots and time.monotonic() < deadline):
            self._start_due(waited)
            got = signal.sigtimedwait(waited, self._wait_s())
            number = got.si_signo if got is not None else None
            if number in (signal.SIGTERM, signal.SIGINT) and not self._stopping:
                self._stopping = True
                self._due.clear()
                deadline = time.monotonic() + self._config.drain_s + EXTRA_DRAIN_S
                self._tell(signal.SIGTERM)
            elif number == signal.SIGHUP:
                self._tell(signal.SIGHUP)
            self._reap()
        self._tell(signal.SIGKILL)
        return 0

    def _wait_s(self) -> float:
        if not self._due:
            return 1.0
        return min(1.0, max(0.0, min(self._due.values()) - time.monotonic()))

    def _start_due(self, waited: set[signal.Signals]) -> None:
        now = time.monotonic()
        for index in [index for index, due in self._due.items() if due <= now]:
            del self._due[index]
            parent = os.getpid()
            pid = os.fork()
            if pid == 0:
                status = 1
                try:
                    _end_with(parent)
                    signal.pthread_sigmask(signal.SIG_UNBLOCK, waited)
                    status = serve(self._config, index)
                except Exception:
                    log.exception("worker %d ended", index)
                finally:
                    logging.shutdown()
                    os._exit(status)
            self._slots[pid] = (index, now)

    def _reap(self) -> None:
        while self._slots:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            index, started = self._slots.pop(pid, (None, 0.0))
            if index is None or self._stopping:
                continue
            now = time.monotonic()
            wait = FIRST_BACKOFF_S if now - started > STEADY_S else self._backoff[index]
            self._backoff[index] = min(wait * 2, LAST_BACKOFF_S)
            self._due[index] = now + wait
            log.error(
                "worker %d (pid %d) ended with status %d; starting it again in %.1f s",
                index,
                pid,
                os.waitstatus_to_exitcode(status),
                wait,
            )

    def _tell(self, number: signal.Signals) -> None:
        for pid in list(self._slots):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
