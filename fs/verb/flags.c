/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The flags of ioctl_iflags(2) and of XFS: what chattr(1) sets and shows. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/fd.h"
#include "copyup/copyup.h"
#include "copyup/protect.h"
#include "node/object.h"
#include "verb/verbs.h"

/* What they have in common: where the two flags are, in what the commands take and give. */
struct flag_layout {
	size_t offset;
	uint32_t immutable, append_only;
};

static const struct flag_layout *layout_of(unsigned int command)
{
	static const struct flag_layout inode_flags = { 0, FS_IMMUTABLE_FL, FS_APPEND_FL };
	static const struct flag_layout extended = { offsetof(struct fsxattr, fsx_xflags),
						     FS_XFLAG_IMMUTABLE, FS_XFLAG_APPEND };

	switch (command) {
	case FS_IOC_GETFLAGS:
	case FS_IOC_SETFLAGS:
		return &inode_flags;
	case FS_IOC_FSGETXATTR:
	case FS_IOC_FSSETXATTR:
		return &extended;
	default:
		return NULL;
	}
}

static void show_protection(const struct flag_layout *layout, void *flags, unsigned int protection)
{
	uint32_t word;

	memcpy(&word, (char *)flags + layout->offset, sizeof(word));
	word |= protection & PROTECT_IMMUTABLE ? layout->immutable : 0;
	word |= protection & PROTECT_APPEND_ONLY ? layout->append_only : 0;
	memcpy((char *)flags + layout->offset, &word, sizeof(word));
}

/* Takes the two flags out. */
static unsigned int take_protection(const struct flag_layout *layout, void *flags)
{
	uint32_t word;
	unsigned int protection;

	memcpy(&word, (char *)flags + layout->offset, sizeof(word));
	protection = (word & layout->immutable ? PROTECT_IMMUTABLE : 0) |
		     (word & layout->append_only ? PROTECT_APPEND_ONLY : 0);
	word &= ~(layout->immutable | layout->append_only);
	memcpy((char *)flags + layout->offset, &word, sizeof(word));
	return protection;
}

/* The object itself, wherever it is, opened for reading; or negative errno. */
static int open_to_read(struct fs *fs, struct node *node)
{
	cleanup_lower_obj struct lower_obj *lower = NULL;
	cleanup_fd_ref struct fd_ref *ref = NULL;
	int r = 0;

	if (!node_has_upper(node))
		lower = node_lower(node);
	if (lower)
		return lower_open(lower, O_RDONLY);
	ref = object_open(fs, node, &r);
	if (!ref)
		return r;
	return S_ISREG(node->type) ? object_open_file(fs, node, ref->fd, O_RDONLY | O_NONBLOCK)
				   : fd_reopen(ref->fd, O_RDONLY);
}

static int get_flags(struct fs *fs, struct node *node, unsigned int command, void *flags)
{
	cleanup_fd int fd = open_to_read(fs, node);
	int r = fd < 0 ? fd : protect_get(fs, node);

	if (r < 0)
		return r;
	if (ioctl(fd, command, flags) < 0)
		return -errno;
	show_protection(layout_of(command), flags, (unsigned int)r);
	return 0;
}

/* The mark first: what cannot be protected is told of before anything has changed. */
static int set_flags(struct fs *fs, struct node *node, unsigned int command, void *flags)
{
	unsigned int wanted = take_protection(layout_of(command), flags);
	cleanup_fd int fd = -1;
	int r = copyup_node(fs, node);

	if (r == 0)
		r = fd = open_to_read(fs, node);
	if (r >= 0)
		r = protect_mark(fs, fd, wanted);
	if (r < 0)
		return r;
	protect_note(node, wanted);
	return ioctl(fd, command, flags) < 0 ? -errno : 0;
}

int fs_flags(struct fs *fs, struct node *node, unsigned int command, void *flags)
{
	if (!layout_of(command) || (!S_ISREG(node->type) && !S_ISDIR(node->type)))
		return -ENOTTY;
	if (command == FS_IOC_SETFLAGS || command == FS_IOC_FSSETXATTR)
		return set_flags(fs, node, command, flags);
	return get_flags(fs, node, command, flags);
}
