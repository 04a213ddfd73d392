/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "index/sealed.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/copy.h"
#include "base/fd.h"

enum { RESERVE = 64 << 10 };

static const char magic[SEAL_MAGIC_SIZE] = "cairn store seal";

void sealed_done(struct sealed *sealed)
{
	if (sealed->fd >= 0)
		close(sealed->fd);
	*sealed = (struct sealed){ .fd = -1 };
}

int sealed_begin(struct sealed *ret)
{
	int fd = memfd_create("cairn index", MFD_CLOEXEC);

	if (fd < 0)
		return -errno;
	*ret = (struct sealed){ .fd = fd };
	return 0;
}

/* The last bytes of a file. */
static int read_seal(int fd, unsigned char seal[SEAL_SIZE])
{
	struct stat st;
	ssize_t n;
	int r = fd_stat(fd, NULL, &st);

	if (r < 0)
		return r;
	if (st.st_size < SEAL_SIZE)
		return SEAL_BAD;
	n = fd_pread_all(fd, seal, SEAL_SIZE, st.st_size - SEAL_SIZE);
	return n < 0 ? (int)n : n == SEAL_SIZE ? 0 : SEAL_BAD;
}

/*
 * A file without a seal has whole pages, one with it has its bytes after them: so no file that has
 * lost its seal, but for all of it, is taken for one that never had any.
 */
static int take_seal(struct sealed *sealed, off_t size)
{
	int r;

	if (size % SEALED_PAGE == 0)
		return 0;
	if (size % SEALED_PAGE != SEAL_SIZE)
		return SEAL_BAD;
	r = seal_check(sealed->fd, magic);
	if (r == 0)
		r = read_seal(sealed->fd, sealed->seal);
	if (r == 0 && ftruncate(sealed->fd, size - SEAL_SIZE) < 0)
		r = -errno;
	sealed->has_seal = r == 0;
	return r;
}

int sealed_read(int dirfd, const char *name, struct sealed *ret)
{
	cleanup_fd int fd = fd_open(dirfd, name, O_RDONLY | O_NONBLOCK, 0);
	CLEANUP(sealed_done) struct sealed sealed = { .fd = -1 };
	struct stat st;
	int r = fd < 0 ? fd : fd_stat(fd, NULL, &st);

	if (r < 0)
		return r;
	if (!S_ISREG(st.st_mode) || st.st_size == 0 || st.st_size > SEALED_MAX_SIZE)
		return SEAL_BAD;
	r = sealed_begin(&sealed);
	if (r == 0)
		r = copy_data(fd, sealed.fd, st.st_size);
	if (r >= 0)
		r = take_seal(&sealed, st.st_size);
	if (r != 0)
		return r;
	*ret = sealed;
	sealed.fd = -1;
	return 0;
}

bool sealed_is_current(const struct sealed *sealed, int dirfd, const char *name)
{
	cleanup_fd int fd = -1;
	unsigned char seal[SEAL_SIZE];

	if (!sealed->has_seal)
		return false;
	fd = fd_open(dirfd, name, O_RDONLY | O_NONBLOCK, 0);
	return fd >= 0 && read_seal(fd, seal) == 0 && memcmp(seal, sealed->seal, SEAL_SIZE) == 0;
}

/*
 * Room for the next content, if the disk has it now: when it is full, that is what makes room
 * elsewhere.
 */
static void reserve(int fd, off_t size)
{
	fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, size + RESERVE);
}

/* The file to write to; what lies there and is none is thrown away. */
static int open_old(int dirfd, const char *old)
{
	int fd = fd_open_own(dirfd, old, O_RDWR | O_CREAT, 0600);

	if (fd != -EPERM)
		return fd;
	if (unlinkat(dirfd, old, 0) < 0)
		return -errno;
	return fd_open_own(dirfd, old, O_RDWR | O_CREAT | O_EXCL, 0600);
}

static int put_in_place(int dirfd, const char *name, const char *old, off_t size)
{
	int r = fd_rename(dirfd, old, dirfd, name, RENAME_EXCHANGE);
	cleanup_fd int fd = r == 0 ? fd_open_own(dirfd, old, O_RDWR, 0) : -1;

	if (fd >= 0)
		reserve(fd, size);

	/* The first time, or where the filesystem cannot do that. */
	if (r == -ENOENT || r == -EINVAL || r == -ENOSYS)
		r = fd_rename(dirfd, old, dirfd, name, 0);
	return r < 0 ? r : fsync(dirfd) < 0 ? -errno : 0;
}

/* Over what `fd` has; every byte, as there may be others where the content has a hole. */
static int write_content(const struct sealed *sealed, int fd)
{
	struct stat st;
	ssize_t n;
	void *map;
	int r = fd_stat(sealed->fd, NULL, &st);

	if (r < 0)
		return r;
	map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, sealed->fd, 0);
	if (map == MAP_FAILED)
		return -errno;
	n = fd_pwrite_all(fd, map, (size_t)st.st_size, 0);
	munmap(map, (size_t)st.st_size);
	if (n < 0)
		return (int)n;
	if (n < st.st_size)
		return -ENOSPC;
	if (ftruncate(fd, st.st_size) < 0)
		return -errno;
	reserve(fd, st.st_size);
	return 0;
}

int sealed_write(struct sealed *sealed, int dirfd, const char *name, const char *old)
{
	cleanup_fd int fd = open_old(dirfd, old);
	struct stat st;
	int r = fd < 0 ? fd : write_content(sealed, fd);

	if (r == 0)
		r = seal_put(fd, magic);
	if (r == 0)
		r = fd_stat(fd, NULL, &st);
	sealed->has_seal = r == 0 && read_seal(fd, sealed->seal) == 0;
	return r < 0 ? r : put_in_place(dirfd, name, old, st.st_size);
}
