/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Carries one operation out and puts what came of it in words that must be the
 * same on both sides: "r=-1 ENOENT", "r=0 type=100644 uid=0 ...".  Where an
 * answer may differ between filesystems (where the holes are, the order of a
 * listing) it is checked against what else this side says, and the verdict is
 * the word.  Each thread has a performer of its own; umask, current directory and
 * root are those of the thread.
 */
#include "differ_perform.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "base/cleanup.h"

/* ---- callers ---- */

static const struct {
	uid_t uid;
	gid_t gid;
	int n_groups;
	gid_t groups[2];
} callers[] = {
	{ 0, 0, 0, { 0 } },	  { 1000, 1000, 0, { 0 } }, { 1001, 1001, 2, { 1000, 2000 } },
	{ 0, 2000, 1, { 1000 } }, { 1000, 2000, 0, { 0 } },
};

/* The system calls themselves: libc's functions change all threads. */
void performer_become(struct performer *performer, int64_t cred)
{
	if (performer->cred == cred || !performer->side->options->has_ids ||
	    cred >= (int64_t)(sizeof(callers) / sizeof(*callers)))
		return;
	if (syscall(SYS_setresuid, -1, 0, -1) < 0 ||
	    syscall(SYS_setgroups, callers[cred].n_groups, callers[cred].groups) < 0 ||
	    syscall(SYS_setresgid, -1, callers[cred].gid, -1) < 0 ||
	    syscall(SYS_setresuid, -1, callers[cred].uid, -1) < 0)
		abort();
	performer->cred = cred;
}

int side_enter(struct side *side, const char *dir)
{
	side->root = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	side->proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return side->root < 0 || side->proc < 0 || fchdir(side->root) < 0 || chroot(".") < 0
		       ? -errno
		       : 0;
}

void performer_init(struct performer *performer, const struct side *side)
{
	struct stat st;
	int i;

	*performer = (struct performer){ .side = side, .watch = -1, .cred = -1 };
	performer_become(performer, 0);
	for (i = 0; i < MAX_SLOTS; i++)
		performer->slots[i] = -1;
	if (side->has_threads && fstatat(side->root, "shared", &st, AT_SYMLINK_NOFOLLOW) == 0)
		performer->shared = st.st_ino;
}

void performer_done(struct performer *performer)
{
	int i;

	for (i = 0; i < MAX_SLOTS; i++)
		if (performer->slots[i] >= 0)
			close(performer->slots[i]);
	if (performer->watch >= 0)
		close(performer->watch);
}

int slot_fd(const struct performer *performer, int64_t slot)
{
	return slot > 0 && slot < MAX_SLOTS ? performer->slots[slot] : -1;
}

int at_fd(const struct performer *performer, int64_t at)
{
	return at ? slot_fd(performer, at) : performer->side->root;
}

size_t io_len(const struct op *op)
{
	return op->len < 0 ? 0 : op->len > MAX_IO ? MAX_IO : op->len;
}

void empty_slot(struct performer *p, int64_t slot)
{
	if (p->slots[slot] >= 0)
		close(p->slots[slot]);
	p->slots[slot] = -1;
}

/* ---- listings ---- */

static void op_readdir(struct performer *p, const struct op *op, struct text *text)
{
	cleanup_fd int fd = openat(at_fd(p, op->at), op->path,
				   O_RDONLY | O_DIRECTORY | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		answer_say(text, -1);
	else
		list_perform(p, op, fd, text);
}

static void op_readdirfd(struct performer *p, const struct op *op, struct text *text)
{
	struct stat st;
	int fd = slot_fd(p, op->slot);

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISDIR(st.st_mode))
		text_add(text, "no directory");
	else
		list_perform(p, op, fd, text);
}

/* ---- all of them ---- */

static void op_umask(struct performer *p, const struct op *op, struct text *text)
{
	(void)p;
	answer_say(text, umask(op->mode));
}

static void op_simple(struct performer *p, const struct op *op, struct text *text)
{
	int fd = slot_fd(p, op->slot);

	answer_say(text, op->kind == OP_FSYNC	    ? fsync(fd)
			 : op->kind == OP_FDATASYNC ? fdatasync(fd)
			 : op->kind == OP_SYNCFS    ? syncfs(fd)
			 : op->kind == OP_FCHMOD    ? fchmod(fd, op->mode)
			 : op->kind == OP_FCHOWN    ? fchown(fd, op->uid, op->gid)
						    : ftruncate(fd, op->len));
}

