// SPDX-License-Identifier: GPL-2.0
/*
 * Software PCI functions with a DOE mailbox (PCIe r6, sec 6.30)
 *
 * A host bridge without hardware carries up to 32 endpoints. The PCI core and
 * its DOE code find and use them as they would real ones. DOE discovery is
 * answered here; CMA/SPDM data objects go to user space through /dev/doe_emuN,
 * whose reader plays the device. Unlike a mailbox emulated by a virtual machine
 * monitor this one is asynchronous: Busy, delays, timeouts, aborts, several
 * functions at work at once and misbehaving hardware can be had. See README.rst.
 */

#include <linux/bitfield.h>
#include <linux/cleanup.h>
#include <linux/fs.h>
#include <linux/hrtimer.h>
#include <linux/irq_work.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/numa.h>
#include <linux/pci.h>
#include <linux/poll.h>
#include <linux/sched.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/sysfs.h>
#include <linux/uaccess.h>
#include <linux/wait.h>

#include "doe_emu.h"

#define DOE_EMU_MAX_DEVICES	32	/* Function 0 of each device of a bus */

/* Config space: capabilities, and the end of what is not zero */
#define DOE_EMU_PM		0x40
#define DOE_EMU_EXP		0x48
#define DOE_EMU_DOE		0x100
#define DOE_EMU_DSN		0x120
#define DOE_EMU_CFG_SIZE	0x130

/* Largest request in dwords, largest response in bytes */
#define DOE_EMU_REQ_MAX		(SZ_128K / sizeof(__le32))
#define DOE_EMU_RSP_MAX		SZ_1M

#define DOE_EMU_MAX_LENGTH	BIT(18)		/* dwords; encoded as 0 */
#define DOE_EMU_HEADER		2		/* dwords */

/* Data object types */
#define DOE_EMU_DISCOVERY	0
#define DOE_EMU_CMA		1
#define DOE_EMU_SECURED_CMA	2

/* Faults, in the order of their names */
#define FAULT_BUSY		BIT(0)
#define FAULT_IGNORE_ABORT	BIT(1)
#define FAULT_LATE		BIT(2)
#define FAULT_ERROR		BIT(3)
#define FAULT_ERROR_READ	BIT(4)
#define FAULT_SILENT		BIT(5)
#define FAULT_VANISH		BIT(6)
#define FAULT_LENGTH_ONE	BIT(7)
#define FAULT_LENGTH_SHORT	BIT(8)
#define FAULT_LENGTH_LONG	BIT(9)
#define FAULT_LENGTH_MAX	BIT(10)
#define FAULT_VENDOR		BIT(11)
#define FAULT_TYPE		BIT(12)
#define FAULT_PADDING		BIT(13)
#define FAULT_UNPLUG		BIT(14)
#define FAULT_DISCOVERY_CYCLE	BIT(15)
#define FAULT_DISCOVERY		BIT(16)

/* These are a state of the mailbox rather than of one data object */
#define FAULT_LEVEL		(FAULT_BUSY | FAULT_IGNORE_ABORT | FAULT_LATE)

static const char * const doe_emu_faults[] = {
	"busy", "ignore-abort", "late", "error", "error-read", "silent",
	"vanish", "length-1", "length-short", "length-long", "length-max",
	"wrong-vendor", "wrong-type", "padding", "unplug", "discovery-cycle",
	"discovery",
};

static unsigned int devices = 1;
module_param(devices, uint, 0444);
MODULE_PARM_DESC(devices, "Number of functions, 1 to 32");

static bool plugged = true;
module_param(plugged, bool, 0444);
MODULE_PARM_DESC(plugged, "Functions are there from the start");

static bool nofreeze = true;
module_param(nofreeze, bool, 0644);
MODULE_PARM_DESC(nofreeze, "Responders go on answering while the system sleeps and wakes");

/*
 * Between Go and Ready the mailbox says Busy. One data object at a time: a
 * write to the write mailbox in any state but IDLE is an overflow.
 */
enum doe_emu_state {
	DOE_EMU_IDLE,
	DOE_EMU_QUEUED,		/* Request waits for the responder to read it */
	DOE_EMU_TAKEN,		/* Responder has it */
	DOE_EMU_SILENT,		/* Nobody will answer */
	DOE_EMU_ANSWERED,	/* Response waits for its time */
	DOE_EMU_READY,
};

struct doe_emu_fn {
	struct miscdevice misc;		/* Responder's device, and the attributes */
	char name[20];
	unsigned int devfn;

	/*
	 * Protects all up to the counters. Raw, as config accesses may come
	 * with the PCI core's raw lock held.
	 */
	raw_spinlock_t lock;
	bool present;			/* Config cycles are answered */
	bool opened;			/* A responder is there */
	bool reset;			/* Responder is to be told of a reset */
	bool error;			/* DOE Error */
	enum doe_emu_state state;
	u32 cfg[DOE_EMU_CFG_SIZE / sizeof(u32)];
	u64 serial;			/* 0: no such capability */

