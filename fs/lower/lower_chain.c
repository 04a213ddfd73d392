/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The lower tree, read from a chain index.  An object is its number and no
 * more: everything else is looked up when asked for, which costs a descent of
 * a tree that all mounts of the chain share in memory.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/fd.h"
#include "branch/whiteout.h"
#include "index/index.h"
#include "lower/chain_format.h"
#include "lower/lower_impl.h"

struct chain {
	struct lower base;
	const int *branches;
	size_t n_branches;
	struct index *index;
};

static struct chain *chain_of(const struct lower_obj *obj)
{
	return (struct chain *)obj->lower;
}

static void cleanup_txn(struct index_txn *txn)
{
	index_abort(txn);
}
#define cleanup_index_txn CLEANUP(cleanup_txn)

/* The record of an inode that must be there, valid until `txn` ends. */
static int get_inode(struct index_txn *txn, uint64_t ino, struct chain_inode *ret)
{
	struct chain_inode_key key = chain_inode_key(ino);
	struct index_value value;
	int r = index_get(txn, CHAIN_INODE, key.bytes, sizeof(key.bytes), &value);

	if (r < 0)
		return r;
	if (r == INDEX_ABSENT || chain_inode_decode(value, ret) != 0)
		return -EIO;
	ret->st.st_ino = ino;
	ret->st.st_blksize = 4096;
	return 0;
}

static int read_inode(struct lower_obj *obj, struct index_txn *txn, struct chain_inode *ret)
{
	int r = index_begin(chain_of(obj)->index, false, txn);

	return r < 0 ? r : get_inode(txn, obj->ino, ret);
}

static struct lower_obj *object_new(struct lower *lower, uint64_t ino, mode_t mode)
{
	struct lower_obj *obj = malloc(sizeof(*obj));

	if (obj)
		*obj = (struct lower_obj){
			.lower = lower, .refs = 1, .type = mode & S_IFMT, .ino = ino
		};
	return obj;
}

static void chain_free_obj(struct lower_obj *obj)
{
	free(obj);
}

static struct lower_obj *chain_root(struct lower *lower)
{
	return object_new(lower, LOWER_ROOT_INO, S_IFDIR);
}

/* The inode number and type of a name; INDEX_FOUND, INDEX_ABSENT or -errno. */
static int get_dirent(struct index_txn *txn, uint64_t parent, const char *name,
		      struct chain_dirent *ret)
{
	struct chain_name_key key = chain_dirent_key(parent, name);
	struct index_value value;
	int r = index_get(txn, CHAIN_DIRENT, key.bytes, key.size, &value);

	if (r != INDEX_FOUND)
		return r;
	return chain_dirent_decode(value, ret) == 0 ? INDEX_FOUND : -EIO;
}

static int chain_lookup(struct lower_obj *dir, const char *name, struct lower_obj **ret,
			struct stat *st)
{
	cleanup_index_txn struct index_txn txn = { 0 };
	struct chain_dirent dirent;
	struct chain_inode inode;
	int r;

	if (strlen(name) > NAME_MAX)
		return -ENAMETOOLONG;
	r = index_begin(chain_of(dir)->index, false, &txn);
	if (r == 0)
		r = get_dirent(&txn, dir->ino, name, &dirent);
	if (r != INDEX_FOUND)
		return r;
	r = get_inode(&txn, dirent.ino, &inode);
	if (r < 0)
		return r;
	*ret = object_new(dir->lower, dirent.ino, inode.st.st_mode);
	if (!*ret)
		return -ENOMEM;
	if (st)
		*st = inode.st;
	return LOWER_FOUND;
}

