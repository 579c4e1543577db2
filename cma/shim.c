// SPDX-License-Identifier: GPL-2.0
#include <linux/export.h>
#include <linux/kernfs.h>
#include <linux/kprobes.h>
#include <linux/kstrtox.h>
#include <linux/module.h>
#include <linux/pm_runtime.h>
#include <linux/sched/mm.h>

#include "shim.h"
#include "spdm.h"
#include "../mctp/shim.h"

#define SPDM_CLASS_ATTRIBUTE(_name, _attribute)				\
static ssize_t _name##_show(struct device *dev,				\
			    struct device_attribute *attr, char *page)	\
{									\
	return spdm_class_show(dev, _attribute, page);			\
}									\
static DEVICE_ATTR_RO(_name)

#define SPDM_CLASS_ATTRIBUTE_RW(_name, _attribute)			\
static ssize_t _name##_show(struct device *dev,				\
			    struct device_attribute *attr, char *page)	\
{									\
	return spdm_class_show(dev, _attribute, page);			\
}									\
static ssize_t _name##_store(struct device *dev,			\
			     struct device_attribute *attr,		\
			     const char *page, size_t count)		\
{									\
	return spdm_class_store(dev, _attribute, page, count);		\
}									\
static DEVICE_ATTR_RW(_name)

SPDM_CLASS_ATTRIBUTE(state, SPDM_ATTRIBUTE_STATE);
SPDM_CLASS_ATTRIBUTE(reason, SPDM_ATTRIBUTE_REASON);
SPDM_CLASS_ATTRIBUTE(version, SPDM_ATTRIBUTE_VERSION);
SPDM_CLASS_ATTRIBUTE(algorithms, SPDM_ATTRIBUTE_ALGORITHMS);
SPDM_CLASS_ATTRIBUTE(capabilities, SPDM_ATTRIBUTE_CAPABILITIES);
SPDM_CLASS_ATTRIBUTE(slot, SPDM_ATTRIBUTE_SLOT);
SPDM_CLASS_ATTRIBUTE_RW(identity, SPDM_ATTRIBUTE_IDENTITY);
SPDM_CLASS_ATTRIBUTE(offered_identity, SPDM_ATTRIBUTE_OFFERED_IDENTITY);
SPDM_CLASS_ATTRIBUTE(subject, SPDM_ATTRIBUTE_SUBJECT);
SPDM_CLASS_ATTRIBUTE(issuer, SPDM_ATTRIBUTE_ISSUER);
SPDM_CLASS_ATTRIBUTE(attested_at, SPDM_ATTRIBUTE_ATTESTED_AT);
SPDM_CLASS_ATTRIBUTE(duration_us, SPDM_ATTRIBUTE_DURATION_US);
SPDM_CLASS_ATTRIBUTE(exchanges, SPDM_ATTRIBUTE_EXCHANGES);
SPDM_CLASS_ATTRIBUTE(bytes_sent, SPDM_ATTRIBUTE_BYTES_SENT);
SPDM_CLASS_ATTRIBUTE(bytes_received, SPDM_ATTRIBUTE_BYTES_RECEIVED);

SPDM_CLASS_ATTRIBUTE(same_device_as, SPDM_ATTRIBUTE_SAME_DEVICE_AS);

SPDM_CLASS_ATTRIBUTE(measurements_status, SPDM_ATTRIBUTE_MEASUREMENTS_STATUS);

SPDM_CLASS_ATTRIBUTE_RW(policy, SPDM_ATTRIBUTE_POLICY);
SPDM_CLASS_ATTRIBUTE_RW(resume_policy, SPDM_ATTRIBUTE_RESUME_POLICY);

static ssize_t slot_mask_show(struct device *dev,
			      struct device_attribute *attr, char *page)
{
	return spdm_class_show(dev, SPDM_ATTRIBUTE_SLOT_MASK, page);
}

static ssize_t slot_mask_store(struct device *dev,
			       struct device_attribute *attr,
			       const char *page, size_t count)
{
	ssize_t rc;
	u8 mask;

	if (kstrtou8(page, 0, &mask))
		return -EINVAL;

	rc = spdm_class_store(dev, SPDM_ATTRIBUTE_SLOT_MASK, &mask, sizeof(mask));
	return rc < 0 ? rc : count;
}
static DEVICE_ATTR_RW(slot_mask);

