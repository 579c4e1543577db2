/* SPDX-License-Identifier: GPL-2.0 */
/* Inline functions that keyring/ needs, and functions whose types Rust need not know. */
#ifndef _SPDM_KEYRING_SHIM_H
#define _SPDM_KEYRING_SHIM_H

#include <linux/types.h>

struct cred;
struct crypto_sig;
struct key;
struct sha3_ctx;

const struct cred *spdm_kernel_cred(void);
const struct cred *spdm_override_creds(const struct cred *cred);
void spdm_revert_creds(const struct cred *old);

void spdm_key_get(struct key *key);

struct crypto_sig *spdm_sig_alloc(const char *algorithm);
void spdm_sig_free(struct crypto_sig *sig);

void spdm_sha3_init(struct sha3_ctx *ctx, size_t digest_size);

bool spdm_certificate_revoked(const u8 *signed_part, size_t len);

int spdm_rsa_verify_primitive(const u8 *key, unsigned int key_len, const u8 *signature, u8 *message,
			      unsigned int len);

bool spdm_has_mldsa(void);
int spdm_mldsa_verify(unsigned int parameter_set, const u8 *signature, size_t signature_len,
		      const u8 *message, size_t message_len, const u8 *context, size_t context_len,
		      const u8 *key, size_t key_len);

#endif /* _SPDM_KEYRING_SHIM_H */
