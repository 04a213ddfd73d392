/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The generator: operations and their arguments. */
#include "differ_generate.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

static int64_t open_slot(struct generator *g, int64_t from, int64_t n)
{
	int64_t slot = 0;
	int tries;

	for (tries = 0; tries < 12; tries++) {
		slot = from + below(g, n);
		if (g->performers[g->thread].slots[slot] >= 0)
			break;
	}
	return slot;
}

static int64_t file_slot(struct generator *g)
{
	return open_slot(g, 1, FILE_SLOTS - 1);
}

static int64_t dir_slot(struct generator *g)
{
	return open_slot(g, FILE_SLOTS, 4);
}

static int64_t open_flags(struct generator *g)
{
	static const int64_t modes[] = { O_RDONLY, O_WRONLY, O_RDWR, O_RDWR, O_RDWR, O_RDWR };
	int64_t flags = PICK(g, modes);

	if (percent(g, 40))
		flags |= O_CREAT;
	if (percent(g, 8))
		flags |= O_EXCL;
	if (percent(g, 12))
		flags |= O_TRUNC;
	if (percent(g, 12))
		flags |= O_APPEND;
	if (percent(g, 10))
		flags |= O_NOFOLLOW;
	if (percent(g, 2))
		flags |= O_DIRECTORY;
	if (percent(g, 3))
		flags |= O_SYNC;
	if (percent(g, 3))
		flags = O_PATH | (percent(g, 50) ? O_NOFOLLOW : 0);
	/* O_EXCL alone means something for O_TMPFILE, and is undefined elsewhere. */
	return flags & O_CREAT ? flags : flags & ~O_EXCL;
}

static void generate_open(struct generator *g, struct op *op)
{
	op->mode = any_mode(g);
	if (percent(g, 20)) {
		op->slot = FILE_SLOTS + below(g, 4);
		op->path = xstrdup(known_path(g, ENTRY_DIR));
		op->flags = O_RDONLY | O_DIRECTORY;
		op->mode = 0;
		return;
	}
	op->slot = 1 + below(g, FILE_SLOTS - 1);
	if (percent(g, 10)) {
		op->path = xstrdup(known_path(g, ENTRY_DIR));
		op->flags = O_TMPFILE | O_RDWR;
	} else {
		op->flags = open_flags(g);
		op->path = op->flags & O_CREAT && percent(g, 40)
				   ? new_path(g)
				   : path_of(g, percent(g, 85) ? ENTRY_FILE : ANY_TYPE);
	}
}

static void generate_fd_data(struct generator *g, struct op *op)
{
	static const int64_t allocations[] = { 0,
					       FALLOC_FL_KEEP_SIZE,
					       FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
					       FALLOC_FL_ZERO_RANGE,
					       FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE,
					       FALLOC_FL_COLLAPSE_RANGE,
					       FALLOC_FL_INSERT_RANGE,
					       FALLOC_FL_PUNCH_HOLE };

	op->slot = file_slot(g);
	op->off = percent(g, 50) ? any_size(g) : 0;
	op->len = any_size(g);
	op->seed = below(g, 1000000);
	if (op->kind == OP_LSEEK)
		op->mode = below(g, 3);
	if (op->kind == OP_HOLES)
		op->len = 0;
	if (op->kind == OP_FALLOCATE)
		op->flags = PICK(g, allocations);
	if (op->kind == OP_COPY) {
		op->slot2 = file_slot(g);
		op->off2 = any_size(g);
	}
	if (op->kind == OP_MMAP_READ || op->kind == OP_MMAP_WRITE)
		op->flags = percent(g, 60) ? MAP_SHARED : MAP_PRIVATE;
}

static void generate_attributes(struct generator *g, struct op *op)
{
	op->mode = any_mode(g);
	op->uid = percent(g, 20) ? -1 : g->options->has_ids ? any_uid(g) : 0;
	op->gid = percent(g, 20) ? -1 : g->options->has_ids ? any_gid(g) : 0;
	op->sec = any_sec(g);
	op->nsec = percent(g, 10) ? UTIME_NOW : percent(g, 10) ? UTIME_OMIT : below(g, 1000000000);
	if (op->kind != OP_CHMOD && op->kind != OP_FCHMOD)
		op->mode = 0;
	if (op->kind != OP_CHOWN && op->kind != OP_FCHOWN)
		op->uid = op->gid = 0;
	if (op->kind != OP_UTIMENS && op->kind != OP_FUTIMENS)
		op->sec = op->nsec = 0;
	if ((op->kind == OP_CHOWN || op->kind == OP_UTIMENS) && percent(g, 50))
		op->flags = AT_SYMLINK_NOFOLLOW;
}

