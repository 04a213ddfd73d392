/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Carries one operation out and puts what came of it in words that must be the
 * same on both sides: "r=-1 ENOENT", "r=0 type=100644 uid=0 ...".  Where an
 * answer may differ between filesystems (where the holes are, the order of a
 * listing) it is checked against what else this side says, and the verdict is
 * the word.  Each thread has a performer of its own; umask, current directory and
 * root are those of the thread.
 */
#include "differ.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <xxhash.h>

#include "base/cleanup.h"
#include "base/fd.h"

#define MAX_IO (1 << 20)

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
static void become(struct performer *performer, int64_t cred)
{
	if (performer->cred == cred || !performer->is_root ||
	    cred >= (int64_t)(sizeof(callers) / sizeof(*callers)))
		return;
	if (syscall(SYS_setresuid, -1, 0, -1) < 0 ||
	    syscall(SYS_setgroups, callers[cred].n_groups, callers[cred].groups) < 0 ||
	    syscall(SYS_setresgid, -1, callers[cred].gid, -1) < 0 ||
	    syscall(SYS_setresuid, -1, callers[cred].uid, -1) < 0)
		abort();
	performer->cred = cred;
}

void performer_init(struct performer *performer, int root, time_t start, bool is_root,
		    bool has_threads)
{
	struct stat st;
	int i;

	*performer = (struct performer){ .root = root, .start = start, .is_root = is_root };
	performer->cred = -1;
	become(performer, 0);
	for (i = 0; i < MAX_SLOTS; i++)
		performer->slots[i] = -1;
	if (has_threads && fstatat(root, "shared", &st, AT_SYMLINK_NOFOLLOW) == 0)
		performer->shared = st.st_ino;
}

void performer_done(struct performer *performer)
{
	int i;

	for (i = 0; i < MAX_SLOTS; i++)
		if (performer->slots[i] >= 0)
			close(performer->slots[i]);
}

static int slot_fd(const struct performer *performer, int64_t slot)
{
	return slot > 0 && slot < MAX_SLOTS ? performer->slots[slot] : -1;
}

static int at_fd(const struct performer *performer, int64_t at)
{
	return at ? slot_fd(performer, at) : performer->root;
}

/* ---- words ---- */

/* Whether the call succeeded; says so. */
bool answer_say(struct text *text, ssize_t r)
{
	if (r < 0)
		text_add(text, "r=-1 %s", strerrorname_np(errno));
	else
		text_add(text, "r=%zd", r);
	return r >= 0;
}

static void say_time(const struct performer *performer, struct text *text, const char *name,
		     struct timespec t)
{
	if (t.tv_sec >= performer->start && t.tv_sec < performer->start + 86400)
		text_add(text, " %s=now", name);
	else
		text_add(text, " %s=%jd.%09ld", name, (intmax_t)t.tv_sec, t.tv_nsec);
}

bool performer_is_shared(const struct performer *performer, const struct stat *st)
{
	return performer->shared && st->st_ino == performer->shared;
}

static void say_stat(const struct performer *performer, struct text *text, const struct stat *st)
{
	text_add(text, " mode=%o uid=%u gid=%u", st->st_mode, st->st_uid, st->st_gid);
	/* The rest is changed by other threads. */
	if (performer_is_shared(performer, st))
		return;
	text_add(text, " nlink=%ju", (uintmax_t)st->st_nlink);
	if (!S_ISDIR(st->st_mode))
		text_add(text, " size=%jd", (intmax_t)st->st_size);
	if (S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode))
		text_add(text, " rdev=%jx", (uintmax_t)st->st_rdev);
	say_time(performer, text, "mtime", st->st_mtim);
}

