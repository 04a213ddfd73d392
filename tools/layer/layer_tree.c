/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Every path of the archive is walked from the branch's root, a descriptor,
 * by openat2 beneath it and without symbolic links.  Where that fails the
 * components are taken one at a time: a missing one is made, a whiteout gives
 * way, a symbolic link has the path resolved anew (layer_link), and anything
 * else that is no directory is the archive's fault.
 */
#include "layer/layer_tree.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/xattr.h"
#include "value/entry_name.h"

/* An open file that has no name. */
static FILE *open_late(int dirfd)
{
	static const char name[] = ".cairn-late";
	cleanup_fd int fd = fd_open(dirfd, name, O_RDWR | O_CREAT | O_EXCL, 0600);
	FILE *file;

	if (fd < 0)
		return NULL;
	unlinkat(dirfd, name, 0);
	file = fdopen(fd, "w+");
	if (file)
		take_fd(&fd);
	return file;
}

int layer_tree_init(struct layer_tree *tree, int root, const struct layer_site *site,
		    const int below[], size_t n_below, struct error *error)
{
	*tree = (struct layer_tree){
		.root = root,
		.site = site,
		.below = below,
		.n_below = n_below,
		.error = error,
		.parent = -1,
		.late = open_late(root),
	};
	return tree->late ? 0 : error_errno(error, -errno, "cannot make a temporary file");
}

static void forget_parent(struct layer_tree *tree)
{
	if (tree->parent >= 0)
		close(tree->parent);
	tree->parent = -1;
	free(take_ptr(tree->parent_path));
}

static void forget_links(struct layer_tree *tree)
{
	free(take_ptr(tree->linked_path));
	free(take_ptr(tree->linked_to));
}

void layer_tree_done(struct layer_tree *tree)
{
	forget_parent(tree);
	forget_links(tree);
	if (tree->late)
		fclose(tree->late);
}

int layer_tree_opaque(struct layer_tree *tree, int dirfd)
{
	int r = opaque_set(&tree->site->style, dirfd);

	return r < 0 ? error_errno(tree->error, r, "cannot be marked opaque") : 0;
}

/* 1: the directory is opaque, where a whiteout by xattr would hide nothing and be listed. */
static int admit_whiteout(struct layer_tree *tree, int parent)
{
	int r;

	if (tree->site->style.format != WHITEOUT_XATTR)
		return 0;
	r = opaque_get(parent);
	if (r != OPAQUE_NO)
		return r < 0 ? r : 1;
	return whiteout_admit(&tree->site->style, parent);
}

int layer_tree_hide(struct layer_tree *tree, int parent, const char *name)
{
	cleanup_fd int fd = fd_open(parent, name, O_PATH, 0);
	struct stat st;
	int r;

	if (fd >= 0) {
		r = fd_stat(fd, NULL, &st);
		if (r == 0 && S_ISDIR(st.st_mode))
			return layer_tree_opaque(tree, fd);
		return r;
	}
	if (fd != -ENOENT)
		return fd;
	r = admit_whiteout(tree, parent);
	if (r == 0)
		r = whiteout_create(&tree->site->style, parent, name);
	if (r == 1 || r == -EEXIST) /* a second mark of the file format */
		return 0;
	if (r < 0)
		return error_errno(tree->error, r, "the whiteout cannot be made");
	tree->file_marks |= tree->site->style.format == WHITEOUT_FILE;
	return 0;
}

/* Takes a whiteout of the file format away: 1 if there was one. */
static int clear_file_mark(struct layer_tree *tree, int parent, const char *name)
{
	int r;

	if (!tree->file_marks)
		return 0;
	r = whiteout_has_file(parent, name);
	if (r > 0) {
		int removed = whiteout_remove_file(parent, name);

		return removed < 0 ? removed : r;
	}
	return r;
}

int layer_tree_clear(struct layer_tree *tree, int parent, const char *name, bool is_dir)
{
	int unhidden = clear_file_mark(tree, parent, name);
	struct stat st;
	bool hid;
	int r;

	if (unhidden < 0)
		return unhidden;
	r = fd_stat(parent, name, &st);
	if (r == -ENOENT)
		return unhidden ? LAYER_WAY_UNHIDDEN : LAYER_WAY_FREE;
	if (r < 0)
		return r;
	if (S_ISDIR(st.st_mode) && is_dir)
		return LAYER_WAY_DIRECTORY;
	forget_links(tree); /* it may be one of them, or on their way */
	if (!S_ISDIR(st.st_mode)) {
		hid = unhidden || whiteout_is_at(parent, name, &st);
		if (unlinkat(parent, name, 0) < 0)
			return -errno;
		return hid ? LAYER_WAY_UNHIDDEN : LAYER_WAY_FREE;
	}
	if (parent != tree->parent)
		forget_parent(tree); /* it may be inside */
	r = fd_remove_tree(parent, name);
	return r < 0 ? r : LAYER_WAY_FREE;
}

int layer_tree_mkdir(struct layer_tree *tree, int parent, const char *name, int *ret)
{
	cleanup_fd int fd = -1;
	int way = LAYER_WAY_FREE;

	if (tree->file_marks || mkdirat(parent, name, 0700) < 0) {
		if (!tree->file_marks && errno != EEXIST)
			return -errno;
		way = layer_tree_clear(tree, parent, name, true);
		if (way < 0)
			return way;
		if (way != LAYER_WAY_DIRECTORY && mkdirat(parent, name, 0700) < 0)
			return -errno;
	}
	fd = fd_open(parent, name, O_PATH | O_DIRECTORY, 0);
	if (fd < 0)
		return fd;
	if (way == LAYER_WAY_UNHIDDEN) {
		int r = layer_tree_opaque(tree, fd);

		if (r < 0)
			return r;
	}
	*ret = take_fd(&fd);
	return 0;
}