	u32 fault;			/* Faults chosen */
	u32 active;			/* Faults at work */
	u8 fault_code;			/* SPDM request that meets them, 0: any */
	u32 fault_times;		/* Then they are over, 0: never */
	u32 delay_us;			/* From Go to Data Object Ready, at least */
	ktime_t due;			/* Earliest time of the response */
	struct hrtimer timer;

	__le32 *req;			/* Request as written to the mailbox */
	u32 req_len;			/* dwords */
	__le32 *taken;			/* Request as read, under read_lock */
	__le32 discovery[4];		/* Response, and room for padding */
	__le32 *rsp_buf;		/* Responder's response */
	u32 stale;			/* Size if it waits for the next request */
	__le32 *rsp;			/* Response under way, one of the two */
	u32 rsp_size;			/* Bytes, without padding */
	u32 rsp_words;			/* dwords, with padding */
	u32 rsp_pos;			/* Next dword of the read mailbox */
	u32 rsp_end;			/* Where the read mailbox is empty */

	u32 requests;			/* Data objects accepted */
	u32 aborts;			/* Aborts obeyed */
	u32 resets;			/* Function level resets */

	struct irq_work wake;		/* Wakes wq from atomic context */
	wait_queue_head_t wq;		/* Responder waits for a request */
	struct mutex read_lock;		/* One reader at a time */
};

static struct pci_sysdata doe_emu_sysdata = { .node = NUMA_NO_NODE };
static struct pci_host_bridge *doe_emu_bridge;
static struct doe_emu_fn *doe_emu_fns;

static void doe_emu_idle(struct doe_emu_fn *fn)
{
	hrtimer_try_to_cancel(&fn->timer);
	fn->state = DOE_EMU_IDLE;
	fn->req_len = 0;
}

/* Power-on, insertion or function level reset */
static void doe_emu_reset(struct doe_emu_fn *fn)
{
	u32 *cfg = fn->cfg;

	lockdep_assert_held(&fn->lock);

	doe_emu_idle(fn);
	fn->error = false;
	fn->stale = 0;
	fn->reset = true;
	irq_work_queue(&fn->wake);

	memset(cfg, 0, sizeof(fn->cfg));
	cfg[PCI_VENDOR_ID / 4] = DOE_EMU_DEVICE << 16 | DOE_EMU_VENDOR;
	cfg[PCI_COMMAND / 4] = PCI_STATUS_CAP_LIST << 16;
	cfg[PCI_CLASS_REVISION / 4] = DOE_EMU_CLASS << 8 | DOE_EMU_REVISION;
	cfg[PCI_SUBSYSTEM_VENDOR_ID / 4] = DOE_EMU_DEVICE << 16 | DOE_EMU_VENDOR;
	cfg[PCI_CAPABILITY_LIST / 4] = DOE_EMU_PM;

	cfg[DOE_EMU_PM / 4] = 3 << 16 | DOE_EMU_EXP << 8 | PCI_CAP_ID_PM;
	cfg[(DOE_EMU_PM + PCI_PM_CTRL) / 4] = PCI_PM_CTRL_NO_SOFT_RESET;

	cfg[DOE_EMU_EXP / 4] = (2 | PCI_EXP_TYPE_RC_END << 4) << 16 | PCI_CAP_ID_EXP;
	/* With TEE-IO, so that a TSM could attest it, if there is one */
	cfg[(DOE_EMU_EXP + PCI_EXP_DEVCAP) / 4] = PCI_EXP_DEVCAP_RBER | PCI_EXP_DEVCAP_FLR |
						 PCI_EXP_DEVCAP_TEE;

	cfg[DOE_EMU_DOE / 4] = 1 << 16 | PCI_EXT_CAP_ID_DOE;
	if (fn->serial) {
		cfg[DOE_EMU_DOE / 4] |= DOE_EMU_DSN << 20;
		cfg[DOE_EMU_DSN / 4] = 1 << 16 | PCI_EXT_CAP_ID_DSN;
		cfg[DOE_EMU_DSN / 4 + 1] = lower_32_bits(fn->serial);
		cfg[DOE_EMU_DSN / 4 + 2] = upper_32_bits(fn->serial);
	}
}

