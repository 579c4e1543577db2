// SPDX-License-Identifier: GPL-2.0
#include <linux/string.h>
#include <linux/utsname.h>
#include <net/genetlink.h>

#include "netlink.h"
#include "shim.h"

#define SPDM_NONCE_SIZE 32
#define SPDM_PREFIX_SIZE 100

/* Most of a transcript in one event, and of a piece of evidence in one message, in bytes. */
#define SPDM_SIG_PART 16384
#define SPDM_EVIDENCE_PART 3072

enum {
	SPDM_GROUP_SIG,
	SPDM_GROUP_VERDICT,
};

static const struct genl_multicast_group spdm_groups_nl[] = {
	[SPDM_GROUP_SIG] = { .name = "sig" },
	[SPDM_GROUP_VERDICT] = { .name = "verdict" },
};

static const struct nla_policy spdm_evidence_policy[] = {
	[SPDM_A_EVIDENCE_NAME] = { .type = NLA_NUL_STRING, .len = 63 },
	[SPDM_A_EVIDENCE_TYPE_MASK] = { .type = NLA_U64 },
	[SPDM_A_EVIDENCE_FLAGS] = NLA_POLICY_MASK(NLA_U32, 0),
	[SPDM_A_EVIDENCE_NONCE] = NLA_POLICY_EXACT_LEN(SPDM_NONCE_SIZE),
};

/* A dump of evidence: what has been sent so far. */
struct spdm_dump {
	void *evidence;
	char *info;
	u64 mask;
	u32 type;
	u32 offset;
};

static_assert(sizeof(struct spdm_dump) <= sizeof_field(struct netlink_callback, ctx));

static int spdm_evidence_start(struct netlink_callback *cb)
{
	const struct genl_info *info = genl_info_dump(cb);
	struct spdm_dump *dump = (void *)cb->ctx;
	struct nlattr **attrs = info->attrs;
	const u8 *nonce = NULL;
	struct device *parent;
	void *evidence;
	char *path;

	if (GENL_REQ_ATTR_CHECK(info, SPDM_A_EVIDENCE_NAME))
		return -EINVAL;
	if (attrs[SPDM_A_EVIDENCE_NONCE])
		nonce = nla_data(attrs[SPDM_A_EVIDENCE_NONCE]);
	evidence = spdm_evidence_open(nla_data(attrs[SPDM_A_EVIDENCE_NAME]), nonce, &parent);
	if (IS_ERR(evidence))
		return PTR_ERR(evidence);

	path = spdm_device_path(parent);
	put_device(parent);
	dump->info = kasprintf(GFP_KERNEL, "device=%s\nname=%s\nkernel=%s\n", path ?: "",
			       (char *)nla_data(attrs[SPDM_A_EVIDENCE_NAME]),
			       init_utsname()->release);
	kfree(path);
	if (!dump->info) {
		spdm_evidence_close(evidence);
		return -ENOMEM;
	}
	dump->evidence = evidence;
	dump->mask = U64_MAX;
	if (attrs[SPDM_A_EVIDENCE_TYPE_MASK])
		dump->mask = nla_get_u64(attrs[SPDM_A_EVIDENCE_TYPE_MASK]);
	return 0;
}

static int spdm_evidence_put(struct sk_buff *skb, struct netlink_callback *cb, u32 type,
			     const void *value, size_t len)
{
	void *msg;

	msg = genlmsg_put(skb, NETLINK_CB(cb->skb).portid, cb->nlh->nlmsg_seq,
			  &spdm_family, NLM_F_MULTI, SPDM_CMD_EVIDENCE_READ);
	if (!msg)
		return -EMSGSIZE;
	if (nla_put_u32(skb, SPDM_A_EVIDENCE_TYPE, type) ||
	    nla_put(skb, SPDM_A_EVIDENCE_VALUE, len, value)) {
		genlmsg_cancel(skb, msg);
		return -EMSGSIZE;
	}
	genlmsg_end(skb, msg);
	return 0;
}

/* What there is of a type: of SPDM_EVIDENCE_INFO the second part, which follows dump->info. */
static int spdm_evidence_dump(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct spdm_dump *dump = (void *)cb->ctx;
	const u8 *value;
	size_t len;
	int rc;

	for (; dump->type < SPDM_EVIDENCE_END; dump->type++, dump->offset = 0) {
		if (!(dump->mask & BIT_ULL(dump->type)))
			continue;
		if (dump->type == SPDM_EVIDENCE_INFO && dump->info) {
			rc = spdm_evidence_put(skb, cb, dump->type, dump->info, strlen(dump->info));
			if (rc)
				return skb->len ?: rc;
			kfree(dump->info);
			dump->info = NULL;
		}
		for (;;) {
			value = spdm_evidence_get(dump->evidence, dump->type, dump->offset, &len);
			if (!len)
				break;
			len = min(len, SPDM_EVIDENCE_PART);
			rc = spdm_evidence_put(skb, cb, dump->type, value, len);
			if (rc)
				return skb->len ?: rc;
			dump->offset += len;
		}
	}
	return skb->len;
}

static int spdm_evidence_done(struct netlink_callback *cb)
{
	struct spdm_dump *dump = (void *)cb->ctx;

	spdm_evidence_close(dump->evidence);
	kfree(dump->info);
	return 0;
}