static void say_bytes(struct text *text, const void *bytes, size_t len)
{
	size_t i;

	text_add(text, " hash=%016jx head=", (uintmax_t)XXH3_64bits(bytes, len));
	for (i = 0; i < len && i < 12; i++)
		text_add(text, "%02x", ((const unsigned char *)bytes)[i]);
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Names in a list of `size` bytes, sorted. */
static void say_names(struct text *text, const char *list, size_t size)
{
	const char *names[256];
	size_t i, n = 0, at = 0;

	for (; at < size && n < 256; at += strlen(list + at) + 1)
		names[n++] = list + at;
	qsort(names, n, sizeof(*names), compare_names);
	for (i = 0; i < n; i++) {
		text_add(text, " ");
		text_add_word(text, names[i]);
	}
}

/* ---- descriptors ---- */

static size_t io_len(const struct op *op)
{
	return op->len < 0 ? 0 : op->len > MAX_IO ? MAX_IO : op->len;
}

static void empty_slot(struct performer *p, int64_t slot)
{
	if (p->slots[slot] >= 0)
		close(p->slots[slot]);
	p->slots[slot] = -1;
}

static void op_open(struct performer *p, const struct op *op, struct text *text)
{
	struct stat st;
	int fd;

	if (op->slot <= 0 || op->slot >= MAX_SLOTS)
		return;
	empty_slot(p, op->slot);
	/* A FIFO must not wait for its other end. */
	fd = openat(at_fd(p, op->at), op->path, op->flags | O_NONBLOCK | O_CLOEXEC, op->mode);
	p->slots[op->slot] = fd;
	if (answer_say(text, fd < 0 ? -1 : 0) && fstat(fd, &st) == 0)
		say_stat(p, text, &st);
}

static void op_close(struct performer *p, const struct op *op, struct text *text)
{
	int fd = slot_fd(p, op->slot);

	answer_say(text, close(fd));
	if (fd >= 0)
		p->slots[op->slot] = -1;
}

static void op_read(struct performer *p, const struct op *op, struct text *text)
{
	size_t len = io_len(op);
	/* Aligned, in case the descriptor is O_DIRECT. */
	cleanup_free char *buf = aligned_alloc(4096, (len + 8191) / 4096 * 4096);
	int fd = slot_fd(p, op->slot);
	ssize_t n = op->kind == OP_READ ? read(fd, buf, len) : pread(fd, buf, len, op->off);

	if (answer_say(text, n))
		say_bytes(text, buf, n);
}

/* Writing to a FIFO or a device moves its times in the kernel; FUSE has them nowhere to go. */
static bool has_data(int fd)
{
	struct stat st;

	return fstat(fd, &st) < 0 || S_ISREG(st.st_mode) || S_ISDIR(st.st_mode);
}

static void op_write(struct performer *p, const struct op *op, struct text *text)
{
	size_t len = io_len(op);
	cleanup_free char *buf = aligned_alloc(4096, (len + 8191) / 4096 * 4096);
	int fd = slot_fd(p, op->slot);
	struct stat st;

	if (!has_data(fd))
		return;
	data_fill(buf, len, op->seed, 0);
	if (answer_say(text, op->kind == OP_WRITE ? write(fd, buf, len)
						  : pwrite(fd, buf, len, op->off)) &&
	    fstat(fd, &st) == 0)
		say_stat(p, text, &st);
}

static void op_lseek(struct performer *p, const struct op *op, struct text *text)
{
	static const int whence[] = { SEEK_SET, SEEK_CUR, SEEK_END };
	int fd = slot_fd(p, op->slot);
	struct stat st;

	/* Positions in a directory are each filesystem's own. */
	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISDIR(st.st_mode))
		text_add(text, "directory");
	else
		answer_say(text, lseek(fd, op->off, whence[op->mode % 3]));
}

static bool is_zero(int fd, off_t from, off_t to)
{
	char buf[65536];
	ssize_t n, i;

	for (; from < to; from += n) {
		n = pread(fd, buf, to - from < (off_t)sizeof(buf) ? to - from : (off_t)sizeof(buf),
			  from);
		if (n <= 0)
			return false;
		for (i = 0; i < n; i++)
			if (buf[i])
				return false;
	}
	return true;
}

