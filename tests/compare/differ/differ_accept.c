/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The differences between the mount and a plain directory that are documented.
 * An operation for which refused() is true must fail on the mount and is not
 * tried on the plain side; one for which skipped() is true is left out on both.
 * Entries without either are rules of the comparison or of the generator.
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
	case OP_LINKPROC:
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

static bool changes_mark_xattr(const struct op *op)
{
	return (op->kind == OP_SETXATTR || op->kind == OP_FSETXATTR || op->kind == OP_REMOVEXATTR ||
		op->kind == OP_FREMOVEXATTR) &&
	       op->path2 && !strncmp(op->path2, "user.fuseoverlayfs.", 19);
}

static bool moves_extents(const struct op *op)
{
	return op->kind == OP_FALLOCATE &&
	       op->flags & (FALLOC_FL_COLLAPSE_RANGE | FALLOC_FL_INSERT_RANGE);
}

static bool changes_no_owner(const struct op *op)
{
	return (op->kind == OP_CHOWN || op->kind == OP_FCHOWN) && op->uid == -1 && op->gid == -1;
}

static const struct {
	const char *name;
	bool (*refused)(const struct op *op);
	bool (*skipped)(const struct op *op);
	const char *reason;
} accepted[] = {
	{ ".wh. names", makes_mark_name, NULL,
	  "names that begin with .wh. are whiteouts on disk and cannot be made" },
	{ "device 0:0", makes_whiteout, NULL, "it is a whiteout on disk: mknod c 0 0 is EPERM" },
	{ "mark xattrs", changes_mark_xattr, NULL, "user.fuseoverlayfs.* are marks on disk" },
	{ "user.overlay.*", NULL, NULL,
	  "kernel overlayfs does not take them for escaped; not tried where it is compared with" },
	{ "fallocate", moves_extents, NULL, "FUSE carries no COLLAPSE_RANGE and INSERT_RANGE" },
	{ "chown -1 -1", NULL, changes_no_owner,
	  "clears setuid on Linux; FUSE sends nothing at all" },
	{ "redirect_dir=off", NULL, NULL,
	  "renaming a directory that has a lower part is EXDEV: the plain side only tries" },
	{ "atime", NULL, NULL, "not compared: copy-up and relatime move it" },
	{ "times of FIFOs", NULL, NULL, "not written to: the kernel tells FUSE nothing of it" },
	{ "cairn xattrs", NULL, NULL,
	  "kernel overlayfs shows trusted.cairn.*; not compared with it" },
	{ "security.*", NULL, NULL,
	  "not tried in a user namespace: the mount is its own there, the plain side is not" },
	{ "chattr", NULL, NULL,
	  "not tried on directories: what replaces a whiteout does not inherit from them" },
	{ "inotify", NULL, NULL, "a file made by O_TMPFILE is called # and a number, or /" },
	{ "truncate", NULL, NULL,
	  "with writeback=1 to the size that a file has: the kernel leaves its time, and has it" },
	{ "readers", NULL, NULL,
	  "with io=passthrough who has a lower file open keeps it: it is copied up before" },
	{ "want of space", NULL, NULL,
	  "--full: the times of what failed, and of its directories, may have moved" },
	{ "directory size", NULL, NULL, "not compared: a merged directory has no size of its own" },
};

const char *accept_must_fail(const struct op *op)
{
	size_t i;

	for (i = 0; i < sizeof(accepted) / sizeof(*accepted); i++)
		if (accepted[i].refused && accepted[i].refused(op))
			return accepted[i].name;
	return NULL;
}

bool accept_skips(const struct op *op)
{
	size_t i;

	for (i = 0; i < sizeof(accepted) / sizeof(*accepted); i++)
		if (accepted[i].skipped && accepted[i].skipped(op))
			return true;
	return false;
}

void accept_print(FILE *out)
{
	size_t i;

	for (i = 0; i < sizeof(accepted) / sizeof(*accepted); i++)
		fprintf(out, "%-16s %s\n", accepted[i].name, accepted[i].reason);
}
