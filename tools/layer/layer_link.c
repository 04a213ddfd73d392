/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Symbolic links as parents. They are read and resolved here, one after the other, as text, and
 * what comes out is walked again without following any: so a link can lead nowhere but to a name
 * in the branch, and nothing depends on what the kernel takes for the root.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "branch/whiteout.h"
#include "layer/layer_tree.h"
#include "value/entry_name.h"

/* The path with the first link among its parents followed; NULL: there is none. */
static int follow_first(const struct layer_tree *tree, const char *path, char **ret)
{
	cleanup_fd int at = fd_open(tree->root, ".", O_PATH | O_DIRECTORY, 0);

	*ret = NULL;
	if (at < 0)
		return at;
	for (size_t begin = 0, end; path[end = begin + strcspn(path + begin, "/")];
	     begin = end + 1) {
		cleanup_free char *name = strndup(path + begin, end - begin);
		cleanup_free char *target = NULL;
		int next = name ? fd_open(at, name, O_PATH, 0) : -ENOMEM;

		if (next == -ENOENT ||
		    next == -ENOTDIR) /* it is missing, or something else will fail */
			return 0;
		if (next < 0)
			return next;
		close(at);
		at = next;
		if (fd_readlink(at, NULL, &target) >= 0)
			return entry_name_lead(path, end, target, ret);
	}
	return 0;
}

int layer_tree_follow(struct layer_tree *tree, const char *path, char **ret)
{
	cleanup_free char *now = strdup(path);

	for (int i = 0; now && i <= ENTRY_NAME_LINKS; i++) {
		char *next;
		int r = follow_first(tree, now, &next);

		if (r < 0)
			return r;
		if (!next) {
			*ret = take_ptr(now);
			return 0;
		}
		free(now);
		now = next;
	}
	return now ? -ELOOP : -ENOMEM;
}

bool layer_path_is_below_mark(const char *path)
{
	for (const char *slash = path; (slash = strchr(slash, '/')); path = ++slash) {
		if (whiteout_is_mark_name(path))
			return true;
	}
	return false;
}