static ssize_t public_key_store(struct device *dev,
				struct device_attribute *attr,
				const char *page, size_t count)
{
	return spdm_class_store(dev, SPDM_ATTRIBUTE_PUBLIC_KEY, page, count);
}
static DEVICE_ATTR_WO(public_key);

static ssize_t class_authenticated_show(struct device *dev,
					struct device_attribute *attr, char *page)
{
	return spdm_class_show(dev, SPDM_ATTRIBUTE_AUTHENTICATED, page);
}

static ssize_t class_authenticated_store(struct device *dev,
					 struct device_attribute *attr,
					 const char *page, size_t count)
{
	int rc;

	if (!sysfs_streq(page, "re"))
		return -EINVAL;

	rc = spdm_class_authenticate(dev);
	return rc ? rc : count;
}

/* Of what is no PCI function, which has one of its own. */
static struct device_attribute dev_attr_class_authenticated =
	__ATTR(authenticated, 0644, class_authenticated_show, class_authenticated_store);

static umode_t spdm_class_is_visible(struct kobject *kobj, struct attribute *attr, int n)
{
	if (attr == &dev_attr_class_authenticated.attr && spdm_class_is_pci(kobj_to_dev(kobj)))
		return 0;
	return attr->mode;
}

static struct attribute *spdm_class_attrs[] = {
	&dev_attr_class_authenticated.attr,
	&dev_attr_state.attr,
	&dev_attr_reason.attr,
	&dev_attr_version.attr,
	&dev_attr_algorithms.attr,
	&dev_attr_capabilities.attr,
	&dev_attr_slot.attr,
	&dev_attr_identity.attr,
	&dev_attr_offered_identity.attr,
	&dev_attr_subject.attr,
	&dev_attr_issuer.attr,
	&dev_attr_attested_at.attr,
	&dev_attr_duration_us.attr,
	&dev_attr_exchanges.attr,
	&dev_attr_bytes_sent.attr,
	&dev_attr_bytes_received.attr,
	&dev_attr_measurements_status.attr,
	&dev_attr_policy.attr,
	&dev_attr_resume_policy.attr,
	&dev_attr_slot_mask.attr,
	&dev_attr_public_key.attr,
	&dev_attr_same_device_as.attr,
	NULL
};

#define SPDM_CLASS_BIN_ATTRIBUTE(_name, _attribute)			\
static ssize_t _name##_read(struct file *filp, struct kobject *kobj,	\
			    const struct bin_attribute *attr, char *buf,	\
			    loff_t off, size_t count)			\
{									\
	return spdm_class_read(kobj_to_dev(kobj), _attribute, buf, off, count);	\
}

/* Their text may be longer than a page. */
SPDM_CLASS_BIN_ATTRIBUTE(measurements, SPDM_ATTRIBUTE_MEASUREMENTS)
static const BIN_ATTR_RO(measurements, 0);
SPDM_CLASS_BIN_ATTRIBUTE(measurements_raw, SPDM_ATTRIBUTE_MEASUREMENTS_RAW)
static const BIN_ATTR_RO(measurements_raw, 0);
SPDM_CLASS_BIN_ATTRIBUTE(reference_measurements, SPDM_ATTRIBUTE_REFERENCE_MEASUREMENTS)

static ssize_t reference_measurements_write(struct file *filp, struct kobject *kobj,
					    const struct bin_attribute *attr, char *buf,
					    loff_t off, size_t count)
{
	return spdm_class_write(kobj_to_dev(kobj), SPDM_ATTRIBUTE_REFERENCE_MEASUREMENTS, buf,
				off, count);
}
static const BIN_ATTR_RW(reference_measurements, 0);

static const struct bin_attribute *const spdm_class_bin_attrs[] = {
	&bin_attr_measurements,
	&bin_attr_measurements_raw,
	&bin_attr_reference_measurements,
	NULL
};

static const struct attribute_group spdm_class_group = {
	.attrs = spdm_class_attrs,
	.is_visible = spdm_class_is_visible,
	.bin_attrs = spdm_class_bin_attrs,
};

const struct attribute_group *spdm_class_groups[] = {
	&spdm_class_group,
	NULL
};

static ssize_t sealed_show(const struct class *class,
			   const struct class_attribute *attr, char *page)
{
	return sysfs_emit(page, "%d\n", spdm_is_sealed());
}

