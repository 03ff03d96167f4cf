"""`make test-kernels`: the smoke test on each kernel that weft claims and this machine does not run.

python -m tests.kernels                          both kernels, tests/kernels/smoke.py
python -m tests.kernels --kernel 6.1 --command 'python3 -m agent.datapath.load --help'
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.kernels import guest, rootfs
from tests.kernels.kernels import META_PACKAGES, KernelMissing, fetch

SMOKE = "python3 -u -m tests.kernels.smoke"
LINES_OF_A_FAILURE = 40


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.kernels", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--kernel", action="append", choices=sorted(META_PACKAGES), help="default: every one")
    parser.add_argument("--command", default=SMOKE, help="what to run instead of the smoke test")
    parser.add_argument("--limit", type=float, default=600, metavar="SECONDS", help="for one kernel (600)")
    parser.add_argument("--quiet", action="store_true", help="show the guest's output of failures alone")
    arguments = parser.parse_args()

    with tempfile.TemporaryDirectory(prefix="weft-kernels-") as folder:
        scratch = Path(folder)
        try:
            started = time.monotonic()
            image = scratch / "root.squashfs"
            rootfs.build(image, scratch)
            size_mb = image.stat().st_size / 1e6
            print(f"image: {size_mb:.0f} MB in {time.monotonic() - started:.1f} s", flush=True)
            verdicts = [_one(series, image, arguments, scratch) for series in arguments.kernel or META_PACKAGES]
        except (KernelMissing, rootfs.ImageFailed, guest.GuestFailed) as error:
            print(f"cannot run: {error}", file=sys.stderr)
            return 2
    failed = verdicts.count(False)
    print(f"kernels: {len(verdicts) - failed} passed, {failed} failed")
    return 1 if failed else 0


def _one(series: str, image: Path, arguments: argparse.Namespace, scratch: Path) -> bool:
    kernel = fetch(series)
    print(f"{series}: {kernel.release} boots ...", flush=True)

    def show(line: str) -> None:
        if not arguments.quiet:
            print(f"  {line}", flush=True)

    outcome = guest.run(kernel, image, arguments.command, scratch=scratch, limit_s=arguments.limit, show=show)
    timing = f"boot {outcome.boot_s:.1f} s, command {outcome.command_s:.1f} s"
    if outcome.passed:
        print(f"{series}: passed ({timing})", flush=True)
        return True
    if arguments.quiet:
        print("\n".join(f"  {line}" for line in outcome.log[-LINES_OF_A_FAILURE:]))
    if outcome.exit_status is None:
        print(f"{series}: FAILED: the guest did not finish within {arguments.limit:.0f} s ({timing})", flush=True)
    else:
        print(f"{series}: FAILED: exit {outcome.exit_status} ({timing})", flush=True)
    for line in outcome.kernel_trouble:
        print(f"  kernel: {line}")
    return False


if __name__ == "__main__":
    sys.exit(main())
