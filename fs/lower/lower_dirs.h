/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What lower_dirs.c, lower_places.c and lower_links.c share; no other file includes this. */
#ifndef LOWER_LOWER_DIRS_H
#define LOWER_LOWER_DIRS_H

#include <pthread.h>
#include <stdbool.h>

#include "base/lock.h"
#include "base/table.h"
#include "branch/number.h"
#include "lower/lower_impl.h"
#include "lower/trail.h"

struct place {
	unsigned int branch;
	dev_t device; /* its filesystem */
	/* A redirect led here: its path is not that of the directory, nor are those of places
	 * below. */
	bool is_renamed;
	struct trail *trail; /* from the branch's root; a reference */
};

struct directory {
	struct lower_obj base;
	struct trail *trail; /* in the merged tree; a reference, of what may be a place's too */
	struct place *places;
	unsigned int n_places;
	struct lock lock;
	struct listing *listing; /* of several places; guarded by lock; NULL until asked for */
};

/* Anything else, of which there are many: base.place says which place of the parent has it. */
struct file {
	struct lower_obj base;
	struct directory *parent; /* a reference */
	char name[];
};

struct dirs {
	struct lower base;
	const int *branches;
	size_t n_branches;
	struct fdcache *fds;
	struct directory *root;
	bool lists_nothing; /* to find a name (lower_use_no_listings) */
	struct lower_numbers numbers;
	pthread_mutex_t groups_lock; /* guards what follows; held while the tree is scanned */
	struct table groups;
	struct unread *first_unread, *last_unread; /* what could not be read then */
	bool is_scanned;
};

static inline struct dirs *dirs_of(const struct lower_obj *obj)
{
	return (struct dirs *)obj->lower;
}

/* What an object is, by its type, which nobody changes from or to a directory's. */
static inline struct directory *directory_of(struct lower_obj *obj)
{
	return (struct directory *)obj;
}

static inline struct file *file_of(struct lower_obj *obj)
{
	return (struct file *)obj;
}

/* --- lower_places.c: places of directories --- */

/* A descriptor of place `i` of a directory; NULL with *error set on failure. */
struct fd_ref *place_fd(struct directory *dir, size_t i, int *error);

enum verdict { NOTHING, HIDDEN, OBJECT };

/* What the directory `dirfd` of one branch says of a name: an enum verdict or -errno. */
int place_probe(int dirfd, const char *name, struct stat *st);

/* Places of a directory while they are found, from the top down. */
struct finding {
	struct dirs *dirs;
	struct place *places;
	size_t n, room;
	struct stat top; /* of the first place */
};

/* Lets go of what was found and not made an object. */
void finding_done(struct finding *finding);
#define cleanup_finding CLEANUP(finding_done)

/* Adds the directory `path` of each branch from `branch` down, as redirects mean it. */
int finding_by_path(struct finding *finding, unsigned int branch, const char *path);

/* Adds the directory `name` of each place of `dir` from place `i` down. */
int finding_by_places(struct finding *finding, struct directory *dir, size_t i, const char *name);

/* --- lower_data.c: files that have attributes only --- */

/* Opens the data of a file of which `fd` is one without them. */
int data_open(struct file *file, int fd, int flags);

/* --- lower_links.c: files with several names --- */

/* As lower_names. */
int links_names(struct lower_obj *obj, int (*each)(void *context, const char *path), void *context);

/* Number of visible names of a file of which its branch says that it has several; or -errno. */
int links_visible(struct lower_obj *obj);

/* Lets go of what is known of linked files, when no object is left. */
void links_free(struct dirs *dirs);

#endif
