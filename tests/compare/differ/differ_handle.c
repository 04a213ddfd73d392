/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Operations that reach an object otherwise than by its name: handles, /proc, ioctl. */
#include "differ_perform.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/cleanup.h"

/* What both filesystems have, and what is made in a directory inherits. */
#define FLAGS (FS_NODUMP_FL | FS_NOATIME_FL)

static void say_content(int mountfd, struct file_handle *handle, struct text *text)
{
	cleanup_fd int fd = open_by_handle_at(mountfd, handle, O_RDONLY | O_CLOEXEC);
	cleanup_free char *buf = malloc(MAX_IO);
	ssize_t n = fd < 0 ? -1 : pread(fd, buf, MAX_IO, 0);

	if (n < 0)
		text_add(text, " content=%s", strerrorname_np(errno));
	else
		say_bytes(text, buf, n);
}

/* There and back: the handle leads to the same object. */
void op_handle(struct performer *p, const struct op *op, struct text *text)
{
	cleanup_free struct file_handle *handle = malloc(sizeof(*handle) + MAX_HANDLE_SZ);
	cleanup_fd int fd = -1;
	struct stat st, again;
	int id;

	handle->handle_bytes = MAX_HANDLE_SZ;
	if (!answer_say(text, name_to_handle_at(at_fd(p, op->at), op->path, handle, &id, 0)))
		return;
	fd = open_by_handle_at(p->side->root, handle, O_PATH | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &again) < 0 ||
	    fstatat(at_fd(p, op->at), op->path, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		text_add(text, " open=%s", strerrorname_np(errno));
		return;
	}
	text_add(text, st.st_ino == again.st_ino ? " same" : " OTHER");
	say_stat(p, text, &again);
	if (S_ISREG(st.st_mode))
		say_content(p->side->root, handle, text);
}

/* A name for what a slot holds, by the link that /proc has to it. */
void op_linkproc(struct performer *p, const struct op *op, struct text *text)
{
	cleanup_free char *link = xformat("self/fd/%d", slot_fd(p, op->slot));

	answer_say(text,
		   linkat(p->side->proc, link, at_fd(p, op->at), op->path, AT_SYMLINK_FOLLOW));
}

static int open_flagged(struct performer *p, const struct op *op)
{
	int fd = openat(at_fd(p, op->at), op->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	struct stat st;

	if (fd >= 0 && fstat(fd, &st) == 0 && (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)))
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

void op_getflags(struct performer *p, const struct op *op, struct text *text)
{
	cleanup_fd int fd = open_flagged(p, op);
	struct fsxattr extended;
	int flags;

	if (fd < 0) {
		text_add(text, "no file");
		return;
	}
	if (answer_say(text, ioctl(fd, FS_IOC_GETFLAGS, &flags)))
		text_add(text, " flags=%x", flags & FLAGS);
	if (answer_say(text, ioctl(fd, FS_IOC_FSGETXATTR, &extended)))
		text_add(text, " xflags=%x",
			 extended.fsx_xflags & (FS_XFLAG_NODUMP | FS_XFLAG_NOATIME));
}

void op_setflags(struct performer *p, const struct op *op, struct text *text)
{
	cleanup_fd int fd = open_flagged(p, op);
	struct stat st;
	int flags;

	/* A directory hands them on, but not to what replaces a whiteout: differ_accept.c. */
	if (fd < 0 || fstat(fd, &st) < 0 || S_ISDIR(st.st_mode)) {
		text_add(text, "no file");
		return;
	}
	if (!answer_say(text, ioctl(fd, FS_IOC_GETFLAGS, &flags)))
		return;
	flags = (flags & ~FLAGS) | (op->flags & FLAGS);
	answer_say(text, ioctl(fd, FS_IOC_SETFLAGS, &flags));
}