/* Where the holes are is not compared, only that there is nothing in them. */
static void op_holes(struct performer *p, const struct op *op, struct text *text)
{
	int fd = slot_fd(p, op->slot);
	off_t at = op->off, data, hole = 0, old = lseek(fd, 0, SEEK_CUR);
	struct stat st;

	if (fd < 0 || old < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) ||
	    (fcntl(fd, F_GETFL) & (O_ACCMODE | O_DIRECT | O_PATH)) == O_WRONLY) {
		text_add(text, "no file");
		return;
	}
	data = lseek(fd, st.st_size, SEEK_DATA);
	text_add(text, "atend=%s", data < 0 ? strerrorname_np(errno) : "data");
	hole = lseek(fd, st.st_size, SEEK_HOLE);
	text_add(text, ",%s", hole < 0 ? strerrorname_np(errno) : "hole");
	while (at < st.st_size) {
		data = lseek(fd, at, SEEK_DATA);
		if (data < 0 && errno != ENXIO) {
			text_add(text, " error=%s", strerrorname_np(errno));
			break;
		}
		if (data < 0)
			data = st.st_size;
		if (!is_zero(fd, at, data))
			text_add(text, " DATA_IN_HOLE");
		if (data >= st.st_size)
			break;
		hole = lseek(fd, data, SEEK_HOLE);
		if (hole <= data || hole > st.st_size) {
			text_add(text, " WRONG_HOLE=%jd", (intmax_t)hole);
			break;
		}
		at = hole;
	}
	lseek(fd, old, SEEK_SET);
}

static void op_fallocate(struct performer *p, const struct op *op, struct text *text)
{
	int fd = slot_fd(p, op->slot);
	struct stat st;

	if (answer_say(text, fallocate(fd, op->flags, op->off, op->len)) && fstat(fd, &st) == 0)
		say_stat(p, text, &st);
}

/* A short count is no error: what counts is where it ends. */
static void op_copy(struct performer *p, const struct op *op, struct text *text)
{
	loff_t in = op->off, out = op->off2;
	ssize_t n = 1, done = 0, left = io_len(op);

	while (left > 0 && n > 0) {
		n = copy_file_range(slot_fd(p, op->slot), &in, slot_fd(p, op->slot2), &out, left,
				    0);
		if (n > 0)
			done += n, left -= n;
	}
	answer_say(text, n < 0 && !done ? -1 : done);
}

/* A mapping beyond the end would be SIGBUS: it is cut to the file. */
static char *map(const struct performer *p, const struct op *op, int protection, size_t *len,
		 struct text *text)
{
	int fd = slot_fd(p, op->slot);
	off_t off = op->off / 4096 * 4096;
	struct stat st;
	char *m;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size <= off) {
		text_add(text, "nothing to map");
		return NULL;
	}
	*len = (int64_t)io_len(op) < st.st_size - off ? io_len(op) : (size_t)(st.st_size - off);
	m = mmap(NULL, *len, protection, op->flags, fd, off);
	answer_say(text, m == MAP_FAILED ? -1 : 0);
	return m == MAP_FAILED ? NULL : m;
}

static void op_mmap_read(struct performer *p, const struct op *op, struct text *text)
{
	size_t len;
	char *m = map(p, op, PROT_READ, &len, text);

	if (m) {
		say_bytes(text, m, len);
		munmap(m, len);
	}
}

static void op_mmap_write(struct performer *p, const struct op *op, struct text *text)
{
	size_t len;
	char *m = map(p, op, PROT_READ | PROT_WRITE, &len, text);

	if (m) {
		data_fill(m, len, op->seed, 0);
		if (op->check)
			text_add(text, " sync=%d", msync(m, len, MS_SYNC));
		munmap(m, len);
	}
}

