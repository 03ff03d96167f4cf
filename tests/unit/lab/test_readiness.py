"""Reading /proc/net/tcp."""

from __future__ import annotations

import os
import socket

from lab.readiness import all_listen, listening

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