static void generate_xattr(struct generator *g, struct op *op)
{
	static const char *const names[] = { "user.three",
					     "security.capability",
					     "security.test",
					     "trusted.overlay.opaque",
					     "user.overlay.origin",
					     "user.fuseoverlayfs.opaque",
					     "nonsense",
					     "system.other",
					     "user." };
	static const int64_t sizes[] = { 0, 1, 20, 200, 200, 65537 };

	static const char *const usual[] = { "user.one", "user.two", "trusted.three",
					     "system.posix_acl_access",
					     "system.posix_acl_default" };

	op->path2 = xstrdup(percent(g, 70) ? PICK(g, usual) : PICK(g, names));
	/* Documented in differ_accept.c. */
	if (((!g->options->is_root || g->options->full) && !strncmp(op->path2, "security.", 9)) ||
	    /* ext4's chmod of what has an ACL can fail for want of space with the mode changed. */
	    (g->options->full && !strncmp(op->path2, "system.posix_acl", 16))) {
		free(op->path2);
		op->path2 = xstrdup("user.one");
	}
	if (g->program->kernel && !strncmp(op->path2, "user.overlay.", 13)) {
		free(op->path2);
		op->path2 = xstrdup("trusted.overlay.origin");
	}
	op->seed = below(g, 1000000);
	if (op->kind == OP_SETXATTR || op->kind == OP_FSETXATTR) {
		op->len = PICK(g, sizes);
		if (percent(g, 40))
			op->flags = percent(g, 50) ? XATTR_CREATE : XATTR_REPLACE;
	} else if (percent(g, 15)) {
		op->len = 1 + below(g, 30);
	}
}

static void generate_rename(struct generator *g, struct op *op)
{
	op->path = path_of(g, percent(g, 50) ? ENTRY_DIR : ANY_FILE);
	if (percent(g, 10))
		op->flags = RENAME_NOREPLACE;
	else if (percent(g, 15))
		op->flags = RENAME_EXCHANGE;
	if (percent(g, op->flags & RENAME_EXCHANGE ? 10 : 60))
		op->path2 = new_path(g);
	else
		op->path2 = path_of(g, known_is(known_here(g), op->path, ENTRY_DIR) ? ENTRY_DIR
										    : ANY_FILE);
}

static void generate_mknod(struct generator *g, struct op *op)
{
	static const mode_t types[] = { S_IFIFO, S_IFSOCK, S_IFCHR, S_IFBLK, S_IFREG, S_IFIFO };
	mode_t type = PICK(g, types);

	if (!g->options->is_root && (type == S_IFCHR || type == S_IFBLK))
		type = S_IFIFO;
	op->path = new_path(g);
	op->mode = type | any_mode(g);
	if (type == S_IFCHR || type == S_IFBLK)
		op->rdev = type == S_IFCHR && percent(g, 10) ? 0 : any_device(g, type == S_IFCHR);
}

static const char *empty_dir(struct generator *g)
{
	const char *path = ".";
	int tries;

	for (tries = 0; tries < 10; tries++) {
		path = known_path(g, ENTRY_DIR);
		if (known_is_empty(known_here(g), path))
			break;
	}
	return path;
}

static void generate_names(struct generator *g, struct op *op)
{
	switch (op->kind) {
	case OP_MKDIR:
		op->path = percent(g, 85) ? new_path(g) : any_path(g);
		op->mode = percent(g, 60) ? 0755 : any_mode(g);
		break;
	case OP_RMDIR:
		op->path = percent(g, 70) ? xstrdup(empty_dir(g)) : path_of(g, ENTRY_DIR);
		break;
	case OP_UNLINK:
		op->path = path_of(g, ANY_FILE);
		break;
	case OP_RENAME:
		generate_rename(g, op);
		break;
	case OP_LINK:
		op->path = path_of(g, ANY_FILE);
		op->path2 = percent(g, 90) ? new_path(g) : any_path(g);
		op->flags = percent(g, 20) ? AT_SYMLINK_FOLLOW : 0;
		break;
	case OP_SYMLINK:
		op->path = new_path(g);
		op->path2 = any_target(g);
		break;
	case OP_MKNOD:
		generate_mknod(g, op);
		break;
	case OP_LINKFD:
	case OP_LINKPROC:
		op->slot = file_slot(g);
		op->path = new_path(g);
		break;
	default:
		break;
	}
}

