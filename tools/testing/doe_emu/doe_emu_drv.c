// SPDX-License-Identifier: GPL-2.0
/*
 * Driver for the functions of doe_emu that does nothing but say when it was called
 *
 * One line in the log for each callback, with CLOCK_MONOTONIC in nanoseconds:
 * "doe_emu_drv 10000:00:00.0: probe 1234567890". So a test can tell what was
 * known before probe, and what happens in which order on suspend and resume.
 * The time that printk puts in front is of another clock.
 */

#include <linux/module.h>
#include <linux/pci.h>
#include <linux/pm.h>
#include <linux/pm_runtime.h>
#include <linux/timekeeping.h>

#include "doe_emu.h"

static void doe_emu_drv_log(struct device *dev, const char *event)
{
	dev_info(dev, "%s %llu\n", event, ktime_get_ns());
}

static int doe_emu_drv_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	int ret;

	doe_emu_drv_log(&pdev->dev, "probe");
	ret = pcim_enable_device(pdev);
	if (ret)
		return ret;
	pci_set_master(pdev);
	/* Runtime PM then is a matter of power/control */
	pm_runtime_put_noidle(&pdev->dev);
	return 0;
}

static void doe_emu_drv_remove(struct pci_dev *pdev)
{
	doe_emu_drv_log(&pdev->dev, "remove");
	pm_runtime_get_noresume(&pdev->dev);
	pci_clear_master(pdev);
}

static void doe_emu_drv_shutdown(struct pci_dev *pdev)
{
	doe_emu_drv_log(&pdev->dev, "shutdown");
}

static void doe_emu_drv_reset_prepare(struct pci_dev *pdev)
{
	doe_emu_drv_log(&pdev->dev, "reset_prepare");
}

static void doe_emu_drv_reset_done(struct pci_dev *pdev)
{
	doe_emu_drv_log(&pdev->dev, "reset_done");
}

static const struct pci_error_handlers doe_emu_drv_err_handler = {
	.reset_prepare = doe_emu_drv_reset_prepare,
	.reset_done = doe_emu_drv_reset_done,
};

#define DOE_EMU_DRV_PM(_name)						\
static int doe_emu_drv_##_name(struct device *dev)			\
{									\
	doe_emu_drv_log(dev, #_name);					\
	return 0;							\
}

DOE_EMU_DRV_PM(suspend)
DOE_EMU_DRV_PM(suspend_late)
DOE_EMU_DRV_PM(suspend_noirq)
DOE_EMU_DRV_PM(resume_noirq)
DOE_EMU_DRV_PM(resume_early)
DOE_EMU_DRV_PM(resume)
DOE_EMU_DRV_PM(freeze)
DOE_EMU_DRV_PM(freeze_noirq)
DOE_EMU_DRV_PM(thaw_noirq)
DOE_EMU_DRV_PM(thaw)
DOE_EMU_DRV_PM(poweroff)
DOE_EMU_DRV_PM(restore_noirq)
DOE_EMU_DRV_PM(restore_early)
DOE_EMU_DRV_PM(restore)
DOE_EMU_DRV_PM(runtime_suspend)
DOE_EMU_DRV_PM(runtime_resume)

static const struct dev_pm_ops doe_emu_drv_pm_ops = {
	.suspend = doe_emu_drv_suspend,
	.suspend_late = doe_emu_drv_suspend_late,
	.suspend_noirq = doe_emu_drv_suspend_noirq,
	.resume_noirq = doe_emu_drv_resume_noirq,
	.resume_early = doe_emu_drv_resume_early,
	.resume = doe_emu_drv_resume,
	.freeze = doe_emu_drv_freeze,
	.freeze_noirq = doe_emu_drv_freeze_noirq,
	.thaw_noirq = doe_emu_drv_thaw_noirq,
	.thaw = doe_emu_drv_thaw,
	.poweroff = doe_emu_drv_poweroff,
	.restore_noirq = doe_emu_drv_restore_noirq,
	.restore_early = doe_emu_drv_restore_early,
	.restore = doe_emu_drv_restore,
	.runtime_suspend = doe_emu_drv_runtime_suspend,
	.runtime_resume = doe_emu_drv_runtime_resume,
};

static const struct pci_device_id doe_emu_drv_ids[] = {
	{ PCI_DEVICE(DOE_EMU_VENDOR, DOE_EMU_DEVICE) },
	{ }
};
MODULE_DEVICE_TABLE(pci, doe_emu_drv_ids);

static struct pci_driver doe_emu_drv = {
	.name = KBUILD_MODNAME,
	.id_table = doe_emu_drv_ids,
	.probe = doe_emu_drv_probe,
	.remove = doe_emu_drv_remove,
	.shutdown = doe_emu_drv_shutdown,
	.err_handler = &doe_emu_drv_err_handler,
	.driver = {
		.pm = &doe_emu_drv_pm_ops,
		/* As nvme does: one function's probe does not hold up another's */
		.probe_type = PROBE_PREFER_ASYNCHRONOUS,
	},
};
module_pci_driver(doe_emu_drv);

MODULE_DESCRIPTION("Driver for doe_emu functions that logs its callbacks, for tests");
MODULE_LICENSE("GPL");