/* Put the response into the read mailbox, with the faults that alter it */
static void doe_emu_ready(struct doe_emu_fn *fn)
{
	u32 words = DIV_ROUND_UP(fn->rsp_size, 4);
	u32 active = fn->active;
	u32 length;

	if (active & FAULT_PADDING) {
		words = fn->rsp_size / 4 + 1;
		memset((u8 *)fn->rsp + fn->rsp_size, 0xff, words * 4 - fn->rsp_size);
	}
	if (active & FAULT_VENDOR)
		fn->rsp[0] ^= cpu_to_le32(PCI_DOE_DATA_OBJECT_HEADER_1_VID);
	if (active & FAULT_TYPE)
		fn->rsp[0] ^= cpu_to_le32(FIELD_PREP(PCI_DOE_DATA_OBJECT_HEADER_1_TYPE, 3));

	length = words;
	fn->rsp_end = words;
	if (active & FAULT_LENGTH_ONE)
		length = 1;
	if (active & FAULT_LENGTH_SHORT)
		length = --fn->rsp_end;
	if (active & FAULT_LENGTH_LONG)
		length = words + 4;
	if (active & FAULT_LENGTH_MAX)
		length = DOE_EMU_MAX_LENGTH;
	if (active & FAULT_LENGTH_MAX)
		fn->rsp_end = DOE_EMU_MAX_LENGTH;
	if (active & FAULT_VANISH)
		fn->rsp_end = DOE_EMU_HEADER;
	fn->rsp[1] = cpu_to_le32(FIELD_PREP(PCI_DOE_DATA_OBJECT_HEADER_2_LENGTH,
					    length % DOE_EMU_MAX_LENGTH));

	fn->rsp_words = words;
	fn->rsp_pos = 0;
	fn->state = DOE_EMU_READY;
}

static enum hrtimer_restart doe_emu_timer(struct hrtimer *timer)
{
	struct doe_emu_fn *fn = container_of(timer, struct doe_emu_fn, timer);

	guard(raw_spinlock_irqsave)(&fn->lock);

	/* The timer may have waited here while its response was aborted */
	if (fn->state == DOE_EMU_ANSWERED && !ktime_before(ktime_get(), fn->due))
		doe_emu_ready(fn);
	return HRTIMER_NORESTART;
}

/* The response is known: it is ready when the delay since Go is over */
static void doe_emu_answer(struct doe_emu_fn *fn, __le32 *rsp, u32 size)
{
	fn->rsp = rsp;
	fn->rsp_size = size;
	fn->state = DOE_EMU_ANSWERED;
	/* It comes too late */
	if (fn->active & FAULT_SILENT)
		return;
	if (ktime_before(ktime_get(), fn->due))
		hrtimer_start(&fn->timer, fn->due, HRTIMER_MODE_ABS_HARD);
	else
		doe_emu_ready(fn);
}

/* PCIe r6, sec 6.30.1.1 */
static void doe_emu_discovery(struct doe_emu_fn *fn)
{
	u32 index = le32_to_cpu(fn->req[2]) & PCI_DOE_DATA_OBJECT_DISC_REQ_3_INDEX;
	u32 next = index < DOE_EMU_SECURED_CMA ? index + 1 : 0;
	u32 feature;

	if (!next && fn->active & FAULT_DISCOVERY_CYCLE)
		next = 1;

	if (index <= DOE_EMU_SECURED_CMA)
		feature = FIELD_PREP(PCI_DOE_DATA_OBJECT_DISC_RSP_3_VID, PCI_VENDOR_ID_PCI_SIG) |
			  FIELD_PREP(PCI_DOE_DATA_OBJECT_DISC_RSP_3_TYPE, index) |
			  FIELD_PREP(PCI_DOE_DATA_OBJECT_DISC_RSP_3_NEXT_INDEX, next);
	else
		feature = PCI_DOE_DATA_OBJECT_DISC_RSP_3_VID;

	fn->discovery[0] = fn->req[0];
	fn->discovery[2] = cpu_to_le32(feature);
	doe_emu_answer(fn, fn->discovery, 3 * sizeof(u32));
}

static bool doe_emu_fault_hits(struct doe_emu_fn *fn, u8 type)
{
	if (type == DOE_EMU_DISCOVERY)
		return fn->fault & (FAULT_DISCOVERY | FAULT_DISCOVERY_CYCLE);

	/* SPDM's request code is its second byte; secured messages have none */
	return !fn->fault_code ||
	       (type == DOE_EMU_CMA && fn->req_len > DOE_EMU_HEADER &&
		((u8 *)&fn->req[DOE_EMU_HEADER])[1] == fn->fault_code);
}