/* Opens or makes one directory on the way to an entry; WAY_LINK: it is a symbolic link. */
enum { WAY_LINK = 1 };
static int enter(struct layer_tree *tree, int dirfd, const char *name, int *ret)
{
	cleanup_fd int fd = -1;
	struct stat st;
	struct meta meta;
	int r = fd_stat(dirfd, name, &st);

	if (r == 0 && S_ISLNK(st.st_mode))
		return WAY_LINK;
	if (r == 0 && !S_ISDIR(st.st_mode) && !whiteout_is_at(dirfd, name, &st))
		return error_set(tree->error, -ENOTDIR, "refused: its parent %s is no directory",
				 name);
	if (r == 0 && S_ISDIR(st.st_mode)) {
		fd = fd_open(dirfd, name, O_PATH | O_DIRECTORY, 0);
		if (fd < 0)
			return fd;
		*ret = take_fd(&fd);
		return 0;
	}
	if (r < 0 && r != -ENOENT)
		return r;
	r = layer_tree_mkdir(tree, dirfd, name, &fd);
	if (r < 0)
		return r;
	meta = meta_of_missing_directory();
	r = meta_apply(&meta, fd, tree->site, false, tree->error);
	if (r < 0)
		return r;
	*ret = take_fd(&fd);
	return 0;
}

static int enter_all(struct layer_tree *tree, int base, const char *path, int *ret)
{
	cleanup_fd int at = -1;
	char name[NAME_MAX + 1];

	while (*path) {
		size_t len = strcspn(path, "/");
		int next = -1, r;

		memcpy(name, path, len);
		name[len] = '\0';
		r = enter(tree, at < 0 ? base : at, name, &next);
		if (r != 0)
			return r;
		if (at >= 0)
			close(at);
		at = next;
		path += len + (path[len] == '/');
	}
	*ret = take_fd(&at);
	return 0;
}

/*
 * Opens the directory `path`, which is not the root, and makes what is missing of it; from the one
 * used last, if it is below that, so that going down a deep tree does not begin anew each time.
 * WAY_LINK: a symbolic link is on the way.
 */
static int open_directory(struct layer_tree *tree, const char *path, int *ret)
{
	size_t len = tree->parent_path ? strlen(tree->parent_path) : 0;
	int base = tree->root;
	int fd;

	if (len > 0 && strncmp(path, tree->parent_path, len) == 0 && path[len] == '/') {
		base = tree->parent;
		path += len + 1;
	}
	fd = fd_open_beneath(base, path, O_PATH | O_DIRECTORY);
	if (fd < 0)
		return enter_all(tree, base, path, ret);
	*ret = fd;
	return 0;
}

static bool is_directory_of(const char *dir, const char *path, size_t len)
{
	return dir && strlen(dir) == len && memcmp(dir, path, len) == 0;
}

/* Puts the directory `dir` in the place of the first `len` bytes of a path. */
static int replace_directory(char **path, size_t len, const char *dir)
{
	char *whole = malloc(strlen(dir) + strlen(*path + len) + 1);

	if (!whole)
		return -ENOMEM;
	strcpy(stpcpy(whole, dir), *path + len + !*dir);
	free(*path);
	*path = whole;
	return 0;
}

/* Follows the links on the way to a path, and keeps in mind where its directory is. */
static int follow_links(struct layer_tree *tree, char **path, size_t len)
{
	char *found = NULL;
	int r;

	if (!is_directory_of(tree->linked_path, *path, len)) {
		r = layer_tree_follow(tree, *path, &found);
		if (r < 0)
			return r;
		forget_links(tree);
		tree->linked_path = strndup(*path, len);
		tree->linked_to = found;
		found[entry_name_last(found) - found - (entry_name_last(found) > found)] = '\0';
		if (!tree->linked_path)
			return -ENOMEM;
	}
	return replace_directory(path, len, tree->linked_to);
}

int layer_tree_parent(struct layer_tree *tree, char **path, int *ret)
{
	size_t len = (size_t)(entry_name_last(*path) - *path);
	cleanup_free char *dir = NULL;
	int fd, r;

	if (len == 0) {
		*ret = tree->root;
		return 0;
	}
	len--;
	if (is_directory_of(tree->parent_path, *path, len)) {
		*ret = tree->parent;
		return 0;
	}
	r = WAY_LINK;
	if (!is_directory_of(tree->linked_path, *path, len)) {
		dir = strndup(*path, len);
		r = dir ? open_directory(tree, dir, &fd) : -ENOMEM;
	}
	if (r == WAY_LINK) {
		r = follow_links(tree, path, len);
		if (r == 0 && layer_path_is_below_mark(*path))
			r = error_set(tree->error, -EINVAL, "refused: its parent is a whiteout");
		return r < 0 ? r : layer_tree_parent(tree, path, ret);
	}
	if (r < 0)
		return r;
	forget_parent(tree);
	tree->parent = fd;
	tree->parent_path = take_ptr(dir);
	*ret = fd;
	return 0;
}

int layer_tree_plinks(struct layer_tree *tree, int *ret)
{
	int fd;

	if (mkdirat(tree->root, LAYER_PLINKS, 0700) < 0 && errno != EEXIST)
		return -errno;
	tree->has_plinks = true;
	fd = fd_open(tree->root, LAYER_PLINKS, O_PATH | O_DIRECTORY, 0);
	if (fd < 0)
		return fd;
	*ret = fd;
	return 0;
}
