/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Requests about attributes. */
#include <errno.h>
#include <string.h>

#include "op.h"

static void reply_attr(fuse_req_t req, int r, const struct stat *st)
{
	struct stat shown;

	if (r < 0) {
		fuse_reply_err(req, -r);
		return;
	}
	shown = op_shown(req, st);
	fuse_reply_attr(req, &shown, op_mount(req)->timeout);
}

void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	cleanup_node struct node *node = op_node(req, ino);
	struct stat st;

	(void)fi;
	if (node)
		reply_attr(req, fs_getattr(op_fs(req), node, &st), &st);
}

static unsigned int what_to_set(int to_set)
{
	static const struct {
		int fuse;
		unsigned int ours;
	} map[] = {
		{ FUSE_SET_ATTR_MODE, FS_SET_MODE },
		{ FUSE_SET_ATTR_UID, FS_SET_UID },
		{ FUSE_SET_ATTR_GID, FS_SET_GID },
		{ FUSE_SET_ATTR_SIZE, FS_SET_SIZE },
		{ FUSE_SET_ATTR_ATIME, FS_SET_ATIME },
		{ FUSE_SET_ATTR_MTIME, FS_SET_MTIME },
		{ FUSE_SET_ATTR_ATIME_NOW, FS_SET_ATIME_NOW },
		{ FUSE_SET_ATTR_MTIME_NOW, FS_SET_MTIME_NOW },
		{ FUSE_SET_ATTR_KILL_SUID | FUSE_SET_ATTR_KILL_SGID, FS_KILL_SUIDGID },
	};
	unsigned int set = 0;

	for (size_t i = 0; i < sizeof(map) / sizeof(*map); i++) {
		if (to_set & map[i].fuse)
			set |= map[i].ours;
	}
	return set;
}

/* Turns an owner to be set into the ids that are stored. */
static int stored_owner(fuse_req_t req, struct stat *attr, int to_set)
{
	struct mount *mount = op_mount(req);

	if (to_set & FUSE_SET_ATTR_UID && !idmap_store(mount->uids, attr->st_uid, &attr->st_uid))
		return -EOVERFLOW;
	if (to_set & FUSE_SET_ATTR_GID && !idmap_store(mount->gids, attr->st_gid, &attr->st_gid))
		return -EOVERFLOW;
	return 0;
}

void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
		struct fuse_file_info *fi)
{
	cleanup_node struct node *node = op_node(req, ino);
	struct stat st;
	int r;

	(void)fi;
	if (!node)
		return;
	r = stored_owner(req, attr, to_set);
	if (r == 0)
		r = fs_setattr(op_fs(req), node, attr, what_to_set(to_set), &st);
	reply_attr(req, r, &st);
}

void op_readlink(fuse_req_t req, fuse_ino_t ino)
{
	cleanup_node struct node *node = op_node(req, ino);
	cleanup_free char *target = NULL;
	int r;

	if (!node)
		return;
	r = fs_readlink(op_fs(req), node, &target);
	if (r < 0)
		fuse_reply_err(req, -r);
	else
		fuse_reply_readlink(req, target);
}

void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct statvfs st;
	int r = fs_statfs(op_fs(req), &st);

	(void)ino;
	if (r < 0)
		fuse_reply_err(req, -r);
	else
		fuse_reply_statfs(req, &st);
}

void op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size,
		 int flags)
{
	cleanup_node struct node *node = op_node(req, ino);

	if (node)
		op_reply(req, fs_xattr_set(op_fs(req), node, name, value, size, flags));
}

/* Answers with the bytes, or their number if that is what was asked for. */
static void reply_bytes(fuse_req_t req, ssize_t n, const char *bytes, size_t size)
{
	if (n >= 0 && size && (size_t)n > size)
		n = -ERANGE;
	if (n < 0)
		fuse_reply_err(req, (int)-n);
	else if (size)
		fuse_reply_buf(req, bytes, (size_t)n);
	else
		fuse_reply_xattr(req, (size_t)n);
}

void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	cleanup_node struct node *node = op_node(req, ino);
	cleanup_free char *value = malloc(size ? size : 1);

	if (!node)
		return;
	reply_bytes(req, value ? fs_xattr_get(op_fs(req), node, name, value, size) : -ENOMEM, value,
		    size);
}

void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	cleanup_node struct node *node = op_node(req, ino);
	cleanup_free char *names = NULL;
	ssize_t n;

	if (!node)
		return;
	n = fs_xattr_list(op_fs(req), node, &names);
	reply_bytes(req, n, names, size);
}

void op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	cleanup_node struct node *node = op_node(req, ino);

	if (node)
		op_reply(req, fs_xattr_remove(op_fs(req), node, name));
}