static int chain_walk(struct lower *lower, const char *path, struct lower_obj **ret)
{
	cleanup_index_txn struct index_txn txn = { 0 };
	struct chain_dirent at = { .ino = LOWER_ROOT_INO, .type = DT_DIR };
	int r = index_begin(((struct chain *)lower)->index, false, &txn);

	for (path += strspn(path, "/"); r >= 0 && *path; path += strspn(path, "/")) {
		size_t length = strcspn(path, "/");
		cleanup_free char *name = strndup(path, length);

		r = name ? get_dirent(&txn, at.ino, name, &at) : -ENOMEM;
		if (r == INDEX_ABSENT)
			return LOWER_ABSENT;
		path += length;
	}
	if (r < 0 || at.type != DT_DIR)
		return r < 0 ? r : LOWER_ABSENT;
	*ret = object_new(lower, at.ino, S_IFDIR);
	return *ret ? LOWER_FOUND : -ENOMEM;
}

static int list_entry(void *context, struct index_value key, struct index_value value)
{
	struct listing *listing = context;
	struct chain_dirent dirent;
	char name[NAME_MAX + 1];
	size_t length = key.size - 8;
	int r;

	if (key.size <= 8 || length > NAME_MAX || chain_dirent_decode(value, &dirent) != 0)
		return -EIO;
	memcpy(name, (const char *)key.data + 8, length);
	name[length] = '\0';
	r = listing_add(listing, name, dirent.type, dirent.ino, 0);
	return r < 0 ? r : 0;
}

static int chain_list(struct lower_obj *dir, struct listing **ret)
{
	cleanup_index_txn struct index_txn txn = { 0 };
	cleanup_listing struct listing *listing = listing_new(dir->lower->seed);
	struct chain_inode_key key = chain_inode_key(dir->ino);
	int r;

	if (!listing)
		return -ENOMEM;
	r = index_begin(chain_of(dir)->index, false, &txn);
	if (r == 0)
		r = index_each(&txn, CHAIN_DIRENT, key.bytes, sizeof(key.bytes), list_entry,
			       listing);
	if (r < 0)
		return r;
	listing_seal(listing);
	*ret = take_ptr(listing);
	return 0;
}

static int chain_stat(struct lower_obj *obj, struct stat *ret)
{
	cleanup_index_txn struct index_txn txn = { 0 };
	struct chain_inode inode;
	int r = read_inode(obj, &txn, &inode);

	if (r == 0)
		*ret = inode.st;
	return r;
}

static int chain_readlink(struct lower_obj *obj, char **ret)
{
	cleanup_index_txn struct index_txn txn = { 0 };
	struct chain_inode inode;
	int r = read_inode(obj, &txn, &inode);

	if (r < 0 || !S_ISLNK(obj->type))
		return r < 0 ? r : -EINVAL;
	*ret = strndup(inode.target.data, inode.target.size);
	return *ret ? 0 : -ENOMEM;
}

static ssize_t chain_xattr_get(struct lower_obj *obj, const char *name, void *value, size_t size)
{
	cleanup_index_txn struct index_txn txn = { 0 };
	struct index_value found;
	struct chain_inode inode;
	const char *this;
	size_t at = 0;
	int r = read_inode(obj, &txn, &inode);

	if (r < 0)
		return r;
	while (chain_xattr_next(inode.xattrs, &at, &this, &found)) {
		if (strcmp(this, name) != 0)
			continue;
		if (size && found.size > size)
			return -ERANGE;
		if (size && found.size)
			memcpy(value, found.data, found.size);
		return (ssize_t)found.size;
	}
	return -ENODATA;
}

static ssize_t chain_xattr_list(struct lower_obj *obj, char **ret)
{
	cleanup_index_txn struct index_txn txn = { 0 };
	cleanup_free char *names = NULL;
	struct index_value value;
	struct chain_inode inode;
	size_t at = 0, size = 0;
	const char *name;
	int r = read_inode(obj, &txn, &inode);

	if (r < 0)
		return r;
	names = malloc(inode.xattrs.size + 1);
	if (!names)
		return -ENOMEM;
	while (chain_xattr_next(inode.xattrs, &at, &name, &value)) {
		size_t length = strlen(name) + 1;

		memcpy(names + size, name, length);
		size += length;
	}
	*ret = take_ptr(names);
	return (ssize_t)size;
}

/* --- paths --- */

/* A path that is put together from its end; the text begins at `start` and ends with a NUL. */
struct path {
	char *text;
	size_t room, start;
};

