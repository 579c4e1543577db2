// SPDX-License-Identifier: GPL-2.0
#include <crypto/akcipher.h>
#include <crypto/mldsa.h>
#include <crypto/sha2.h>
#include <crypto/sha3.h>
#include <crypto/sig.h>
#include <keys/system_keyring.h>
#include <linux/cred.h>
#include <linux/key.h>

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

void spdm_key_get(struct key *key)
{
	key_get(key);
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

/*
 * RSAVP1 (RFC 8017 section 5.2.2). key is an RSAPublicKey; signature and message are as long as its
 * modulus.
 */
int spdm_rsa_verify_primitive(const u8 *key, unsigned int key_len, const u8 *signature, u8 *message,
			      unsigned int len)
{
	struct crypto_akcipher *rsa = crypto_alloc_akcipher("rsa", 0, 0);
	int err;

	if (IS_ERR(rsa))
		return PTR_ERR(rsa);
	err = crypto_akcipher_set_pub_key(rsa, key, key_len) ?:
	      crypto_akcipher_sync_encrypt(rsa, signature, len, message, len);
	crypto_free_akcipher(rsa);
	return err;
}

/* SPDM_MLDSA_CONTEXT: the kernel has tools/patches/0002-lib-crypto-mldsa-*.patch. */
#if defined(SPDM_MLDSA_CONTEXT) && IS_REACHABLE(CONFIG_CRYPTO_LIB_MLDSA)
bool spdm_has_mldsa(void)
{
	return true;
}

/* parameter_set is 44, 65 or 87. */
int spdm_mldsa_verify(unsigned int parameter_set, const u8 *signature, size_t signature_len,
		      const u8 *message, size_t message_len, const u8 *context, size_t context_len,
		      const u8 *key, size_t key_len)
{
	enum mldsa_alg alg = parameter_set == 44 ? MLDSA44 :
			     parameter_set == 65 ? MLDSA65 : MLDSA87;

	return mldsa_verify_with_context(alg, signature, signature_len, message, message_len,
					 context, context_len, key, key_len);
}
#else
bool spdm_has_mldsa(void)
{
	return false;
}

int spdm_mldsa_verify(unsigned int parameter_set, const u8 *signature, size_t signature_len,
		      const u8 *message, size_t message_len, const u8 *context, size_t context_len,
		      const u8 *key, size_t key_len)
{
	return -ENOPKG;
}
#endif
