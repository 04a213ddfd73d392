/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Requests about attributes. */
#include <errno.h>
#include <linux/capability.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "base/xattr.h"
#include "branch/idxattr.h"
#include "request/op.h"

static void reply_attr(fuse_req_t req, fuse_ino_t id, int r, const struct stat *st)
{
	struct stat shown;

	if (r >= 0)
		r = op_shown(req, st, &shown);
	if (r < 0)
		fuse_reply_err(req, -r);
	else
		fuse_reply_attr(req, &shown, op_timeout(req, id));
}

void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	cleanup_node struct node *node = op_node(req, ino);
	struct stat st;

	(void)fi;
	if (node)
		reply_attr(req, ino, fs_getattr(op_fs(req), node, &st), &st);
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
	const struct idmaps *ids = op_mount(req)->ids;

	if (to_set & FUSE_SET_ATTR_UID && !idmap_store(&ids->uids, attr->st_uid, &attr->st_uid))
		return -EOVERFLOW;
	if (to_set & FUSE_SET_ATTR_GID && !idmap_store(&ids->gids, attr->st_gid, &attr->st_gid))
		return -EOVERFLOW;
	return 0;
}

void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
		struct fuse_file_info *fi)
{
	cleanup_node struct node *node = op_node(req, ino);
	unsigned int set = what_to_set(to_set);
	/*
	 * Before the kernel itself writes to a file whose setuid or setgid that takes away, it
	 * leaves them to us (HANDLE_KILLPRIV_V2) by a request that sets nothing. Before root's it
	 * makes that where there are capabilities, which are another request.
	 */
	bool kills = to_set & (FUSE_SET_ATTR_KILL_SUID | FUSE_SET_ATTR_KILL_SGID) ||
		     (!set && opened_is_written(op_mount(req)->opened, ino) &&
		      fuse_req_ctx(req)->uid != 0);
	struct op_killer killer = op_killer(req);
	struct stat st;
	int r;

	(void)fi;
	if (!node)
		return;
	r = stored_owner(req, attr, to_set);
	if (r == 0)
		r = fs_setattr(op_fs(req), node, attr, set, kills ? &killer.base : NULL, &st);
	reply_attr(req, ino, r, &st);
}

static struct statx_timestamp timestamp(struct timespec time)
{
	return (struct statx_timestamp){ .tv_sec = time.tv_sec, .tv_nsec = (uint32_t)time.tv_nsec };
}

/* Asked for only when the birth time is wanted: the rest comes with GETATTR. */
void op_statx(fuse_req_t req, fuse_ino_t ino, int flags, int mask, struct fuse_file_info *fi)
{
	cleanup_node struct node *node = op_node(req, ino);
	struct timespec birth = { .tv_nsec = -1 };
	struct statx stx = { .stx_mask = STATX_BASIC_STATS };
	struct stat st;
	int r;

	(void)mask;
	(void)fi;
	if (!node)
		return;
	r = fs_getattr(op_fs(req), node, &st);
	if (r == 0)
		r = fs_birth(op_fs(req), node, &birth);
	if (r == 0)
		r = op_shown(req, &st, &st);
	if (r < 0) {
		fuse_reply_err(req, -r);
		return;
	}
	stx.stx_ino = st.st_ino;
	stx.stx_mode = (uint16_t)st.st_mode;
	stx.stx_nlink = (uint32_t)st.st_nlink;
	stx.stx_uid = st.st_uid;
	stx.stx_gid = st.st_gid;
	stx.stx_rdev_major = major(st.st_rdev);
	stx.stx_rdev_minor = minor(st.st_rdev);
	stx.stx_size = (uint64_t)st.st_size;
	stx.stx_blocks = (uint64_t)st.st_blocks;
	stx.stx_blksize = (uint32_t)st.st_blksize;
	stx.stx_atime = timestamp(st.st_atim);
	stx.stx_mtime = timestamp(st.st_mtim);
	stx.stx_ctime = timestamp(st.st_ctim);
	if (birth.tv_nsec >= 0) {
		stx.stx_btime = timestamp(birth);
		stx.stx_mask |= STATX_BTIME;
	}
	fuse_reply_statx(req, flags, &stx, op_timeout(req, ino));
}