static void op_fstat(struct performer *p, const struct op *op, struct text *text)
{
	struct stat st;

	if (answer_say(text, fstat(slot_fd(p, op->slot), &st)))
		say_stat(p, text, &st);
}

static void op_linkfd(struct performer *p, const struct op *op, struct text *text)
{
	answer_say(text,
		   linkat(slot_fd(p, op->slot), "", at_fd(p, op->at), op->path, AT_EMPTY_PATH));
}

static void times_of(const struct op *op, struct timespec times[2])
{
	times[0] = (struct timespec){ op->sec + 1, op->nsec };
	times[1] = (struct timespec){ op->sec, op->nsec };
}

static void op_futimens(struct performer *p, const struct op *op, struct text *text)
{
	struct timespec times[2];
	struct stat st;
	int fd = slot_fd(p, op->slot);

	times_of(op, times);
	if (answer_say(text, futimens(fd, times)) && fstat(fd, &st) == 0) {
		say_stat(p, text, &st);
		if (op->nsec != UTIME_OMIT)
			say_time(p, text, "atime", st.st_atim);
	}
}

/* ---- whole files ---- */

static void op_readfile(struct performer *p, const struct op *op, struct text *text)
{
	cleanup_fd int fd = openat(at_fd(p, op->at), op->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	cleanup_free char *buf = malloc(MAX_IO);
	ssize_t n = fd < 0 ? -1 : pread(fd, buf, MAX_IO, 0);

	if (answer_say(text, n))
		say_bytes(text, buf, n);
}

static void op_writefile(struct performer *p, const struct op *op, struct text *text)
{
	cleanup_fd int fd = openat(at_fd(p, op->at), op->path,
				   op->flags | O_WRONLY | O_NONBLOCK | O_CLOEXEC, op->mode);
	size_t len = io_len(op);
	cleanup_free char *buf = malloc(len + 1);
	struct stat st;

	if (fd >= 0 && !has_data(fd))
		return;
	data_fill(buf, len, op->seed, 0);
	if (answer_say(text, fd < 0 ? -1 : write(fd, buf, len)) && fstat(fd, &st) == 0)
		say_stat(p, text, &st);
}

/* ---- names ---- */

static void op_name(struct performer *p, const struct op *op, struct text *text)
{
	int at = at_fd(p, op->at), at2 = at_fd(p, op->at2);
	struct timespec times[2];
	char target[8192];
	ssize_t n;

	times_of(op, times);
	switch (op->kind) {
	case OP_MKDIR:
		answer_say(text, mkdirat(at, op->path, op->mode));
		break;
	case OP_RMDIR:
		answer_say(text, unlinkat(at, op->path, AT_REMOVEDIR));
		break;
	case OP_UNLINK:
		answer_say(text, unlinkat(at, op->path, 0));
		break;
	case OP_RENAME:
		answer_say(text, renameat2(at, op->path, at2, op->path2, op->flags));
		break;
	case OP_LINK:
		answer_say(text, linkat(at, op->path, at2, op->path2, op->flags));
		break;
	case OP_SYMLINK:
		answer_say(text, symlinkat(op->path2, at, op->path));
		break;
	case OP_MKNOD:
		answer_say(text, mknodat(at, op->path, op->mode, op->rdev));
		break;
	case OP_CHMOD:
		answer_say(text, fchmodat(at, op->path, op->mode, 0));
		break;
	case OP_CHOWN:
		answer_say(text, fchownat(at, op->path, op->uid, op->gid, op->flags));
		break;
	case OP_UTIMENS:
		answer_say(text, utimensat(at, op->path, times, op->flags));
		break;
	case OP_ACCESS:
		answer_say(text, faccessat(at, op->path, op->mode, op->flags));
		break;
	case OP_READLINK:
		n = readlinkat(at, op->path, target, op->len ? io_len(op) % sizeof(target) : 4096);
		if (answer_say(text, n))
			say_bytes(text, target, n);
		break;
	default:
		abort();
	}
}

static void op_truncate(struct performer *p, const struct op *op, struct text *text)
{
	(void)p;
	answer_say(text, truncate(op->path, op->len));
}

static void op_stat(struct performer *p, const struct op *op, struct text *text)
{
	struct stat st;

	if (answer_say(text, fstatat(at_fd(p, op->at), op->path, &st, op->flags)))
		say_stat(p, text, &st);
}

static void op_statx(struct performer *p, const struct op *op, struct text *text)
{
	struct statx sx;

	if (answer_say(text, statx(at_fd(p, op->at), op->path, op->flags, STATX_BASIC_STATS, &sx)))
		text_add(text, " mask=%x mode=%o uid=%u gid=%u nlink=%u",
			 sx.stx_mask & (STATX_BASIC_STATS & ~STATX_ATIME), sx.stx_mode, sx.stx_uid,
			 sx.stx_gid, sx.stx_nlink);
}

static void op_statfs(struct performer *p, const struct op *op, struct text *text)
{
	struct statfs sf;

	(void)p;
	if (answer_say(text, statfs(op->path, &sf)))
		text_add(text, " namelen=%ld bsize=%ld blocks=%ju", (long)sf.f_namelen,
			 (long)sf.f_bsize, (uintmax_t)sf.f_blocks);
}

/* ---- extended attributes ---- */

static size_t xattr_value(const struct performer *p, const struct op *op, char **ret)
{
	size_t len = io_len(op);

	*ret = malloc(len > 64 ? len : 64);
	if (op->path2 && !strncmp(op->path2, "system.posix_acl_", 17))
		return acl_make(op->seed, p->is_root, *ret);
	data_fill(*ret, len, op->seed, 0);
	return len;
}

static void op_setxattr(struct performer *p, const struct op *op, struct text *text)
{
	cleanup_free char *value = NULL;
	size_t len = xattr_value(p, op, &value);

	answer_say(text, op->kind == OP_FSETXATTR
				 ? fsetxattr(slot_fd(p, op->slot), op->path2, value, len, op->flags)
			 : op->check & 2 ? setxattr(op->path, op->path2, value, len, op->flags)
					 : lsetxattr(op->path, op->path2, value, len, op->flags));
}

static void op_getxattr(struct performer *p, const struct op *op, struct text *text)
{
	char value[65536];
	size_t len = op->len ? io_len(op) % sizeof(value) : sizeof(value);
	ssize_t n = op->kind == OP_FGETXATTR
			    ? fgetxattr(slot_fd(p, op->slot), op->path2, value, len)
		    : op->check & 2 ? getxattr(op->path, op->path2, value, len)
				    : lgetxattr(op->path, op->path2, value, len);

	if (answer_say(text, n))
		say_bytes(text, value, n);
}

static void op_listxattr(struct performer *p, const struct op *op, struct text *text)
{
	char names[65536];
	size_t len = op->len ? io_len(op) % sizeof(names) : sizeof(names);
	ssize_t n = op->kind == OP_FLISTXATTR ? flistxattr(slot_fd(p, op->slot), names, len)
					      : llistxattr(op->path, names, len);

	if (answer_say(text, n))
		say_names(text, names, n);
}

static void op_removexattr(struct performer *p, const struct op *op, struct text *text)
{
	answer_say(text, op->kind == OP_FREMOVEXATTR ? fremovexattr(slot_fd(p, op->slot), op->path2)
						     : lremovexattr(op->path, op->path2));
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

typedef void op_function(struct performer *p, const struct op *op, struct text *text);

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

	become(performer, op->cred);
	function(performer, op, text);
	become(performer, 0);
	if (op->check & 1 && op->path) {
		look_after(performer, at_fd(performer, op->at), op->path, text);
		if (op->kind == OP_RENAME || op->kind == OP_LINK)
			look_after(performer, at_fd(performer, op->at2), op->path2, text);
	}
	if (!text->len)
		text_add(text, "nothing");
}
