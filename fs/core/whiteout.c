/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/whiteout.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/xattr.h"
#include "core/redirect.h"

static const char *const opaque_xattrs[] = {
	"trusted.overlay.opaque",
	"user.overlay.opaque",
	"user.fuseoverlayfs.opaque",
};

static const char *const private_prefixes[] = {
	"trusted.overlay.",
	"user.overlay.",
	"user.fuseoverlayfs.",
};

bool whiteout_is_private_xattr(const char *name)
{
	for (size_t i = 0; i < sizeof(private_prefixes) / sizeof(*private_prefixes); i++) {
		if (strncmp(name, private_prefixes[i], strlen(private_prefixes[i])) == 0)
			return true;
	}
	return false;
}

bool whiteout_is_device(const struct stat *st)
{
	return S_ISCHR(st->st_mode) && st->st_rdev == makedev(0, 0);
}

bool whiteout_is_xattr(int fd)
{
	return xattr_get(fd, "trusted.overlay.whiteout", NULL, 0) >= 0 ||
	       xattr_get(fd, "user.overlay.whiteout", NULL, 0) >= 0;
}

bool whiteout_is_mark_name(const char *name)
{
	return strncmp(name, WHITEOUT_PREFIX, strlen(WHITEOUT_PREFIX)) == 0;
}

const char *whiteout_hidden_name(const char *name)
{
	const char *hidden = name + strlen(WHITEOUT_PREFIX);

	if (!whiteout_is_mark_name(name) || !*hidden || whiteout_is_mark_name(hidden))
		return NULL;
	return hidden;
}

/* Builds `.wh.NAME`; false if that is longer than a name can be. */
static bool mark_name(char mark[NAME_MAX + 1], const char *name)
{
	return snprintf(mark, NAME_MAX + 1, WHITEOUT_PREFIX "%s", name) <= NAME_MAX;
}

int whiteout_create(const struct whiteout_style *style, int dirfd, const char *name)
{
	char mark[NAME_MAX + 1];
	int fd;

	if (style->format == WHITEOUT_DEVICE)
		return mknodat(dirfd, name, S_IFCHR, makedev(0, 0)) < 0 ? -errno : 0;
	if (!mark_name(mark, name))
		return -ENAMETOOLONG;
	fd = fd_open(dirfd, mark, O_CREAT | O_EXCL | O_WRONLY, 0);
	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

int whiteout_free_name(int dirfd, const char *name)
{
	const struct whiteout_style style = { .format = WHITEOUT_FILE };
	int r = whiteout_create(&style, dirfd, name);

	if (r < 0 && r != -EEXIST)
		return r;
	return unlinkat(dirfd, name, 0) < 0 ? -errno : 0;
}

int whiteout_has_file(int dirfd, const char *name)
{
	char mark[NAME_MAX + 1];
	struct stat st;
	int r;

	if (!mark_name(mark, name))
		return 0;
	r = fd_stat(dirfd, mark, &st);
	return r == 0 ? 1 : r == -ENOENT ? 0 : r;
}

int whiteout_remove_file(int dirfd, const char *name)
{
	char mark[NAME_MAX + 1];

	if (!mark_name(mark, name))
		return 0;
	return unlinkat(dirfd, mark, 0) < 0 && errno != ENOENT ? -errno : 0;
}

static bool has_opaque_xattr(int fd, char wanted)
{
	for (size_t i = 0; i < sizeof(opaque_xattrs) / sizeof(*opaque_xattrs); i++) {
		char value[2];

		if (xattr_get(fd, opaque_xattrs[i], value, sizeof(value)) == 1 &&
		    value[0] == wanted)
			return true;
	}
	return false;
}

bool whiteout_may_be_xattr(int dirfd)
{
	return has_opaque_xattr(dirfd, 'x');
}

int opaque_get(int fd)
{
	struct stat st;
	int r;

	if (has_opaque_xattr(fd, 'y'))
		return OPAQUE_YES;
	r = fd_stat(fd, WHITEOUT_OPAQUE_FILE, &st);
	return r == 0 ? OPAQUE_YES : r == -ENOENT ? OPAQUE_NO : r;
}

int opaque_set(const struct whiteout_style *style, int fd)
{
	char name[64];
	int mark;

	if (style->xattr_prefix) {
		snprintf(name, sizeof(name), "%sopaque", style->xattr_prefix);
		return xattr_set(fd, name, "y", 1, 0);
	}
	mark = fd_open(fd, WHITEOUT_OPAQUE_FILE, O_CREAT | O_EXCL | O_WRONLY, 0);
	if (mark < 0)
		return mark == -EEXIST ? 0 : mark;
	close(mark);
	return 0;
}

static bool can_mknod(int dirfd)
{
	static const char name[] = "probe-device";
	bool can;

	unlinkat(dirfd, name, 0);
	can = mknodat(dirfd, name, S_IFCHR, makedev(0, 0)) == 0;
	unlinkat(dirfd, name, 0);
	return can;
}

int whiteout_probe(int dirfd, bool user_only, struct whiteout_style *ret)
{
	static const char name[] = "probe-xattr";
	struct whiteout_style style = { .format = WHITEOUT_FILE };
	cleanup_fd int fd = -1;
	int r;

	r = mkdirat(dirfd, name, 0700) < 0 && errno != EEXIST ? -errno : 0;
	if (r < 0)
		return r;
	fd = fd_open(dirfd, name, O_PATH | O_DIRECTORY, 0);
	if (fd < 0)
		return fd;
	if (can_mknod(dirfd))
		style.format = WHITEOUT_DEVICE;
	if (!user_only && xattr_set(fd, "trusted.overlay.opaque", "y", 1, 0) == 0)
		style.xattr_prefix = "trusted.overlay.";
	else if (xattr_set(fd, "user.overlay.opaque", "y", 1, 0) == 0)
		style.xattr_prefix = "user.overlay.";
	unlinkat(dirfd, name, AT_REMOVEDIR);
	*ret = style;
	return 0;
}

static const char trusted_metacopy[] = "trusted.overlay.metacopy";
static const char user_metacopy[] = "user.overlay.metacopy";

bool metacopy_get(int fd, unsigned int spaces)
{
	return (spaces & MARKS_TRUSTED && xattr_get(fd, trusted_metacopy, NULL, 0) >= 0) ||
	       (spaces & MARKS_USER && xattr_get(fd, user_metacopy, NULL, 0) >= 0);
}

int metacopy_set(const struct whiteout_style *style, int fd)
{
	char name[64];

	if (!style->xattr_prefix)
		return -EOPNOTSUPP;
	snprintf(name, sizeof(name), "%smetacopy", style->xattr_prefix);
	return xattr_set(fd, name, "", 0, 0);
}

static int remove_mark(int fd, const char *name)
{
	int r = xattr_remove(fd, name);

	return r == -ENODATA || r == -EOPNOTSUPP || r == -EPERM ? 0 : r;
}

int metacopy_remove(int fd)
{
	int r = remove_mark(fd, trusted_metacopy);

	if (r == 0)
		r = remove_mark(fd, user_metacopy);
	return r < 0 ? r : redirect_remove(fd);
}
