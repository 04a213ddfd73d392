/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Extended attributes: what is not a mark, on disk by its escaped name (branch/nesting.h). */
#include <errno.h>
#include <string.h>

#include "base/fd.h"
#include "base/xattr.h"
#include "branch/nesting.h"
#include "branch/override.h"
#include "branch/whiteout.h"
#include "copyup/copyup.h"
#include "copyup/protect.h"
#include "node/object.h"
#include "verb/verbs.h"

/* What is not to be seen: marks, and overrides; by their names on disk. */
static bool is_private(const char *name)
{
	return whiteout_is_private_xattr(name) || override_is_name(name);
}

static bool is_acl(const char *name)
{
	return strncmp(name, "system.posix_acl_", 17) == 0;
}

static ssize_t get_xattr(struct fs *fs, struct node *node, const char *name, void *value,
			 size_t size)
{
	cleanup_lower_obj struct lower_obj *lower = NULL;
	cleanup_fd_ref struct fd_ref *ref = NULL;
	int r = 0;

	if (!node_has_upper(node)) {
		lower = node_lower(node);
		if (lower)
			return lower_xattr_get(lower, name, value, size);
	}
	ref = object_open(fs, node, &r);
	return ref ? xattr_get(ref->fd, name, value, size) : r;
}

ssize_t fs_xattr_get(struct fs *fs, struct node *node, const char *shown, void *value, size_t size)
{
	char escaped[NESTING_NAME_SIZE];
	const char *name = nesting_escape(shown, escaped);
	ssize_t n;

	if (!name || is_private(name))
		return -ENODATA;
	if (fs->config->no_acl && is_acl(name))
		return -EOPNOTSUPP;
	n = get_xattr(fs, node, name, value, size);
	/* A branch whose filesystem has no ACLs: the kernel would take it for an answer to open(2).
	 */
	return n == -EOPNOTSUPP && is_acl(name) ? -ENODATA : n;
}

/* All names, in upper or lower; marks among them. */
static ssize_t list_xattrs(struct fs *fs, struct node *node, char **ret)
{
	cleanup_lower_obj struct lower_obj *lower = NULL;
	cleanup_fd_ref struct fd_ref *ref = NULL;
	int r = 0;

	if (!node_has_upper(node)) {
		lower = node_lower(node);
		if (lower)
			return lower_xattr_list(lower, ret);
	}
	ref = object_open(fs, node, &r);
	return ref ? xattr_list(ref->fd, ret) : r;
}

ssize_t fs_xattr_list(struct fs *fs, struct node *node, char **ret)
{
	ssize_t n = list_xattrs(fs, node, ret);
	size_t left;

	if (n < 0)
		return n;
	left = xattr_list_filter(*ret, (size_t)n, is_private);
	if (fs->config->no_acl)
		left = xattr_list_filter(*ret, left, is_acl);
	return (ssize_t)nesting_unescape_list(*ret, left);
}

/* The object in upper, copied up if it has to be, for a change of its attributes. */
static struct fd_ref *open_to_change(struct fs *fs, struct node *node, const char *name, int *error)
{
	*error = is_private(name) ? -EPERM : 0;
	if (*error == 0 && fs->config->no_acl && is_acl(name))
		*error = -EOPNOTSUPP;
	if (*error == 0)
		*error = protect_check(fs, node, PROTECT_ANY);
	return *error < 0 ? NULL : copyup_open(fs, node, error);
}

int fs_xattr_set(struct fs *fs, struct node *node, const char *shown, const void *value,
		 size_t size, int flags)
{
	char escaped[NESTING_NAME_SIZE];
	const char *name = nesting_escape(shown, escaped);
	cleanup_fd_ref struct fd_ref *ref = NULL;
	int r = -ERANGE;

	if (name)
		ref = open_to_change(fs, node, name, &r);
	return ref ? xattr_set(ref->fd, name, value, size, flags) : r;
}

int fs_xattr_remove(struct fs *fs, struct node *node, const char *shown)
{
	char escaped[NESTING_NAME_SIZE];
	const char *name = nesting_escape(shown, escaped);
	cleanup_fd_ref struct fd_ref *ref = NULL;
	int r;

	if (!name || is_private(name))
		return name ? -EPERM : -ERANGE;
	/* What is not there need not be copied up to be missed; an ACL never is. */
	r = (int)fs_xattr_get(fs, node, shown, NULL, 0);
	if (r == -ENODATA)
		return is_acl(name) ? 0 : r;
	ref = open_to_change(fs, node, name, &r);
	return ref ? xattr_remove(ref->fd, name) : r;
}
