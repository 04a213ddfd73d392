/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "layer/below.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "branch/whiteout.h"

/* What one layer says of a name. */
enum verdict { SILENT, HIDES, HOLDS };

/*
 * One component in one layer: HIDES when it whites the name out or has something there that hides
 * what is below; HOLDS with a descriptor, and *opaque set if the directory covers all lower layers.
 */
static int look(int dirfd, const char *name, bool is_last, bool *opaque, int *ret)
{
	cleanup_fd int fd = fd_open(dirfd, name, O_PATH, 0);
	struct stat st;
	int r;

	if (fd == -ENOENT) {
		r = whiteout_has_file(dirfd, name);
		return r < 0 ? r : r ? HIDES : SILENT;
	}
	if (fd < 0)
		return fd;
	r = fd_stat(fd, NULL, &st);
	if (r < 0)
		return r;
	if (whiteout_is(fd, &st) || (!is_last && !S_ISDIR(st.st_mode)))
		return HIDES;
	if (S_ISDIR(st.st_mode)) {
		r = whiteout_has_file(dirfd, name);
		if (r == 0)
			r = opaque_get(fd) == OPAQUE_YES;
		if (r < 0)
			return r;
		*opaque = r > 0;
	} else {
		*opaque = true; /* no directory merges with it */
	}
	*ret = take_fd(&fd);
	return HOLDS;
}

int descent_begin(struct descent *descent, const int layers[], size_t n_layers)
{
	*descent = (struct descent){ .at = malloc((n_layers + 1) * sizeof(int)) };
	if (!descent->at)
		return -ENOMEM;
	for (size_t i = 0; i < n_layers; i++) {
		int fd = fd_open(layers[i], ".", O_PATH | O_DIRECTORY, 0);

		if (fd < 0)
			return fd;
		descent->at[descent->n++] = fd;
	}
	return 0;
}

/* From layer `n` on nothing below matters any more. */
static void cut(struct descent *descent, size_t n)
{
	while (descent->n > n) {
		int fd = descent->at[--descent->n];

		if (fd >= 0)
			close(fd);
	}
}

/* Goes down in one layer. */
static int step(struct descent *descent, size_t i, const char *name, bool is_last)
{
	bool opaque = false;
	int next = -1;
	int r = look(descent->at[i], name, is_last, &opaque, &next);

	if (r < 0)
		return r;
	close(descent->at[i]);
	descent->at[i] = next;
	if (r == HIDES || opaque)
		cut(descent, i + 1);
	return 0;
}

int descent_step(struct descent *descent, const char *name, bool is_last, int *ret)
{
	size_t first = 0;
	int r = 0;

	for (size_t i = 0; i < descent->n; i++) {
		if (descent->at[i] >= 0)
			r = step(descent, i, name, is_last);
		if (r < 0)
			return r;
	}
	while (first < descent->n && descent->at[first] < 0)
		first++;
	if (first == descent->n)
		return BELOW_ABSENT;
	r = fcntl(descent->at[first], F_DUPFD_CLOEXEC, 0);
	if (r < 0)
		return -errno;
	*ret = r;
	return BELOW_FOUND;
}

void descent_done(struct descent *descent)
{
	cut(descent, 0);
	free(descent->at);
}

int below_find(const int layers[], size_t n_layers, const char *path, int *ret)
{
	cleanup_descent struct descent descent = { 0 };
	cleanup_fd int fd = -1;
	int r = descent_begin(&descent, layers, n_layers);

	for (bool is_last = false; r >= 0 && !is_last;) {
		size_t len = strcspn(path, "/");
		char name[NAME_MAX + 1];

		is_last = path[len] == '\0';
		memcpy(name, path, len);
		name[len] = '\0';
		if (fd >= 0)
			close(take_fd(&fd));
		r = descent_step(&descent, name, is_last, &fd);
		if (r != BELOW_FOUND)
			return r;
		path += len + !is_last;
	}
	if (r < 0)
		return r;
	*ret = take_fd(&fd);
	return BELOW_FOUND;
}
