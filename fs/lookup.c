/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Looking a name up: upper first, then lower, then which node that is.
 *
 * The number of a directory that has a lower part is that part's; of anything
 * in upper else, the one that upper_number gives; of anything in lower, its
 * own.  A lower file whose number belongs to a node that is in upper already
 * is that node: another name of a file that has been copied up.
 */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "upper.h"

/* Completes what was found to an entry: the node, one of its names, and its attributes. */
static int found(struct fs *fs, struct node *dir, const char *name, const struct node *made,
		 struct stat *st, struct entry *ret)
{
	cleanup_node struct node *node = NULL;
	bool is_new;
	int r;

	node = nodes_get_or_add(&fs->nodes, made, &is_new);
	if (!node)
		return -ENOMEM;
	if ((node->type ^ made->type) & S_IFMT)
		return -ESTALE; /* a number used twice: marks of other branches */
	r = node_add_alias(node, dir, name);
	if (r < 0)
		return r;
	if (node_is_removed(node))
		orphan_adopt(fs, node); /* a name of it that was not known */
	/* Attributes of upper need completing; so do those of a lower name of a file in upper. */
	if (S_ISDIR(node->type) || st->st_nlink > 1 || node_has_upper(node) != made->has_upper) {
		r = fs_getattr(fs, node, st);
		if (r < 0)
			return r;
	}
	st->st_ino = node->ino;
	ret->st = *st;
	ret->node = take_ptr(node);
	return FS_FOUND;
}

static int lookup_upper(struct fs *fs, struct node *dir, struct lower_obj *lower, int dirfd,
			const char *name, struct stat *st, struct entry *ret)
{
	cleanup_lower_obj struct lower_obj *merged = NULL;
	struct node made = { .type = st->st_mode & S_IFMT, .has_upper = true, .real = st->st_ino };
	int r;

	if (S_ISDIR(st->st_mode)) {
		r = upper_merges_with(fs, dirfd, name, lower, &merged);
		if (r < 0)
			return r;
		made.lower = merged;
	}
	made.ino = merged ? state_set(fs->state, st->st_ino, merged->ino)
			  : upper_number(fs, dirfd, name, st);
	return made.ino ? found(fs, dir, name, &made, st, ret) : -ENOMEM;
}

/* --- groups of names that a crash left half copied up --- */

struct search {
	struct fs *fs;
	uint64_t ino;
	int fd; /* the copy, once found */
};

/* Answers 1 when the copy stands at this name of the group. */
static int is_copy(void *context, const char *path)
{
	struct search *search = context;
	cleanup_fd int fd = fd_open_beneath(search->fs->config->upper, path, O_PATH);
	struct stat st;

	if (fd < 0 || fd_stat(fd, NULL, &st) < 0 || S_ISDIR(st.st_mode))
		return 0;
	if (origin_get(search->fs, fd, st.st_ino) != search->ino)
		return 0;
	search->fd = take_fd(&fd);
	return 1;
}

/*
 * Gives a lower name of a file whose other names were copied up the copy.
 * 1 if there was one and the name is in upper now; 0 if there is none.
 */
static int rejoin(struct fs *fs, struct node *dir, const char *name, struct lower_obj *obj)
{
	struct search search = { .fs = fs, .ino = obj->ino, .fd = -1 };
	int r = lower_names(obj, is_copy, &search);
	cleanup_fd int fd = search.fd;
	cleanup_fd_ref struct fd_ref *ref = NULL;

	if (r <= 0)
		return r;
	r = fs_copyup(fs, dir);
	if (r == 0)
		ref = upper_open(fs, dir, &r);
	if (ref)
		r = fd_link(fd, ref->fd, name);
	return r < 0 && r != -EEXIST ? r : 1;
}

static int lookup_lower(struct fs *fs, struct node *dir, struct lower_obj *lower, const char *name,
			struct entry *ret)
{
	cleanup_lower_obj struct lower_obj *obj = NULL;
	struct node made = { 0 };
	struct stat st;
	int r = lower_lookup(lower, name, &obj, &st);

