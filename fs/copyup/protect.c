/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "copyup/protect.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/xattr.h"
#include "node/object.h"

struct mark_name {
	char s[64];
};

/* The mark's whole name; the filesystem of upper takes xattrs. */
static struct mark_name mark_name(struct fs *fs)
{
	struct mark_name name;

	snprintf(name.s, sizeof(name.s), "%sprotattr", fs->upper.caps.style.xattr_prefix);
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

	if (!fs->upper.caps.style.xattr_prefix)
		return 0;
	n = xattr_get(fd, mark_name(fs).s, letters, sizeof(letters));
	if (n <= 0)
		return 0;
	return (memchr(letters, 'i', (size_t)n) ? PROTECT_IMMUTABLE : 0) |
	       (memchr(letters, 'a', (size_t)n) ? PROTECT_APPEND_ONLY : 0);
}

int protect_mark(struct fs *fs, int fd, unsigned int protection)
{
	struct mark_name name;
	char letters[2];
	size_t n = 0;
	int r;

	if (!fs->upper.caps.style.xattr_prefix)
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
	ref = object_open(fs, node, &r);
	return ref ? (int)(marked_protection(fs, ref->fd) | real_protection(ref->fd)) : r;
}

void protect_note(struct node *node, unsigned int protection)
{
	lock_take(&node->lock);
	node->protection = (unsigned char)(protection | PROTECT_KNOWN);
	lock_release(&node->lock);
}

int protect_get(struct fs *fs, struct node *node)
{
	int known, r;

	if (!S_ISREG(node->type) && !S_ISDIR(node->type))
		return 0;
	lock_take(&node->lock);
	known = node->protection;
	lock_release(&node->lock);
	if (known & PROTECT_KNOWN)
		return known & PROTECT_ANY;
	r = ask(fs, node);
	if (r >= 0)
		protect_note(node, (unsigned int)r);
	return r;
}

int protect_check(struct fs *fs, struct node *node, unsigned int how)
{
	int r = protect_get(fs, node);

	return r < 0 ? r : (unsigned int)r & how ? -EPERM : 0;
}

int protect_check_write(struct fs *fs, struct node *node, int fd, off_t offset)
{
	struct stat st;
	int r = protect_get(fs, node);

	if (r <= 0)
		return r;
	if (r & PROTECT_IMMUTABLE)
		return -EPERM;
	r = fd_stat(fd, NULL, &st);
	return r < 0 ? r : offset < st.st_size ? -EPERM : 0;
}

int protect_copy(struct fs *fs, struct node *node, int fd)
{
	int r = protect_get(fs, node);

	return r > 0 ? protect_mark(fs, fd, (unsigned int)r) : r;
}
