/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "layer/below.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "value/entry_name.h"

int below_begin(struct below *below, const int layers[], size_t n_layers)
{
	int r;

	*below = (struct below){ 0 };
	/* The directories of a step and of the one before, in each layer: so that a step is one. */
	fdcache_init(&below->fds, 2 * n_layers + 16);
	r = lower_of_dirs(layers, n_layers, &below->fds, &below->lower);
	if (r < 0)
		return r;
	lower_use_no_listings(below->lower);
	below->at = lower_root(below->lower);
	return below->at ? 0 : -ENOMEM;
}

int below_step(struct below *below, const char *name, int *ret)
{
	struct lower_obj *next;
	int r = lower_lookup(below->at, name, &next, NULL);

	if (r != LOWER_FOUND)
		return r;
	lower_unref(below->at);
	below->at = next;
	r = lower_open(next, O_PATH);
	if (r < 0)
		return r;
	*ret = r;
	return BELOW_FOUND;
}

void below_done(struct below *below)
{
	lower_unref(below->at);
	lower_free(below->lower);
	fdcache_done(&below->fds);
}

/*
 * Goes down `path` and opens its end; BELOW_LINK: there is a symbolic link on the way or at the
 * end, and *ret_link, allocated, is the path with that one followed.
 */
enum { BELOW_LINK = BELOW_FOUND + 1 };
static int walk(const int layers[], size_t n_layers, const char *path, char **ret_link, int *ret)
{
	cleanup_below struct below below = { 0 };
	cleanup_fd int fd = -1;
	int r = below_begin(&below, layers, n_layers);
	size_t end = 0;

	if (r < 0)
		return r;
	do {
		size_t length = strcspn(path + end, "/");
		cleanup_free char *name = strndup(path + end, length);
		cleanup_free char *link = NULL;

		if (fd >= 0)
			close(take_fd(&fd));
		r = name ? below_step(&below, name, &fd) : -ENOMEM;
		end += length;
		if (r == BELOW_FOUND && ret_link && fd_readlink(fd, NULL, &link) >= 0) {
			r = entry_name_lead(path, end, link, ret_link);
			return r < 0 ? r : BELOW_LINK;
		}
		end += path[end] == '/';
	} while (r == BELOW_FOUND && path[end]);
	if (r == BELOW_FOUND)
		*ret = take_fd(&fd);
	return r;
}

int below_find(const int layers[], size_t n_layers, const char *path, int *ret)
{
	return walk(layers, n_layers, path, NULL, ret);
}

int below_follow(const int layers[], size_t n_layers, const char *path, int *ret)
{
	cleanup_free char *now = strdup(path);

	for (int i = 0; now && i <= ENTRY_NAME_LINKS; i++) {
		char *next = NULL;
		int r = walk(layers, n_layers, now, &next, ret);

		if (r != BELOW_LINK)
			return r;
		free(now);
		now = next;
		if (!*now)
			return BELOW_ABSENT;
	}
	return now ? -ELOOP : -ENOMEM;
}
