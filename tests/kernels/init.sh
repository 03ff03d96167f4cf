#!/bin/busybox sh
# shellcheck shell=dash
# First stage: finds the two disks, gives the squashfs a writable layer and makes it the root.
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
while read -r module; do
    insmod "/modules/$module" || echo "== problem insmod $module"
done < /modules/order

mount -t squashfs -o ro /dev/vda /lower
mount -t tmpfs -o size=75% tmpfs /writable
mkdir /writable/upper /writable/work
mount -t overlay -o lowerdir=/lower,upperdir=/writable/upper,workdir=/writable/work overlay /root
# The rest of the modules, so that the kernel can load what it is asked for, as on a real node.
mount -t squashfs -o ro /dev/vdb /root/usr/lib/modules

mount -t devtmpfs devtmpfs /root/dev
mount -t tmpfs tmpfs /root/run
cp /command /root/run/command
umount /dev /sys /proc
# By this very process: the kernel looks for modprobe below the root of process 1.
exec switch_root /root /usr/bin/bash /weft/tests/kernels/session.sh
