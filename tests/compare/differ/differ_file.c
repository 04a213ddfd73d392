/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Operations on descriptors and on content. */
#include "differ_perform.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"

/*
 * Whether what is opened to be read would be a lower file still, after an attempt to have it copied
 * up. The answer is the same where nothing is copied up.
 */
static bool may_stay_below(struct performer *p, const struct op *op)
{
	int nofollow = op->flags & O_NOFOLLOW;
	cleanup_fd int fd = -1;
	struct stat st;

	if (!p->side->options->passthrough || op->flags & (O_ACCMODE | O_PATH) ||
	    fstatat(at_fd(p, op->at), op->path, &st, nofollow ? AT_SYMLINK_NOFOLLOW : 0) < 0 ||
	    !S_ISREG(st.st_mode))
		return false;
	fd = openat(at_fd(p, op->at), op->path, O_RDWR | nofollow | O_CLOEXEC);
	return fd < 0;
}

void op_open(struct performer *p, const struct op *op, struct text *text)
{
	struct stat st;
	int fd;

	if (op->slot <= 0 || op->slot >= MAX_SLOTS)
		return;
	empty_slot(p, op->slot);
	if (may_stay_below(p, op)) {
		text_add(text, "left out: it would keep the lower file");
		return;
	}
	/* A FIFO must not wait for its other end. */
	fd = openat(at_fd(p, op->at), op->path, op->flags | O_NONBLOCK | O_CLOEXEC, op->mode);
	p->slots[op->slot] = fd;
	if (answer_say(text, fd < 0 ? -1 : 0) && fstat(fd, &st) == 0)
		say_stat(p, text, &st);
}

void op_close(struct performer *p, const struct op *op, struct text *text)
{
	int fd = slot_fd(p, op->slot);

	answer_say(text, close(fd));
	if (fd >= 0)
		p->slots[op->slot] = -1;
}

void op_read(struct performer *p, const struct op *op, struct text *text)
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

void op_write(struct performer *p, const struct op *op, struct text *text)
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

void op_lseek(struct performer *p, const struct op *op, struct text *text)
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
void op_holes(struct performer *p, const struct op *op, struct text *text)
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

void op_fallocate(struct performer *p, const struct op *op, struct text *text)
{
	int fd = slot_fd(p, op->slot);
	struct stat st;

	if (answer_say(text, fallocate(fd, op->flags, op->off, op->len)) && fstat(fd, &st) == 0)
		say_stat(p, text, &st);
}

/* A short count is no error: what counts is where it ends. */
void op_copy(struct performer *p, const struct op *op, struct text *text)
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

void op_mmap_read(struct performer *p, const struct op *op, struct text *text)
{
	size_t len;
	char *m = map(p, op, PROT_READ, &len, text);

	if (m) {
		say_bytes(text, m, len);
		munmap(m, len);
	}
}

void op_mmap_write(struct performer *p, const struct op *op, struct text *text)
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

void op_fstat(struct performer *p, const struct op *op, struct text *text)
{
	struct stat st;

	if (answer_say(text, fstat(slot_fd(p, op->slot), &st)))
		say_stat(p, text, &st);
}

void times_of(const struct op *op, struct timespec times[2])
{
	times[0] = (struct timespec){ op->sec + 1, op->nsec };
	times[1] = (struct timespec){ op->sec, op->nsec };
}

void op_futimens(struct performer *p, const struct op *op, struct text *text)
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

void op_readfile(struct performer *p, const struct op *op, struct text *text)
{
	cleanup_fd int fd = openat(at_fd(p, op->at), op->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	cleanup_free char *buf = malloc(MAX_IO);
	ssize_t n = fd < 0 ? -1 : pread(fd, buf, MAX_IO, 0);

	if (answer_say(text, n))
		say_bytes(text, buf, n);
}

void op_writefile(struct performer *p, const struct op *op, struct text *text)
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
