/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/copy.h"

#include <errno.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/xattr.h"

enum { BUFFER_SIZE = 1 << 20 };

static int copy_range_by_buffer(int src, int dst, off_t from, off_t to)
{
	cleanup_free char *buffer = malloc(BUFFER_SIZE);

	if (!buffer)
		return -ENOMEM;
	while (from < to) {
		size_t want = to - from < BUFFER_SIZE ? (size_t)(to - from) : BUFFER_SIZE;
		ssize_t n = fd_pread_all(src, buffer, want, from);

		if (n <= 0)
			return (int)n; /* the source ended early: what is missing is a hole */
		for (ssize_t done = 0; done < n;) {
			/* What is written in part fails when the rest is tried, and says why. */
			ssize_t m = fd_pwrite_all(dst, buffer + done, (size_t)(n - done),
						  from + done);

			if (m <= 0)
				return m < 0 ? (int)m : -EIO;
			done += m;
		}
		from += n;
	}
	return 0;
}

/* Whether copy_file_range said that it cannot, rather than that the copy failed. */
static bool is_unsupported(int error)
{
	return error == EXDEV || error == EINVAL || error == EOPNOTSUPP || error == ENOSYS ||
	       error == EPERM;
}

static int copy_range(int src, int dst, off_t from, off_t to)
{
	while (from < to) {
		off_t in = from, out = from;
		ssize_t n = copy_file_range(src, &in, dst, &out, (size_t)(to - from), 0);

		if (n < 0 && errno == EINTR)
			continue;
		/* 0 before the end is how some filesystems say that they cannot. */
		if (n == 0 || (n < 0 && is_unsupported(errno)))
			return copy_range_by_buffer(src, dst, from, to);
		if (n < 0)
			return -errno;
		from += n;
	}
	return 0;
}

/* What is that long already is left alone: some filesystems would write it to the disk first. */
static int fit(int fd, off_t size)
{
	struct stat st;
	int r = fd_stat(fd, NULL, &st);

	if (r == 0 && st.st_size != size && ftruncate(fd, size) < 0)
		r = -errno;
	return r;
}

int copy_data(int src, int dst, off_t size)
{
	off_t at = 0;

	if (size > 0 && ioctl(dst, FICLONE, src) == 0) {
		int r = fit(dst, size);

		return r < 0 ? r : COPY_CLONED;
	}
	while (at < size) {
		off_t data = lseek(src, at, SEEK_DATA);
		off_t hole;
		int r;

		if (data < 0 && errno == ENXIO)
			break;
		if (data < 0)
			data = at; /* no SEEK_DATA here: all of it is data */
		if (data >= size)
			break;
		hole = lseek(src, data, SEEK_HOLE);
		if (hole < 0 || hole > size)
			hole = size;
		r = copy_range(src, dst, data, hole);
		if (r < 0)
			return r;
		at = hole;
	}
	return fit(dst, size);
}

int copy_xattrs(int src, int dst, bool (*want)(const char *name))
{
	cleanup_free char *names = NULL;
	ssize_t n = xattr_list(src, &names);

	if (n < 0)
		return (int)n;
	for (const char *name = names; name < names + n; name += strlen(name) + 1) {
		cleanup_free char *value = NULL;
		ssize_t size;
		int r;

		if (want && !want(name))
			continue;
		size = xattr_get_all(src, name, &value);
		if (size == -ENODATA)
			continue; /* removed since it was listed */
		if (size < 0)
			return (int)size;
		r = xattr_set(dst, name, value, (size_t)size, 0);
		if (r < 0 && !xattr_may_be_refused(name, r))
			return r;
	}
	return 0;
}

int copy_stat(int dst, const struct stat *st)
{
	const struct timespec times[2] = { st->st_atim, st->st_mtim };
	int r = fd_chown(dst, st->st_uid, st->st_gid);

	/* The mode comes after the owner: chown clears setuid and setgid. */
	if (r == 0 && !S_ISLNK(st->st_mode))
		r = fd_chmod(dst, st->st_mode & 07777);
	return r < 0 ? r : fd_utimens(dst, times);
}