	if (r != LOWER_FOUND)
		return r;
	if (st.st_nlink > 1 && !S_ISDIR(obj->type) && fs->config->upper >= 0) {
		r = rejoin(fs, dir, name, obj);
		if (r != 0)
			return r < 0 ? r : fs_lookup(fs, dir, name, ret);
	}
	made.ino = obj->ino;
	made.type = obj->type;
	made.lower = obj;
	return found(fs, dir, name, &made, &st, ret);
}

int fs_lookup(struct fs *fs, struct node *dir, const char *name, struct entry *ret)
{
	cleanup_lower_obj struct lower_obj *lower = NULL;
	int r = 0;

	if (strlen(name) > NAME_MAX)
		return -ENAMETOOLONG;
	if (whiteout_is_mark_name(name))
		return FS_ABSENT;
	lower = node_lower(dir);
	if (node_has_upper(dir)) {
		cleanup_fd_ref struct fd_ref *ref = upper_open(fs, dir, &r);
		struct stat st;

		if (!ref)
			return r;
		r = upper_probe(ref->fd, name, &st);
		if (r == UPPER_OBJECT)
			return lookup_upper(fs, dir, lower, ref->fd, name, &st, ret);
		if (r != UPPER_NOTHING)
			return r < 0 ? r : FS_ABSENT;
	}
	return lower ? lookup_lower(fs, dir, lower, name, ret) : FS_ABSENT;
}

struct node *fs_parent(struct node *dir)
{
	struct node *parent;
	char *name;

	if (node_alias(dir, 0, &parent, &name) <= 0)
		return node_ref(dir);
	free(name);
	return parent;
}

int upper_walk(struct fs *fs, const char *path, size_t length, struct node **ret)
{
	cleanup_node struct node *at = node_ref(fs->root);
	const char *end = path + length;

	while (path < end) {
		size_t size = strcspn(path, "/");
		cleanup_free char *name = strndup(
			path, size < (size_t)(end - path) ? size : (size_t)(end - path));
		struct entry entry = { 0 };
		int r = name ? fs_lookup(fs, at, name, &entry) : -ENOMEM;

		if (r != FS_FOUND)
			return r;
		node_unref(at);
		at = entry.node;
		path += size;
		path += strspn(path, "/");
	}
	*ret = take_ptr(at);
	return FS_FOUND;
}

/* --- lower names that show --- */

/* Whether upper leaves the lower name `path` alone: 1, 0 or -errno. */
static int shows(struct fs *fs, const char *path)
{
	cleanup_fd int at = -1;

	if (fs->config->upper < 0)
		return 1;
	at = fd_open(fs->config->upper, ".", O_PATH | O_DIRECTORY, 0);
	while (at >= 0) {
		size_t size = strcspn(path, "/");
		cleanup_free char *name = strndup(path, size);
		cleanup_free char *redirect = NULL;
		struct stat st;
		int next, r;

		r = name ? upper_probe(at, name, &st) : -ENOMEM;
		if (r != UPPER_OBJECT)
			return r < 0 ? r : r == UPPER_NOTHING;
		path += size + strspn(path + size, "/");
		if (!*path || !S_ISDIR(st.st_mode))
			return 0;
		next = fd_open(at, name, O_PATH | O_DIRECTORY, 0);
		close(at);
		at = next;
		r = at < 0 ? at : opaque_get(at);
		if (r < 0 || r == OPAQUE_YES)
			return r < 0 ? r : 0;
		r = redirect_get(at, &redirect);
		if (r != 0)
			return r < 0 ? r : 0;
	}
	return at;
}

struct showing {
	struct fs *fs;
	int (*each)(void *context, const char *path);
	void *context;
	int count;
};

static int count_showing(void *context, const char *path)
{
	struct showing *showing = context;
	int r = shows(showing->fs, path);

	if (r != 1)
		return r;
	showing->count++;
	return showing->each ? showing->each(showing->context, path) : 0;
}

int upper_visible_names(struct fs *fs, struct lower_obj *lower,
			int (*each)(void *context, const char *path), void *context)
{
	struct showing showing = { .fs = fs, .each = each, .context = context };
	int r = lower_names(lower, count_showing, &showing);

	return r != 0 ? r : showing.count;
}