static void doe_emu_go(struct doe_emu_fn *fn)
{
	u32 head, length;
	u8 type;

	if (fn->error || fn->active & FAULT_BUSY || fn->state != DOE_EMU_IDLE)
		return;

	head = le32_to_cpu(fn->req[0]);
	length = le32_to_cpu(fn->req[1]) & PCI_DOE_DATA_OBJECT_HEADER_2_LENGTH;
	type = FIELD_GET(PCI_DOE_DATA_OBJECT_HEADER_1_TYPE, head);

	/* What is malformed or not supported is silently dropped */
	if (fn->req_len < DOE_EMU_HEADER || length != fn->req_len ||
	    FIELD_GET(PCI_DOE_DATA_OBJECT_HEADER_1_VID, head) != PCI_VENDOR_ID_PCI_SIG ||
	    type > DOE_EMU_SECURED_CMA ||
	    (type == DOE_EMU_DISCOVERY && length != 3)) {
		dev_warn_ratelimited(fn->misc.this_device,
				     "dropped a malformed or unsupported data object\n");
		fn->req_len = 0;
		return;
	}

	fn->due = ktime_add_us(ktime_get(), fn->delay_us);
	fn->requests++;
	fn->active &= FAULT_LEVEL;
	if (fn->fault && doe_emu_fault_hits(fn, type)) {
		fn->active = fn->fault;
		if (type == DOE_EMU_DISCOVERY && !(fn->fault & FAULT_DISCOVERY))
			fn->active &= FAULT_LEVEL | FAULT_DISCOVERY_CYCLE;
		if (fn->fault_times && !--fn->fault_times)
			fn->fault = 0;
	}

	if (fn->active & FAULT_UNPLUG)
		fn->present = false;

	if (fn->active & FAULT_ERROR) {
		fn->error = true;
		fn->req_len = 0;
	} else if (fn->active & FAULT_UNPLUG ||
		   (fn->active & (FAULT_SILENT | FAULT_LATE)) == FAULT_SILENT) {
		fn->state = DOE_EMU_SILENT;
	} else if (type == DOE_EMU_DISCOVERY) {
		doe_emu_discovery(fn);
	} else if (fn->stale) {
		doe_emu_answer(fn, fn->rsp_buf, fn->stale);
		fn->stale = 0;
	} else {
		fn->state = DOE_EMU_QUEUED;
		irq_work_queue(&fn->wake);
	}
}

static void doe_emu_write_ctrl(struct doe_emu_fn *fn, u32 val)
{
	if (val & PCI_DOE_CTRL_ABORT) {
		if (fn->active & FAULT_IGNORE_ABORT)
			return;
		if (fn->active & FAULT_LATE && fn->state == DOE_EMU_ANSWERED)
			fn->stale = fn->rsp_size;
		doe_emu_idle(fn);
		fn->error = false;
		fn->aborts++;
	} else if (val & PCI_DOE_CTRL_GO) {
		doe_emu_go(fn);
	}
}

static u32 doe_emu_read_status(struct doe_emu_fn *fn)
{
	u32 val = 0;

	if (fn->state == DOE_EMU_READY)
		val |= PCI_DOE_STATUS_DATA_OBJECT_READY;
	else if (fn->state != DOE_EMU_IDLE)
		val |= PCI_DOE_STATUS_BUSY;
	if (fn->active & FAULT_BUSY)
		val |= PCI_DOE_STATUS_BUSY;
	if (fn->error)
		val |= PCI_DOE_STATUS_ERROR;
	return val;
}

static void doe_emu_write_mailbox(struct doe_emu_fn *fn, u32 val)
{
	if (fn->state == DOE_EMU_IDLE && fn->req_len < DOE_EMU_REQ_MAX)
		fn->req[fn->req_len++] = cpu_to_le32(val);
	else
		fn->error = true;
}

static u32 doe_emu_read_mailbox(struct doe_emu_fn *fn)
{
	if (fn->state == DOE_EMU_READY && fn->rsp_pos < fn->rsp_words)
		return le32_to_cpu(fn->rsp[fn->rsp_pos]);
	return 0;
}

/* A write to the read mailbox acknowledges the dword that was read */
static void doe_emu_ack_mailbox(struct doe_emu_fn *fn)
{
	if (fn->state != DOE_EMU_READY) {
		fn->error = true;
		return;
	}
	if (++fn->rsp_pos >= fn->rsp_end)
		doe_emu_idle(fn);
	if (fn->rsp_pos == DOE_EMU_HEADER && fn->active & FAULT_ERROR_READ)
		fn->error = true;
}

/* Bits of a register that keep what is written to them */
static u32 doe_emu_writable(int reg)
{
	switch (reg) {
	case PCI_COMMAND:
		return PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER |
		       PCI_COMMAND_PARITY | PCI_COMMAND_SERR | PCI_COMMAND_INTX_DISABLE;
	case PCI_CACHE_LINE_SIZE:
	case PCI_INTERRUPT_LINE:
		return 0xff;
	case DOE_EMU_PM + PCI_PM_CTRL:
		return PCI_PM_CTRL_STATE_MASK;
	case DOE_EMU_EXP + PCI_EXP_DEVCTL:
		return 0x7fff;
	default:
		return 0;
	}
}

