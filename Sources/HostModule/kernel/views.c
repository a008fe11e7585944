// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* /sys/kernel/debug/martlet: version, counters, panic record, page pool. */
#include <linux/debugfs.h>
#include <linux/fs.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "binding.h"

typedef u64 (*view_function)(u8 *buffer, u64 capacity);

static int show(struct seq_file *file, void *unused)
{
	view_function view = file->private;
	u8 *buffer = kmalloc(PAGE_SIZE, GFP_KERNEL);

	if (!buffer)
		return -ENOMEM;
	seq_write(file, buffer, view(buffer, PAGE_SIZE));
	kfree(buffer);
	return 0;
}

static int open_view(struct inode *inode, struct file *file)
{
	return single_open(file, show, inode->i_private);
}

static const struct file_operations view_operations = {
	.owner = THIS_MODULE,
	.open = open_view,
	.read = seq_read,
	.llseek = seq_lseek,
	.release = single_release,
};

/* "N" donates N pages to EL2's pool, "-N" takes up to N unused ones back. */
static ssize_t write_pool(struct file *file, const char __user *text, size_t size, loff_t *position)
{
	long long pages, result;
	int error = kstrtoll_from_user(text, size, 10, &pages);

	if (error)
		return error;
	result = pages < 0 ? martlet_pool_shrink(-(u64)pages) : martlet_pool_grow(pages);
	return result < 0 ? result : (ssize_t)size;
}

static const struct file_operations pool_operations = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.write = write_pool,
	.llseek = noop_llseek,
};

void martlet_attach_views(void);

/* Failures of debugfs are its own business; nothing depends on a view. */
void martlet_attach_views(void)
{
	struct dentry *folder = debugfs_create_dir("martlet", NULL);

	debugfs_create_file("version", 0400, folder, martlet_show_version, &view_operations);
	debugfs_create_file("counters", 0400, folder, martlet_show_counters, &view_operations);
	debugfs_create_file("panic", 0400, folder, martlet_show_panic, &view_operations);
	debugfs_create_file("pool", 0200, folder, NULL, &pool_operations);
}
