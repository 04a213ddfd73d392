/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "branch/redirect.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/xattr.h"

static const struct {
	const char *name;
	enum mark_space space;
} xattrs[] = {
	{ "trusted.overlay.redirect", MARKS_TRUSTED },
	{ "user.overlay.redirect", MARKS_USER },
};

/* Whether the `n` bytes are a name that can be looked up in a directory and stays in it. */
static bool is_component(const char *bytes, size_t n)
{
	return n > 0 && n <= NAME_MAX && !(n == 1 && bytes[0] == '.') &&
	       !(n == 2 && bytes[0] == '.' && bytes[1] == '.');
}

static bool is_redirect(const char *value, size_t size)
{
	const char *at = value + redirect_is_path(value);
	size_t n;

	if (memchr(value, '\0', size))
		return false;
	n = strcspn(at, "/");
	/* A name has no slash; of a path, all components count. */
	while (is_component(at, n) && at[n] == '/' && redirect_is_path(value)) {
		at += n + 1;
		n = strcspn(at, "/");
	}
	return is_component(at, n) && !at[n];
}

int redirect_get(int fd, unsigned int spaces, char **ret)
{
	for (size_t i = 0; i < sizeof(xattrs) / sizeof(*xattrs); i++) {
		cleanup_free char *value = NULL;
		ssize_t n;

		if (!(spaces & xattrs[i].space))
			continue;
		n = xattr_get_all(fd, xattrs[i].name, &value);
		if (n == -ENODATA || n == -EOPNOTSUPP || n == -EPERM)
			continue;
		if (n < 0)
			return (int)n;
		if (!is_redirect(value, (size_t)n))
			return -EIO; /* what lies below cannot be known */
		*ret = take_ptr(value);
		return 1;
	}
	return 0;
}

int redirect_set(const struct whiteout_style *style, int fd, const char *path)
{
	char name[64];

	if (!style->xattr_prefix)
		return -EOPNOTSUPP;
	snprintf(name, sizeof(name), "%sredirect", style->xattr_prefix);
	return xattr_set(fd, name, path, strlen(path), 0);
}

int redirect_remove(int fd)
{
	for (size_t i = 0; i < sizeof(xattrs) / sizeof(*xattrs); i++) {
		int r = xattr_remove(fd, xattrs[i].name);

		if (r < 0 && r != -ENODATA && r != -EOPNOTSUPP && r != -EPERM)
			return r;
	}
	return 0;
}

char *redirect_split(char *path)
{
	char *slash = strrchr(path, '/');

	*slash = '\0';
	return slash + 1;
}
