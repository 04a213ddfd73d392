/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Objects that chattr(1) protects, and the flags that it sets and shows. */
#include "protect.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/xattr.h"
#include "quiet.h"
#include "upper.h"

struct mark_name {
	char s[64];
};

/* The mark's whole name; the filesystem of upper takes xattrs. */
static struct mark_name mark_name(struct fs *fs)
{
	struct mark_name name;

	snprintf(name.s, sizeof(name.s), "%sprotattr", fs->caps.style.xattr_prefix);
	return name;
}

/* What the filesystem itself says of the object. */
static unsigned int real_protection(int fd)
{
	struct statx stx;

	if (statx(fd, "", AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW, 0, &stx) < 0)
		return 0;
	return (stx.stx_attributes & STATX_ATTR_IMMUTABLE ? PROTECT_IMMUTABLE : 0) |
	       (stx.stx_attributes & STATX_ATTR_APPEND ? PROTECT_APPEND_ONLY : 0);
}

static unsigned int marked_protection(struct fs *fs, int fd)
{
	char letters[8];
	ssize_t n;

	if (!fs->caps.style.xattr_prefix)
		return 0;
	n = xattr_get(fd, mark_name(fs).s, letters, sizeof(letters));
	if (n <= 0)
		return 0;
	return (memchr(letters, 'i', (size_t)n) ? PROTECT_IMMUTABLE : 0) |
	       (memchr(letters, 'a', (size_t)n) ? PROTECT_APPEND_ONLY : 0);
}

static int set_mark(struct fs *fs, int fd, unsigned int protection)
{
	struct mark_name name;
	char letters[2];
	size_t n = 0;
	int r;

	if (!fs->caps.style.xattr_prefix)
		return protection ? -EOPNOTSUPP : 0;
	name = mark_name(fs);
	if (protection & PROTECT_APPEND_ONLY)
		letters[n++] = 'a';
	if (protection & PROTECT_IMMUTABLE)
		letters[n++] = 'i';
	if (n)
		return xattr_set(fd, name.s, letters, n, 0);
	r = xattr_remove(fd, name.s);
	return r == -ENODATA || r == -EOPNOTSUPP ? 0 : r;
}

/* As the object is now, in lower or in upper; or negative errno. */
static int ask(struct fs *fs, struct node *node)
{
	cleanup_lower_obj struct lower_obj *lower = NULL;
	cleanup_fd_ref struct fd_ref *ref = NULL;
	cleanup_fd int fd = -1;
	int r = 0;

	if (!node_has_upper(node))
		lower = node_lower(node);
	/* What an index answers for was imported, and no archive has such flags. */
	if (lower && fs->numbering == NUMBERING_CHAIN)
		return 0;
	if (lower) {
		fd = lower_open(lower, O_PATH);
		return fd < 0 ? fd : (int)real_protection(fd);
	}
	ref = upper_open(fs, node, &r);
	return ref ? (int)(marked_protection(fs, ref->fd) | real_protection(ref->fd)) : r;
}

static void note(struct node *node, unsigned int protection)
{
	pthread_mutex_lock(&node->lock);
	node->protection = (unsigned char)(protection | PROTECT_KNOWN);
	pthread_mutex_unlock(&node->lock);
}

/* PROTECT_* bits, or negative errno. */
static int protection_of(struct fs *fs, struct node *node)
{
	int known, r;

	if (!S_ISREG(node->type) && !S_ISDIR(node->type))
		return 0;
	pthread_mutex_lock(&node->lock);
	known = node->protection;
	pthread_mutex_unlock(&node->lock);
	if (known & PROTECT_KNOWN)
		return known & PROTECT_ANY;
	r = ask(fs, node);
	if (r >= 0)
		note(node, (unsigned int)r);
	return r;
}

int protect_check(struct fs *fs, struct node *node, unsigned int how)
{
	int r = protection_of(fs, node);

	return r < 0 ? r : (unsigned int)r & how ? -EPERM : 0;
}

int protect_check_write(struct fs *fs, struct node *node, int fd, off_t offset)
{
	struct stat st;
	int r = protection_of(fs, node);

	if (r <= 0)
		return r;
	if (r & PROTECT_IMMUTABLE)
		return -EPERM;
	r = fd_stat(fd, NULL, &st);
	return r < 0 ? r : offset < st.st_size ? -EPERM : 0;
}

int protect_copy(struct fs *fs, struct node *node, int fd)
{
	int r = protection_of(fs, node);

	return r > 0 ? set_mark(fs, fd, (unsigned int)r) : r;
}

/* --- the flags of ioctl_iflags(2) and of XFS --- */

/* What they have in common: where the two flags are, in what the commands take and give. */
struct layout {
	size_t offset;
	uint32_t immutable, append_only;
};

static const struct layout *layout_of(unsigned int command)
{
	static const struct layout inode_flags = { 0, FS_IMMUTABLE_FL, FS_APPEND_FL };
	static const struct layout extended = { offsetof(struct fsxattr, fsx_xflags),
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

static void show_protection(const struct layout *layout, void *flags, unsigned int protection)
{
	uint32_t word;

	memcpy(&word, (char *)flags + layout->offset, sizeof(word));
	word |= protection & PROTECT_IMMUTABLE ? layout->immutable : 0;
	word |= protection & PROTECT_APPEND_ONLY ? layout->append_only : 0;
	memcpy((char *)flags + layout->offset, &word, sizeof(word));
}

/* Takes the two flags out. */
static unsigned int take_protection(const struct layout *layout, void *flags)
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
	ref = upper_open(fs, node, &r);
	if (!ref)
		return r;
	return S_ISREG(node->type) ? quiet_open(fs, node, ref->fd, O_RDONLY | O_NONBLOCK)
				   : fd_reopen(ref->fd, O_RDONLY);
}

static int get_flags(struct fs *fs, struct node *node, unsigned int command, void *flags)
{
	cleanup_fd int fd = open_to_read(fs, node);
	int r = fd < 0 ? fd : protection_of(fs, node);

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
	int r = fs_copyup(fs, node);

	if (r == 0)
		r = fd = open_to_read(fs, node);
	if (r >= 0)
		r = set_mark(fs, fd, wanted);
	if (r < 0)
		return r;
	note(node, wanted);
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