/* Write the bits of @mask in the dword register @reg */
static void doe_emu_write_reg(struct doe_emu_fn *fn, int reg, u32 val, u32 mask)
{
	u32 *cfg = &fn->cfg[reg / 4];
	u32 pm_state;

	/* The mailbox works in D0 and by whole dwords */
	if (reg > DOE_EMU_DOE && reg < DOE_EMU_DSN) {
		pm_state = fn->cfg[(DOE_EMU_PM + PCI_PM_CTRL) / 4] & PCI_PM_CTRL_STATE_MASK;
		if (pm_state || mask != U32_MAX)
			return;
		if (reg == DOE_EMU_DOE + PCI_DOE_CTRL)
			doe_emu_write_ctrl(fn, val);
		else if (reg == DOE_EMU_DOE + PCI_DOE_WRITE)
			doe_emu_write_mailbox(fn, val);
		else if (reg == DOE_EMU_DOE + PCI_DOE_READ)
			doe_emu_ack_mailbox(fn);
		return;
	}

	if (reg == DOE_EMU_EXP + PCI_EXP_DEVCTL && val & mask & PCI_EXP_DEVCTL_BCR_FLR) {
		fn->resets++;
		doe_emu_reset(fn);
		return;
	}

	/* D1 and D2 are not supported: the write is dropped */
	pm_state = val & PCI_PM_CTRL_STATE_MASK;
	if (reg == DOE_EMU_PM + PCI_PM_CTRL && (pm_state == 1 || pm_state == 2))
		return;

	mask &= doe_emu_writable(reg);
	*cfg = (*cfg & ~mask) | (val & mask);
}

static u32 doe_emu_read_reg(struct doe_emu_fn *fn, int reg)
{
	switch (reg) {
	case DOE_EMU_DOE + PCI_DOE_STATUS:
		return doe_emu_read_status(fn);
	case DOE_EMU_DOE + PCI_DOE_READ:
		return doe_emu_read_mailbox(fn);
	default:
		return fn->cfg[reg / 4];
	}
}

static struct doe_emu_fn *doe_emu_find(unsigned int devfn)
{
	if (PCI_FUNC(devfn) || PCI_SLOT(devfn) >= devices)
		return NULL;
	return &doe_emu_fns[PCI_SLOT(devfn)];
}

static int doe_emu_config_read(struct pci_bus *bus, unsigned int devfn, int where,
			       int size, u32 *val)
{
	struct doe_emu_fn *fn = doe_emu_find(devfn);

	if (!fn)
		return PCIBIOS_DEVICE_NOT_FOUND;

	guard(raw_spinlock_irqsave)(&fn->lock);

	if (!fn->present)
		return PCIBIOS_DEVICE_NOT_FOUND;

	*val = 0;
	if (where < DOE_EMU_CFG_SIZE)
		*val = doe_emu_read_reg(fn, where & ~3) >> (where % 4 * 8);
	if (size < 4)
		*val &= BIT(size * 8) - 1;
	return PCIBIOS_SUCCESSFUL;
}

static int doe_emu_config_write(struct pci_bus *bus, unsigned int devfn, int where,
				int size, u32 val)
{
	u32 mask = size < 4 ? BIT(size * 8) - 1 : U32_MAX;
	struct doe_emu_fn *fn = doe_emu_find(devfn);
	int shift = where % 4 * 8;

	if (!fn)
		return PCIBIOS_DEVICE_NOT_FOUND;

	guard(raw_spinlock_irqsave)(&fn->lock);

	if (!fn->present)
		return PCIBIOS_DEVICE_NOT_FOUND;

	if (where < DOE_EMU_CFG_SIZE)
		doe_emu_write_reg(fn, where & ~3, val << shift, mask << shift);
	return PCIBIOS_SUCCESSFUL;
}

static struct pci_ops doe_emu_pci_ops = {
	.read = doe_emu_config_read,
	.write = doe_emu_config_write,
};

static void doe_emu_wake(struct irq_work *work)
{
	wake_up(&container_of(work, struct doe_emu_fn, wake)->wq);
}

static bool doe_emu_readable(struct doe_emu_fn *fn)
{
	guard(raw_spinlock_irqsave)(&fn->lock);

	return fn->reset || fn->state == DOE_EMU_QUEUED;
}

static struct doe_emu_fn *doe_emu_from_file(struct file *file)
{
	return container_of(file->private_data, struct doe_emu_fn, misc);
}

static int doe_emu_open(struct inode *inode, struct file *file)
{
	struct doe_emu_fn *fn = doe_emu_from_file(file);

	scoped_guard(raw_spinlock_irq, &fn->lock) {
		if (fn->opened)
			return -EBUSY;
		fn->opened = true;
		fn->reset = false;
	}
	return stream_open(inode, file);
}

static int doe_emu_release(struct inode *inode, struct file *file)
{
	struct doe_emu_fn *fn = doe_emu_from_file(file);

	guard(raw_spinlock_irq)(&fn->lock);

	fn->opened = false;
	return 0;
}

/* One whole data object, or -ECONNRESET once after a reset or insertion */
static ssize_t doe_emu_read(struct file *file, char __user *buf, size_t count, loff_t *ppos)
{
	struct doe_emu_fn *fn = doe_emu_from_file(file);
	size_t size = 0;
	int ret;

	/*
	 * A device does not stop when tasks are frozen, and it is asked again
	 * before they are thawed: its responder must run all the time.
	 */
	if (nofreeze)
		current->flags |= PF_NOFREEZE;

	do {
		if (!doe_emu_readable(fn)) {
			if (file->f_flags & O_NONBLOCK)
				return -EAGAIN;
			ret = wait_event_interruptible(fn->wq, doe_emu_readable(fn));
			if (ret)
				return ret;
		}

		guard(mutex)(&fn->read_lock);

		scoped_guard(raw_spinlock_irq, &fn->lock) {
			if (fn->reset) {
				fn->reset = false;
				return -ECONNRESET;
			}
			if (fn->state != DOE_EMU_QUEUED)
				break;
			size = fn->req_len * sizeof(u32);
			if (count < size)
				return -EMSGSIZE;
			swap(fn->req, fn->taken);
			fn->state = DOE_EMU_TAKEN;
		}

		if (size && copy_to_user(buf, fn->taken, size))
			return -EFAULT;
	} while (!size);

	return size;
}