static ssize_t sealed_store(const struct class *class,
			    const struct class_attribute *attr,
			    const char *page, size_t count)
{
	bool seal;
	int rc;

	rc = kstrtobool(page, &seal);
	if (rc)
		return rc;
	if (!seal)
		return spdm_is_sealed() ? -EPERM : count;

	if (!spdm_is_sealed()) {
		/* The module stays, or the seal would go with it. */
		__module_get(THIS_MODULE);
		spdm_seal();
	}
	return count;
}
static CLASS_ATTR_RW(sealed);

#ifdef CONFIG_SPDM_MCTP
static ssize_t spdm_mctp_store(bool add, const char *page, size_t count)
{
	int rc;

	/*
	 * The kernel sends messages for whoever adds an endpoint, by a name
	 * that all namespaces see: root of a container is not enough.
	 */
	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	/* To remove an endpoint is to forget its identity. */
	if (!add && spdm_is_sealed())
		return -EPERM;
	rc = spdm_mctp_control(add, page, count);
	return rc ? rc : count;
}

static ssize_t mctp_discovery_show(const struct class *class,
				   const struct class_attribute *attr, char *page)
{
	return sysfs_emit(page, "%d\n", spdm_mctp_discovers());
}

static ssize_t mctp_discovery_store(const struct class *class,
				    const struct class_attribute *attr,
				    const char *page, size_t count)
{
	bool on;
	int rc;

	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	rc = kstrtobool(page, &on);
	if (rc)
		return rc;
	if (on)
		rc = spdm_mctp_start_discovery();
	else
		spdm_mctp_set_discovery(false);
	return rc ? rc : count;
}
static CLASS_ATTR_RW(mctp_discovery);
#else
static ssize_t spdm_mctp_store(bool add, const char *page, size_t count)
{
	pr_notice_once("spdm: this kernel has no MCTP (CONFIG_MCTP)\n");
	return -EOPNOTSUPP;
}
#endif

static ssize_t add_mctp_store(const struct class *class, const struct class_attribute *attr,
			      const char *page, size_t count)
{
	return spdm_mctp_store(true, page, count);
}
static CLASS_ATTR_WO(add_mctp);

static ssize_t remove_mctp_store(const struct class *class, const struct class_attribute *attr,
				 const char *page, size_t count)
{
	return spdm_mctp_store(false, page, count);
}
static CLASS_ATTR_WO(remove_mctp);

static struct attribute *spdm_attrs[] = {
	&class_attr_add_mctp.attr,
	&class_attr_remove_mctp.attr,
#ifdef CONFIG_SPDM_MCTP
	&class_attr_mctp_discovery.attr,
#endif
	&class_attr_sealed.attr,
	NULL
};

static const struct attribute_group spdm_group = {
	.attrs = spdm_attrs,
};

/* Attributes of the class itself. */
const struct attribute_group *spdm_groups[] = {
	&spdm_group,
	NULL
};

static ssize_t authenticated_show(struct device *dev,
				  struct device_attribute *attr, char *page)
{
	return spdm_pci_authenticated_show(dev, page);
}

static ssize_t authenticated_store(struct device *dev,
				   struct device_attribute *attr,
				   const char *page, size_t count)
{
	int rc;

	if (!sysfs_streq(page, "re"))
		return -EINVAL;

	rc = spdm_pci_authenticate(dev);
	return rc ? rc : count;
}
static DEVICE_ATTR_RW(authenticated);

static struct attribute *spdm_pci_attrs[] = {
	&dev_attr_authenticated.attr,
	NULL
};

static const struct attribute_group spdm_pci_group = {
	.attrs = spdm_pci_attrs,
};

const struct attribute_group *spdm_pci_groups[] = {
	&spdm_pci_group,
	NULL
};

/* Whether the device has an attribute of that name, and it is SPDM's or is not. */
static bool spdm_has_authenticated(struct device *dev, bool ours)
{
	struct kernfs_node *kn;
	bool has;

	kn = kernfs_find_and_get(dev->kobj.sd, dev_attr_authenticated.attr.name);
	has = kn && (kn->priv == &dev_attr_authenticated.attr) == ours;
	kernfs_put(kn);
	return has;
}

/* Remove what spdm_pci_groups added, unless the PCI/TSM core has put its own in that place. */
void spdm_pci_remove_groups(struct device *dev)
{
	if (spdm_has_authenticated(dev, true))
		device_remove_groups(dev, spdm_pci_groups);
}

