/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The lower tree of a union: all read-only branches seen as one tree, with
 * whiteouts, opaque marks and redirects resolved.  What is above it (node/) thus
 * only ever merges two things: upper, and this.
 *
 * Two implementations, one interface: lower_of_dirs looks into the branch
 * directories themselves, lower_of_chain answers from a chain index.
 *
 * A lower object is counted; an object keeps its lower alive no longer than
 * lower_free.  Branches do not change while they are mounted, so an object
 * never changes either, and all functions may be called from any thread.
 * Results are 0 or negative errno unless said.
 */
#ifndef LOWER_LOWER_H
#define LOWER_LOWER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "base/cleanup.h"
#include "base/fdcache.h"
#include "branch/idmap.h"
#include "branch/listing.h"
#include "branch/number.h"
#include "branch/override.h"

struct lower;

struct lower_obj {
	struct lower *lower;
	uint64_t ino; /* unique in the tree, the same at every mount of the same branches */
	atomic_uint refs;
	uint16_t type; /* S_IFMT part of the mode */
	uint16_t place; /* lower_dirs.h */
};

enum { LOWER_ABSENT = 0, LOWER_FOUND = 1 };

/*
 * `branches` are open directories, topmost first; they stay the caller's and
 * must outlive the tree, as must `fds`, where descriptors of directories are kept.
 */
int lower_of_dirs(const int branches[], size_t n_branches, struct fdcache *fds, struct lower **ret);

/*
 * As lower_of_dirs, answering from the chain index `fd`, an open file that stays
 * the caller's; a negative errno in its place is the answer.
 * LOWER_STALE: the index is damaged, of another format version, or of another
 * chain than `chain_id` (if not NULL) or another number of branches.
 */
enum { LOWER_STALE = 1 };
int lower_of_chain(const int branches[], size_t n_branches, int fd, const char *chain_id,
		   struct lower **ret);

/* Accepts NULL. No object may be left. */
void lower_free(struct lower *lower);

/* Owners, modes and types are from now on shown as `kind` has them; before any object is used. */
void lower_use_overrides(struct lower *lower, enum override kind);

/*
 * Marks of the user namespace say where a file's data are, too; before any object is used. Those
 * on directories count in any case: they lead to nothing but what the branches hold.
 */
void lower_use_user_marks(struct lower *lower);

/*
 * The tree is looked at for some names only: no directory is listed to find one, as is done where
 * many branches merge. Before any object is used; not with an index.
 */
void lower_use_no_listings(struct lower *lower);

/* The seed of listings (branch/listing.h); before any object is used. */
void lower_use_seed(struct lower *lower, uint64_t seed);

/*
 * Branches for which is_mapped[] is true are seen through id-mapped mounts: their ids, also those
 * in xattrs, are turned back into stored ones, IDMAP_NONE where they cannot be. Both must outlive
 * the tree; before any object is used; not with an index, which has the stored ones.
 */
void lower_use_ids(struct lower *lower, const struct idmaps *ids, const bool is_mapped[]);

/* The root directory, with a reference. */
struct lower_obj *lower_root(struct lower *lower);
struct lower_obj *lower_ref(struct lower_obj *obj);
/* Accepts NULL. */
void lower_unref(struct lower_obj *obj);
DEFINE_CLEANUP(struct lower_obj *, lower_obj_at, lower_unref)
#define cleanup_lower_obj CLEANUP(cleanup_lower_obj_at)

/*
 * LOWER_FOUND: *ret is a reference, and *st (if not NULL) as lower_stat gives it.
 * LOWER_ABSENT: no such name, or it is hidden, or `dir` is no directory.
 */
int lower_lookup(struct lower_obj *dir, const char *name, struct lower_obj **ret, struct stat *st);

/*
 * The directory that a redirect of upper means: `path` from the branches'
 * roots, of any number of components.  LOWER_FOUND, LOWER_ABSENT.
 */
int lower_walk(struct lower *lower, const char *path, struct lower_obj **ret);

/*
 * What a redirect (branch/redirect.h) of upper leads to: of a directory's, if `type` is S_IFDIR, or
 * of a file's without data. `dir` is the lower part of the directory that has the mark's object, or
 * NULL. LOWER_FOUND, of whatever type, or LOWER_ABSENT.
 */
int lower_follow(struct lower *lower, struct lower_obj *dir, const char *redirect, mode_t type,
		 struct lower_obj **ret);

/* Where an object is in the tree, by one of its names; allocated, with a slash first. */
int lower_path(struct lower_obj *obj, char **ret);

/*
 * Which branch the object's attributes and content come from, and where in it
 * that is: a path from the branch's root, allocated; "." for the root itself;
 * NULL where it is that of the object in the tree, and long: from some LOWER_LONG_PATH bytes on.
 */
enum { LOWER_LONG_PATH = 1024 };
int lower_source(struct lower_obj *obj, unsigned int *branch, char **path);

/* The sealed listing of `dir`, with a reference. Entry numbers are final. */
int lower_list(struct lower_obj *dir, struct listing **ret);

/*
 * Attributes in the merged view: st_ino is the object's, st_nlink of a
 * directory counts the merged subdirectories, of anything else the names of it
 * that are visible.  st_dev means nothing.
 */
int lower_stat(struct lower_obj *obj, struct stat *ret);

/* Where a symbolic link leads, allocated; -EINVAL for what is none. */
int lower_readlink(struct lower_obj *obj, char **ret);

/* As xattr_get and xattr_list; marks of union filesystems, and overrides, are not shown. */
ssize_t lower_xattr_get(struct lower_obj *obj, const char *name, void *value, size_t size);
ssize_t lower_xattr_list(struct lower_obj *obj, char **ret);

/* The same with overrides, which an index keeps for the mounts in which they count. */
ssize_t lower_xattr_get_kept(struct lower_obj *obj, const char *name, void *value, size_t size);
ssize_t lower_xattr_list_kept(struct lower_obj *obj, char **ret);

/*
 * A descriptor of the object itself, in its topmost branch: O_PATH; or O_RDONLY
 * of a file, for its data, which may be further down (lower_data.c).
 */
int lower_open(struct lower_obj *obj, int flags);

/*
 * Calls `each` with every visible name of a non-directory, as a path from the
 * root without a leading slash, until it answers other than 0: then that is
 * the result, else 0.
 */
int lower_names(struct lower_obj *obj, int (*each)(void *context, const char *path), void *context);

#endif
