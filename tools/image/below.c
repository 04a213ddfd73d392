/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "image/below.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "core/whiteout.h"

/* What one layer says of a name or a path. */
enum verdict { SILENT, HIDES, HOLDS };

/*
 * One component: HIDES when the layer whites the name out or has something
 * there that hides what is below.  `*opaque` is set once a directory on the
 * way covers all lower layers, so that silence further down means absence.
 */
static int step(int dirfd, const char *name, bool last, bool *opaque, int *ret)
{
	cleanup_fd int fd = fd_open(dirfd, name, O_PATH, 0);
	struct stat st;
	int r;

	if (fd == -ENOENT) {
		r = whiteout_has_file(dirfd, name);
		return r < 0 ? r : r || *opaque ? HIDES : SILENT;
	}
	if (fd < 0)
		return fd;
	r = fd_stat(fd, NULL, &st);
	if (r < 0)
		return r;
	if (whiteout_is_device(&st) || (!last && !S_ISDIR(st.st_mode)))
		return HIDES;
	if (S_ISDIR(st.st_mode)) {
		r = whiteout_has_file(dirfd, name);
		if (r == 0)
			r = opaque_get(fd) == OPAQUE_YES;
		if (r < 0)
			return r;
		*opaque |= r > 0;
	}
	*ret = take_fd(&fd);
	return HOLDS;
}

static int look_in(int layer, const char *path, int *ret)
{
	cleanup_fd int at = -1;
	bool opaque = false;

	for (;;) {
		size_t len = strcspn(path, "/");
		char name[NAME_MAX + 1];
		int next = -1, r;

		memcpy(name, path, len);
		name[len] = '\0';
		r = step(at < 0 ? layer : at, name, path[len] == '\0', &opaque, &next);
		if (r != HOLDS)
			return r;
		if (at >= 0)
			close(at);
		at = next;
		if (path[len] == '\0')
			break;
		path += len + 1;
	}
	*ret = take_fd(&at);
	return HOLDS;
}

int below_find(const int layers[], size_t n_layers, const char *path, int *ret)
{
	for (size_t i = 0; i < n_layers; i++) {
		int r = look_in(layers[i], path, ret);

		if (r == HOLDS)
			return BELOW_FOUND;
		if (r != SILENT)
			return r < 0 ? r : BELOW_ABSENT;
	}
	return BELOW_ABSENT;
}