/* Whether the PCI/TSM core attests the function and has its own attributes for that. */
bool spdm_pci_has_tsm(struct pci_dev *pdev)
{
	struct kernfs_node *tsm;

	tsm = kernfs_find_and_get(pdev->dev.kobj.sd, "tsm");
	kernfs_put(tsm);
	/* It adds "authenticated" first, then "tsm", and removes them in this order. */
	return tsm || spdm_has_authenticated(&pdev->dev, false);
}

/* Whether "authenticated" of the function is SPDM's. */
bool spdm_pci_has_groups(struct pci_dev *pdev)
{
	return spdm_has_authenticated(&pdev->dev, true);
}

/* Wake the function up for messages; while it is being enumerated it is awake and this does nothing. */
void spdm_pci_resume(struct pci_dev *pdev)
{
	pm_runtime_get_sync(&pdev->dev);
}

/* Undo spdm_pci_resume(). */
void spdm_pci_release(struct pci_dev *pdev)
{
	pm_runtime_put(&pdev->dev);
}

/* A name that no driver has. */
#define SPDM_NO_DRIVER "spdm-not-authenticated"

/* Let no driver match; what user space had set is forgotten. */
int spdm_pci_block_drivers(struct pci_dev *pdev)
{
	return device_set_driver_override(&pdev->dev, SPDM_NO_DRIVER);
}

/* Undo spdm_pci_block_drivers(), unless user space has set another override. */
void spdm_pci_allow_drivers(struct pci_dev *pdev)
{
	bool ours = false;

	scoped_guard(spinlock, &pdev->dev.driver_override.lock) {
		const char *name = pdev->dev.driver_override.name;

		ours = name && !strcmp(name, SPDM_NO_DRIVER);
	}
	if (ours)
		device_set_driver_override(&pdev->dev, "");
	if (device_attach(&pdev->dev) < 0)
		pci_dbg(pdev, "no driver\n");
}

/* Config space accesses fail while the channel is in this state. */
void spdm_pci_set_offline(struct pci_dev *pdev, bool offline)
{
	if (offline) {
		xchg(&pdev->error_state, pci_channel_io_perm_failure);
	} else if (pci_dev_is_disconnected(pdev)) {
		xchg(&pdev->error_state, pci_channel_io_normal);
		if (!pci_device_is_present(pdev))
			xchg(&pdev->error_state, pci_channel_io_perm_failure);
	}
}

static const struct spdm_reset_calls *spdm_reset_calls;
static void *spdm_reset_data;

#if defined(PCI_RESET_PREPARE)
static int spdm_reset_notified(struct notifier_block *nb, unsigned long event, void *data)
{
	struct pci_dev *pdev = data;

	switch (event) {
	case PCI_RESET_PREPARE:
		spdm_reset_calls->prepare(spdm_reset_data, &pdev->dev);
		break;
	case PCI_RESET_DONE:
		spdm_reset_calls->done(spdm_reset_data, &pdev->dev);
		break;
	case PCI_RESET_POWER:
		spdm_reset_calls->restored(spdm_reset_data, &pdev->dev);
		break;
	}
	return NOTIFY_OK;
}

/* A kernel with tools/patches/0001-PCI-Add-a-notifier-of-resets.patch. */
static struct notifier_block spdm_reset_block = {
	.notifier_call = spdm_reset_notified,
};

static int spdm_register_resets(void)
{
	return pci_register_reset_notifier(&spdm_reset_block);
}

static void spdm_unregister_resets(void)
{
	pci_unregister_reset_notifier(&spdm_reset_block);
}
#elif defined(CONFIG_KPROBES)
static int spdm_restore_entry(struct kprobe *kp, struct pt_regs *regs)
{
	struct pci_dev *pdev = (struct pci_dev *)regs_get_kernel_argument(regs, 0);

	spdm_reset_calls->restored(spdm_reset_data, &pdev->dev);
	return 0;
}

/*
 * There is no notifier of resets. Whatever resets a function or takes its
 * power has the PCI core restore its config space, so listen there.
 */
static struct kprobe spdm_restore = {
	.symbol_name = "pci_restore_state",
	.pre_handler = spdm_restore_entry,
};

#if defined(CONFIG_PCIEAER) || defined(CONFIG_EEH) || defined(CONFIG_S390)
static int spdm_recovery_entry(struct kprobe *kp, struct pt_regs *regs)
{
	struct pci_dev *pdev = (struct pci_dev *)regs_get_kernel_argument(regs, 0);
	pci_ers_result_t result = (__force pci_ers_result_t)regs_get_kernel_argument(regs, 1);

	/* Not before recovery has ended: in the middle of a reset the mailbox would not survive being used. */
	if (result == PCI_ERS_RESULT_RECOVERED || result == PCI_ERS_RESULT_DISCONNECT)
		spdm_reset_calls->restored(spdm_reset_data, &pdev->dev);
	else
		spdm_reset_calls->failing(spdm_reset_data, &pdev->dev);
	return 0;
}

