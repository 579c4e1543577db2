// SPDX-License-Identifier: GPL-2.0
#include <linux/net.h>
#include <linux/netdevice.h>
#include <linux/nsproxy.h>
#include <linux/sched.h>
#include <linux/rtnetlink.h>
#include <linux/slab.h>
#include <linux/workqueue.h>
#include <net/mctp.h>
#include <net/mctpdevice.h>
#include <net/net_namespace.h>
#include <net/sock.h>

#include "shim.h"

/*
 * Give @sock a tag of its own for messages to @eid: what SIOCMCTPALLOCTAG2 does for user space, whose memory it wants,
 * with mctp_alloc_local_tag(), which is not exported. A tag that the kernel chooses when a message is sent is unknown
 * to the sender, forgotten after six seconds, and the next message gets the same one again: a late answer would pass
 * for that to the next request. Tags are tried from @first.
 *
 * Closing the socket drops the key.
 */
static int spdm_mctp_reserve_tag(struct socket *sock, unsigned int network, u8 eid, u8 first)
{
	struct mctp_sock *msk = container_of(sock->sk, struct mctp_sock, sk);
	struct netns_mctp *mns = &sock_net(sock->sk)->mctp;
	struct mctp_sk_key *key, *tmp;
	unsigned long used = 0, flags;
	int i, tag = -EBUSY;

	key = kzalloc_obj(*key);
	if (!key)
		return -ENOMEM;
	key->net = network;
	key->peer_addr = eid;
	key->local_addr = MCTP_ADDR_ANY;
	key->sk = sock->sk;
	key->valid = true;
	key->manual_alloc = true;
	spin_lock_init(&key->lock);
	/* That of the lists. */
	refcount_set(&key->refs, 1);

	spin_lock_irqsave(&mns->keys_lock, flags);
	hlist_for_each_entry(tmp, &mns->keys, hlist) {
		if (tmp->net == network && !(tmp->tag & MCTP_HDR_FLAG_TO) &&
		    mctp_address_matches(tmp->peer_addr, eid))
			used |= BIT(tmp->tag);
	}
	for (i = 0; i <= MCTP_TAG_MASK; i++) {
		if (used & BIT((first + i) & MCTP_TAG_MASK))
			continue;
		tag = (first + i) & MCTP_TAG_MASK;
		key->tag = tag;
		sock_hold(key->sk);
		hlist_add_head_rcu(&key->hlist, &mns->keys);
		hlist_add_head_rcu(&key->sklist, &msk->keys);
		break;
	}
	spin_unlock_irqrestore(&mns->keys_lock, flags);

	if (tag < 0)
		kfree(key);
	return tag;
}

/*
 * A socket for one request to @eid and its answer, with a tag of its own: the first that is free from *@tag, which
 * becomes it. An error pointer if there is none.
 */
struct socket *spdm_mctp_open(struct net *net, unsigned int network, u8 eid, u8 *tag)
{
	struct socket *sock;
	int rc;

	rc = sock_create_kern(net, AF_MCTP, SOCK_DGRAM, 0, &sock);
	if (rc)
		return ERR_PTR(rc);
	rc = spdm_mctp_reserve_tag(sock, network, eid, *tag);
	if (rc < 0) {
		sock_release(sock);
		return ERR_PTR(rc);
	}
	*tag = rc;
	return sock;
}

void spdm_mctp_close(struct socket *sock)
{
	sock_release(sock);
}

/* Send a message. The kernel makes packets of it, as the route has it, and does not wait. */
int spdm_mctp_send(struct socket *sock, const struct spdm_mctp_address *to, const u8 *data,
		   size_t len)
{
	struct sockaddr_mctp addr = {
		.smctp_family = AF_MCTP,
		.smctp_network = to->network,
		.smctp_addr.s_addr = to->eid,
		.smctp_type = to->type,
		.smctp_tag = to->tag | MCTP_TAG_OWNER | MCTP_TAG_PREALLOC,
	};
	struct msghdr msg = {
		.msg_name = &addr,
		.msg_namelen = sizeof(addr),
		.msg_flags = MSG_DONTWAIT,
	};
	struct kvec vec = { .iov_base = (void *)data, .iov_len = len };

	return kernel_sendmsg(sock, &msg, &vec, 1, len);
}

