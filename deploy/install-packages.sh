#!/usr/bin/env bash
# Installs the Debian packages listed in the given file, those that are missing alone. Needs root for that.
set -euo pipefail

list=${1:?usage: install-packages.sh FILE}
missing=()
while read -r package; do
    [[ -z $package || $package == \#* ]] && continue
    [[ $(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null || true) == installed ]] || missing+=("$package")
done < "$list"
[[ ${#missing[@]} -eq 0 ]] && exit 0

if [[ $(id -u) -ne 0 ]]; then
    echo "missing Debian packages: ${missing[*]}" >&2
    echo "run as root: apt-get install --no-install-recommends ${missing[*]}" >&2
    exit 1
fi
echo "debian packages: ${missing[*]} ..."
export DEBIAN_FRONTEND=noninteractive
# Debian starts and enables services it installs; a mesh's test tools must not.
policy=/usr/sbin/policy-rc.d
made_policy=
if [[ ! -e $policy ]]; then
    printf '#!/bin/sh\nexit 101\n' > "$policy"
    chmod 755 "$policy"
    made_policy=1
fi
trap '[[ -z $made_policy ]] || rm -f "$policy"' EXIT
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${missing[@]}" > /dev/null