void op_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned int command, void *arg,
	      struct fuse_file_info *fi, unsigned int flags, const void *in, size_t in_size,
	      size_t out_size)
{
	cleanup_node struct node *node = op_node(req, ino);
	union {
		int flags;
		struct fsxattr fsx;
	} data = { 0 };
	int r;

	(void)arg;
	(void)fi;
	if (!node)
		return;
	if (flags & FUSE_IOCTL_COMPAT || in_size > sizeof(data) || out_size > sizeof(data)) {
		fuse_reply_err(req, ENOTTY);
		return;
	}
	if (in_size)
		memcpy(&data, in, in_size);
	r = fs_flags(op_fs(req), node, command, &data);
	if (r < 0)
		fuse_reply_err(req, -r);
	else
		fuse_reply_ioctl(req, 0, &data, out_size);
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

/*
 * Changing the mode by an ACL takes setgid away where chmod would.  The kernel
 * could tell us (FUSE_SETXATTR_EXT), but libfuse does not know how.
 */
static int kill_setgid(fuse_req_t req, struct node *node, const char *name)
{
	struct stat st;
	int r;

	if (strcmp(name, "system.posix_acl_access") != 0 || fuse_req_ctx(req)->uid == 0)
		return 0;
	r = fs_getattr(op_fs(req), node, &st);
	if (r < 0 || !(st.st_mode & S_ISGID) ||
	    op_is_member(req, idmap_show(&op_mount(req)->ids->gids, st.st_gid)))
		return r;
	st.st_mode &= ~(mode_t)S_ISGID;
	return fs_setattr(op_fs(req), node, &st, FS_SET_MODE, NULL, &st);
}

/* A value to be set with the ids that are stored: *ret, if it has any, or `value` itself. */
static ssize_t stored_value(fuse_req_t req, const char *name, const char *value, size_t size,
			    char **ret)
{
	if (!idmaps_map(op_mount(req)->ids) || !idxattr_has_ids(name))
		return (ssize_t)size;
	*ret = malloc(size + IDXATTR_GROWTH);
	if (!*ret)
		return -ENOMEM;
	memcpy(*ret, value, size);
	return idxattr_store(op_mount(req)->ids, name, *ret, size);
}

void op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size,
		 int flags)
{
	cleanup_node struct node *node = op_node(req, ino);
	cleanup_free char *stored = NULL;
	ssize_t n;
	int r;

	if (!node)
		return;
	n = stored_value(req, name, value, size, &stored);
	if (n < 0) {
		fuse_reply_err(req, (int)-n);
		return;
	}
	if (flags & XATTR_CREATE && fs_xattr_get(op_fs(req), node, name, NULL, 0) == -ENODATA)
		attempt_begin(0);
	r = fs_xattr_set(op_fs(req), node, name, stored ? stored : value, (size_t)n, flags);
	if (r == -EEXIST && attempt_was_begun(NULL))
		r = 0; /* by an earlier worker, for this very request */
	op_reply(req, r < 0 ? r : kill_setgid(req, node, name));
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

/* A value that has ids, with those that are shown; its length, which it may take to know. */
static ssize_t shown_value(fuse_req_t req, struct node *node, const char *name, char **ret)
{
	ssize_t n;

	do {
		n = fs_xattr_get(op_fs(req), node, name, NULL, 0);
		if (n < 0)
			return n;
		free(*ret);
		*ret = malloc((size_t)n + IDXATTR_GROWTH);
		if (!*ret)
			return -ENOMEM;
		if (n > 0)
			n = fs_xattr_get(op_fs(req), node, name, *ret, (size_t)n);
	} while (n == -ERANGE); /* it grew between the two */
	return n < 0 ? n : idxattr_show(op_mount(req)->ids, name, *ret, (size_t)n);
}

/*
 * Where SELinux is on, the kernel answers for a file's label itself and does not ask us. Where it
 * is off, ls(1) asks for each file's, until it hears that there are none here.
 */
static ssize_t unlabelled(const char *name, ssize_t n)
{
	return n == -ENODATA && strcmp(name, "security.selinux") == 0 ? -EOPNOTSUPP : n;
}

void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	cleanup_node struct node *node = op_node(req, ino);
	cleanup_free char *value = NULL;
	ssize_t n;

	if (!node)
		return;
	if (idxattr_has_ids(name)) {
		n = shown_value(req, node, name, &value);
	} else {
		value = malloc(size ? size : 1);
		n = value ? fs_xattr_get(op_fs(req), node, name, value, size) : -ENOMEM;
	}
	reply_bytes(req, unlabelled(name, n), value, size);
}

static bool is_trusted(const char *name)
{
	return strncmp(name, "trusted.", 8) == 0;
}

/* Whether the caller may see the trusted namespace: root that has kept CAP_SYS_ADMIN. */
static bool may_see_trusted(fuse_req_t req)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);
	unsigned long long effective = 0;
	char path[64], line[256];
	FILE *status;

	if (ctx->uid != 0)
		return false;
	snprintf(path, sizeof(path), "/proc/%d/status", (int)ctx->pid);
	status = fopen(path, "re");
	while (status && fgets(line, sizeof(line), status)) {
		if (sscanf(line, "CapEff: %llx", &effective) == 1)
			break;
	}
	if (status)
		fclose(status);
	return effective >> CAP_SYS_ADMIN & 1;
}

static bool has_trusted(const char *names, ssize_t size)
{
	for (const char *name = names; name < names + size; name += strlen(name) + 1) {
		if (is_trusted(name))
			return true;
	}
	return false;
}

void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	cleanup_node struct node *node = op_node(req, ino);
	cleanup_free char *names = NULL;
	ssize_t n;

	if (!node)
		return;
	n = fs_xattr_list(op_fs(req), node, &names);
	if (n > 0 && has_trusted(names, n) && !may_see_trusted(req))
		n = (ssize_t)xattr_list_filter(names, (size_t)n, is_trusted);
	reply_bytes(req, n, names, size);
}

void op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	cleanup_node struct node *node = op_node(req, ino);
	int r;

	if (!node)
		return;
	if (fs_xattr_get(op_fs(req), node, name, NULL, 0) >= 0)
		attempt_begin(0);
	r = fs_xattr_remove(op_fs(req), node, name);
	op_reply(req, r == -ENODATA && attempt_was_begun(NULL) ? 0 : r);
}
