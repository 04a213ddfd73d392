/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The only place where system calls on names are made, so that symbolic links
 * are never followed by accident and errno turns into a return value at once.
 */
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"

/* Turns a call that answers -1 and errno into one that answers -errno. */
static int answer(long r)
{
	return r < 0 ? -errno : (int)r;
}

/*
 * Whether to open once more: a lease of another process is in the way, and is being
 * taken back.  O_NONBLOCK is for FIFOs that nobody writes to, where no open may wait;
 * nothing else gives EWOULDBLOCK.  And signals are no reason to fail.
 */
static bool opens_later(int r, int flags)
{
	const struct timespec pause = { .tv_nsec = 5000000 };

	if (r == -EWOULDBLOCK && flags & O_NONBLOCK)
		nanosleep(&pause, NULL);
	else if (r != -EINTR)
		return false;
	return true;
}

void fd_open_stdio(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd > STDERR_FILENO)
		close(fd);
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

/* RESOLVE_BENEATH allows a ".." that stays inside; nobody here has a use for one. */
static bool has_dotdot(const char *path)
{
	for (; path; path = strchr(path, '/')) {
		path += strspn(path, "/");
		if (strncmp(path, "..", 2) == 0 && (path[2] == '/' || path[2] == '\0'))
			return true;
	}
	return false;
}

int fd_open_beneath(int dirfd, const char *path, int flags)
{
	cleanup_fd int at = -1;
	int r;

	if (has_dotdot(path))
		return -EXDEV;
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
	do {
		r = open_whole(at < 0 ? dirfd : at, path, flags);
	} while (opens_later(r, flags));
	return r;
}

int fd_open(int dirfd, const char *name, int flags, mode_t mode)
{
	int r;

	do {
		r = answer(openat(dirfd, name, flags | O_NOFOLLOW | O_CLOEXEC, mode));
	} while (opens_later(r, flags));
	return r;
}

int fd_open_own(int dirfd, const char *name, int flags, mode_t mode)
{
	cleanup_fd int fd = fd_open(dirfd, name, (flags & ~O_TRUNC) | O_NONBLOCK | O_NOCTTY, mode);
	struct stat st;

	if (fd < 0)
		return fd == -ELOOP || fd == -ENXIO || fd == -EISDIR ? -EPERM : fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_nlink != 1 || st.st_uid != geteuid())
		return -EPERM;
	if (flags & O_TRUNC && ftruncate(fd, 0) < 0)
		return -errno;
	return take_fd(&fd);
}

int fd_reopen(int fd, int flags)
{
	int r;

	do {
		r = answer(open(fd_path(fd).s, (flags & ~O_NOFOLLOW) | O_CLOEXEC));
	} while (opens_later(r, flags));
	return r;
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

void fd_keep_atime(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags >= 0)
		fcntl(fd, F_SETFL, flags | O_NOATIME);
}

int fd_stat(int dirfd, const char *name, struct stat *ret)
{
	return answer(fstatat(dirfd, name ? name : "", ret,
			      AT_SYMLINK_NOFOLLOW | (name ? 0 : AT_EMPTY_PATH)));
}

uint64_t fd_birth(int fd)
{
	struct statx st;

	if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_BTIME, &st) < 0 ||
	    !(st.stx_mask & STATX_BTIME))
		return 0;
	return (uint64_t)st.stx_btime.tv_sec * 1000000000 + st.stx_btime.tv_nsec;
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

