// SPDX-License-Identifier: GPL-2.0
/*
 * A TSM that does nothing but being there
 *
 * While this module is loaded, the PCI/TSM core shows its attributes on all
 * functions that could be attested by a TSM, such as those of doe_emu. In a
 * kernel without PCI/TSM, this module puts such attributes on those of doe_emu
 * itself, in the same order.
 */

#include <linux/module.h>
#include <linux/pci.h>
#include <linux/sysfs.h>

#include "../../doe_emu/doe_emu.h"

#if IS_ENABLED(CONFIG_PCI_TSM) && IS_ENABLED(CONFIG_TSM)

#include <linux/pci-tsm.h>
#include <linux/tsm.h>

static struct pci_tsm *tsm_test_probe(struct tsm_dev *tsm_dev, struct pci_dev *pdev)
{
	return NULL;
}

static struct pci_tsm_ops tsm_test_ops = {
	.probe = tsm_test_probe,
};

static struct tsm_dev *tsm_test;

static int __init tsm_test_init(void)
{
	tsm_test = tsm_register(NULL, &tsm_test_ops);
	return PTR_ERR_OR_ZERO(tsm_test);
}

static void __exit tsm_test_exit(void)
{
	tsm_unregister(tsm_test);
}

#else

static bool shown;

static ssize_t value_show(struct device *dev, struct device_attribute *attr, char *page)
{
	return sysfs_emit(page, "\n");
}

static struct device_attribute dev_attr_authenticated = __ATTR(authenticated, 0444, value_show, NULL);
static struct device_attribute dev_attr_connect = __ATTR(connect, 0444, value_show, NULL);

static umode_t tsm_test_visible(struct kobject *kobj, struct attribute *attr, int n)
{
	return shown ? attr->mode : SYSFS_GROUP_INVISIBLE;
}

static struct attribute *auth_attrs[] = { &dev_attr_authenticated.attr, NULL };
static const struct attribute_group auth_group = {
	.attrs = auth_attrs,
	.is_visible = tsm_test_visible,
};

static struct attribute *tsm_attrs[] = { &dev_attr_connect.attr, NULL };
static const struct attribute_group tsm_group = {
	.name = "tsm",
	.attrs = tsm_attrs,
	.is_visible = tsm_test_visible,
};

static int tsm_test_show(bool show)
{
	struct pci_dev *pdev = NULL;
	int ret = 0;

	shown = show;
	while ((pdev = pci_get_device(DOE_EMU_VENDOR, DOE_EMU_DEVICE, pdev))) {
		ret = ret ?: sysfs_update_group(&pdev->dev.kobj, &auth_group);
		ret = ret ?: sysfs_update_group(&pdev->dev.kobj, &tsm_group);
	}
	return ret;
}

static int __init tsm_test_init(void)
{
	return tsm_test_show(true);
}

static void __exit tsm_test_exit(void)
{
	tsm_test_show(false);
}

#endif

module_init(tsm_test_init);
module_exit(tsm_test_exit);

MODULE_DESCRIPTION("A TSM for tests");
MODULE_LICENSE("GPL");