static void generate_looks(struct generator *g, struct op *op)
{
	static const int types[N_OP_KINDS] = {
		[OP_TRUNCATE] = 1,
		[OP_READFILE] = 1,
		[OP_WRITEFILE] = 1,
		[OP_READLINK] = 2,
	};

	op->path = path_of(g, types[op->kind] == 1   ? ENTRY_FILE
			      : types[op->kind] == 2 ? ENTRY_SYMLINK
						     : ANY_TYPE);
	switch (op->kind) {
	case OP_STAT:
	case OP_STATX:
		op->flags = percent(g, 60) ? AT_SYMLINK_NOFOLLOW : 0;
		break;
	case OP_ACCESS:
		op->mode = below(g, 8);
		op->flags = percent(g, 30) ? AT_EACCESS : 0;
		break;
	case OP_READLINK:
		op->len = percent(g, 20) ? below(g, 10) : 0;
		break;
	case OP_READDIR:
		free(op->path);
		op->path = path_of(g, ENTRY_DIR);
		op->len = percent(g, 50) ? 32000 - 1 : below(g, 1000);
		op->seed = below(g, 1000);
		break;
	case OP_TRUNCATE:
		op->len = any_size(g);
		break;
	case OP_WRITEFILE:
		op->flags = percent(g, 50) ? O_CREAT : 0;
		op->flags |= percent(g, 50) ? O_TRUNC : 0;
		op->flags |= percent(g, 10) ? O_APPEND : 0;
		op->mode = any_mode(g);
		op->len = any_size(g);
		op->seed = below(g, 1000000);
		break;
	default:
		break;
	}
}

static void generate_lock(struct generator *g, struct op *op)
{
	static const int64_t kinds[] = { LOCK_SH, LOCK_EX, LOCK_EX, LOCK_UN };

	op->slot = file_slot(g);
	op->mode = below(g, 3);
	if (op->kind == OP_FLOCK) {
		op->flags = PICK(g, kinds);
		op->mode = 0;
	} else if (op->kind != OP_LEASE) {
		op->flags = percent(g, 50);
		/* A lock to the end has length 0; few places, so that they meet. */
		op->off = below(g, 4) * 100;
		op->len = below(g, 4) * 100;
	}
}

static void generate_rare(struct generator *g, struct op *op)
{
	bool of_file = op->kind == OP_DIRECT || op->kind == OP_SETFLAGS ||
		       (op->kind == OP_GETFLAGS && percent(g, 80));

	if (op->kind == OP_EVENTS)
		return;
	op->path = op->kind == OP_HANDLE ? any_path(g)
					 : path_of(g, of_file ? ENTRY_FILE : ENTRY_DIR);
	if (op->kind == OP_SETFLAGS)
		op->flags = (percent(g, 50) ? FS_NODUMP_FL : 0) |
			    (percent(g, 50) ? FS_NOATIME_FL : 0);
	if (op->kind == OP_DIRECT) {
		op->mode = below(g, 4);
		op->off = below(g, 20) * 4096;
		op->len = (1 + below(g, 20)) * 4096;
	}
	if (op->kind == OP_DIRECT || op->kind == OP_DEEP || op->kind == OP_POSITIONS)
		op->seed = below(g, 1000000);
	if (op->kind == OP_DEEP || op->kind == OP_POSITIONS)
		op->len = below(g, 30);
}