/* Receive a message. Returns how long it is, which may be more than @len, or -EAGAIN if there is none in time. */
int spdm_mctp_receive(struct socket *sock, struct spdm_mctp_address *from, u8 *buf, size_t len,
		      unsigned int timeout_ms)
{
	struct sockaddr_mctp addr = {};
	struct msghdr msg = {
		.msg_name = &addr,
		.msg_namelen = sizeof(addr),
	};
	struct kvec vec = { .iov_base = buf, .iov_len = len };
	int rc;

	WRITE_ONCE(sock->sk->sk_rcvtimeo, msecs_to_jiffies(timeout_ms) + 1);
	rc = kernel_recvmsg(sock, &msg, &vec, 1, len, MSG_TRUNC);
	from->network = addr.smctp_network;
	from->eid = addr.smctp_addr.s_addr;
	from->type = addr.smctp_type;
	from->tag = addr.smctp_tag;
	return rc;
}

/*
 * The way that messages to @eid take into *@way. Returns whether there is one, by a device that is up; if only the device
 * is down, *@way has that. It is what mctp_route_lookup() and mctp_neigh_lookup() find, which are not exported. A device
 * that is down takes messages without an error.
 */
bool spdm_mctp_find_way(struct net *net, unsigned int network, u8 eid, struct spdm_mctp_way *way)
{
	struct mctp_route *rt, *found;
	struct mctp_neigh *neigh;
	struct net_device *dev;
	unsigned int mtu = 0;
	bool up = false;
	int depth;

	memset(way, 0, sizeof(*way));
	rcu_read_lock();
	for (depth = 0; depth < 32; depth++) {
		found = NULL;
		list_for_each_entry_rcu(rt, &net->mctp.routes, list) {
			unsigned int of = rt->dst_type == MCTP_ROUTE_DIRECT ?
				READ_ONCE(rt->dev->net) : rt->gateway.net;

			if (of == network && rt->min <= eid && rt->max >= eid) {
				found = rt;
				break;
			}
		}
		if (!found)
			break;
		mtu = min_not_zero(mtu, found->mtu);
		if (found->dst_type == MCTP_ROUTE_DIRECT) {
			/* Routes go before their device, which waits for readers. */
			dev = found->dev->dev;
			way->ifindex = dev->ifindex;
			way->mtu = min_not_zero(mtu, READ_ONCE(dev->mtu));
			way->hop = eid;
			list_for_each_entry_rcu(neigh, &net->mctp.neighbours, list) {
				if (neigh->dev == found->dev && neigh->eid == eid) {
					memcpy(way->lladdr, neigh->ha, sizeof(way->lladdr));
					break;
				}
			}
			up = netif_running(dev);
			break;
		}
		eid = found->gateway.eid;
	}
	rcu_read_unlock();
	return up;
}

/* What tells network namespaces apart in names; 0 for the initial one. */
unsigned int spdm_mctp_namespace(const struct net *net)
{
	return net_eq(net, &init_net) ? 0 : net->ns.inum;
}

/* That of the caller. */
struct net *spdm_mctp_current_net(void)
{
	return current->nsproxy->net_ns;
}

static bool spdm_mctp_discovery;

/* Widest route whose endpoints are asked one by one. */
#define SPDM_MCTP_MAX_EXTENT 31

/*
 * The endpoint that comes next after the one in *@network and *@eid, among neighbours and direct routes; false if there
 * is none, or discovery is off.
 */
