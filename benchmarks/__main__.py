"""`make bench`, or `python -m benchmarks [l4|l7|lookup|start|memory ...]`: measure, print the table, keep the JSON.

Exit status: 0 measured (whether or not targets were met: the table says), 1 something could not be measured.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks import environment, l4, l7, lookup, memory, report, start
from benchmarks.hosts import BenchmarkFailed
from benchmarks.options import Options

BENCHMARKS: dict[str, Callable[[Options], report.Section]] = {
    "l4": l4.run,
    "l7": l7.run,
    "lookup": lookup.run,
    "start": start.run,
    "memory": memory.run,
}
RESULTS = Path(__file__).with_name("results")


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks", description="weft beside its peers, in one run")
    parser.add_argument("which", nargs="*", metavar="NAME", help=f"{', '.join(BENCHMARKS)}; default: all")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="of one measurement (3)")
    parser.add_argument("--quick", action="store_true", help="one second, two rounds, a tenth of the sizes: no result")
    parser.add_argument("--json", type=Path, metavar="FILE", help="default: benchmarks/results/TIME.json")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.which if name not in BENCHMARKS]
    if unknown:
        parser.error(f"{', '.join(unknown)}: known are {', '.join(BENCHMARKS)}")
    if os.geteuid() != 0:
        print("benchmarks make network namespaces and load kernel programs: run as root", file=sys.stderr)
        return 1

    facts = environment.facts()
    sections, failed = [], []
    with tempfile.TemporaryDirectory(prefix="weft-bench-") as folder:
        options = Options(
            rounds=2 if arguments.quick else arguments.rounds,
            seconds=1.0 if arguments.quick else arguments.seconds,
            scale=0.1 if arguments.quick else 1.0,
            scratch=Path(folder),
            progress=lambda text: print(text, file=sys.stderr, flush=True),
        )
        for name in arguments.which or BENCHMARKS:
            try:
                sections.append(BENCHMARKS[name](options))
            except BenchmarkFailed as error:
                failed.append(name)
                print(f"{name}: not measured: {error}", file=sys.stderr, flush=True)
    print(report.table(sections))
    path = arguments.json or RESULTS / f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}.json"
    report.write_json(path, {**facts, "quick": arguments.quick}, sections)
    print(f"\nkept in {path}")
    if failed:
        print(f"not measured: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
