"""Reading /proc/net/tcp, and how often."""

from __future__ import annotations

import os
import socket

from lab.readiness import Looks, all_listen, listening

TABLE = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
   1: 0100007F:0016 0100007F:C350 01 00000000:00000000 00:00000000 00000000     0        0 2 1 0 100 0 0 10 0
   2: 00000000000000000000000000000000:0050 00000000000000000000000000000000:0000 0A 00000000:00000000 00:0 0 0 0 3
"""


def test_only_sockets_that_listen_count() -> None:
    assert listening(TABLE) == {8080, 80}
    assert listening("") == frozenset()


def test_a_port_of_this_process_is_seen_and_another_is_not() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert all_listen(os.getpid(), {port})
        assert not all_listen(os.getpid(), {port, 1})
    assert all_listen(os.getpid(), ())


def test_a_process_that_is_gone_listens_to_nothing() -> None:
    assert not all_listen(2**22 + 1, {80})


def test_looks_grow_rare_while_a_pod_is_ready() -> None:
    looks, now, gaps = Looks(), 100.0, []
    assert looks.due(now, ())
    for _ in range(6):
        looks = looks.after(now, (7,), ready=True)
        gaps.append(looks.next_at - now)
        assert not looks.due(looks.next_at - 0.1, (7,))
        now = looks.next_at
        assert looks.due(now, (7,))
    assert gaps == [1.0, 2.0, 4.0, 8.0, 10.0, 10.0]


def test_a_pod_is_looked_at_at_once_when_its_processes_change_and_until_it_is_ready() -> None:
    rare = Looks(running=(7,), gap_s=10.0, next_at=110.0)
    assert rare.due(101.0, (8,))
    assert rare.after(101.0, (8,), ready=True).next_at == 102.0
    waiting = rare.after(110.0, (7,), ready=False)
    assert waiting.due(110.0, (7,))
    assert waiting.after(110.0, (7,), ready=True).next_at == 111.0
