// SPDX-License-Identifier: GPL-2.0
/*
 * An attester of spdm.h, for tests
 *
 * Its device is one of the faux bus; its transport relays to the CMA mailbox of
 * a PCI function, so that a responder answers. Files to write to, in
 * /sys/devices/faux/spdm_api_test, whose errors are those of spdm.h:
 *
 *   create        NAME [FLAW]: spdm_create(); the transport may have a flaw
 *   authenticate  anything: spdm_authenticate()
 *   destroy       anything: spdm_destroy()
 *   fault         what exchange() does instead of its work, by name
 *
 * The parameter "function" is the address of the PCI function.
 */

#include <linux/cleanup.h>
#include <linux/delay.h>
#include <linux/device/faux.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/pci-doe.h>
#include <linux/pm_runtime.h>
#include <linux/string.h>

#include "spdm.h"

static char *function = "0000:01:00.0";
module_param(function, charp, 0444);
MODULE_PARM_DESC(function, "Address of the PCI function that answers");

static struct pci_dev *pdev;
static struct pci_doe_mb *mailbox;
static struct faux_device *faux;
static struct spdm_transport transport;
static struct spdm_attester *attester;
/* Protects what attester points to from being made or destroyed twice */
static DEFINE_MUTEX(lock);

static const char * const faults[] = {
	"none", "timeout", "gone", "too-large", "io", "slow", "beyond", NULL
};
enum { NONE, TIMEOUT, GONE, TOO_LARGE, IO, SLOW, BEYOND };
static int fault;

/* Whether another exchange runs, which spdm.h rules out */
static atomic_t exchanging;

static ssize_t relay(struct pci_dev *to, const void *request, size_t request_sz,
		     void *response, size_t response_sz)
{
	ssize_t ret;

	ret = pm_runtime_resume_and_get(&to->dev);
	if (ret)
		return ret;
	ret = pci_doe(mailbox, PCI_VENDOR_ID_PCI_SIG, PCI_DOE_FEATURE_CMA,
		      request, request_sz, response, response_sz);
	pm_runtime_put(&to->dev);
	return ret;
}

static ssize_t exchange(void *priv, const void *request, size_t request_sz,
			void *response, size_t response_sz, u32 timeout_us)
{
	ssize_t ret;

	WARN_ON(atomic_inc_return(&exchanging) != 1);
	WARN_ON(!timeout_us || request_sz < 4);
	switch (READ_ONCE(fault)) {
	case TIMEOUT:
		ret = -ETIMEDOUT;
		break;
	case GONE:
		ret = -ENODEV;
		break;
	case TOO_LARGE:
		ret = -EMSGSIZE;
		break;
	case IO:
		ret = -EIO;
		break;
	case BEYOND:
		ret = response_sz + 1;
		break;
	case SLOW:
		msleep(1000);
		fallthrough;
	default:
		ret = relay(priv, request, request_sz, response, response_sz);
	}
	atomic_dec(&exchanging);
	return ret;
}

static ssize_t create_store(struct device *dev, struct device_attribute *attr,
			    const char *words, size_t count)
{
	struct spdm_attester *made;
	char name[32], flaw[32] = "";

	if (sscanf(words, "%31s %31s", name, flaw) < 1)
		return -EINVAL;

	guard(mutex)(&lock);
	if (attester)
		return -EBUSY;
	transport = (struct spdm_transport) {
		.exchange = exchange,
		.max_message_size = 4096,
		.alignment = 4,
		.round_trip_us = 1000000,
	};
	if (!strcmp(flaw, "no-exchange"))
		transport.exchange = NULL;
	else if (!strcmp(flaw, "small"))
		transport.max_message_size = 41;
	else if (!strcmp(flaw, "alignment-0"))
		transport.alignment = 0;
	else if (!strcmp(flaw, "alignment-8"))
		transport.alignment = 8;

	made = spdm_create(strcmp(flaw, "no-device") ? dev : NULL,
			   strcmp(flaw, "no-name") ? name : NULL,
			   strcmp(flaw, "no-transport") ? &transport : NULL, pdev);
	if (IS_ERR(made))
		return PTR_ERR(made);
	WRITE_ONCE(attester, made);
	return count;
}
static DEVICE_ATTR_WO(create);

static ssize_t authenticate_store(struct device *dev, struct device_attribute *attr,
				  const char *words, size_t count)
{
	/* Without the lock: destroying an attester ends its attestation */
	struct spdm_attester *which = READ_ONCE(attester);
	int ret = which ? spdm_authenticate(which) : -ENOENT;

	return ret ? ret : count;
}
static DEVICE_ATTR_WO(authenticate);

static ssize_t destroy_store(struct device *dev, struct device_attribute *attr,
			     const char *words, size_t count)
{
	guard(mutex)(&lock);
	if (!attester)
		return -ENOENT;
	spdm_destroy(attester);
	WRITE_ONCE(attester, NULL);
	return count;
}
static DEVICE_ATTR_WO(destroy);

static ssize_t fault_store(struct device *dev, struct device_attribute *attr,
			   const char *word, size_t count)
{
	int index = sysfs_match_string(faults, word);

	if (index < 0)
		return index;
	WRITE_ONCE(fault, index);
	return count;
}
static DEVICE_ATTR_WO(fault);

static struct attribute *spdm_api_test_attrs[] = {
	&dev_attr_create.attr,
	&dev_attr_authenticate.attr,
	&dev_attr_destroy.attr,
	&dev_attr_fault.attr,
	NULL
};
ATTRIBUTE_GROUPS(spdm_api_test);

static int __init spdm_api_test_init(void)
{
	unsigned int domain, bus, slot, func;

	if (sscanf(function, "%x:%x:%x.%u", &domain, &bus, &slot, &func) != 4)
		return -EINVAL;
	pdev = pci_get_domain_bus_and_slot(domain, bus, PCI_DEVFN(slot, func));
	if (!pdev)
		return -ENODEV;
	mailbox = pci_find_doe_mailbox(pdev, PCI_VENDOR_ID_PCI_SIG, PCI_DOE_FEATURE_CMA);
	if (!mailbox) {
		pci_dev_put(pdev);
		return -ENODEV;
	}
	faux = faux_device_create_with_groups("spdm_api_test", NULL, NULL,
					      spdm_api_test_groups);
	if (!faux) {
		pci_dev_put(pdev);
		return -ENODEV;
	}
	return 0;
}

static void __exit spdm_api_test_exit(void)
{
	/* The attester is a child of the device. No test makes another one now. */
	if (attester)
		spdm_destroy(attester);
	faux_device_destroy(faux);
	pci_dev_put(pdev);
}

module_init(spdm_api_test_init);
module_exit(spdm_api_test_exit);

MODULE_DESCRIPTION("Test of the interface of SPDM for other kernel code");
MODULE_LICENSE("GPL");