static void path_done(struct path *path)
{
	free(path->text);
}

/* Puts a name in front, and a slash between it and what is there. */
static int path_prepend(struct path *path, const void *name, size_t size)
{
	size_t used = path->room - path->start;

	if (path->start < size + 1 || !path->text) {
		size_t room = 2 * path->room + size + 64;
		char *text = malloc(room);

		if (!text)
			return -ENOMEM;
		if (used)
			memcpy(text + room - used, path->text + path->start, used);
		free(path->text);
		*path = (struct path){ .text = text, .room = room, .start = room - used };
	}
	path->text[--path->start] = used ? '/' : '\0';
	path->start -= size;
	memcpy(path->text + path->start, name, size);
	return 0;
}

/* The text, allocated; NULL: out of memory. */
static char *path_take(struct path *path)
{
	if (!path->text)
		return strdup("");
	memmove(path->text, path->text + path->start, path->room - path->start);
	return take_ptr(path->text);
}

/* The path of an object in its branch, allocated, from its record and those of directories above.
 */
static int source_path(struct index_txn *txn, uint64_t ino, const struct chain_inode *inode,
		       char **ret)
{
	CLEANUP(path_done) struct path path = { 0 };
	struct chain_inode above = *inode;
	struct index_value name;
	uint64_t parent;
	int r;

	while ((r = chain_place_decode(above.path, &parent, &name)) == 1) {
		if (parent >= ino)
			return -EIO;
		ino = parent;
		r = path_prepend(&path, name.data, name.size);
		if (r == 0)
			r = get_inode(txn, parent, &above);
		if (r < 0)
			return r;
	}
	if (r != 0)
		return -EIO;
	r = path_prepend(&path, above.path.data, above.path.size);
	if (r < 0)
		return r;
	*ret = path_take(&path);
	return *ret ? 0 : -ENOMEM;
}

static int chain_source(struct lower_obj *obj, unsigned int *branch, char **path)
{
	cleanup_index_txn struct index_txn txn = { 0 };
	struct chain_inode inode;
	int r = read_inode(obj, &txn, &inode);

	if (r < 0)
		return r;
	if (inode.branch >= chain_of(obj)->n_branches)
		return -EIO;
	*branch = inode.branch;
	return source_path(&txn, obj->ino, &inode, path);
}

static int chain_open(struct lower_obj *obj, int flags)
{
	cleanup_free char *path = NULL;
	unsigned int branch;
	int r = chain_source(obj, &branch, &path);

	if (r < 0)
		return r;
	/* Who wants no more than the object waits for nothing, and openat2 takes no other flag. */
	if (!(flags & O_PATH))
		flags |= O_NONBLOCK;
	return fd_open_beneath(chain_of(obj)->branches[branch], path, flags);
}

/* --- names of an inode --- */

struct name_walk {
	struct index_txn *txn;
	int (*each)(void *context, const char *path);
	void *context;
};

static int first_name(void *context, struct index_value key, struct index_value value)
{
	struct index_value *ret = context;

	(void)value;
	*ret = key;
	return 1;
}

/* Puts the path of the directory `ino` before `path`. */
static int prepend_dir(struct index_txn *txn, uint64_t ino, struct path *path)
{
	while (ino != LOWER_ROOT_INO) {
		struct chain_inode_key key = chain_inode_key(ino);
		struct index_value found, name;
		int r = index_each(txn, CHAIN_NAME, key.bytes, sizeof(key.bytes), first_name,
				   &found);

		if (r <= 0 || !chain_name_parse(found, &ino, &name))
			return r < 0 ? r : -EIO;
		r = path_prepend(path, name.data, name.size);
		if (r < 0)
			return r;
	}
	return 0;
}

static int chain_path(struct lower_obj *dir, char **ret)
{
	cleanup_index_txn struct index_txn txn = { 0 };
	CLEANUP(path_done) struct path path = { 0 };
	int r = index_begin(chain_of(dir)->index, false, &txn);

	if (r == 0)
		r = prepend_dir(&txn, dir->ino, &path);
	if (r == 0)
		r = path_prepend(&path, "", 0); /* the slash that it begins with */
	if (r < 0)
		return r;
	*ret = path.start + 1 < path.room ? path_take(&path) : strdup("/");
	return *ret ? 0 : -ENOMEM;
}