ssize_t fd_read_text(const char *path, char *buf, size_t size)
{
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -errno : fd_pread_all(fd, buf, size - 1, 0);

	buf[n > 0 ? n : 0] = '\0';
	return n;
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

/* Gives its owner all rights to a directory; whatever else may stand there by now stays as it is.
 */
static int open_up(int dirfd, const char *name)
{
	cleanup_fd int fd = fd_open(dirfd, name, O_PATH | O_DIRECTORY, 0);

	return fd < 0 ? fd : fd_chmod(fd, 0700);
}

/* Opens a directory that is to go; its mode is no obstacle to its owner. */
static int open_doomed(int dirfd, const char *name)
{
	int fd = fd_open(dirfd, name, O_RDONLY | O_DIRECTORY, 0);

	if (fd == -EACCES && open_up(dirfd, name) == 0)
		fd = fd_open(dirfd, name, O_RDONLY | O_DIRECTORY, 0);
	if (fd >= 0)
		fchmod(fd, 0700);
	return fd;
}

/* The flags that keep an object from being renamed or removed are taken away: -1, or what they
 * were. */
static int take_flags(int fd)
{
	enum { HELD = FS_IMMUTABLE_FL | FS_APPEND_FL };
	int flags, free;

	if (fd < 0 || ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0 || !(flags & HELD))
		return -1;
	free = flags & ~HELD;
	return ioctl(fd, FS_IOC_SETFLAGS, &free) < 0 ? -1 : flags;
}

int fd_take_flags(int dirfd, const char *name)
{
	cleanup_fd int fd = fd_open(dirfd, name, O_RDONLY | O_NONBLOCK, 0);

	return take_flags(fd) < 0 ? -EPERM : 0;
}

/* Of a file that is immutable or may only be appended to: if it has other names, it stays so. */
static int remove_held(int dirfd, const char *name, const struct stat *st)
{
	cleanup_fd int fd = fd_open(dirfd, name, O_RDONLY | O_NONBLOCK, 0);
	int flags = take_flags(fd), r;

	if (flags < 0)
		return -EPERM;
	r = unlinkat(dirfd, name, 0) < 0 ? -errno : 0;
	if (r < 0 || st->st_nlink > 1)
		ioctl(fd, FS_IOC_SETFLAGS, &flags);
	return r;
}

/* Removes what is no directory: 0, or -EISDIR, or another error. */
static int remove_file(int dirfd, const char *name)
{
	struct stat st;
	int r;

	if (unlinkat(dirfd, name, 0) == 0 || errno == ENOENT)
		return 0;
	r = -errno;
	if (r != -EPERM || fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return r;
	/* POSIX allows EPERM for a directory. */
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	return S_ISREG(st.st_mode) ? remove_held(dirfd, name, &st) : r;
}

/*
 * A tree that is being removed. Directories in it are moved up to its root, where they have the
 * names "removed-0", "removed-1" and so on, and wait there until it is their turn.
 */
struct removal {
	int top;
	unsigned long n_names; /* given out, or taken by another */
};

struct waiting_name {
	char s[32];
};

static struct waiting_name waiting_name(unsigned long i)
{
	struct waiting_name name;

	snprintf(name.s, sizeof(name.s), "removed-%lx", i);
	return name;
}

static int move_up(struct removal *removal, int dirfd, const char *name)
{
	/* Renaming a directory elsewhere changes its "..", for which it must be writable. */
	open_up(dirfd, name);
	for (;;) {
		struct waiting_name new = waiting_name(removal->n_names++);
		struct stat st;
		int r = fd_stat(removal->top, new.s, &st);

		if (r == -ENOENT)
			return fd_rename(dirfd, name, removal->top, new.s, 0);
		if (r < 0)
			return r;
	}
}

/*
 * Goes through a directory once: files are removed, directories handed to `each`.  Without
 * readdir, which wants memory: what is thrown away for want of it must be gone.
 */
static int sweep(struct removal *removal, int dirfd,
		 int (*each)(struct removal *removal, int dirfd, const char *name))
{
	_Alignas(struct dirent64) char buf[4096];
	cleanup_fd int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ssize_t n = 0;
	int r = fd < 0 ? -errno : 0;

	while (r == 0 && (n = getdents64(fd, buf, sizeof(buf))) > 0) {
		struct dirent64 *entry;

		for (ssize_t at = 0; r == 0 && at < n; at += entry->d_reclen) {
			entry = (struct dirent64 *)(buf + at);
			if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
				continue;
			r = remove_file(dirfd, entry->d_name);
			if (r == -EISDIR)
				r = each(removal, dirfd, entry->d_name);
		}
	}
	return r < 0 ? r : n < 0 ? -errno : 0;
}

/* Removes a directory of the top; the directories in it wait there from now on. */
static int dissolve(struct removal *removal, int dirfd, const char *name)
{
	cleanup_fd int fd = open_doomed(dirfd, name);
	int r = fd < 0 ? fd : sweep(removal, fd, move_up);

	if (r < 0)
		return r == -ENOENT || r == -ENOTDIR ? 0 : r;
	return unlinkat(dirfd, name, AT_REMOVEDIR) < 0 && errno != ENOENT ? -errno : 0;
}

/*
 * However deep or wide the tree, it takes no more memory, three directories are open at a time
 * and each is gone through once.
 */
int fd_remove_tree(int dirfd, const char *name)
{
	struct removal removal = { 0 };
	cleanup_fd int top = -1;
	int r = remove_file(dirfd, name);

	if (r != -EISDIR)
		return r;
	/* An empty one needs no descriptor, of which there may be none left. */
	if (unlinkat(dirfd, name, AT_REMOVEDIR) == 0)
		return 0;
	top = open_doomed(dirfd, name);
	if (top < 0)
		return top == -ENOENT ? 0 : top;
	removal.top = top;
	r = sweep(&removal, top, dissolve);
	for (unsigned long i = 0; r == 0 && i < removal.n_names; i++)
		r = dissolve(&removal, top, waiting_name(i).s);
	if (r < 0)
		return r;
	return unlinkat(dirfd, name, AT_REMOVEDIR) < 0 && errno != ENOENT ? -errno : 0;
}
