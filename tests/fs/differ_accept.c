/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The differences between the mount and a plain directory that are documented.
 * An operation for which applies() is true must fail on the mount and is not
 * tried on the plain side; entries without it are rules of the comparison.
 */
#include "differ.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <string.h>
#include <sys/sysmacros.h>

static bool is_mark_name(const char *path)
{
	const char *slash = path ? strrchr(path, '/') : NULL;

	return path && !strncmp(slash ? slash + 1 : path, ".wh.", 4);
}

static bool makes_mark_name(const struct op *op)
{
	switch (op->kind) {
	case OP_OPEN:
	case OP_WRITEFILE:
		return op->flags & O_CREAT && is_mark_name(op->path);
	case OP_MKDIR:
	case OP_MKNOD:
	case OP_SYMLINK:
	case OP_LINKFD:
		return is_mark_name(op->path);
	case OP_LINK:
	case OP_RENAME:
		return is_mark_name(op->path2);
	default:
		return false;
	}
}

static bool makes_whiteout(const struct op *op)
{
	return (op->kind == OP_MKNOD && S_ISCHR(op->mode) && op->rdev == 0) ||
	       (op->kind == OP_RENAME && op->flags & RENAME_WHITEOUT);
}

static bool sets_mark_xattr(const struct op *op)
{
	return (op->kind == OP_SETXATTR || op->kind == OP_FSETXATTR) && op->path2 &&
	       (!strncmp(op->path2, "trusted.overlay.", 16) ||
		!strncmp(op->path2, "user.overlay.", 13) ||
		!strncmp(op->path2, "user.fuseoverlayfs.", 19));
}

static bool moves_extents(const struct op *op)
{
	return op->kind == OP_FALLOCATE &&
	       op->flags & (FALLOC_FL_COLLAPSE_RANGE | FALLOC_FL_INSERT_RANGE);
}

static const struct {
	const char *name;
	bool (*applies)(const struct op *op);
	const char *reason;
} accepted[] = {
	{ ".wh. names", makes_mark_name,
	  "names that begin with .wh. are whiteouts on disk and cannot be made" },
	{ "device 0:0", makes_whiteout, "it is a whiteout on disk: mknod c 0 0 is EPERM" },
	{ "overlay xattrs", sets_mark_xattr, "trusted.overlay.* and the like are marks on disk" },
	{ "fallocate", moves_extents, "FUSE carries no COLLAPSE_RANGE and INSERT_RANGE" },
	{ "atime", NULL, "not compared: copy-up and relatime move it" },
	{ "directory size", NULL, "not compared: a merged directory has no size of its own" },
};

const char *accept_must_fail(const struct op *op)
{
	size_t i;

	for (i = 0; i < sizeof(accepted) / sizeof(*accepted); i++)
		if (accepted[i].applies && accepted[i].applies(op))
			return accepted[i].name;
	return NULL;
}

void accept_print(FILE *out)
{
	size_t i;

	for (i = 0; i < sizeof(accepted) / sizeof(*accepted); i++)
		fprintf(out, "%-16s %s\n", accepted[i].name, accepted[i].reason);
}
