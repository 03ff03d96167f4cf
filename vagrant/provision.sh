#!/usr/bin/env bash
# Brings the machine to the point where `make demo` only runs: packages and virtual environment.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends make git python3 > /dev/null
cd /weft
make setup
echo "ready: vagrant ssh -c 'cd /weft && sudo make demo'"
