#!/usr/bin/env bash
# End to end on this machine: the kernel that was meant, the tour, every test, and nothing left behind.
set -euo pipefail
meant=$1
running=$(uname -r)
if [[ $running != "$meant".* ]]; then
    echo "this machine runs Linux $running, not $meant: the check would say nothing about $meant" >&2
    exit 1
fi
cd /weft
make demo
make test
for place in /run/weft/labs /sys/fs/bpf/weft; do
    if [[ -d $place && -n $(ls -A "$place") ]]; then
        echo "left behind in $place: $(ls "$place")" >&2
        exit 1
    fi
done
echo "Linux $running: demo and tests passed, nothing is left"
