/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/lower.h"

#include <errno.h>
#include <string.h>

#include "core/whiteout.h"
#include "lower_impl.h"

void lower_free(struct lower *lower)
{
	if (lower)
		lower->ops->free(lower);
}

struct lower_obj *lower_root(struct lower *lower)
{
	return lower->ops->root(lower);
}

struct lower_obj *lower_ref(struct lower_obj *obj)
{
	atomic_fetch_add_explicit(&obj->refs, 1, memory_order_relaxed);
	return obj;
}

void lower_unref(struct lower_obj *obj)
{
	if (obj && atomic_fetch_sub_explicit(&obj->refs, 1, memory_order_acq_rel) == 1)
		obj->lower->ops->free_obj(obj);
}

int lower_lookup(struct lower_obj *dir, const char *name, struct lower_obj **ret, struct stat *st)
{
	if (!S_ISDIR(dir->type))
		return LOWER_ABSENT;
	return dir->lower->ops->lookup(dir, name, ret, st);
}

int lower_walk(struct lower *lower, const char *path, struct lower_obj **ret)
{
	return lower->ops->walk(lower, path, ret);
}

int lower_path(struct lower_obj *dir, char **ret)
{
	return dir->lower->ops->path(dir, ret);
}

int lower_source(struct lower_obj *obj, unsigned int *branch, char **path)
{
	return obj->lower->ops->source(obj, branch, path);
}

int lower_list(struct lower_obj *dir, struct listing **ret)
{
	return dir->lower->ops->list(dir, ret);
}

int lower_stat(struct lower_obj *obj, struct stat *ret)
{
	return obj->lower->ops->stat(obj, ret);
}

int lower_readlink(struct lower_obj *obj, char **ret)
{
	return obj->lower->ops->readlink(obj, ret);
}

ssize_t lower_xattr_get(struct lower_obj *obj, const char *name, void *value, size_t size)
{
	if (whiteout_is_private_xattr(name))
		return -ENODATA;
	return obj->lower->ops->xattr_get(obj, name, value, size);
}

ssize_t lower_xattr_list(struct lower_obj *obj, char **ret)
{
	return obj->lower->ops->xattr_list(obj, ret);
}

int lower_open(struct lower_obj *obj, int flags)
{
	return obj->lower->ops->open(obj, flags);
}

int lower_names(struct lower_obj *obj, int (*each)(void *context, const char *path), void *context)
{
	return obj->lower->ops->names(obj, each, context);
}
