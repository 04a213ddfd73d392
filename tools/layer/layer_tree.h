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
	char *parent_path; /* without links in it */
	/* A directory as it was last named by way of links, and without them; NULL: none. */
	char *linked_path, *linked_to;

	FILE *late; /* what directories get at the end (layer_late) */
	bool file_marks; /* a whiteout of the file format was written */
	bool has_plinks; /* there is a directory of LAYER_PLINKS, for the time being */
	bool borrowed;
};

/* Where AUFS kept a name of each file that has several, and where layers made on it link to. */
#define LAYER_PLINKS ".wh..wh.plnk"

/* Begins with the open directory `root`, which stays the caller's. 0 or negative errno;
 * layer_tree_done in any case. */
int layer_tree_init(struct layer_tree *tree, int root, const struct layer_site *site,
		    const int below[], size_t n_below, struct error *error);
void layer_tree_done(struct layer_tree *tree);

/*
 * The directory of the clean path `*path`, allocated, made with all its
 * parents where missing.  If it leads through symbolic links, `*path` becomes
 * the one that they lead to.  The descriptor is the tree's, good until the next call.
 */
int layer_tree_parent(struct layer_tree *tree, char **path, int *ret);

/* The clean path `path` with symbolic links among its parents followed, allocated. -ELOOP. */
int layer_tree_follow(struct layer_tree *tree, const char *path, char **ret);

/* Whether one of its parents has the name of a mark. */
bool layer_path_is_below_mark(const char *path);

/* The directory LAYER_PLINKS, which is not there any more in the end; an O_PATH descriptor. */
int layer_tree_plinks(struct layer_tree *tree, int *ret);

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

/*
 * Remembers what the object `fd` gets at the end, and gives it then: as a directory, its times and
 * default ACL; and an ACL that names users or groups, now that the layer can tell who they are.
 */
int layer_tree_later(struct layer_tree *tree, const char *path, int fd, const struct meta *meta);
int layer_tree_finish(struct layer_tree *tree);

/*
 * An O_PATH descriptor of the non-directory at `path`, for a hard link: of
 * this layer, where links of the layer are followed as parents, or copied up
 * from those below.  -ENOENT: nowhere.
 */
int layer_tree_target(struct layer_tree *tree, const char *path, int *ret);

/* This layer and those below it, topmost first, allocated: a mark of this one hides what is below.
 */
int layer_tree_all(const struct layer_tree *tree, int **ret);

/*
 * Opens what this layer and those below show at `path`, all links followed, with O_PATH: -1 if
 * there is nothing. The layer counts as having borrowed unless it has the object itself.
 */
int layer_tree_shown(struct layer_tree *tree, const char *path, int *ret);

#endif
