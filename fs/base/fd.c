/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The only place where system calls on names are made, so that symbolic links
 * are never followed by accident and errno turns into a return value at once.
 */
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"

/* Turns a call that answers -1 and errno into one that answers -errno. */
static int answer(long r)
{
	return r < 0 ? -errno : (int)r;
}

struct fd_path fd_path(int fd)
{
	struct fd_path path;

	snprintf(path.s, sizeof(path.s), "/proc/self/fd/%d", fd);
	return path;
}

/* The way of kernels before 5.6: one component at a time, none of them a link. */
static int open_by_components(int dirfd, const char *path, int flags)
{
	cleanup_fd int at = -1;
	char name[NAME_MAX + 1];

	if (*path == '/')
		return -EXDEV;
	for (;;) {
		size_t len = strcspn(path, "/");
		const char *rest = path + len + strspn(path + len, "/");
		int fd;

		if (len == 0 || len > NAME_MAX)
			return len ? -ENAMETOOLONG : -ENOENT;
		memcpy(name, path, len);
		name[len] = '\0';
		if (strcmp(name, "..") == 0)
			return -EXDEV;
		fd = openat(at < 0 ? dirfd : at, name,
			    *rest ? O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC : flags);
		if (fd < 0)
			return -errno;
		if (!*rest)
			return fd;
		if (at >= 0)
			close(at);
		at = fd;
		path = rest;
	}
}

static int open_whole(int dirfd, const char *path, int flags)
{
	static atomic_bool missing;
	struct open_how how = {
		.flags = (uint64_t)(unsigned int)flags,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS,
	};
	int fd;

	if (atomic_load_explicit(&missing, memory_order_relaxed))
		return open_by_components(dirfd, path, flags);
	fd = answer(syscall(SYS_openat2, dirfd, path, &how, sizeof(how)));
	if (fd == -ENOSYS)
		atomic_store_explicit(&missing, true, memory_order_relaxed);
	/* A sandbox may refuse the call; and RESOLVE_NO_SYMLINKS refuses a final link even for
	 * O_PATH|O_NOFOLLOW, where the link itself is wanted. */
	if (fd == -ENOSYS || fd == -EPERM || (fd == -ELOOP && (flags & O_PATH)))
		return open_by_components(dirfd, path, flags);
	return fd;
}

/* Where to part a path that is too long for one call: at the last slash that it can take. */
static const char *part(const char *path)
{
	const char *slash = path + PATH_MAX - 2;

	while (slash > path && *slash != '/')
		slash--;
	return slash;
}

int fd_open_beneath(int dirfd, const char *path, int flags)
{
	cleanup_fd int at = -1;

	flags |= O_CLOEXEC | O_NOFOLLOW;
	while (strnlen(path, PATH_MAX) == PATH_MAX) {
		const char *slash = part(path);
		cleanup_free char *first = strndup(path, (size_t)(slash - path));
		int fd = first ? open_whole(at < 0 ? dirfd : at, first,
					    O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW)
			       : -ENOMEM;

		if (fd < 0)
			return fd;
		if (at >= 0)
			close(at);
		at = fd;
		path = slash + strspn(slash, "/");
	}
	return open_whole(at < 0 ? dirfd : at, path, flags);
}

int fd_open(int dirfd, const char *name, int flags, mode_t mode)
{
	return answer(openat(dirfd, name, flags | O_NOFOLLOW | O_CLOEXEC, mode));
}

int fd_reopen(int fd, int flags)
{
	return answer(open(fd_path(fd).s, (flags & ~O_NOFOLLOW) | O_CLOEXEC));
}

int fd_opendir(int dirfd, DIR **ret)
{
	cleanup_fd int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir;

	if (fd < 0)
		return -errno;
	dir = fdopendir(fd);
	if (!dir)
		return -errno;
	take_fd(&fd);
	*ret = dir;
	return 0;
}

int fd_stat(int dirfd, const char *name, struct stat *ret)
{
	return answer(fstatat(dirfd, name ? name : "", ret,
			      AT_SYMLINK_NOFOLLOW | (name ? 0 : AT_EMPTY_PATH)));
}

int fd_readlink(int dirfd, const char *name, char **ret)
{
	cleanup_free char *target = malloc(PATH_MAX);
	ssize_t n;

	if (!target)
		return -ENOMEM;
	n = readlinkat(dirfd, name ? name : "", target, PATH_MAX);
	if (n < 0)
		return -errno;
	if (n >= PATH_MAX)
		return -ENAMETOOLONG;
	target[n] = '\0';
	*ret = take_ptr(target);
	return 0;
}

int fd_chmod(int fd, mode_t mode)
{
	return answer(chmod(fd_path(fd).s, mode));
}

int fd_chown(int fd, uid_t uid, gid_t gid)
{
	return answer(fchownat(fd, "", uid, gid, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW));
}

int fd_utimens(int fd, const struct timespec times[2])
{
	int r = answer(utimensat(fd, "", times, AT_EMPTY_PATH));

	/* Before Linux 5.8 AT_EMPTY_PATH is not known to utimensat. */
	return r == -EINVAL ? answer(utimensat(AT_FDCWD, fd_path(fd).s, times, 0)) : r;
}

int fd_rename(int olddir, const char *oldname, int newdir, const char *newname, unsigned int flags)
{
	return answer(syscall(SYS_renameat2, olddir, oldname, newdir, newname, flags));
}

int fd_link(int fd, int newdir, const char *newname)
{
	int r = answer(linkat(fd, "", newdir, newname, AT_EMPTY_PATH));

	/* AT_EMPTY_PATH wants CAP_DAC_READ_SEARCH in the first user namespace; the magic
	 * link does not. */
	if (r == -ENOENT || r == -EPERM)
		r = answer(linkat(AT_FDCWD, fd_path(fd).s, newdir, newname, AT_SYMLINK_FOLLOW));
	return r;
}

ssize_t fd_pread_all(int fd, void *buf, size_t size, off_t offset)
{
	size_t done = 0;

	while (done < size) {
		ssize_t n = pread(fd, (char *)buf + done, size - done, offset + (off_t)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return done ? (ssize_t)done : -errno;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

ssize_t fd_pwrite_all(int fd, const void *buf, size_t size, off_t offset)
{
	size_t done = 0;

	while (done < size) {
		ssize_t n = pwrite(fd, (const char *)buf + done, size - done, offset + (off_t)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return done ? (ssize_t)done : -errno;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

static int remove_children(int dirfd);

int fd_remove_tree(int dirfd, const char *name)
{
	cleanup_fd int fd = -1;
	int r;

	if (unlinkat(dirfd, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return -errno;
	fd = fd_open(dirfd, name, O_RDONLY | O_DIRECTORY, 0);
	if (fd == -EACCES && fchmodat(dirfd, name, 0700, 0) == 0)
		fd = fd_open(dirfd, name, O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0)
		return fd;
	r = remove_children(fd);
	if (r < 0)
		return r;
	r = answer(unlinkat(dirfd, name, AT_REMOVEDIR));
	return r == -ENOENT ? 0 : r;
}

static int remove_children(int dirfd)
{
	cleanup_dir DIR *dir = NULL;
	struct dirent *entry;
	int r;

	fchmod(dirfd, 0700); /* a directory of mode 0 must not stop its owner */
	r = fd_opendir(dirfd, &dir);
	if (r < 0)
		return r;
	while ((errno = 0, entry = readdir(dir))) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		r = fd_remove_tree(dirfd, entry->d_name);
		if (r < 0)
			return r;
	}
	return -errno;
}
