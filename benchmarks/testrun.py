"""Runs a pinned tc program on one packet, over and over, and prints what a run cost in nanoseconds: the least of some
means, since whatever else the machine does can only add to one.

    python -m benchmarks.testrun /sys/fs/bpf/weft/X/progs/tc_from_pod IFINDEX REPEAT HEX [HEX ...]

A process of its own, because the interface number counts in the network namespace of the caller. Packets before the
last are run once each, to bring the program's maps where the last one needs them. Prints: nanoseconds, return code.
"""

from __future__ import annotations

import struct
import sys

from agent.datapath import libbpf

TC_ACT_SHOT = 2
_MEANS = 10
_SKB_BYTES = 192
_IFINDEX_OFFSET = 40
"""Of `ifindex` in struct __sk_buff (include/uapi/linux/bpf.h): its eleventh 32-bit field."""


def main() -> None:
    path, ifindex, repeat, *packets = sys.argv[1:]
    program = libbpf.obj_get(path)
    context = bytearray(_SKB_BYTES)
    struct.pack_into("=I", context, _IFINDEX_OFFSET, int(ifindex))
    *before, last = (bytes.fromhex(text) for text in packets)
    for packet in before:
        libbpf.program_test_run(program, packet, bytes(context))
    runs = [libbpf.program_test_run(program, last, bytes(context), repeat=int(repeat) // _MEANS) for _ in range(_MEANS)]
    dropped = any(run.retval == TC_ACT_SHOT for run in runs)
    print(min(run.duration_ns for run in runs), TC_ACT_SHOT if dropped else runs[-1].retval)


if __name__ == "__main__":
    main()
