/* SPDX-License-Identifier: GPL-2.0 */
/* What has to be C: sysfs attributes, whose structures contain unions, and inline functions. */
#ifndef _SPDM_SHIM_H
#define _SPDM_SHIM_H

#include <linux/device.h>
#include <linux/pci.h>
#include <linux/sysfs.h>

/* Attributes of a class device; spdm_class_show() tells them apart. */
enum spdm_attribute {
	SPDM_ATTRIBUTE_STATE,
	SPDM_ATTRIBUTE_REASON,
	SPDM_ATTRIBUTE_VERSION,
	SPDM_ATTRIBUTE_ALGORITHMS,
	SPDM_ATTRIBUTE_CAPABILITIES,
	SPDM_ATTRIBUTE_SLOT,
	SPDM_ATTRIBUTE_IDENTITY,
	SPDM_ATTRIBUTE_OFFERED_IDENTITY,
	SPDM_ATTRIBUTE_SUBJECT,
	SPDM_ATTRIBUTE_ISSUER,
	SPDM_ATTRIBUTE_ATTESTED_AT,
	SPDM_ATTRIBUTE_DURATION_US,
	SPDM_ATTRIBUTE_EXCHANGES,
	SPDM_ATTRIBUTE_BYTES_SENT,
	SPDM_ATTRIBUTE_BYTES_RECEIVED,
	SPDM_ATTRIBUTE_POLICY,
	SPDM_ATTRIBUTE_RESUME_POLICY,
	SPDM_ATTRIBUTE_PUBLIC_KEY,
	SPDM_ATTRIBUTE_MEASUREMENTS_STATUS,
	SPDM_ATTRIBUTE_MEASUREMENTS,
	SPDM_ATTRIBUTE_MEASUREMENTS_RAW,
	SPDM_ATTRIBUTE_REFERENCE_MEASUREMENTS,
	SPDM_ATTRIBUTE_SLOT_MASK,
	SPDM_ATTRIBUTE_AUTHENTICATED,
	SPDM_ATTRIBUTE_SAME_DEVICE_AS,
};

/* What follows from a verdict; see policy.rs. */
enum spdm_policy {
	SPDM_POLICY_OFF,
	SPDM_POLICY_AUDIT,
	SPDM_POLICY_ENFORCE,
};

/* Which devices are attested when the system resumes; see policy.rs. */
enum spdm_resume_policy {
	SPDM_RESUME_NEVER,
	SPDM_RESUME_AUTHENTICATED,
	SPDM_RESUME_ALWAYS,
};

/* Which kind of signature algorithm is used where a device has both; see spdm/report.rs. */
enum spdm_signatures {
	SPDM_SIGNATURES_CLASSIC_FIRST,
	SPDM_SIGNATURES_PQC_FIRST,
	SPDM_SIGNATURES_CLASSIC_ONLY,
	SPDM_SIGNATURES_PQC_ONLY,
};

/* What to call when a PCI function is reset, with the data given to spdm_watch_resets(). */
struct spdm_reset_calls {
	/*
	 * Before and after a reset, where the PCI core tells of both. The
	 * function's driver waits for them; they may sleep, but must not wait
	 * for the device's lock.
	 */
	void (*prepare)(void *data, struct device *dev);
	void (*done)(void *data, struct device *dev);
	/*
	 * The function's config space is restored, after it may have been
	 * without power, and after resets of which the PCI core does not tell.
	 * Must not sleep.
	 */
	void (*restored)(void *data, struct device *dev);
	/*
	 * Recovery from an error of the function begins; restored() follows.
	 * Must not sleep.
	 */
	void (*failing)(void *data, struct device *dev);
};

/* A signature, for spdm_netlink_signature(). */
struct spdm_signature {
	u8 response_code;
	u8 slot;
	u16 hash_algo;			/* enum hash_algo */
	u32 signature_offset;		/* in the transcript, as the following */
	u32 requester_nonce_offset;
	u32 responder_nonce_offset;
	const u8 *prefix;		/* 100 bytes, or NULL */
	const void *evidence;
	u32 type;			/* enum spdm_evidence: its transcript in the evidence */
	size_t transcript_len;		/* with the signature */
};

/* A verdict, for spdm_tell(). */
struct spdm_verdict {
	const char *state;
	const char *reason;
	bool measurements_changed;
	s64 attested_at;		/* in ns since the epoch */
};

