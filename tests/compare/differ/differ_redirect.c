/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * redirect_dir=off: a directory that has a part in a lower branch cannot be renamed, which
 * is EXDEV.  A plain filesystem knows nothing of that: here is which of its directories
 * they are, and a rename of one that finds out whether anything else forbids it.
 */
#include "differ_perform.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"

/* Numbers are used again, but not with the same time of birth. */
struct lowers {
	struct lower {
		ino_t ino;
		struct statx_timestamp born;
	} * all;
	size_t n;
};

static bool look(int dirfd, const char *path, struct lower *ret)
{
	struct statx sx;

	if (statx(dirfd, path, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS | STATX_BTIME, &sx) < 0 ||
	    !S_ISDIR(sx.stx_mode))
		return false;
	*ret = (struct lower){ .ino = sx.stx_ino, .born = sx.stx_btime };
	return true;
}

struct lowers *lowers_read(const struct stack *merged, int rootfd)
{
	struct lowers *lowers = calloc(1, sizeof(*lowers));
	struct lower lower;
	size_t i;

	for (i = 0; i < merged->count; i++) {
		if (!merged->entries[i].has_lower || !look(rootfd, merged->entries[i].path, &lower))
			continue;
		lowers->all = xrealloc(lowers->all, lowers->n + 1, sizeof(lower));
		lowers->all[lowers->n++] = lower;
	}
	return lowers;
}

void lowers_free(struct lowers *lowers)
{
	if (lowers)
		free(lowers->all);
	free(lowers);
}

static bool is_lower(const struct lowers *lowers, int dirfd, const char *path)
{
	struct lower here;
	size_t i;

	if (!look(dirfd, path, &here))
		return false;
	for (i = 0; i < lowers->n; i++)
		if (lowers->all[i].ino == here.ino &&
		    lowers->all[i].born.tv_sec == here.born.tv_sec &&
		    lowers->all[i].born.tv_nsec == here.born.tv_nsec)
			return true;
	return false;
}

/* ---- the rename that must not be ---- */

struct parent {
	int fd;
	struct stat st;
};

static void parent_open(struct parent *parent, int at, const char *path)
{
	const char *slash = strrchr(path, '/');
	cleanup_free char *dir = slash ? strndup(path, slash - path) : xstrdup(".");

	parent->fd = openat(at, *dir ? dir : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (parent->fd >= 0)
		fstat(parent->fd, &parent->st);
}

/* As if nothing had happened in it. */
static void parent_close(struct parent *parent)
{
	if (parent->fd < 0)
		return;
	futimens(parent->fd, (struct timespec[2]){ parent->st.st_atim, parent->st.st_mtim });
	close(parent->fd);
}

/* There and back again. A directory that would be replaced changes places instead. */
static int rehearse(struct performer *p, const struct op *op, int at, int at2)
{
	struct lower target;
	struct parent from, to;
	int64_t cred = p->cred;
	unsigned int flags = op->flags;
	int r, error;

	if (!(flags & RENAME_NOREPLACE) && look(at2, op->path2, &target))
		flags = RENAME_EXCHANGE;
	performer_become(p, 0);
	parent_open(&from, at, op->path);
	parent_open(&to, at2, op->path2);
	performer_become(p, cred);
	r = renameat2(at, op->path, at2, op->path2, flags);
	/* Onto a directory above itself: there the two calls answer differently. */
	if (r < 0 && errno == EINVAL && flags != op->flags)
		renameat2(at, op->path, at2, op->path2, op->flags);
	error = r < 0 ? errno : EXDEV;
	performer_become(p, 0);
	if (r == 0)
		renameat2(at2, op->path2, at, op->path, flags);
	parent_close(&from);
	parent_close(&to);
	performer_become(p, cred);
	errno = error;
	return -1;
}

static bool is_same(int at, const char *path, int at2, const char *path2)
{
	struct lower a, b;

	return look(at, path, &a) && look(at2, path2, &b) && a.ino == b.ino;
}

int redirect_rename(struct performer *p, const struct op *op, int at, int at2)
{
	const struct lowers *lowers = p->side->lowers;
	bool exchange = op->flags & RENAME_EXCHANGE;

	if (!lowers || is_same(at, op->path, at2, op->path2) ||
	    (!is_lower(lowers, at, op->path) && !(exchange && is_lower(lowers, at2, op->path2))))
		return renameat2(at, op->path, at2, op->path2, op->flags);
	return rehearse(p, op, at, at2);
}
