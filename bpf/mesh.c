/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The whole datapath as one unit, so that all programs share one set of maps. README.md says which program hangs where.
 * agent/datapath/source.py inlines the project's headers before bcc sees them: bcc loses its edits to included files.
 * Every function but the programs is static __always_inline; bcc makes a program of each function that is not static.
 */
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>

#include "lib/layouts.h"
#include "lib/packet.h"
#include "lib/maps.h"
#include "lib/config.h"
#include "lib/parse.h"
#include "lib/endpoint.h"
#include "lib/ipcache.h"
#include "lib/policy.h"
#include "lib/fragment.h"
#include "lib/share.h"
#include "lib/conntrack.h"
#include "lib/service.h"
#include "lib/redirect.h"
#include "lib/events.h"
#include "lib/reset.h"
#include "lib/icmp.h"
#include "lib/drop.h"
#include "lib/fastpath.h"
#include "lib/outside.h"
#include "prog/from_pod.c"
#include "prog/to_pod.c"
#include "prog/from_net.c"
#include "prog/from_guest.c"
#include "prog/sock.c"
#include "prog/sockops.c"
#include "prog/sk_lookup.c"
