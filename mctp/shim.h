/* SPDX-License-Identifier: GPL-2.0 */
/* What mctp/ needs of AF_MCTP sockets, routes and network devices: structures with unions, and inline functions. */
#ifndef _SPDM_MCTP_SHIM_H
#define _SPDM_MCTP_SHIM_H

#include <linux/net.h>
#include <linux/netdevice.h>
#include <linux/types.h>
#include <net/net_namespace.h>

/* Who a message is from or for. */
struct spdm_mctp_address {
	unsigned int network;
	u8 eid;
	u8 type;	/* with the integrity check bit, 0x80 */
	u8 tag;		/* with MCTP_TAG_OWNER */
};

/* How messages get to an endpoint: by whom they are carried, and to where. */
struct spdm_mctp_way {
	int ifindex;
	unsigned int mtu;	/* of packets */
	u8 hop;			/* the endpoint, or the bridge before it */
	u8 lladdr[MAX_ADDR_LEN];	/* where that is on the link, if the kernel was told */
};

/* In shim.c. */
struct socket *spdm_mctp_open(struct net *net, unsigned int network, u8 eid, u8 *tag);
void spdm_mctp_close(struct socket *sock);
int spdm_mctp_send(struct socket *sock, const struct spdm_mctp_address *to, const u8 *data,
		   size_t len);
int spdm_mctp_receive(struct socket *sock, struct spdm_mctp_address *from, u8 *buf, size_t len,
		      unsigned int timeout_ms);
bool spdm_mctp_find_way(struct net *net, unsigned int network, u8 eid, struct spdm_mctp_way *way);
unsigned int spdm_mctp_namespace(const struct net *net);
struct net *spdm_mctp_current_net(void);
bool spdm_mctp_next(struct net *net, unsigned int *network, u8 *eid);
bool spdm_mctp_discovers(void);
void spdm_mctp_set_discovery(bool on);
void spdm_mctp_keep_looking(void);
int spdm_mctp_watch(void);
void spdm_mctp_unwatch(void);

/* In net.rs. */
void spdm_mctp_link(struct net *net, int ifindex, bool up);
void spdm_mctp_net_exit(struct net *net);
bool spdm_mctp_look_at_ways(void);

/* In discovery.rs. */
void spdm_mctp_discover(void);

#endif /* _SPDM_MCTP_SHIM_H */
