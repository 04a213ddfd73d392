/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Operations around the page cache: O_DIRECT, at once or by io_submit, must agree with it. */
#include "differ_perform.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"

enum { DIRECT_WRITE = 1, DIRECT_SUBMIT = 2 }; /* bits of op.mode */

/* One request, and the wait for it. As read or write answer. */
static ssize_t submit(int fd, bool is_write, void *buf, size_t len, off_t off)
{
	struct iocb request = { .aio_lio_opcode = is_write ? IOCB_CMD_PWRITE : IOCB_CMD_PREAD,
				.aio_fildes = fd,
				.aio_buf = (uintptr_t)buf,
				.aio_nbytes = len,
				.aio_offset = off };
	struct iocb *requests[] = { &request };
	struct io_event event = { 0 };
	aio_context_t context = 0;
	long r = syscall(SYS_io_setup, 1, &context);

	if (r < 0)
		return -1;
	r = syscall(SYS_io_submit, context, 1, requests);
	if (r == 1)
		r = syscall(SYS_io_getevents, context, 1, 1, &event, NULL);
	syscall(SYS_io_destroy, context);
	if (r != 1)
		return -1;
	errno = event.res < 0 ? -event.res : 0;
	return event.res < 0 ? -1 : event.res;
}

static ssize_t transfer(int fd, const struct op *op, void *buf, size_t len, off_t off)
{
	bool is_write = op->mode & DIRECT_WRITE;

	if (op->mode & DIRECT_SUBMIT)
		return submit(fd, is_write, buf, len, off);
	return is_write ? pwrite(fd, buf, len, off) : pread(fd, buf, len, off);
}

/* All in blocks: filesystems differ in what they do with less. */
void op_direct(struct performer *p, const struct op *op, struct text *text)
{
	size_t len = (io_len(op) + 4095) / 4096 * 4096;
	off_t off = op->off / 4096 * 4096;
	cleanup_free char *buf = aligned_alloc(4096, len + 4096);
	cleanup_fd int fd = openat(at_fd(p, op->at), op->path,
				   (op->mode & DIRECT_WRITE ? O_RDWR : O_RDONLY) | O_DIRECT |
					   O_NONBLOCK | O_CLOEXEC);
	cleanup_fd int cached = openat(at_fd(p, op->at), op->path,
				       O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	struct stat st;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		text_add(text, "no file: %s", fd < 0 ? strerrorname_np(errno) : "");
		return;
	}
	data_fill(buf, len, op->seed, 0);
	if (!answer_say(text, transfer(fd, op, buf, len, off)))
		return;
	n = pread(fd, buf, len, off);
	say_bytes(text, buf, n < 0 ? 0 : n);
	memset(buf, 0, len);
	n = pread(cached, buf, len, off);
	text_add(text, " cached=%zd", n);
	say_bytes(text, buf, n < 0 ? 0 : n);
	if (fstat(fd, &st) == 0)
		say_stat(p, text, &st);
}