/*
 * Recovery from an error resets a link, and leaves it to drivers to restore
 * config space: a function without one, or whose recovery fails, would not be
 * noticed. User space is told of each of them at begin and end, so listen
 * there.
 */
static struct kprobe spdm_recovery = {
	.symbol_name = "pci_uevent_ers",
	.pre_handler = spdm_recovery_entry,
};

static struct kprobe *spdm_probes[] = { &spdm_restore, &spdm_recovery };
#else
static struct kprobe *spdm_probes[] = { &spdm_restore };
#endif

static int spdm_register_resets(void)
{
	return register_kprobes(spdm_probes, ARRAY_SIZE(spdm_probes));
}

static void spdm_unregister_resets(void)
{
	unregister_kprobes(spdm_probes, ARRAY_SIZE(spdm_probes));
}
#else
static int spdm_register_resets(void)
{
	return -EOPNOTSUPP;
}

static void spdm_unregister_resets(void)
{
}
#endif

/* Have the functions in @calls called, with @data, when a function is reset. */
int spdm_watch_resets(const struct spdm_reset_calls *calls, void *data)
{
	spdm_reset_calls = calls;
	spdm_reset_data = data;
	return spdm_register_resets();
}

/* Undo spdm_watch_resets(); waits for calls that run. */
void spdm_unwatch_resets(void)
{
	spdm_unregister_resets();
}

#ifdef CONFIG_KRETPROBES
static void spdm_review_tsm(struct work_struct *work)
{
	spdm_tsm_changed();
}

static DECLARE_WORK(spdm_tsm_work, spdm_review_tsm);

/* Whether it is of no interest. */
static int spdm_group_entry(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	const struct attribute_group *group = (void *)regs_get_kernel_argument(regs, 1);

	return !group->name || strcmp(group->name, "tsm");
}

static int spdm_group_updated(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	schedule_work(&spdm_tsm_work);
	return 0;
}

/*
 * When a TSM registers, or connects to a device, the PCI/TSM core shows its
 * attributes: first "authenticated", in place of ours, then this group.
 */
static struct kretprobe spdm_tsm_probe = {
	.kp.symbol_name = "sysfs_update_group",
	.entry_handler = spdm_group_entry,
	.handler = spdm_group_updated,
};
static bool spdm_tsm_watched;

/* Have spdm_tsm_changed() called when functions get a group "tsm", or lose it. */
void spdm_watch_tsm(void)
{
	spdm_tsm_watched = !register_kretprobe(&spdm_tsm_probe);
	if (!spdm_tsm_watched)
		pr_warn("spdm: no kretprobe: a TSM that registers later is noticed late\n");
}

/* Undo spdm_watch_tsm(); waits for calls that run. */
void spdm_unwatch_tsm(void)
{
	if (spdm_tsm_watched)
		unregister_kretprobe(&spdm_tsm_probe);
	cancel_work_sync(&spdm_tsm_work);
}
#else
void spdm_watch_tsm(void)
{
}

void spdm_unwatch_tsm(void)
{
}
#endif

static char *policy = IS_ENABLED(CONFIG_SPDM_POLICY_ENFORCE) ? "enforce" :
		      IS_ENABLED(CONFIG_SPDM_POLICY_OFF) ? "off" : "audit";
/* Sparse takes the length of a string literal, which these assert, for no constant. */
#ifndef __CHECKER__
module_param(policy, charp, 0444);
MODULE_PARM_DESC(policy, "Policy of devices: audit, enforce or off");
#endif

static char *resume_policy = "authenticated";
#ifndef __CHECKER__
module_param(resume_policy, charp, 0444);
MODULE_PARM_DESC(resume_policy, "Which devices are attested at resume: authenticated, always or never");
#endif

/* What decides how devices are attested is frozen when trust is sealed. */
static int spdm_set_bool(const char *text, const struct kernel_param *kp)
{
	return spdm_is_sealed() ? -EPERM : param_set_bool(text, kp);
}

