"""`python -m l7proxy`: read the arguments, run."""

from __future__ import annotations

import sys

from l7proxy.app import main
from l7proxy.config import parse

if __name__ == "__main__":
    sys.exit(main(parse(sys.argv[1:])))
