/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The directory that a layer is being unpacked into: how names in it are made and replaced. */
#ifndef LAYER_LAYER_TREE_H
#define LAYER_LAYER_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "layer/layer.h"
#include "layer/meta.h"

struct layer_tree {
	int root; /* the caller's */
	const struct layer_site *site;
	const int *below;
	size_t n_below;
	struct error *error;

	/* The directory that was used last, as the next entry is likely in it; -1: none. */
	int parent;
	char *parent_path;

	FILE *late; /* what directories get at the end (layer_late) */
	bool file_marks; /* a whiteout of the file format was written */
	bool borrowed;
};

/* Begins with the open directory `root`, which stays the caller's. 0 or negative errno;
 * layer_tree_done in any case. */
int layer_tree_init(struct layer_tree *tree, int root, const struct layer_site *site,
		    const int below[], size_t n_below, struct error *error);
void layer_tree_done(struct layer_tree *tree);

/*
 * The directory of the clean path `path`, made with all its parents where
 * missing.  The descriptor is the tree's, good until the next call.
 */
int layer_tree_parent(struct layer_tree *tree, const char *path, int *ret);

/* Marks of the archive, on `name` in `parent`. */
int layer_tree_hide(struct layer_tree *tree, int parent, const char *name);
int layer_tree_opaque(struct layer_tree *tree, int dirfd);

/*
 * Makes way for a new object: an earlier entry of that name goes.
 * A directory that is to be a directory again stays.
 */
enum layer_way {
	LAYER_WAY_FREE = 0,
	LAYER_WAY_UNHIDDEN = 1, /* there was a whiteout: what comes hides what is below */
	LAYER_WAY_DIRECTORY = 2, /* a directory is there */
};
int layer_tree_clear(struct layer_tree *tree, int parent, const char *name, bool is_dir);

/* Makes the directory `name`, or takes the one that is there; an O_PATH descriptor of it. */
int layer_tree_mkdir(struct layer_tree *tree, int parent, const char *name, int *ret);

/* Remembers what the directory `fd` gets when nothing more is made in it, and gives it then. */
int layer_tree_later(struct layer_tree *tree, const char *path, int fd, const struct meta *meta);
int layer_tree_finish(struct layer_tree *tree);

/*
 * An O_PATH descriptor of the non-directory at `path`, for a hard link: of
 * this layer, or copied up from those below.  -ENOENT: nowhere.
 */
int layer_tree_target(struct layer_tree *tree, const char *path, int *ret);

#endif
