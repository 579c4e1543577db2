// SPDX-License-Identifier: GPL-2.0
/* Where evidence goes: files in sysfs, tracepoints, IMA. */
#include <linux/ima.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/sysfs.h>

#include "netlink.h"
#include "shim.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

/* Most of a message in one trace event, whose text has three characters per byte. */
#define SPDM_TRACE_PART 1024

void spdm_trace_message(struct device *dev, bool response, const u8 *data, size_t len)
{
	size_t offset = 0, part;

	if (!trace_spdm_message_enabled())
		return;
	do {
		part = min(len - offset, SPDM_TRACE_PART);
		trace_spdm_message(dev, response, len, offset, data + offset, part);
		offset += part;
	} while (offset < len);
}

/* Have IMA measure what became of an attestation: by its policy, label "spdm". */
void spdm_ima_measure(struct device *dev, const u8 *data, size_t len)
{
	ima_measure_critical_data("spdm", dev_name(dev), data, len, false, NULL, 0);
}

/* Tell user space and tracers of a verdict. @parent is the device that it is about. */
void spdm_tell(struct device *dev, struct device *parent, const struct spdm_verdict *verdict)
{
	char state[40], changed[] = "SPDM_MEASUREMENTS=changed";
	char *env[3] = { state };

	if (verdict->measurements_changed)
		env[1] = changed;
	trace_spdm_verdict(dev, verdict->state, verdict->reason);
	spdm_netlink_verdict(dev, parent, verdict);
	snprintf(state, sizeof(state), "SPDM_STATE=%s", verdict->state);
	kobject_uevent_env(&dev->kobj, KOBJ_CHANGE, env);
}

/* Copy a part of evidence: @len bytes, which are there. */
void spdm_evidence_read(const void *evidence, u32 type, size_t offset, u8 *buf, size_t len)
{
	const u8 *piece;
	size_t size;

	while (len) {
		piece = spdm_evidence_get(evidence, type, offset, &size);
		size = min(size, len);
		if (WARN_ON_ONCE(!size)) {
			memset(buf, 0, len);
			return;
		}
		memcpy(buf, piece, size);
		offset += size;
		buf += size;
		len -= size;
	}
}

/* A file that shows memory of somebody else, or the beginning of a type of evidence. */
struct spdm_file {
	struct bin_attribute attr;
	struct kobject *dir;
	const void *data;
	u32 type;	/* enum spdm_evidence: @data is evidence, unless it is SPDM_EVIDENCE_END */
	size_t len;
	char name[48];
};

static ssize_t spdm_file_read(struct file *filp, struct kobject *kobj,
			      const struct bin_attribute *attr, char *buf, loff_t off,
			      size_t count)
{
	struct spdm_file *file = container_of(attr, struct spdm_file, attr);

	if (!file->data)
		return -ENODATA;
	if (file->type != SPDM_EVIDENCE_END) {
		if (off >= file->len)
			return 0;
		count = min_t(size_t, count, file->len - off);
		spdm_evidence_read(file->data, file->type, off, buf, count);
		return count;
	}
	return memory_read_from_buffer(buf, count, &off, file->data, file->len);
}

static ssize_t spdm_file_write(struct file *filp, struct kobject *kobj,
			       const struct bin_attribute *attr, char *buf, loff_t off,
			       size_t count)
{
	return spdm_nonce_store(attr->private, buf, off, count);
}

/*
 * Add the file @name to @dir; "%u_" and @number precede @name unless it is negative. @data is memory, or evidence of
 * which the first @len bytes of a @type that is not SPDM_EVIDENCE_END are shown. If there is no @data, reading fails with
 * ENODATA. If there is @writer, the file is for writing, by spdm_nonce_store().
 */
struct spdm_file *spdm_file_add(struct kobject *dir, int number, const char *name,
				const void *data, size_t len, u32 type, void *writer)
{
	struct spdm_file *file;
	int rc;

	file = kzalloc_obj(*file);
	if (!file)
		return NULL;
	if (number < 0)
		snprintf(file->name, sizeof(file->name), "%s", name);
	else
		snprintf(file->name, sizeof(file->name), "%d_%s", number, name);
	sysfs_bin_attr_init(&file->attr);
	file->attr.attr.name = file->name;
	file->attr.attr.mode = writer ? 0200 : 0444;
	file->attr.size = len;
	file->attr.private = writer;
	if (writer)
		file->attr.write = spdm_file_write;
	else
		file->attr.read = spdm_file_read;
	file->dir = dir;
	file->data = data;
	file->type = type;
	file->len = len;
	rc = sysfs_create_bin_file(dir, &file->attr);
	if (rc) {
		kfree(file);
		return NULL;
	}
	return file;
}

/* Remove the file. Nobody reads its memory any more when this returns. */
void spdm_file_remove(struct spdm_file *file)
{
	sysfs_remove_bin_file(file->dir, &file->attr);
	kfree(file);
}

struct kobject *spdm_dir_add(struct device *dev, const char *name)
{
	return kobject_create_and_add(name, &dev->kobj);
}

void spdm_dir_remove(struct kobject *dir)
{
	kobject_put(dir);
}

/* Path of the device in sysfs, to be freed with kfree(). */
char *spdm_device_path(struct device *dev)
{
	return kobject_get_path(&dev->kobj, GFP_KERNEL);
}