/* The response, as one data object; padding to a whole dword may be left out */
static ssize_t doe_emu_write(struct file *file, const char __user *buf, size_t count,
			     loff_t *ppos)
{
	struct doe_emu_fn *fn = doe_emu_from_file(file);
	__le32 *rsp, *old = NULL;
	ssize_t ret = count;
	u32 length;

	if (count < DOE_EMU_HEADER * sizeof(u32) || count > DOE_EMU_RSP_MAX)
		return -EMSGSIZE;

	/* One dword more for the padding fault */
	rsp = kvzalloc(round_up(count, 4) + 4, GFP_KERNEL);
	if (!rsp)
		return -ENOMEM;
	if (copy_from_user(rsp, buf, count)) {
		ret = -EFAULT;
		goto out;
	}

	length = le32_to_cpu(rsp[1]) & PCI_DOE_DATA_OBJECT_HEADER_2_LENGTH;
	if (DIV_ROUND_UP(count, 4) != (length ?: DOE_EMU_MAX_LENGTH)) {
		ret = -EINVAL;
		goto out;
	}

	scoped_guard(raw_spinlock_irq, &fn->lock) {
		bool late = fn->active & FAULT_LATE && fn->state <= DOE_EMU_QUEUED;

		/* The request was aborted in the meantime, or there was none */
		if (fn->state != DOE_EMU_TAKEN && !late) {
			ret = -ECANCELED;
			break;
		}
		old = fn->rsp_buf;
		fn->rsp_buf = rsp;
		rsp = NULL;
		if (fn->state == DOE_EMU_IDLE)
			fn->stale = count;
		else
			doe_emu_answer(fn, fn->rsp_buf, count);
	}
out:
	kvfree(old);
	kvfree(rsp);
	return ret;
}

static __poll_t doe_emu_poll(struct file *file, poll_table *wait)
{
	struct doe_emu_fn *fn = doe_emu_from_file(file);

	poll_wait(file, &fn->wq, wait);
	return EPOLLOUT | EPOLLWRNORM | (doe_emu_readable(fn) ? EPOLLIN | EPOLLRDNORM : 0);
}

static const struct file_operations doe_emu_fops = {
	.owner = THIS_MODULE,
	.open = doe_emu_open,
	.release = doe_emu_release,
	.read = doe_emu_read,
	.write = doe_emu_write,
	.poll = doe_emu_poll,
};

static struct doe_emu_fn *doe_emu_from_dev(struct device *dev)
{
	return container_of(dev_get_drvdata(dev), struct doe_emu_fn, misc);
}

static ssize_t address_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%04x:00:%02x.0\n", doe_emu_sysdata.domain,
			  PCI_SLOT(doe_emu_from_dev(dev)->devfn));
}
static DEVICE_ATTR_RO(address);

#define DOE_EMU_SHOW(_name, _format)						\
static ssize_t _name##_show(struct device *dev, struct device_attribute *attr,	\
			    char *buf)						\
{										\
	return sysfs_emit(buf, _format, doe_emu_from_dev(dev)->_name);		\
}										\
static_assert(true)

static void doe_emu_set_present(struct doe_emu_fn *fn, bool present)
{
	guard(raw_spinlock_irq)(&fn->lock);

	if (present && !fn->present)
		doe_emu_reset(fn);
	fn->present = present;
}

static ssize_t present_store(struct device *dev, struct device_attribute *attr,
			     const char *buf, size_t count)
{
	bool present;
	int ret;

	ret = kstrtobool(buf, &present);
	if (ret)
		return ret;

	doe_emu_set_present(doe_emu_from_dev(dev), present);
	return count;
}
DOE_EMU_SHOW(present, "%d\n");
static DEVICE_ATTR_RW(present);

static ssize_t plugged_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	struct doe_emu_fn *fn = doe_emu_from_dev(dev);
	struct pci_dev *pdev = pci_get_slot(doe_emu_bridge->bus, fn->devfn);

	pci_dev_put(pdev);
	return sysfs_emit(buf, "%d\n", !!pdev);
}