bool spdm_mctp_next(struct net *net, unsigned int *network, u8 *eid)
{
	u64 last = (u64)*network << 8 | *eid, next = U64_MAX;
	struct mctp_neigh *neigh;
	struct mctp_route *rt;
	unsigned int i;

	if (!READ_ONCE(spdm_mctp_discovery))
		return false;
	rcu_read_lock();
	list_for_each_entry_rcu(neigh, &net->mctp.neighbours, list) {
		u64 found = (u64)READ_ONCE(neigh->dev->net) << 8 | neigh->eid;

		if (found > last)
			next = min(next, found);
	}
	list_for_each_entry_rcu(rt, &net->mctp.routes, list) {
		if (rt->type != RTN_UNICAST || rt->dst_type != MCTP_ROUTE_DIRECT ||
		    rt->max - rt->min > SPDM_MCTP_MAX_EXTENT)
			continue;
		for (i = rt->min; i <= rt->max; i++) {
			u64 found = (u64)READ_ONCE(rt->dev->net) << 8 | i;

			if (found > last)
				next = min(next, found);
		}
	}
	rcu_read_unlock();
	*network = next >> 8;
	*eid = next;
	return next != U64_MAX;
}

static void spdm_mctp_look(struct work_struct *work);
static DECLARE_DELAYED_WORK(spdm_mctp_work, spdm_mctp_look);

/*
 * The kernel does not tell of neighbours and routes, not even who asks for messages of rtnetlink, so look now and then:
 * as long as there are endpoints, or discovery is on. Frozen while the system sleeps.
 */
static void spdm_mctp_look(struct work_struct *work)
{
	bool more = spdm_mctp_look_at_ways();

	if (READ_ONCE(spdm_mctp_discovery)) {
		spdm_mctp_discover();
		more = true;
	}
	if (more)
		spdm_mctp_keep_looking();
}

/* There is something to look at. */
void spdm_mctp_keep_looking(void)
{
	queue_delayed_work(system_freezable_wq, &spdm_mctp_work, 5 * HZ);
}

bool spdm_mctp_discovers(void)
{
	return READ_ONCE(spdm_mctp_discovery);
}

void spdm_mctp_set_discovery(bool on)
{
	WRITE_ONCE(spdm_mctp_discovery, on);
	if (on)
		mod_delayed_work(system_freezable_wq, &spdm_mctp_work, 0);
	else
		flush_delayed_work(&spdm_mctp_work);
}

static int spdm_mctp_notified(struct notifier_block *nb, unsigned long event, void *data)
{
	struct net_device *dev = netdev_notifier_info_to_dev(data);

	if (!rcu_access_pointer(dev->mctp_ptr))
		return NOTIFY_DONE;
	switch (event) {
	/* Both: what is proven in between is no longer so, either. */
	case NETDEV_GOING_DOWN:
	case NETDEV_DOWN:
		spdm_mctp_link(dev_net(dev), dev->ifindex, false);
		break;
	case NETDEV_UP:
		spdm_mctp_link(dev_net(dev), dev->ifindex, true);
		break;
	case NETDEV_CHANGEMTU:
		mod_delayed_work(system_freezable_wq, &spdm_mctp_work, 0);
		break;
	}
	return NOTIFY_OK;
}

static struct notifier_block spdm_mctp_block = {
	.notifier_call = spdm_mctp_notified,
};

static void spdm_mctp_exit(struct net *net)
{
	spdm_mctp_net_exit(net);
}

static struct pernet_operations spdm_mctp_net_ops = {
	.exit = spdm_mctp_exit,
};

/* Have the functions in net.rs called. */
int spdm_mctp_watch(void)
{
	int rc;

	rc = register_pernet_subsys(&spdm_mctp_net_ops);
	if (rc)
		return rc;
	rc = register_netdevice_notifier(&spdm_mctp_block);
	if (rc)
		unregister_pernet_subsys(&spdm_mctp_net_ops);
	return rc;
}

/* Undo spdm_mctp_watch(). Endpoints of all namespaces are removed. */
void spdm_mctp_unwatch(void)
{
	unregister_netdevice_notifier(&spdm_mctp_block);
	unregister_pernet_subsys(&spdm_mctp_net_ops);
	/* Nobody has it looked at any more. */
	cancel_delayed_work_sync(&spdm_mctp_work);
}
