"""Makes the protobuf and gRPC stubs from mesh.proto; with --check says whether those checked in are fresh.

Run by `make generate` and `make lint`. The stubs are checked in so that using weft needs no compiler; the compiler's
version is pinned in pyproject.toml so that everybody gets the same text.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROTO = "mesh/api/mesh.proto"
STUBS = ("mesh/api/mesh_pb2.py", "mesh/api/mesh_pb2.pyi", "mesh/api/mesh_pb2_grpc.py")


def generate(out: Path) -> None:
    """Write all stubs below `out`. Raises SystemExit with protoc's own words on a mistake in the proto file."""
    plugin = Path(sys.executable).with_name("protoc-gen-mypy")
    # A process of its own: the compiler's library and gRPC's cannot share one (both register the same descriptors).
    command = [
        sys.executable,
        "-m",
        "grpc_tools.protoc",
        f"--plugin=protoc-gen-mypy={plugin}",
        f"-I{ROOT}",
        f"--python_out={out}",
        f"--grpc_python_out={out}",
        f"--mypy_out=quiet:{out}",
        str(ROOT / PROTO),
    ]
    if subprocess.run(command, check=False).returncode != 0:
        raise SystemExit(f"{PROTO}: protoc refused it (see above)")


def main() -> None:
    if "--check" not in sys.argv:
        generate(ROOT)
        return
    with tempfile.TemporaryDirectory() as scratch:
        generate(Path(scratch))
        stale = [name for name in STUBS if (Path(scratch) / name).read_text() != (ROOT / name).read_text()]
    if stale:
        raise SystemExit(f"stale: {', '.join(stale)}; run `make generate`")


if __name__ == "__main__":
    main()