struct genl_family;
struct spdm_file;

/* In shim.c. */
extern const struct attribute_group *spdm_groups[];
extern const struct attribute_group *spdm_class_groups[];
extern const struct attribute_group *spdm_pci_groups[];
void spdm_pci_remove_groups(struct device *dev);
bool spdm_pci_has_tsm(struct pci_dev *pdev);
bool spdm_pci_has_groups(struct pci_dev *pdev);
void spdm_pci_resume(struct pci_dev *pdev);
void spdm_pci_release(struct pci_dev *pdev);
int spdm_pci_block_drivers(struct pci_dev *pdev);
void spdm_pci_allow_drivers(struct pci_dev *pdev);
void spdm_pci_set_offline(struct pci_dev *pdev, bool offline);
enum spdm_policy spdm_default_policy(void);
enum spdm_resume_policy spdm_default_resume_policy(void);
bool spdm_may_cache(void);
bool spdm_takes_measurements(void);
enum spdm_signatures spdm_signature_preference(void);
u8 spdm_default_slot_mask(void);
int spdm_watch_resets(const struct spdm_reset_calls *calls, void *data);
void spdm_unwatch_resets(void);
void spdm_watch_tsm(void);
void spdm_unwatch_tsm(void);
void spdm_enable_async_suspend(struct device *dev);
unsigned int spdm_noio_save(void);
void spdm_noio_restore(unsigned int flags);

void spdm_lock_drvdata(struct device *dev);
void spdm_unlock_drvdata(struct device *dev);
ssize_t spdm_device_name(const struct device *dev, u8 *name, size_t size);
struct device *spdm_class_find(const struct class *class, const char *name);
s64 spdm_real_ns(void);

/* In netlink.c. */
extern struct genl_family spdm_family;
int spdm_netlink_register(void);
void spdm_netlink_unregister(void);
void spdm_netlink_signature(struct device *dev, const struct spdm_signature *sig);
void spdm_netlink_verdict(struct device *dev, struct device *parent,
			  const struct spdm_verdict *verdict);

/* In publish.c. */
void spdm_trace_message(struct device *dev, bool response, const u8 *data, size_t len);
void spdm_ima_measure(struct device *dev, const u8 *data, size_t len);
void spdm_tell(struct device *dev, struct device *parent, const struct spdm_verdict *verdict);
void spdm_evidence_read(const void *evidence, u32 type, size_t offset, u8 *buf, size_t len);
struct spdm_file *spdm_file_add(struct kobject *dir, int number, const char *name,
				const void *data, size_t len, u32 type, void *writer);
void spdm_file_remove(struct spdm_file *file);
struct kobject *spdm_dir_add(struct device *dev, const char *name);
void spdm_dir_remove(struct kobject *dir);
char *spdm_device_path(struct device *dev);

/* In cma/, in Rust. */
ssize_t spdm_class_show(struct device *dev, enum spdm_attribute attribute, char *page);
ssize_t spdm_class_store(struct device *dev, enum spdm_attribute attribute,
			 const char *page, size_t count);
ssize_t spdm_pci_authenticated_show(struct device *dev, char *page);
ssize_t spdm_class_read(struct device *dev, enum spdm_attribute attribute, char *buf,
			loff_t off, size_t count);
ssize_t spdm_class_write(struct device *dev, enum spdm_attribute attribute, const char *buf,
			 loff_t off, size_t count);
ssize_t spdm_nonce_store(void *attester, const char *buf, loff_t off, size_t count);
void *spdm_evidence_open(const char *name, const u8 *nonce, struct device **parent);
const u8 *spdm_evidence_get(const void *evidence, u32 type, size_t offset, size_t *len);
void spdm_evidence_close(void *evidence);
int spdm_pci_authenticate(struct device *dev);
void spdm_tsm_changed(void);
bool spdm_class_is_pci(struct device *dev);
int spdm_class_authenticate(struct device *dev);
bool spdm_is_sealed(void);
void spdm_seal(void);

/* In mctp/. */
int spdm_mctp_control(bool add, const char *page, size_t count);
int spdm_mctp_start_discovery(void);

/* In roots.S: the certificates of CONFIG_SPDM_ROOTS. */
extern const u8 spdm_builtin_roots[];
extern const u8 spdm_builtin_roots_end[];

#endif /* _SPDM_SHIM_H */
