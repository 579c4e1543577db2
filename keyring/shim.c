// SPDX-License-Identifier: GPL-2.0
#include <crypto/sha2.h>
#include <crypto/sha3.h>
#include <crypto/sig.h>
#include <keys/system_keyring.h>
#include <linux/cred.h>

#include "shim.h"

const struct cred *spdm_kernel_cred(void)
{
	return kernel_cred();
}

const struct cred *spdm_override_creds(const struct cred *cred)
{
	return override_creds(cred);
}

void spdm_revert_creds(const struct cred *old)
{
	revert_creds(old);
}

struct crypto_sig *spdm_sig_alloc(const char *algorithm)
{
	return crypto_alloc_sig(algorithm, 0, 0);
}

void spdm_sig_free(struct crypto_sig *sig)
{
	crypto_free_sig(sig);
}

/* digest_size is 32, 48 or 64. */
void spdm_sha3_init(struct sha3_ctx *ctx, size_t digest_size)
{
	switch (digest_size) {
	case SHA3_256_DIGEST_SIZE:
		sha3_256_init(ctx);
		break;
	case SHA3_384_DIGEST_SIZE:
		sha3_384_init(ctx);
		break;
	default:
		sha3_512_init(ctx);
	}
}

/* Whether the kernel's blacklist names a certificate; signed_part is its tbsCertificate. */
bool spdm_certificate_revoked(const u8 *signed_part, size_t len)
{
	u8 hash[SHA256_DIGEST_SIZE];

	sha256(signed_part, len, hash);
	return is_hash_blacklisted(hash, sizeof(hash), BLACKLIST_HASH_X509_TBS) == -EKEYREJECTED;
}