static const struct genl_ops spdm_ops[] = {
	{
		.cmd = SPDM_CMD_EVIDENCE_READ,
		.flags = GENL_ADMIN_PERM,
		.policy = spdm_evidence_policy,
		.maxattr = ARRAY_SIZE(spdm_evidence_policy) - 1,
		.start = spdm_evidence_start,
		.dumpit = spdm_evidence_dump,
		.done = spdm_evidence_done,
	},
};

struct genl_family spdm_family __ro_after_init = {
	.name = SPDM_FAMILY_NAME,
	.version = SPDM_FAMILY_VERSION,
	.module = THIS_MODULE,
	.ops = spdm_ops,
	.n_ops = ARRAY_SIZE(spdm_ops),
	.resv_start_op = SPDM_CMD_EVIDENCE_READ + 1,
	.mcgrps = spdm_groups_nl,
	.n_mcgrps = ARRAY_SIZE(spdm_groups_nl),
	/* An attestation takes its time. */
	.parallel_ops = true,
};

int spdm_netlink_register(void)
{
	return genl_register_family(&spdm_family);
}

void spdm_netlink_unregister(void)
{
	genl_unregister_family(&spdm_family);
}

static int spdm_put_signature(struct sk_buff *skb, const char *path,
			      const struct spdm_signature *sig)
{
	return nla_put_string(skb, SPDM_A_SIG_DEVICE, path) ?:
	       nla_put_u8(skb, SPDM_A_SIG_RSP_CODE, sig->response_code) ?:
	       nla_put_u8(skb, SPDM_A_SIG_SLOT, sig->slot) ?:
	       nla_put_u16(skb, SPDM_A_SIG_HASH_ALGO, sig->hash_algo) ?:
	       nla_put_u32(skb, SPDM_A_SIG_SIG_OFFSET, sig->signature_offset) ?:
	       nla_put_u32(skb, SPDM_A_SIG_REQ_NONCE_OFFSET, sig->requester_nonce_offset) ?:
	       nla_put_u32(skb, SPDM_A_SIG_RSP_NONCE_OFFSET, sig->responder_nonce_offset) ?:
	       (sig->prefix ? nla_put(skb, SPDM_A_SIG_COMBINED_SPDM_PREFIX, SPDM_PREFIX_SIZE,
				      sig->prefix) : 0);
}

/* Tell the group "sig" of a signature: in several messages if it is a long transcript. */
void spdm_netlink_signature(struct device *dev, const struct spdm_signature *sig)
{
	size_t offset = 0, part;
	struct nlattr *attr;
	struct sk_buff *skb;
	u32 seq = 0;
	char *path;
	void *msg;

	if (!genl_has_listeners(&spdm_family, &init_net, SPDM_GROUP_SIG))
		return;
	path = spdm_device_path(dev);
	if (!path)
		return;

	do {
		part = min(sig->transcript_len - offset, SPDM_SIG_PART);
		skb = genlmsg_new(part + strlen(path) + 512, GFP_KERNEL);
		if (!skb)
			break;
		msg = genlmsg_put(skb, 0, seq, &spdm_family, NLM_F_MULTI, SPDM_CMD_SIG);
		attr = NULL;
		if (msg && (offset || !spdm_put_signature(skb, path, sig)))
			attr = nla_reserve(skb, SPDM_A_SIG_TRANSCRIPT, part);
		if (!attr) {
			nlmsg_free(skb);
			break;
		}
		spdm_evidence_read(sig->evidence, sig->type, offset, nla_data(attr), part);
		genlmsg_end(skb, msg);
		offset += part;
		if (offset == sig->transcript_len &&
		    !nlmsg_put(skb, 0, seq, NLMSG_DONE, sizeof(int), NLM_F_MULTI)) {
			nlmsg_free(skb);
			break;
		}
		genlmsg_multicast(&spdm_family, skb, 0, SPDM_GROUP_SIG, GFP_KERNEL);
	} while (offset < sig->transcript_len);
	kfree(path);
}

/* Tell the group "verdict" of one. */
void spdm_netlink_verdict(struct device *dev, struct device *parent,
			  const struct spdm_verdict *verdict)
{
	struct sk_buff *skb;
	char *path;
	void *msg;

	if (!genl_has_listeners(&spdm_family, &init_net, SPDM_GROUP_VERDICT))
		return;
	path = spdm_device_path(parent);
	skb = genlmsg_new(NLMSG_GOODSIZE, GFP_KERNEL);
	if (!path || !skb)
		goto out;
	msg = genlmsg_put(skb, 0, 0, &spdm_family, 0, SPDM_CMD_VERDICT);
	if (!msg ||
	    nla_put_string(skb, SPDM_A_VERDICT_DEVICE, path) ||
	    nla_put_string(skb, SPDM_A_VERDICT_NAME, dev_name(dev)) ||
	    nla_put_string(skb, SPDM_A_VERDICT_STATE, verdict->state) ||
	    nla_put_string(skb, SPDM_A_VERDICT_REASON, verdict->reason) ||
	    (verdict->measurements_changed && nla_put_flag(skb, SPDM_A_VERDICT_CHANGED)) ||
	    nla_put_s64(skb, SPDM_A_VERDICT_ATTESTED_AT, verdict->attested_at, 0))
		goto out;
	genlmsg_end(skb, msg);
	genlmsg_multicast(&spdm_family, skb, 0, SPDM_GROUP_VERDICT, GFP_KERNEL);
	skb = NULL;
out:
	nlmsg_free(skb);
	kfree(path);
}
