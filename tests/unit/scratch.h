/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What unit tests share: a temporary directory to work in, and short ways to
 * fill it and to look into it.  Paths are relative to a directory descriptor,
 * of any number of components; whatever goes wrong ends the test.
 */
#ifndef TEST_SCRATCH_H
#define TEST_SCRATCH_H

#undef NDEBUG
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/xattr.h"

/* As assert(got == want), and says what they were. */
#define assert_eq(got, want)                                                                       \
	do {                                                                                       \
		long long got_ = (long long)(got), want_ = (long long)(want);                      \
		if (got_ != want_)                                                                 \
			fprintf(stderr, "%s:%d: %s is %lld, not %lld\n", __FILE__, __LINE__, #got, \
				got_, want_);                                                      \
		assert(got_ == want_);                                                             \
	} while (0)

/* As assert_eq for strings; takes NULL. */
#define assert_streq(got, want)                                                                    \
	do {                                                                                       \
		const char *got_ = (got), *want_ = (want);                                         \
		bool same_ = got_ && want_ ? strcmp(got_, want_) == 0 : got_ == want_;             \
		if (!same_)                                                                        \
			fprintf(stderr, "%s:%d: %s is '%s', not '%s'\n", __FILE__, __LINE__, #got, \
				got_ ? got_ : "(null)", want_ ? want_ : "(null)");                 \
		assert(same_);                                                                     \
	} while (0)

/* The work directory, and its name. */
static int scratch = -1;
static char scratch_path[128];

/*
 * Goes on in a child process, in an empty work directory.  The parent waits,
 * removes the directory however the child ended, and ends the same way.
 */
static inline void scratch_begin(void)
{
	const char *tmp = getenv("TMPDIR");
	int status;
	pid_t pid;

	snprintf(scratch_path, sizeof(scratch_path), "%s/cairn-unit.XXXXXX", tmp ? tmp : "/tmp");
	assert(mkdtemp(scratch_path));
	scratch = open(scratch_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert(scratch >= 0);
	pid = fork();
	assert(pid >= 0);
	if (pid == 0)
		return;
	assert(waitpid(pid, &status, 0) == pid);
	close(scratch);
	if (fd_remove_tree(AT_FDCWD, scratch_path) < 0)
		fprintf(stderr, "cannot remove %s\n", scratch_path);
	if (WIFSIGNALED(status))
		fprintf(stderr, "ended by signal %d\n", WTERMSIG(status));
	exit(WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILURE);
}

static inline bool is_root(void)
{
	return geteuid() == 0;
}

/* A note that something is not tested here, and why. */
static inline void skipped(const char *what, const char *why)
{
	printf("skipped: %s: %s\n", what, why);
}

/* Makes a directory; it may be there. */
static inline void make_dir(int at, const char *path, mode_t mode)
{
	assert(mkdirat(at, path, 0700) == 0 || errno == EEXIST);
	assert(fchmodat(at, path, mode, 0) == 0);
}

static inline int open_dir(int at, const char *path)
{
	int fd = openat(at, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert(fd >= 0);
	return fd;
}

/* Makes and opens a directory. */
static inline int make_dir_open(int at, const char *path)
{
	make_dir(at, path, 0755);
	return open_dir(at, path);
}

static inline void make_file(int at, const char *path, const char *content)
{
	cleanup_fd int fd = openat(at, path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0644);

	assert(fd >= 0);
	assert(write(fd, content, strlen(content)) == (ssize_t)strlen(content));
	assert(fchmod(fd, 0644) == 0);
}

static inline void make_link(int at, const char *path, const char *newpath)
{
	assert(linkat(at, path, at, newpath, 0) == 0);
}

static inline void make_symlink(int at, const char *target, const char *path)
{
	assert(symlinkat(target, at, path) == 0);
}

/* A device 0:0, which hides the name in what lies below. */
static inline void make_whiteout(int at, const char *path)
{
	assert(mknodat(at, path, S_IFCHR, makedev(0, 0)) == 0);
}

static inline void remove_name(int at, const char *path)
{
	assert(unlinkat(at, path, 0) == 0 || unlinkat(at, path, AT_REMOVEDIR) == 0);
}

/* Sets both times of anything. */
static inline void set_times(int at, const char *path, long seconds, long nanoseconds)
{
	const struct timespec times[2] = { { seconds, nanoseconds }, { seconds, nanoseconds } };

	assert(utimensat(at, path, times, AT_SYMLINK_NOFOLLOW) == 0);
}

static inline bool exists(int at, const char *path)
{
	struct stat st;

	return fstatat(at, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static inline struct stat stat_of(int at, const char *path)
{
	struct stat st;

	if (fstatat(at, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
		fprintf(stderr, "stat %s: %s\n", path, strerror(errno));
	assert(fstatat(at, path, &st, AT_SYMLINK_NOFOLLOW) == 0);
	return st;
}

/* The content of a file, in a buffer that the next call uses again. */
static inline const char *content_of(int at, const char *path)
{
	static char content[4096];
	cleanup_fd int fd = openat(at, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	ssize_t n;

	assert(fd >= 0);
	n = read(fd, content, sizeof(content) - 1);
	assert(n >= 0);
	content[n] = '\0';
	return content;
}

/* An O_PATH descriptor of anything. */
static inline int open_path(int at, const char *path)
{
	int fd = openat(at, path, O_PATH | O_NOFOLLOW | O_CLOEXEC);

	assert(fd >= 0);
	return fd;
}

/* Sets an xattr; false where this user or filesystem cannot. */
static inline bool try_xattr(int at, const char *path, const char *name, const char *value)
{
	cleanup_fd int fd = open_path(at, path);

	return xattr_set(fd, name, value, strlen(value), 0) == 0;
}

static inline bool has_xattr(int at, const char *path, const char *name)
{
	cleanup_fd int fd = open_path(at, path);

	return xattr_get(fd, name, NULL, 0) >= 0;
}

/* The value, in a buffer that the next call uses again; NULL if it has none. */
static inline const char *xattr_of(int at, const char *path, const char *name)
{
	static char value[256];
	cleanup_fd int fd = open_path(at, path);
	ssize_t n = xattr_get(fd, name, value, sizeof(value) - 1);

	value[n > 0 ? n : 0] = '\0';
	return n < 0 ? NULL : value;
}

#endif