static void generate_args(struct generator *g, struct op *op)
{
	switch (op->kind) {
	case OP_OPEN:
		generate_open(g, op);
		break;
	case OP_READ ... OP_HOLES:
	case OP_FTRUNCATE ... OP_SYNCFS:
		generate_fd_data(g, op);
		break;
	case OP_CLOSE:
	case OP_FSTAT:
	case OP_FLISTXATTR:
		op->slot = file_slot(g);
		break;
	case OP_FCHMOD ... OP_FUTIMENS:
		op->slot = file_slot(g);
		generate_attributes(g, op);
		break;
	case OP_FSETXATTR:
	case OP_FGETXATTR:
	case OP_FREMOVEXATTR:
		op->slot = file_slot(g);
		generate_xattr(g, op);
		break;
	case OP_DIRECT:
	case OP_GETFLAGS ... OP_SETFLAGS:
	case OP_HANDLE ... OP_POSITIONS:
	case OP_WATCH ... OP_EVENTS:
		generate_rare(g, op);
		break;
	case OP_FLOCK ... OP_LEASE:
		generate_lock(g, op);
		break;
	case OP_LINKFD:
	case OP_LINKPROC:
	case OP_MKDIR ... OP_SYMLINK:
	case OP_MKNOD:
		generate_names(g, op);
		break;
	case OP_CHMOD ... OP_UTIMENS:
		op->path = any_path(g);
		generate_attributes(g, op);
		break;
	case OP_SETXATTR:
	case OP_GETXATTR:
	case OP_REMOVEXATTR:
		op->path = any_path(g);
		op->check = percent(g, 40) ? 2 : 0;
		generate_xattr(g, op);
		break;
	case OP_READDIRFD:
		op->slot = dir_slot(g);
		op->len = percent(g, 50) ? 32000 - 1 : below(g, 1000);
		op->seed = below(g, 1000);
		break;
	case OP_STATFS:
		op->path = xstrdup(known_path(g, ENTRY_DIR));
		break;
	case OP_UMASK:
		op->mode = (int64_t[]){ 022, 077, 0, 002, 027 }[below(g, 5)];
		break;
	default:
		generate_looks(g, op);
	}
}

/* Some begin at a directory that was opened earlier and may be elsewhere or gone by now. */
static void begin_at_slot(struct generator *g, struct op *op)
{
	static const enum op_kind kinds[] = { OP_OPEN,	   OP_MKDIR,	OP_RMDIR,   OP_UNLINK,
					      OP_RENAME,   OP_MKNOD,	OP_SYMLINK, OP_STAT,
					      OP_CHMOD,	   OP_CHOWN,	OP_READDIR, OP_LINK,
					      OP_READFILE, OP_WRITEFILE };
	size_t i;

	if (!op->path || g->program->n_threads > 1 || !percent(g, 5))
		return;
	for (i = 0; i < COUNT(kinds); i++) {
		if (kinds[i] != op->kind)
			continue;
		op->at = dir_slot(g);
		free(op->path);
		op->path = make_name(g);
		return;
	}
}

static const struct {
	enum op_kind kind;
	unsigned int weight;
} weights[] = {
	{ OP_OPEN, 90 },	{ OP_CLOSE, 20 },      { OP_READ, 25 },	      { OP_WRITE, 30 },
	{ OP_PREAD, 30 },	{ OP_PWRITE, 40 },     { OP_LSEEK, 8 },	      { OP_HOLES, 8 },
	{ OP_TRUNCATE, 12 },	{ OP_FTRUNCATE, 12 },  { OP_FALLOCATE, 12 },  { OP_COPY, 10 },
	{ OP_MMAP_READ, 12 },	{ OP_MMAP_WRITE, 12 }, { OP_FSYNC, 2 },	      { OP_FDATASYNC, 2 },
	{ OP_SYNCFS, 1 },	{ OP_FSTAT, 20 },      { OP_FCHMOD, 8 },      { OP_FCHOWN, 8 },
	{ OP_FUTIMENS, 10 },	{ OP_FSETXATTR, 6 },   { OP_FGETXATTR, 5 },   { OP_FLISTXATTR, 4 },
	{ OP_FREMOVEXATTR, 4 }, { OP_LINKFD, 8 },      { OP_READFILE, 40 },   { OP_WRITEFILE, 30 },
	{ OP_MKDIR, 40 },	{ OP_RMDIR, 30 },      { OP_UNLINK, 60 },     { OP_RENAME, 80 },
	{ OP_LINK, 30 },	{ OP_SYMLINK, 12 },    { OP_READLINK, 10 },   { OP_MKNOD, 15 },
	{ OP_CHMOD, 20 },	{ OP_CHOWN, 20 },      { OP_UTIMENS, 25 },    { OP_SETXATTR, 20 },
	{ OP_GETXATTR, 12 },	{ OP_LISTXATTR, 8 },   { OP_REMOVEXATTR, 8 }, { OP_STAT, 40 },
	{ OP_STATX, 10 },	{ OP_ACCESS, 15 },     { OP_READDIR, 30 },    { OP_READDIRFD, 8 },
	{ OP_STATFS, 1 },	{ OP_UMASK, 4 },       { OP_DIRECT, 6 },      { OP_FLOCK, 6 },
	{ OP_LOCK, 8 },		{ OP_GETLOCK, 8 },     { OP_LEASE, 4 },	      { OP_WATCH, 6 },
	{ OP_EVENTS, 10 },	{ OP_GETFLAGS, 6 },    { OP_SETFLAGS, 4 },    { OP_LINKPROC, 5 },
	{ OP_HANDLE, 8 },	{ OP_DEEP, 1 },	       { OP_POSITIONS, 3 },
};