static const struct kernel_param_ops spdm_bool_ops = {
	.flags = KERNEL_PARAM_OPS_FL_NOARG,
	.set = spdm_set_bool,
	.get = param_get_bool,
};

static bool cache = true;
#ifndef __CHECKER__
module_param_cb(cache, &spdm_bool_ops, &cache, 0644);
__MODULE_PARM_TYPE(cache, "bool");
MODULE_PARM_DESC(cache, "Leave out what the last attestation of a device has shown");
#endif

static bool measurements = true;
#ifndef __CHECKER__
module_param_cb(measurements, &spdm_bool_ops, &measurements, 0644);
__MODULE_PARM_TYPE(measurements, "bool");
MODULE_PARM_DESC(measurements, "Take the measurements of a device that is authenticated");
#endif

static char *signatures = "classic-first";
#ifndef __CHECKER__
module_param(signatures, charp, 0444);
MODULE_PARM_DESC(signatures, "Where a device has both kinds of signatures: classic-first, pqc-first, classic-only or pqc-only");
#endif

static unsigned char slot_mask = 0xff;
#ifndef __CHECKER__
module_param(slot_mask, byte, 0444);
MODULE_PARM_DESC(slot_mask, "Certificate slots of devices that may be used, a bit each");
#endif

bool spdm_may_cache(void)
{
	return READ_ONCE(cache);
}

bool spdm_takes_measurements(void)
{
	return READ_ONCE(measurements);
}

enum spdm_policy spdm_default_policy(void)
{
	if (sysfs_streq(policy, "off"))
		return SPDM_POLICY_OFF;
	if (sysfs_streq(policy, "audit"))
		return SPDM_POLICY_AUDIT;
	if (!sysfs_streq(policy, "enforce"))
		pr_err_once("spdm: policy=%s is unknown: taken as enforce\n", policy);
	return SPDM_POLICY_ENFORCE;
}

enum spdm_resume_policy spdm_default_resume_policy(void)
{
	if (sysfs_streq(resume_policy, "never"))
		return SPDM_RESUME_NEVER;
	if (sysfs_streq(resume_policy, "authenticated"))
		return SPDM_RESUME_AUTHENTICATED;
	if (!sysfs_streq(resume_policy, "always"))
		pr_err_once("spdm: resume_policy=%s is unknown: taken as always\n", resume_policy);
	return SPDM_RESUME_ALWAYS;
}

enum spdm_signatures spdm_signature_preference(void)
{
	if (sysfs_streq(signatures, "pqc-first"))
		return SPDM_SIGNATURES_PQC_FIRST;
	if (sysfs_streq(signatures, "classic-only"))
		return SPDM_SIGNATURES_CLASSIC_ONLY;
	if (sysfs_streq(signatures, "pqc-only"))
		return SPDM_SIGNATURES_PQC_ONLY;
	if (!sysfs_streq(signatures, "classic-first"))
		pr_err_once("spdm: signatures=%s is unknown: taken as classic-first\n", signatures);
	return SPDM_SIGNATURES_CLASSIC_FIRST;
}

u8 spdm_default_slot_mask(void)
{
	return slot_mask;
}

void spdm_enable_async_suspend(struct device *dev)
{
	device_enable_async_suspend(dev);
}

/* What keeps the driver data of a device of the class where it is. */
void spdm_lock_drvdata(struct device *dev)
{
	device_lock(dev);
}

void spdm_unlock_drvdata(struct device *dev)
{
	device_unlock(dev);
}

/* Copy the name of a device. Returns its length, or -E2BIG. */
ssize_t spdm_device_name(const struct device *dev, u8 *name, size_t size)
{
	return strscpy((char *)name, dev_name(dev), size);
}

/* The device of the class with that name, or NULL; to be put. */
struct device *spdm_class_find(const struct class *class, const char *name)
{
	return class_find_device_by_name(class, name);
}

s64 spdm_real_ns(void)
{
	return ktime_get_real_ns();
}

unsigned int spdm_noio_save(void)
{
	return memalloc_noio_save();
}

void spdm_noio_restore(unsigned int flags)
{
	memalloc_noio_restore(flags);
}

/* The functions of spdm.h are in api.rs. */
#define EXPORT_SYMBOL_RUST_GPL(sym) EXPORT_SYMBOL_GPL(sym)
EXPORT_SYMBOL_RUST_GPL(spdm_create);
EXPORT_SYMBOL_RUST_GPL(spdm_authenticate);
EXPORT_SYMBOL_RUST_GPL(spdm_destroy);