static int each_name(void *context, struct index_value key, struct index_value value)
{
	struct name_walk *walk = context;
	CLEANUP(path_done) struct path path = { 0 };
	struct index_value name;
	uint64_t parent;
	int r;

	(void)value;
	if (!chain_name_parse(key, &parent, &name))
		return -EIO;
	r = path_prepend(&path, name.data, name.size);
	if (r == 0)
		r = prepend_dir(walk->txn, parent, &path);
	return r < 0 ? r : walk->each(walk->context, path.text + path.start);
}

static int chain_names(struct lower_obj *obj, int (*each)(void *context, const char *path),
		       void *context)
{
	cleanup_index_txn struct index_txn txn = { 0 };
	struct name_walk walk = { .txn = &txn, .each = each, .context = context };
	struct chain_inode_key key = chain_inode_key(obj->ino);
	int r;

	if (S_ISDIR(obj->type))
		return -EISDIR;
	r = index_begin(chain_of(obj)->index, false, &txn);
	if (r < 0)
		return r;
	return index_each(&txn, CHAIN_NAME, key.bytes, sizeof(key.bytes), each_name, &walk);
}

/* --- the tree --- */

static void chain_free(struct lower *lower)
{
	struct chain *chain = (struct chain *)lower;

	index_close(chain->index);
	free(chain);
}

static const struct lower_ops chain_ops = {
	.free = chain_free,
	.root = chain_root,
	.free_obj = chain_free_obj,
	.lookup = chain_lookup,
	.walk = chain_walk,
	.path = chain_path,
	.source = chain_source,
	.list = chain_list,
	.stat = chain_stat,
	.readlink = chain_readlink,
	.xattr_get = chain_xattr_get,
	.xattr_list = chain_xattr_list,
	.open = chain_open,
	.names = chain_names,
};

/* Whether a meta record holds `expected`. */
static int meta_is(struct index_txn *txn, const char *key, const char *expected)
{
	struct index_value value;
	int r = index_get(txn, CHAIN_META, key, strlen(key), &value);

	if (r != INDEX_FOUND)
		return r;
	return value.size == strlen(expected) && memcmp(value.data, expected, value.size) == 0;
}

/* 0, LOWER_STALE or -errno. */
static int check_meta(struct chain *chain, const char *chain_id)
{
	cleanup_index_txn struct index_txn txn = { 0 };
	char version[32], branches[32];
	int r = index_begin(chain->index, false, &txn);

	if (r < 0)
		return r;
	snprintf(version, sizeof(version), "%d", CHAIN_FORMAT_VERSION);
	snprintf(branches, sizeof(branches), "%zu", chain->n_branches);
	r = meta_is(&txn, "version", version);
	if (r == 1)
		r = meta_is(&txn, "branches", branches);
	if (r == 1 && chain_id)
		r = meta_is(&txn, "chain", chain_id);
	return r < 0 ? r : r == 1 ? 0 : LOWER_STALE;
}

int lower_of_chain(const int branches[], size_t n_branches, int fd, const char *chain_id,
		   struct lower **ret)
{
	struct chain *chain;
	int r = fd < 0 ? fd : chain_check_seal(fd);

	if (r != 0)
		return r == CHAIN_BAD ? LOWER_STALE : r;
	chain = calloc(1, sizeof(*chain));
	if (!chain)
		return -ENOMEM;
	*chain = (struct chain){ .base.ops = &chain_ops,
				 .branches = branches,
				 .n_branches = n_branches };
	r = index_open(fd, NULL, INDEX_READ, chain_tables, &chain->index);
	if (r == 0)
		r = check_meta(chain, chain_id);
	else if (r == INDEX_DAMAGED)
		r = LOWER_STALE;
	if (r != 0) {
		chain_free(&chain->base);
		return r;
	}
	*ret = &chain->base;
	return 0;
}