static ssize_t plugged_store(struct device *dev, struct device_attribute *attr,
			     const char *buf, size_t count)
{
	struct doe_emu_fn *fn = doe_emu_from_dev(dev);
	struct pci_dev *pdev;
	bool plug;
	int ret;

	ret = kstrtobool(buf, &plug);
	if (ret)
		return ret;

	pci_lock_rescan_remove();
	if (plug) {
		doe_emu_set_present(fn, true);
		pci_scan_slot(doe_emu_bridge->bus, fn->devfn);
		pci_bus_add_devices(doe_emu_bridge->bus);
	} else {
		pdev = pci_get_slot(doe_emu_bridge->bus, fn->devfn);
		/* As a hot-plug driver does that has lost the link */
		if (pdev && !fn->present)
			xchg(&pdev->error_state, pci_channel_io_perm_failure);
		if (pdev)
			pci_stop_and_remove_bus_device(pdev);
		pci_dev_put(pdev);
		doe_emu_set_present(fn, false);
	}
	pci_unlock_rescan_remove();
	return count;
}
static DEVICE_ATTR_RW(plugged);

/* Take the power of a function that is suspended, or give it back: what the platform does in D3cold */
static ssize_t cold_store(struct device *dev, struct device_attribute *attr,
			  const char *buf, size_t count)
{
	struct doe_emu_fn *fn = doe_emu_from_dev(dev);
	struct pci_dev *pdev;
	ssize_t ret = count;
	bool cold;

	if (kstrtobool(buf, &cold))
		return -EINVAL;

	pdev = pci_get_slot(doe_emu_bridge->bus, fn->devfn);
	if (!pdev || pdev->current_state < PCI_D3hot) {
		ret = -EBUSY;
	} else {
		doe_emu_set_present(fn, !cold);
		pdev->current_state = PCI_D3cold;
	}
	pci_dev_put(pdev);
	return ret;
}
static DEVICE_ATTR_WO(cold);

static ssize_t fault_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	unsigned long fault = doe_emu_from_dev(dev)->fault;
	unsigned int i;
	int len = 0;

	for_each_set_bit(i, &fault, ARRAY_SIZE(doe_emu_faults))
		len += sysfs_emit_at(buf, len, "%s%s", len ? " " : "", doe_emu_faults[i]);
	return len + sysfs_emit_at(buf, len, "%s\n", len ? "" : "none");
}

/* Names separated by spaces or commas, or "none" */
static ssize_t fault_store(struct device *dev, struct device_attribute *attr,
			   const char *buf, size_t count)
{
	struct doe_emu_fn *fn = doe_emu_from_dev(dev);
	char copy[256], *rest = copy, *name;
	u32 fault = 0;
	int i;

	if (strscpy(copy, buf) < 0)
		return -E2BIG;

	while ((name = strsep(&rest, " ,\n"))) {
		if (!*name || !strcmp(name, "none"))
			continue;
		i = match_string(doe_emu_faults, ARRAY_SIZE(doe_emu_faults), name);
		if (i < 0)
			return i;
		fault |= BIT(i);
	}

	guard(raw_spinlock_irq)(&fn->lock);

	/* A data object that is under way keeps the faults it met */
	fn->fault = fault;
	fn->active &= ~FAULT_LEVEL;
	if (!fn->fault_code)
		fn->active |= fault & FAULT_LEVEL;
	return count;
}
static DEVICE_ATTR_RW(fault);

#define DOE_EMU_ATTR_RW(_name, _type, _parse, _base, _format)			\
DOE_EMU_SHOW(_name, _format);							\
										\
static ssize_t _name##_store(struct device *dev, struct device_attribute *attr,	\
			     const char *buf, size_t count)			\
{										\
	struct doe_emu_fn *fn = doe_emu_from_dev(dev);				\
	_type val;								\
	int ret;								\
										\
	ret = _parse(buf, _base, &val);						\
	if (ret)								\
		return ret;							\
	guard(raw_spinlock_irq)(&fn->lock);					\
	fn->_name = val;							\
	return count;								\
}										\
static DEVICE_ATTR_RW(_name)

DOE_EMU_ATTR_RW(serial, u64, kstrtou64, 16, "%016llx\n");
DOE_EMU_ATTR_RW(fault_code, u8, kstrtou8, 16, "%02x\n");
DOE_EMU_ATTR_RW(fault_times, u32, kstrtou32, 10, "%u\n");
DOE_EMU_ATTR_RW(delay_us, u32, kstrtou32, 10, "%u\n");

DOE_EMU_SHOW(requests, "%u\n");
static DEVICE_ATTR_RO(requests);

DOE_EMU_SHOW(aborts, "%u\n");
static DEVICE_ATTR_RO(aborts);

DOE_EMU_SHOW(resets, "%u\n");
static DEVICE_ATTR_RO(resets);

static struct attribute *doe_emu_attrs[] = {
	&dev_attr_address.attr,
	&dev_attr_present.attr,
	&dev_attr_plugged.attr,
	&dev_attr_cold.attr,
	&dev_attr_serial.attr,
	&dev_attr_fault.attr,
	&dev_attr_fault_code.attr,
	&dev_attr_fault_times.attr,
	&dev_attr_delay_us.attr,
	&dev_attr_requests.attr,
	&dev_attr_aborts.attr,
	&dev_attr_resets.attr,
	NULL
};
ATTRIBUTE_GROUPS(doe_emu);

