/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Device attestation for other kernel code.
 *
 * PCI devices with Component Measurement and Authentication are attested
 * without anybody's help. A driver whose device speaks SPDM over a transport
 * of its own uses this interface: it says how a message is exchanged, and gets
 * a verdict and the same entry in /sys/class/spdm.
 */
#ifndef _LINUX_SPDM_H
#define _LINUX_SPDM_H

#include <linux/types.h>

struct device;
struct spdm_attester;

/**
 * struct spdm_transport - how messages reach a responder
 * @exchange: Send @request, receive the response into @response within
 *	@timeout_us microseconds. Returns the response's length in bytes or a
 *	negative errno: -ETIMEDOUT, -ENODEV if the device is gone, -EMSGSIZE if
 *	the response is longer than @response_sz. Called from process context,
 *	never more than one call at a time for one attester.
 * @max_message_size: largest SPDM message that the transport carries, in bytes,
 *	at least 42.
 * @alignment: unit to which the transport pads messages, in bytes; 1 if it
 *	does not.
 * @round_trip_us: worst-case round trip time of the transport, microseconds.
 */
struct spdm_transport {
	ssize_t (*exchange)(void *priv, const void *request, size_t request_sz,
			    void *response, size_t response_sz, u32 timeout_us);
	u32 max_message_size;
	u32 alignment;
	u32 round_trip_us;
};

/**
 * spdm_create() - make an attester for a device
 * @dev: Device that is attested; the parent of the entry in /sys/class/spdm.
 * @name: Name of that entry. Bus and address, such as "mctp-1-8".
 * @transport: How to reach the responder; must stay valid until spdm_destroy().
 * @priv: Passed to @transport's functions.
 *
 * The certificate chain is verified against the .cma keyring. The CMA
 * subjectAltName, which binds a certificate to a PCI device, is not asked for.
 *
 * Return: the attester or an ERR_PTR(): -EPROBE_DEFER if SPDM has not started
 * yet, -EINVAL for a transport that breaks the rules above, -EEXIST if the name
 * is taken, -ENOMEM.
 */
struct spdm_attester *spdm_create(struct device *dev, const char *name,
				  const struct spdm_transport *transport,
				  void *priv);

/**
 * spdm_authenticate() - attest a device now
 * @attester: The attester.
 *
 * Sleeps until the verdict is known.
 *
 * Return: 0 if the device is authenticated, otherwise a negative errno; the
 * reason is in /sys/class/spdm/<name>/reason.
 */
int spdm_authenticate(struct spdm_attester *attester);

/**
 * spdm_destroy() - remove an attester
 * @attester: The attester. An attestation that runs is cancelled, and waited
 *	for.
 */
void spdm_destroy(struct spdm_attester *attester);

#endif /* _LINUX_SPDM_H */
