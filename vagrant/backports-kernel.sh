#!/usr/bin/env bash
# The newest kernel that Debian offers for this release. The machine must be rebooted afterwards.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive
echo "deb http://deb.debian.org/debian bookworm-backports main" > /etc/apt/sources.list.d/backports.list
apt-get update -qq
apt-get install -y -qq --no-install-recommends -t bookworm-backports linux-image-amd64 > /dev/null
