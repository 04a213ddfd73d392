/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "branch/whiteout.h"

#include <dirent.h>
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
#include "branch/nesting.h"
#include "branch/redirect.h"

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
	if (nesting_is_escaped(name))
		return false;
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

static const char trusted_whiteout[] = "trusted.overlay.whiteout";
static const char user_whiteout[] = "user.overlay.whiteout";

static bool is_marked(int fd)
{
	return xattr_get(fd, trusted_whiteout, NULL, 0) >= 0 ||
	       xattr_get(fd, user_whiteout, NULL, 0) >= 0;
}

/* Of the many empty files that are none, most have no xattrs: one call finds that out. */
static bool is_marked_at(int dirfd, const char *name)
{
	cleanup_free char *names = NULL;
	cleanup_fd int fd = -1;
	ssize_t n = xattr_list_at(dirfd, name, &names);

	if (n >= 0 && !xattr_list_has(names, (size_t)n, trusted_whiteout) &&
	    !xattr_list_has(names, (size_t)n, user_whiteout))
		return false;
	fd = fd_open(dirfd, name, O_PATH, 0);
	return fd >= 0 && is_marked(fd);
}

bool whiteout_is(int fd, const struct stat *st)
{
	return whiteout_is_device(st) ||
	       (S_ISREG(st->st_mode) && st->st_size == 0 && is_marked(fd));
}

bool whiteout_is_at(int dirfd, const char *name, const struct stat *st)
{
	if (!S_ISREG(st->st_mode) || st->st_size > 0)
		return whiteout_is_device(st);
	return is_marked_at(dirfd, name);
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

/* Sets the mark overlay.NAME. */
static int set_mark(const struct whiteout_style *style, int fd, const char *mark, const char *value)
{
	char name[64];

	if (!style->xattr_prefix)
		return -EOPNOTSUPP;
	snprintf(name, sizeof(name), "%s%s", style->xattr_prefix, mark);
	return xattr_set(fd, name, value, strlen(value), 0);
}

/* Who reads it as a branch later, as an ordinary user, has to be allowed to read its xattrs. */
static int create_marked(const struct whiteout_style *style, int dirfd, const char *name)
{
	cleanup_fd int fd = fd_open(dirfd, name, O_CREAT | O_EXCL | O_WRONLY, 0644);
	int r = fd < 0 ? fd : set_mark(style, fd, "whiteout", "y");

	if (fd >= 0 && r < 0)
		unlinkat(dirfd, name, 0);
	return r;
}

int whiteout_create(const struct whiteout_style *style, int dirfd, const char *name)
{
	char mark[NAME_MAX + 1];
	int fd;

	if (style->format == WHITEOUT_DEVICE)
		return mknodat(dirfd, name, S_IFCHR, makedev(0, 0)) < 0 ? -errno : 0;
	if (style->format == WHITEOUT_XATTR)
		return create_marked(style, dirfd, name);
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

int whiteout_admit(const struct whiteout_style *style, int dirfd)
{
	if (has_opaque_xattr(dirfd, 'x') || has_opaque_xattr(dirfd, 'y'))
		return 0;
	return set_mark(style, dirfd, "opaque", "x");
}

/* Removes the whiteouts by xattr in a directory. */
static int remove_marked(int dirfd)
{
	cleanup_dir DIR *stream = NULL;
	struct dirent *entry;
	struct stat st;
	int r = fd_opendir(dirfd, &stream);

	while (r == 0 && (errno = 0, entry = readdir(stream))) {
		if (fd_stat(dirfd, entry->d_name, &st) < 0 || !S_ISREG(st.st_mode) ||
		    !whiteout_is_at(dirfd, entry->d_name, &st))
			continue;
		if (unlinkat(dirfd, entry->d_name, 0) < 0)
			r = -errno;
	}
	return r < 0 ? r : -errno;
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
	int mark = whiteout_may_be_xattr(fd) ? remove_marked(fd) : 0;

	if (mark < 0)
		return mark;
	if (style->xattr_prefix)
		return set_mark(style, fd, "opaque", "y");
	mark = fd_open(fd, WHITEOUT_OPAQUE_FILE, O_CREAT | O_EXCL | O_WRONLY, 0);
	if (mark < 0)
		return mark == -EEXIST ? 0 : mark;
	close(mark);
	return 0;
}

/* The namespace in which the scratch directory `fd` takes marks; NULL: in none. */
static const char *find_prefix(int fd, bool user_only)
{
	if (!user_only && xattr_set(fd, "trusted.overlay.opaque", "x", 1, 0) == 0)
		return "trusted.overlay.";
	return xattr_set(fd, "user.overlay.opaque", "x", 1, 0) == 0 ? "user.overlay." : NULL;
}

/* Whether a whiteout can be made in a scratch directory, and is there then. */
static bool can_create(const struct whiteout_style *style, int dirfd)
{
	static const char name[] = "gone";
	struct stat st;
	bool can;

	if (style->format == WHITEOUT_XATTR && !style->xattr_prefix)
		return false;
	can = whiteout_create(style, dirfd, name) == 0;
	if (can && style->format == WHITEOUT_FILE)
		can = whiteout_has_file(dirfd, name) == 1;
	else if (can)
		can = fd_stat(dirfd, name, &st) == 0 && whiteout_is_at(dirfd, name, &st);
	unlinkat(dirfd, name, 0);
	whiteout_remove_file(dirfd, name);
	return can;
}

int whiteout_probe(int dirfd, unsigned int formats, bool user_only, struct whiteout_style *ret)
{
	static const enum whiteout_format order[] = { WHITEOUT_DEVICE, WHITEOUT_FILE,
						      WHITEOUT_XATTR };
	static const char name[] = "probe-marks";
	struct whiteout_style style = { 0 };
	cleanup_fd int fd = -1;
	int r;

	r = mkdirat(dirfd, name, 0700) < 0 && errno != EEXIST ? -errno : 0;
	if (r < 0)
		return r;
	fd = fd_open(dirfd, name, O_PATH | O_DIRECTORY, 0);
	if (fd < 0)
		return fd;
	style.xattr_prefix = find_prefix(fd, user_only);
	r = -EOPNOTSUPP;
	for (size_t i = 0; i < sizeof(order) / sizeof(*order) && r < 0; i++) {
		style.format = order[i];
		if (formats & 1U << order[i] && can_create(&style, fd))
			r = 0;
	}
	unlinkat(dirfd, name, AT_REMOVEDIR);
	if (r == 0)
		*ret = style;
	return r;
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
	return set_mark(style, fd, "metacopy", "");
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
