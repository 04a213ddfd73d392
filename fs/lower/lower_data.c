/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Files of a branch that have attributes but no data (overlayfs' metacopy): the
 * data are in a branch below, under the same name or where a redirect says.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/fd.h"
#include "branch/redirect.h"
#include "lower/lower_dirs.h"

static int follow(struct directory *dir, size_t i, const char *name, int fd, int flags);

/* Opens the data of the file `name` of the places from `i` down. */
static int open_from(struct directory *dir, size_t i, const char *name, int flags)
{
	for (; i < dir->n_places; i++) {
		cleanup_fd_ref struct fd_ref *ref = NULL;
		cleanup_fd int fd = -1;
		struct stat st;
		int r = 0;

		ref = place_fd(dir, i, &r);
		if (ref)
			r = place_probe(ref->fd, name, &st);
		if (r == NOTHING && ref)
			continue;
		if (r < 0)
			return r;
		if (r != OBJECT || !S_ISREG(st.st_mode))
			break;
		fd = fd_open(ref->fd, name, flags, 0);
		if (fd < 0 || !metacopy_get(fd, dirs_of(&dir->base)->base.file_marks))
			return take_fd(&fd);
		return follow(dir, i, name, fd, flags);
	}
	return -EIO; /* the data are nowhere: better none than others */
}

/* Opens the data that an absolute redirect leads to, in the branches from `branch` down. */
static int open_by_path(struct dirs *dirs, unsigned int branch, char *path, int flags)
{
	cleanup_finding struct finding finding = { .dirs = dirs };
	const char *name = redirect_split(path);
	struct directory dir = { .base.lower = &dirs->base };
	int r;

	r = finding_by_path(&finding, branch, *path ? path : ".");
	if (r < 0)
		return r;
	dir.places = finding.places;
	dir.n_places = finding.n;
	return open_from(&dir, 0, name, flags);
}

/* Where `fd`, the file without data in place `i`, has them. */
static int follow(struct directory *dir, size_t i, const char *name, int fd, int flags)
{
	cleanup_free char *redirect = NULL;
	int r = redirect_get(fd, dirs_of(&dir->base)->base.file_marks, &redirect);

	if (r < 0)
		return r;
	if (redirect && redirect_is_path(redirect))
		return open_by_path(dirs_of(&dir->base), dir->places[i].branch + 1, redirect,
				    flags);
	return open_from(dir, i + 1, redirect ? redirect : name, flags);
}

int data_open(struct file *file, int fd, int flags)
{
	return follow(file->parent, file->base.place, file->name, fd, flags);
}
