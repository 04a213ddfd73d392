/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The f*xattr calls refuse O_PATH descriptors, and the path calls follow links
 * or take none; going through /proc/self/fd reaches every type of object and
 * follows nothing but the magic link itself.
 */
#include "base/xattr.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#include "base/cleanup.h"
#include "base/fd.h"

ssize_t xattr_get(int fd, const char *name, void *value, size_t size)
{
	ssize_t n = getxattr(fd_path(fd).s, name, value, size);

	return n < 0 ? -errno : n;
}

int xattr_set(int fd, const char *name, const void *value, size_t size, int flags)
{
	return setxattr(fd_path(fd).s, name, value, size, flags) < 0 ? -errno : 0;
}

int xattr_remove(int fd, const char *name)
{
	return removexattr(fd_path(fd).s, name) < 0 ? -errno : 0;
}

/* Nearly always they are few, and one call gives them all. */
static ssize_t list(const char *path, ssize_t (*call)(const char *path, char *names, size_t size),
		    char **ret)
{
	enum { ENOUGH = 512 };
	size_t room = ENOUGH;

	for (;;) {
		cleanup_free char *names = malloc(room);
		ssize_t n;

		if (!names)
			return -ENOMEM;
		n = call(path, names, room);
		if (n < 0 && errno == ERANGE) {
			n = call(path, NULL, 0);
			room = n > 0 ? (size_t)n : ENOUGH; /* some may go, or come, meanwhile */
			if (n >= 0)
				continue;
		}
		if (n < 0 && errno != EOPNOTSUPP)
			return -errno;
		*ret = take_ptr(names);
		return n < 0 ? 0 : n;
	}
}

ssize_t xattr_list(int fd, char **ret)
{
	return list(fd_path(fd).s, listxattr, ret);
}

struct path_at {
	char s[sizeof(struct fd_path) + 1 + NAME_MAX];
};

static struct path_at path_at(int dirfd, const char *name)
{
	struct path_at path;

	snprintf(path.s, sizeof(path.s), "%s/%s", fd_path(dirfd).s, name);
	return path;
}

ssize_t xattr_get_at(int dirfd, const char *name, const char *attribute, void *value, size_t size)
{
	ssize_t n = lgetxattr(path_at(dirfd, name).s, attribute, value, size);

	return n < 0 ? -errno : n;
}

ssize_t xattr_list_at(int dirfd, const char *name, char **ret)
{
	return list(path_at(dirfd, name).s, llistxattr, ret);
}

bool xattr_list_has(const char *names, size_t size, const char *name)
{
	for (const char *at = names; at < names + size; at += strlen(at) + 1) {
		if (strcmp(at, name) == 0)
			return true;
	}
	return false;
}

bool xattr_is_letter(int fd, const char *name, char letter)
{
	char value[2];

	return xattr_get(fd, name, value, sizeof(value)) == 1 && value[0] == letter;
}

ssize_t xattr_get_all(int fd, const char *name, char **ret)
{
	for (;;) {
		cleanup_free char *value = NULL;
		ssize_t n = xattr_get(fd, name, NULL, 0);

		if (n < 0)
			return n;
		value = malloc((size_t)n + 1);
		if (!value)
			return -ENOMEM;
		if (n > 0)
			n = xattr_get(fd, name, value, (size_t)n);
		if (n == -ERANGE)
			continue; /* it grew between the two calls */
		if (n < 0)
			return n;
		value[n] = '\0';
		*ret = take_ptr(value);
		return n;
	}
}

size_t xattr_list_filter(char *names, size_t size, bool (*drop)(const char *name))
{
	size_t kept = 0;

	for (size_t at = 0; at < size;) {
		size_t length = strlen(names + at) + 1;

		if (!drop(names + at)) {
			memmove(names + kept, names + at, length);
			kept += length;
		}
		at += length;
	}
	return kept;
}

bool xattr_may_be_refused(const char *name, int error)
{
	if (error != -EPERM && error != -EOPNOTSUPP && error != -EACCES)
		return false;
	if (strncmp(name, "user.", 5) == 0)
		return error == -EOPNOTSUPP;
	return strncmp(name, "trusted.", 8) == 0 || strncmp(name, "security.", 9) == 0;
}
