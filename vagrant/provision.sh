#!/usr/bin/env bash
# Brings the machine to the point where `make demo` only runs: packages and virtual environment.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends make git python3 > /dev/null
# The synced folder is not root's, and root runs the tests.
git config --system --replace-all safe.directory /weft
cd /weft
make setup
# `weft` on the PATH of root, who is the one that can use it.
ln -sf /weft/.venv/bin/weft /usr/local/bin/weft
weft doctor
echo "ready: vagrant ssh $(hostname) -c 'cd /weft && sudo make demo'"
