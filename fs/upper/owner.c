/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "upper/owner.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/copy.h"
#include "base/fd.h"

bool owner_is_written(const struct upper *upper, mode_t mode)
{
	return upper->config->override != OVERRIDE_NONE && !S_ISLNK(mode);
}

mode_t owner_real_mode(mode_t mode)
{
	return S_ISDIR(mode) ? S_IFDIR | (mode & 0777) | 0700 : S_IFREG | (mode & 0777) | 0600;
}

int owner_complete(const struct upper *upper, int dirfd, const char *name, struct stat *st)
{
	cleanup_fd int fd = -1;
	int r;

	if (!owner_is_written(upper, st->st_mode))
		return 0;
	if (name) {
		fd = fd_open(dirfd, name, O_PATH, 0);
		if (fd < 0)
			return fd;
	}
	r = override_read(upper->config->override, name ? fd : dirfd, st);
	return r < 0 ? r : 0;
}

int owner_stat(const struct upper *upper, int dirfd, const char *name, struct stat *ret)
{
	int r = fd_stat(dirfd, name, ret);

	return r < 0 ? r : owner_complete(upper, dirfd, name, ret);
}

int owner_write(const struct upper *upper, int fd, const struct stat *st)
{
	int r = override_write(upper->config->override, fd, st);

	return r < 0 ? r : fd_chmod(fd, owner_real_mode(st->st_mode) & 07777);
}

int owner_set(const struct upper *upper, int fd, uid_t uid, gid_t gid)
{
	struct stat st;
	int r;

	if (upper->config->override == OVERRIDE_NONE)
		return fd_chown(fd, uid, gid);
	r = owner_stat(upper, fd, NULL, &st);
	if (r < 0)
		return r;
	if (S_ISLNK(st.st_mode)) {
		r = fd_chown(fd, uid, gid);
		return r == -EPERM || r == -EINVAL ? 0 : r;
	}
	if (uid != (uid_t)-1)
		st.st_uid = uid;
	if (gid != (gid_t)-1)
		st.st_gid = gid;
	return owner_write(upper, fd, &st);
}

int owner_set_mode(const struct upper *upper, int fd, mode_t mode)
{
	struct stat st;
	int r;

	if (upper->config->override == OVERRIDE_NONE)
		return fd_chmod(fd, mode & 07777);
	r = owner_stat(upper, fd, NULL, &st);
	if (r < 0)
		return r;
	st.st_mode = (st.st_mode & S_IFMT) | (mode & 07777);
	return owner_write(upper, fd, &st);
}

int owner_copy(const struct upper *upper, int fd, const struct stat *st)
{
	const struct timespec times[2] = { st->st_atim, st->st_mtim };
	int r;

	if (upper->config->override == OVERRIDE_NONE)
		return copy_stat(fd, st);
	r = S_ISLNK(st->st_mode) ? owner_set(upper, fd, st->st_uid, st->st_gid)
				 : owner_write(upper, fd, st);
	return r < 0 ? r : fd_utimens(fd, times);
}
