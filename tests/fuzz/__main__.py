"""`python -m tests.fuzz --seconds N`: every fuzzer for N seconds, from a seed that is printed."""

from __future__ import annotations

import argparse
import random

from tests.fuzz import http1

FUZZERS = {"http1": http1.run}


def main() -> None:
    parser = argparse.ArgumentParser(prog="tests.fuzz")
    parser.add_argument("--seconds", type=float, default=60.0, help="for each fuzzer")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 40), help="where to begin")
    given = parser.parse_args()
    for name, run in FUZZERS.items():
        print(f"{name}: from seed {given.seed} ...", flush=True)
        print(f"{name}: {run(given.seconds, given.seed)} inputs, no rule broken")


if __name__ == "__main__":
    main()