static int doe_emu_create(struct doe_emu_fn *fn, unsigned int index)
{
	fn->devfn = PCI_DEVFN(index, 0);
	raw_spin_lock_init(&fn->lock);
	mutex_init(&fn->read_lock);
	init_waitqueue_head(&fn->wq);
	init_irq_work(&fn->wake, doe_emu_wake);
	hrtimer_setup(&fn->timer, doe_emu_timer, CLOCK_MONOTONIC, HRTIMER_MODE_ABS_HARD);

	fn->req = kvmalloc_array(DOE_EMU_REQ_MAX, sizeof(*fn->req), GFP_KERNEL);
	fn->taken = kvmalloc_array(DOE_EMU_REQ_MAX, sizeof(*fn->taken), GFP_KERNEL);
	if (!fn->req || !fn->taken)
		goto err_free;

	snprintf(fn->name, sizeof(fn->name), "doe_emu%u", index);
	fn->misc.minor = MISC_DYNAMIC_MINOR;
	fn->misc.name = fn->name;
	fn->misc.fops = &doe_emu_fops;
	fn->misc.groups = doe_emu_groups;
	fn->misc.mode = 0600;
	return 0;

err_free:
	kvfree(fn->req);
	kvfree(fn->taken);
	return -ENOMEM;
}

static void doe_emu_destroy(struct doe_emu_fn *fn)
{
	hrtimer_cancel(&fn->timer);
	irq_work_sync(&fn->wake);
	kvfree(fn->req);
	kvfree(fn->taken);
	kvfree(fn->rsp_buf);
}

/* An empty bus in a domain of its own */
static int doe_emu_add_bus(void)
{
	int ret;

	doe_emu_bridge = pci_alloc_host_bridge(0);
	if (!doe_emu_bridge)
		return -ENOMEM;

	/* Numbers that ACPI does not use; the bridge gives its number back */
	ret = pci_bus_find_emul_domain_nr(0, 0x10000, INT_MAX);
	if (ret < 0)
		goto err_free;

	doe_emu_sysdata.domain = ret;
	doe_emu_bridge->domain_nr = ret;
	doe_emu_bridge->sysdata = &doe_emu_sysdata;
	doe_emu_bridge->ops = &doe_emu_pci_ops;

	pci_lock_rescan_remove();
	ret = pci_scan_root_bus_bridge(doe_emu_bridge);
	pci_unlock_rescan_remove();
	if (ret)
		goto err_free;
	return 0;

err_free:
	pci_free_host_bridge(doe_emu_bridge);
	return ret;
}

static void doe_emu_remove_bus(void)
{
	pci_lock_rescan_remove();
	pci_stop_root_bus(doe_emu_bridge->bus);
	pci_remove_root_bus(doe_emu_bridge->bus);
	pci_unlock_rescan_remove();
	pci_free_host_bridge(doe_emu_bridge);
}

static int __init doe_emu_init(void)
{
	unsigned int created, registered = 0, i;
	int ret;

	if (!devices || devices > DOE_EMU_MAX_DEVICES)
		return -EINVAL;

	doe_emu_fns = kzalloc_objs(*doe_emu_fns, devices);
	if (!doe_emu_fns)
		return -ENOMEM;

	for (created = 0; created < devices; created++) {
		ret = doe_emu_create(&doe_emu_fns[created], created);
		if (ret)
			goto err_destroy;
	}

	ret = doe_emu_add_bus();
	if (ret)
		goto err_destroy;

	for (; registered < devices; registered++) {
		ret = misc_register(&doe_emu_fns[registered].misc);
		if (ret)
			goto err_deregister;
	}

	if (!plugged)
		return 0;

	/* As at boot: all functions are added before the first meets a driver */
	for (i = 0; i < devices; i++)
		doe_emu_set_present(&doe_emu_fns[i], true);
	pci_lock_rescan_remove();
	pci_rescan_bus(doe_emu_bridge->bus);
	pci_unlock_rescan_remove();
	return 0;

err_deregister:
	while (registered--)
		misc_deregister(&doe_emu_fns[registered].misc);
	doe_emu_remove_bus();
err_destroy:
	while (created--)
		doe_emu_destroy(&doe_emu_fns[created]);
	kfree(doe_emu_fns);
	return ret;
}
module_init(doe_emu_init);

static void __exit doe_emu_exit(void)
{
	unsigned int i;

	for (i = 0; i < devices; i++)
		misc_deregister(&doe_emu_fns[i].misc);
	doe_emu_remove_bus();
	for (i = 0; i < devices; i++)
		doe_emu_destroy(&doe_emu_fns[i]);
	kfree(doe_emu_fns);
}
module_exit(doe_emu_exit);

MODULE_DESCRIPTION("Software PCI functions with a DOE mailbox, for tests");
MODULE_LICENSE("GPL");