static unsigned int weight(const struct generator *g, size_t i)
{
	enum op_kind kind = weights[i].kind;

	/* What has several steps, or none that can fail for want of space. */
	if (g->options->full &&
	    (kind == OP_WRITEFILE || kind == OP_FALLOCATE || kind == OP_MMAP_WRITE ||
	     kind == OP_STATFS || (kind >= OP_DIRECT && kind != OP_LINKPROC)))
		return 0;
	/* The plain side makes events of its own when it rehearses a rename. */
	if (g->options->redirect_off && (kind == OP_WATCH || kind == OP_EVENTS))
		return 0;
	/* Opening by handle wants a capability that no user namespace gives. */
	return g->options->disabled[kind] || (kind == OP_HANDLE && !g->options->is_root)
		       ? 0
		       : weights[i].weight;
}

static enum op_kind any_kind(struct generator *g)
{
	unsigned int total = 0;
	size_t i;
	int64_t at;

	for (i = 0; i < COUNT(weights); i++)
		total += weight(g, i);
	at = below(g, total);
	for (i = 0;; i++) {
		at -= weight(g, i);
		if (at < 0)
			return weights[i].kind;
	}
}

/* Whether its outcome depends on what other threads do: it changes what they share. */
static bool is_order_dependent(struct generator *g, const struct op *op)
{
	if (op->path2 && op->kind != OP_SYMLINK && is_shared_top(g, op->path2))
		return true;
	if (!op->path || !is_shared_top(g, op->path))
		return false;
	switch (op->kind) {
	case OP_OPEN:
		return op->flags & O_CREAT;
	case OP_READDIR:
	case OP_STAT:
	case OP_GETXATTR:
	case OP_LISTXATTR:
	case OP_STATFS:
		return false;
	default:
		return true;
	}
}

/*
 * With upper full: a write that fails may move the times all the same, which the plain side
 * takes over by name.
 */
static bool writes_nameless(struct generator *g, const struct op *op)
{
	int64_t slot = op->kind == OP_COPY ? op->slot2 : op->slot;
	struct stat st;

	return g->options->full &&
	       (op->kind == OP_WRITE || op->kind == OP_PWRITE || op->kind == OP_COPY) &&
	       fstat(g->performers[op->thread].slots[slot], &st) == 0 && st.st_nlink == 0;
}

void generate_op(struct generator *g)
{
	struct op op = { .kind = any_kind(g) };

	g->thread = below(g, g->program->n_threads);
	op.thread = g->thread;
	if (g->options->has_ids && percent(g, 15))
		op.cred = 1 + below(g, 4);
	generate_args(g, &op);
	op.check |= percent(g, 30);
	begin_at_slot(g, &op);
	/* What the plain side rehearses then wants more rights than the rename itself. */
	if (g->options->redirect_off && op.kind == OP_RENAME)
		op.cred = 0;
	if (writes_nameless(g, &op))
		op = (struct op){ .kind = OP_FSTAT, .slot = op.slot };
	if (is_order_dependent(g, &op)) {
		free(op.path);
		free(op.path2);
		op = (struct op){ .kind = OP_UMASK, .thread = op.thread, .mode = 022 };
	}
	program_add(g->program, op);
}