static op_function *const functions[N_OP_KINDS] = {
	[OP_OPEN] = op_open,
	[OP_CLOSE] = op_close,
	[OP_READ] = op_read,
	[OP_PREAD] = op_read,
	[OP_WRITE] = op_write,
	[OP_PWRITE] = op_write,
	[OP_LSEEK] = op_lseek,
	[OP_HOLES] = op_holes,
	[OP_TRUNCATE] = op_truncate,
	[OP_FALLOCATE] = op_fallocate,
	[OP_COPY] = op_copy,
	[OP_MMAP_READ] = op_mmap_read,
	[OP_MMAP_WRITE] = op_mmap_write,
	[OP_FSTAT] = op_fstat,
	[OP_FUTIMENS] = op_futimens,
	[OP_FSETXATTR] = op_setxattr,
	[OP_SETXATTR] = op_setxattr,
	[OP_FGETXATTR] = op_getxattr,
	[OP_GETXATTR] = op_getxattr,
	[OP_FLISTXATTR] = op_listxattr,
	[OP_LISTXATTR] = op_listxattr,
	[OP_FREMOVEXATTR] = op_removexattr,
	[OP_REMOVEXATTR] = op_removexattr,
	[OP_LINKFD] = op_linkfd,
	[OP_READFILE] = op_readfile,
	[OP_WRITEFILE] = op_writefile,
	[OP_STAT] = op_stat,
	[OP_STATX] = op_statx,
	[OP_READDIR] = op_readdir,
	[OP_READDIRFD] = op_readdirfd,
	[OP_STATFS] = op_statfs,
	[OP_UMASK] = op_umask,
	[OP_FSYNC] = op_simple,
	[OP_FDATASYNC] = op_simple,
	[OP_SYNCFS] = op_simple,
	[OP_FCHMOD] = op_simple,
	[OP_FCHOWN] = op_simple,
	[OP_FTRUNCATE] = op_simple,
	[OP_DIRECT] = op_direct,
	[OP_FLOCK] = op_flock,
	[OP_LOCK] = op_lock,
	[OP_GETLOCK] = op_getlock,
	[OP_LEASE] = op_lease,
	[OP_WATCH] = op_watch,
	[OP_EVENTS] = op_events,
	[OP_GETFLAGS] = op_getflags,
	[OP_SETFLAGS] = op_setflags,
	[OP_LINKPROC] = op_linkproc,
	[OP_HANDLE] = op_handle,
	[OP_DEEP] = op_deep,
	[OP_POSITIONS] = op_positions,
};

/* What `path` and the directory it is in look like afterwards. */
static void look_after(struct performer *p, int at, const char *path, struct text *text)
{
	const char *slash = path ? strrchr(path, '/') : NULL;
	cleanup_free char *parent = slash ? strndup(path, slash - path) : xstrdup(".");
	struct stat st;

	if (!path || path[0] == '/')
		return;
	text_add(text, " [");
	if (fstatat(at, path, &st, AT_SYMLINK_NOFOLLOW) == 0)
		say_stat(p, text, &st);
	else
		text_add(text, "%s", strerrorname_np(errno));
	text_add(text, " ]");
	if ((!p->shared || strcmp(parent, ".") != 0) && fstatat(at, parent, &st, 0) == 0) {
		text_add(text, " in [");
		say_stat(p, text, &st);
		text_add(text, " ]");
	}
}

void op_refuse(struct performer *performer, const struct op *op, struct text *text)
{
	if (op->kind == OP_OPEN && op->slot > 0 && op->slot < MAX_SLOTS)
		empty_slot(performer, op->slot);
	text_add(text, "must fail");
}

void op_perform(struct performer *performer, const struct op *op, struct text *text)
{
	op_function *function = functions[op->kind] ? functions[op->kind] : op_name;

	performer_become(performer, op->cred);
	function(performer, op, text);
	performer_become(performer, 0);
	if (op->check & 1 && op->path) {
		look_after(performer, at_fd(performer, op->at), op->path, text);
		if (op->kind == OP_RENAME || op->kind == OP_LINK)
			look_after(performer, at_fd(performer, op->at2), op->path2, text);
	}
	if (!text->len)
		text_add(text, "nothing");
}
