/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Short ways to make files and to look at them; whatever goes wrong fails the test. */
#include "rules.h"

#include <dirent.h>
#include <sys/xattr.h>

#include "base/fd.h"

/* The next of four buffers, so that two texts can be compared. */
#define TEXT_SIZE 8192
static char *next_buffer(void)
{
	static char buffers[4][TEXT_SIZE];
	static int next;

	return buffers[next++ % 4];
}

void dir(const char *path)
{
	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		failed(__FILE__, __LINE__, "mkdir %s: %s", path, strerror(errno));
}

int open_as(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC, 0644);

	if (fd < 0)
		failed(__FILE__, __LINE__, "open %.100s: %s", path, strerror(errno));
	return fd;
}

static void write_text(const char *path, int flags, off_t offset, const char *content)
{
	cleanup_fd int fd = open_as(path, O_WRONLY | flags);
	ssize_t length = (ssize_t)strlen(content);
	ssize_t n = flags & O_APPEND ? write(fd, content, length)
				     : pwrite(fd, content, length, offset);

	if (n != length)
		failed(__FILE__, __LINE__, "write %.100s: %s", path, strerror(errno));
}

void file(const char *path, const char *content)
{
	write_text(path, O_CREAT | O_TRUNC, 0, content);
}

void append(const char *path, const char *content)
{
	write_text(path, O_APPEND, 0, content);
}

void write_at(const char *path, off_t offset, const char *content)
{
	write_text(path, 0, offset, content);
}

/* Each 8 bytes say where they are. */
static void fill(uint64_t *words, size_t size, off_t offset)
{
	for (size_t i = 0; i < size / 8; i++)
		words[i] = (uint64_t)offset + i * 8 + 0x5a00000000000000;
}

void big_file(const char *path, off_t size)
{
	cleanup_fd int fd = open_as(path, O_WRONLY | O_CREAT | O_TRUNC);
	static uint64_t words[8192];

	for (off_t done = 0; done < size; done += sizeof(words)) {
		fill(words, sizeof(words), done);
		ok(pwrite(fd, words, sizeof(words), done));
	}
	ok(ftruncate(fd, size));
}

bool is_big_file(const char *path, off_t size)
{
	cleanup_fd int fd = open_as(path, O_RDONLY);
	static uint64_t want[8192], got[8192];

	if (fd_st(fd).st_size != size)
		return false;
	for (off_t done = 0; done < size; done += sizeof(want)) {
		off_t left = size - done;
		ssize_t n = left < (off_t)sizeof(want) ? left : (off_t)sizeof(want);

		fill(want, sizeof(want), done);
		if (fd_pread_all(fd, got, n, done) != n || memcmp(got, want, n) != 0)
			return false;
	}
	return true;
}

void set_mode(const char *path, mode_t mode)
{
	if (chmod(path, mode) < 0)
		failed(__FILE__, __LINE__, "chmod %s: %s", path, strerror(errno));
}

void set_times(const char *path, int64_t seconds, long nanoseconds)
{
	const struct timespec times[2] = { { seconds, nanoseconds }, { seconds, nanoseconds } };

	if (utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW) < 0)
		failed(__FILE__, __LINE__, "utimensat %s: %s", path, strerror(errno));
}

void set_owner(const char *path, uid_t uid, gid_t gid)
{
	if (lchown(path, uid, gid) < 0)
		failed(__FILE__, __LINE__, "chown %s: %s", path, strerror(errno));
}

struct stat st(const char *path)
{
	struct stat ret;

	if (lstat(path, &ret) < 0)
		failed(__FILE__, __LINE__, "stat %.100s: %s", path, strerror(errno));
	return ret;
}

struct stat fd_st(int fd)
{
	struct stat ret;

	ok(fstat(fd, &ret));
	return ret;
}

mode_t mode_of(const char *path)
{
	return st(path).st_mode & 07777;
}

bool there(const char *path)
{
	struct stat ret;

	return lstat(path, &ret) == 0;
}

bool same_time(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

void check_owner_at(const char *file, int line, const char *path, uid_t uid, gid_t gid, mode_t mode)
{
	struct stat is = st(path);

	if (is.st_uid != uid || is.st_gid != gid || (is.st_mode & 07777) != mode)
		failed(file, line, "%s is %u:%u %o, not %u:%u %o", path, is.st_uid, is.st_gid,
		       is.st_mode & 07777, uid, gid, mode);
}

const char *fd_text(int fd)
{
	char *buffer = next_buffer();
	ssize_t n = ok(pread(fd, buffer, TEXT_SIZE - 1, 0));

	buffer[n] = '\0';
	return buffer;
}

const char *text(const char *path)
{
	cleanup_fd int fd = open_as(path, O_RDONLY);

	return fd_text(fd);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* All but . and .., and how many; each is the caller's. */
static size_t read_names(const char *path, char **list, size_t max)
{
	cleanup_dir DIR *d = opendir(path);
	struct dirent *entry;
	size_t n = 0;

	if (!d)
		failed(__FILE__, __LINE__, "opendir %.100s: %s", path, strerror(errno));
	while ((errno = 0, entry = readdir(d))) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		if (list && n < max)
			list[n] = strdup(entry->d_name);
		n++;
	}
	check_eq(errno, 0);
	return n;
}

const char *names(const char *path)
{
	char *list[100], *buffer = next_buffer(), *p = buffer;
	size_t n = read_names(path, list, 100);

	check(n <= 100);
	qsort(list, n, sizeof(*list), by_name);
	*p = '\0';
	for (size_t i = 0; i < n; i++) {
		p += snprintf(p, TEXT_SIZE - (p - buffer), "%s%s", i ? " " : "", list[i]);
		check(p < buffer + TEXT_SIZE);
		free(list[i]);
	}
	return buffer;
}

size_t count_names(const char *path)
{
	return read_names(path, NULL, 0);
}

const char *target(const char *path)
{
	char *buffer = next_buffer();
	ssize_t n = readlink(path, buffer, TEXT_SIZE - 1);

	if (n < 0)
		failed(__FILE__, __LINE__, "readlink %.100s: %s", path, strerror(errno));
	buffer[n] = '\0';
	return buffer;
}

const char *xattr(const char *path, const char *name)
{
	char *buffer = next_buffer();
	ssize_t n = lgetxattr(path, name, buffer, TEXT_SIZE - 1);

	if (n < 0 && errno == ENODATA)
		return "-";
	if (n < 0)
		failed(__FILE__, __LINE__, "getxattr %s %s: %s", path, name, strerror(errno));
	buffer[n] = '\0';
	return buffer;
}

void set_xattr(const char *path, const char *name, const char *value)
{
	if (lsetxattr(path, name, value, strlen(value), 0) < 0)
		failed(__FILE__, __LINE__, "setxattr %s %s: %s", path, name, strerror(errno));
}

void remove_all(const char *path)
{
	int r = fd_remove_tree(AT_FDCWD, path);

	if (r < 0)
		failed(__FILE__, __LINE__, "rm -r %s: %s", path, strerror(-r));
}
