/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "lower/lower.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/fd.h"
#include "base/xattr.h"
#include "branch/redirect.h"
#include "branch/whiteout.h"
#include "lower/lower_impl.h"

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

/* --- overrides: what is written beside an object counts --- */

void lower_use_overrides(struct lower *lower, enum override kind)
{
	lower->override = kind;
}

void lower_use_seed(struct lower *lower, uint64_t seed)
{
	lower->seed = seed;
}

void lower_use_user_marks(struct lower *lower)
{
	lower->file_marks = MARKS_ANY;
}

void lower_use_ids(struct lower *lower, const struct idmaps *ids, const bool is_mapped[])
{
	lower->ids = ids;
	lower->is_mapped = is_mapped;
}

static bool may_have_override(const struct lower_obj *obj)
{
	/* A stand-in has the type it stands for; what it is, is a regular file. */
	return obj->lower->override != OVERRIDE_NONE && !S_ISLNK(obj->type);
}

/* Applies the override of an object whose attributes as they are on disk are in *st. */
static int apply_override(struct lower_obj *obj, struct stat *st)
{
	const char *name;

	for (size_t i = 0; (name = override_name(obj->lower->override, i)); i++) {
		char text[OVERRIDE_MAX];
		ssize_t n = obj->lower->ops->xattr_get(obj, name, text, sizeof(text) - 1);

		if (n >= 0) {
			text[n] = '\0';
			override_parse(text, st);
			return 0;
		}
		if (n != -ENODATA && n != -EOPNOTSUPP && n != -ERANGE && n != -EPERM)
			return (int)n;
	}
	return 0;
}

int lower_lookup(struct lower_obj *dir, const char *name, struct lower_obj **ret, struct stat *st)
{
	cleanup_lower_obj struct lower_obj *obj = NULL;
	struct stat found;
	int r;

	if (!S_ISDIR(dir->type))
		return LOWER_ABSENT;
	if (!st && dir->lower->override != OVERRIDE_NONE)
		st = &found;
	r = dir->lower->ops->lookup(dir, name, &obj, st);
	if (r == LOWER_FOUND && may_have_override(obj)) {
		int failed = apply_override(obj, st);

		if (failed < 0)
			return failed;
		obj->type = st->st_mode & S_IFMT;
	}
	*ret = take_ptr(obj);
	return r;
}

int lower_walk(struct lower *lower, const char *path, struct lower_obj **ret)
{
	return lower->ops->walk(lower, path, ret);
}

/* The file at a path from the root. */
static int walk_to_file(struct lower *lower, const char *redirect, struct lower_obj **ret)
{
	cleanup_lower_obj struct lower_obj *dir = NULL;
	cleanup_free char *path = strdup(redirect);
	const char *name = path ? redirect_split(path) : NULL;
	int r = path ? lower_walk(lower, path, &dir) : -ENOMEM;

	return r == LOWER_FOUND ? lower_lookup(dir, name, ret, NULL) : r;
}

int lower_follow(struct lower *lower, struct lower_obj *dir, const char *redirect, mode_t type,
		 struct lower_obj **ret)
{
	if (!redirect_is_path(redirect))
		return dir ? lower_lookup(dir, redirect, ret, NULL) : LOWER_ABSENT;
	return S_ISDIR(type) ? lower_walk(lower, redirect, ret)
			     : walk_to_file(lower, redirect, ret);
}

int lower_path(struct lower_obj *dir, char **ret)
{
	return dir->lower->ops->path(dir, ret);
}

int lower_source(struct lower_obj *obj, unsigned int *branch, char **path)
{
	return obj->lower->ops->source(obj, branch, path);
}

/* A listing with the types that stand-ins stand for. */
static int list_overridden(struct lower_obj *dir, struct listing **ret)
{
	cleanup_listing struct listing *plain = NULL;
	cleanup_listing struct listing *made = listing_new(dir->lower->seed);
	int r = made ? dir->lower->ops->list(dir, &plain) : -ENOMEM;

	for (size_t i = 0; r >= 0 && i < listing_count(plain); i++) {
		const struct listing_entry *entry = listing_at(plain, i);
		cleanup_lower_obj struct lower_obj *obj = NULL;
		unsigned char type = entry->type;

		if (type == DT_REG) {
			r = lower_lookup(dir, entry->name, &obj, NULL);
			if (r == LOWER_FOUND)
				type = (unsigned char)IFTODT(obj->type);
		}
		if (r >= 0)
			r = listing_add(made, entry->name, type, entry->ino, entry->source);
	}
	if (r < 0)
		return r;
	listing_seal(made);
	*ret = take_ptr(made);
	return 0;
}

int lower_list(struct lower_obj *dir, struct listing **ret)
{
	if (dir->lower->override != OVERRIDE_NONE)
		return list_overridden(dir, ret);
	return dir->lower->ops->list(dir, ret);
}

int lower_stat(struct lower_obj *obj, struct stat *ret)
{
	int r = obj->lower->ops->stat(obj, ret);

	return r == 0 && may_have_override(obj) ? apply_override(obj, ret) : r;
}

int lower_readlink(struct lower_obj *obj, char **ret)
{
	return obj->lower->ops->readlink(obj, ret);
}

static bool is_hidden(const char *name)
{
	return whiteout_is_private_xattr(name) || override_is_name(name);
}

ssize_t lower_xattr_get(struct lower_obj *obj, const char *name, void *value, size_t size)
{
	if (is_hidden(name))
		return -ENODATA;
	return obj->lower->ops->xattr_get(obj, name, value, size);
}

ssize_t lower_xattr_list(struct lower_obj *obj, char **ret)
{
	ssize_t n = obj->lower->ops->xattr_list(obj, ret);

	return n < 0 ? n : (ssize_t)xattr_list_filter(*ret, (size_t)n, is_hidden);
}

ssize_t lower_xattr_get_kept(struct lower_obj *obj, const char *name, void *value, size_t size)
{
	return obj->lower->ops->xattr_get(obj, name, value, size);
}

ssize_t lower_xattr_list_kept(struct lower_obj *obj, char **ret)
{
	return obj->lower->ops->xattr_list(obj, ret);
}

int lower_open(struct lower_obj *obj, int flags)
{
	int fd = obj->lower->ops->open(obj, flags & O_PATH ? flags : flags | O_NOATIME);

	/* Of others' files an ordinary user moves the access time. */
	return fd == -EPERM && !(flags & O_PATH) ? obj->lower->ops->open(obj, flags) : fd;
}

int lower_names(struct lower_obj *obj, int (*each)(void *context, const char *path), void *context)
{
	return obj->lower->ops->names(obj, each, context);
}
