/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the two implementations of lower/lower.h share; no other file includes this. */
#ifndef LOWER_LOWER_IMPL_H
#define LOWER_LOWER_IMPL_H

#include "lower/lower.h"

/* One entry for each function of lower/lower.h that depends on the implementation. */
struct lower_ops {
	void (*free)(struct lower *lower);
	struct lower_obj *(*root)(struct lower *lower);
	void (*free_obj)(struct lower_obj *obj);
	int (*lookup)(struct lower_obj *dir, const char *name, struct lower_obj **ret,
		      struct stat *st);
	int (*walk)(struct lower *lower, const char *path, struct lower_obj **ret);
	int (*path)(struct lower_obj *dir, char **ret);
	int (*source)(struct lower_obj *obj, unsigned int *branch, char **path);
	int (*list)(struct lower_obj *dir, struct listing **ret);
	int (*stat)(struct lower_obj *obj, struct stat *ret);
	int (*readlink)(struct lower_obj *obj, char **ret);
	ssize_t (*xattr_get)(struct lower_obj *obj, const char *name, void *value, size_t size);
	ssize_t (*xattr_list)(struct lower_obj *obj, char **ret);
	int (*open)(struct lower_obj *obj, int flags);
	int (*names)(struct lower_obj *obj, int (*each)(void *context, const char *path),
		     void *context);
};

/* The first member of both implementations. */
struct lower {
	const struct lower_ops *ops;
	enum override override; /* what lower.c is to show in place of the filesystem's word */
	uint64_t seed; /* of listings */
	const struct idmaps *ids; /* with `is_mapped`, as lower_use_ids has them, or NULL */
	const bool *is_mapped;
	unsigned int file_marks; /* in which namespaces marks on files count: enum mark_space */
};

#endif
