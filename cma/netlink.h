/* SPDX-License-Identifier: GPL-2.0 */
/* Generic netlink family "spdm"; Documentation/netlink/specs/spdm.yaml describes it. */
#ifndef _SPDM_NETLINK_H
#define _SPDM_NETLINK_H

#define SPDM_FAMILY_NAME "spdm"
#define SPDM_FAMILY_VERSION 1

enum {
	SPDM_CMD_SIG = 1,
	SPDM_CMD_VERDICT,
	SPDM_CMD_EVIDENCE_READ,
};

/* A signature that was received. */
enum {
	SPDM_A_SIG_DEVICE = 1,
	SPDM_A_SIG_RSP_CODE,
	SPDM_A_SIG_SLOT,
	SPDM_A_SIG_HASH_ALGO,
	SPDM_A_SIG_SIG_OFFSET,
	SPDM_A_SIG_REQ_NONCE_OFFSET,
	SPDM_A_SIG_RSP_NONCE_OFFSET,
	SPDM_A_SIG_COMBINED_SPDM_PREFIX,
	SPDM_A_SIG_TRANSCRIPT,
};

/* A verdict. */
enum {
	SPDM_A_VERDICT_DEVICE = 1,
	SPDM_A_VERDICT_NAME,
	SPDM_A_VERDICT_STATE,
	SPDM_A_VERDICT_REASON,
	SPDM_A_VERDICT_CHANGED,
	SPDM_A_VERDICT_ATTESTED_AT,
};

/* The evidence of the last attestation. */
enum {
	SPDM_A_EVIDENCE_NAME = 1,
	SPDM_A_EVIDENCE_TYPE_MASK,
	SPDM_A_EVIDENCE_FLAGS,
	SPDM_A_EVIDENCE_NONCE,
	SPDM_A_EVIDENCE_TYPE,
	SPDM_A_EVIDENCE_VALUE,
	__SPDM_A_EVIDENCE_MAX,
};

/* Types of evidence; those below 32 are meant to be the same for native and TSM attestation. */
enum spdm_evidence {
	SPDM_EVIDENCE_CERTIFICATES = 0,	/* to 7: of that slot */
	SPDM_EVIDENCE_VCA = 8,
	SPDM_EVIDENCE_MEASUREMENTS = 9,
	SPDM_EVIDENCE_CHALLENGE = 32,
	SPDM_EVIDENCE_INFO = 33,
	SPDM_EVIDENCE_END,
};

#endif /* _SPDM_NETLINK_H */
