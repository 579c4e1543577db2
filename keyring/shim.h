/* SPDX-License-Identifier: GPL-2.0 */
/* Inline functions that keyring/ needs, and functions whose types Rust need not know. */
#ifndef _SPDM_KEYRING_SHIM_H
#define _SPDM_KEYRING_SHIM_H

#include <linux/types.h>

struct cred;
struct crypto_sig;
struct sha3_ctx;

const struct cred *spdm_kernel_cred(void);
const struct cred *spdm_override_creds(const struct cred *cred);
void spdm_revert_creds(const struct cred *old);

struct crypto_sig *spdm_sig_alloc(const char *algorithm);
void spdm_sig_free(struct crypto_sig *sig);

void spdm_sha3_init(struct sha3_ctx *ctx, size_t digest_size);

bool spdm_certificate_revoked(const u8 *signed_part, size_t len);

#endif /* _SPDM_KEYRING_SHIM_H */
