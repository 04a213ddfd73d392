/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A lower name shows in the union if its directory does and upper has nothing
 * at the name.  The directory of a lower directory's number is a node, and
 * that node says where it is, also when it has been renamed: if it is known.
 * So directories that were renamed are kept in memory for as long as the mount
 * lives; those of earlier mounts are found, once, by their redirects, when
 * the question comes up for the first time.  While some of upper cannot be
 * read, a lower directory that is found nowhere may be there: that is an error.
 */
#include "node/names.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/fd.h"
#include "branch/redirect.h"
#include "node/lookup.h"
#include "node/object.h"
#include "node/pile.h"
#include "upper/verdict.h"

void names_moved(struct fs *fs, struct node *dir)
{
	struct node_dir *more = node_dir(dir);

	pthread_mutex_lock(&fs->moved_lock);
	if (!more->is_moved) {
		more->is_moved = true;
		more->next_moved = fs->moved;
		fs->moved = node_dir(node_ref(dir));
	}
	pthread_mutex_unlock(&fs->moved_lock);
}

/* --- directories that earlier mounts have renamed --- */

/* Of what a scan could not read, the first is remembered: a directory, or a name in it. */
static void note_failure(struct fs *fs, struct node *dir, const char *name, int error)
{
	if (fs->scan_error)
		return;
	fs->scan_error = error;
	fs->failed_dir = node_ref(dir);
	fs->failed_name = name ? strdup(name) : NULL;
}

static void forget_failure(struct fs *fs)
{
	fs->scan_error = 0;
	node_unref(take_ptr(fs->failed_dir));
	free(take_ptr(fs->failed_name));
}

void names_done(struct fs *fs)
{
	while (fs->moved) {
		struct node_dir *dir = fs->moved;

		fs->moved = dir->next_moved;
		node_unref(&dir->node);
	}
	forget_failure(fs);
	pthread_mutex_destroy(&fs->moved_lock);
	pthread_mutex_destroy(&fs->scan_lock);
}

/*
 * Looks at one directory of upper, and remembers it if it has been renamed.  0 with a reference,
 * -ENOENT if it is a mark, or gone since; or -errno.
 */
static int enter(struct fs *fs, struct node *dir, int dirfd, const char *name, struct node **ret)
{
	cleanup_free char *redirect = NULL;
	cleanup_fd int fd = fd_open(dirfd, name, O_PATH | O_DIRECTORY, 0);
	int r = fd;

	if (fd >= 0)
		r = lookup_step(fs, dir, name, ret);
	/* Nobody gets to a second one of a number (-ESTALE) either. */
	if (r == -ENOTDIR || r == -ESTALE || r == FS_ABSENT)
		return -ENOENT;
	if (r == FS_FOUND && !S_ISDIR((*ret)->type))
		return -ENOENT;
	if (r == FS_FOUND)
		r = redirect_get(fd, MARKS_ANY, &redirect);
	if (r == 1)
		names_moved(fs, *ret);
	return r < 0 ? r : 0;
}

/* Looks at what is in a directory; directories are put on the pile. */
static void scan_entries(struct fs *fs, struct node *dir, DIR *stream, struct pile *pile)
{
	struct dirent *entry;

	while ((errno = 0, entry = readdir(stream))) {
		struct node *node = NULL;
		int r;

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (entry->d_type != DT_DIR && entry->d_type != DT_UNKNOWN)
			continue;
		r = enter(fs, dir, dirfd(stream), entry->d_name, &node);
		if (r == 0)
			r = pile_put(pile, take_ptr(node));
		node_unref(node);
		if (r < 0 && r != -ENOENT)
			note_failure(fs, dir, entry->d_name, r);
	}
	if (errno)
		note_failure(fs, dir, NULL, -errno);
}

static void scan_dir(struct fs *fs, struct node *dir, struct pile *pile)
{
	cleanup_fd_ref struct fd_ref *ref = NULL;
	cleanup_dir DIR *stream = NULL;
	int r = 0;

	ref = object_open(fs, dir, &r);
	if (ref)
		r = fd_opendir(ref->fd, &stream);
	if (r == 0)
		scan_entries(fs, dir, stream, pile);
	else if (r != -ENOENT && r != -ESTALE) /* gone since */
		note_failure(fs, dir, NULL, r);
}

static void scan_tree(struct fs *fs)
{
	cleanup_pile struct pile pile = { 0 };
	int r = pile_put(&pile, node_ref(fs->root));

	if (r < 0)
		note_failure(fs, fs->root, NULL, r);
	while (pile.n) {
		cleanup_node struct node *dir = pile_take(&pile);

		scan_dir(fs, dir, &pile);
	}
}

static int read_dir(int dirfd)
{
	cleanup_dir DIR *stream = NULL;
	int r = fd_opendir(dirfd, &stream);

	while (r == 0 && (errno = 0, readdir(stream)))
		;
	return r < 0 ? r : -errno;
}

static bool still_fails(struct fs *fs)
{
	cleanup_fd_ref struct fd_ref *dir = NULL;
	cleanup_node struct node *node = NULL;
	int r = 0;

	dir = object_open(fs, fs->failed_dir, &r);
	if (dir && fs->failed_name)
		r = enter(fs, fs->failed_dir, dir->fd, fs->failed_name, &node);
	else if (dir)
		r = read_dir(dir->fd);
	return r < 0 && r != -ENOENT && r != -ESTALE;
}

/*
 * Remembers the directories that earlier mounts have renamed; the error if some of upper
 * cannot be read.  `again`: once more after such an error, if what failed then can be read now.
 */
static int scan_upper(struct fs *fs, bool again)
{
	int r;

	pthread_mutex_lock(&fs->scan_lock);
	if (again && fs->scan_error && !still_fails(fs)) {
		forget_failure(fs);
		fs->is_scanned = false;
	}
	if (!fs->is_scanned)
		scan_tree(fs);
	fs->is_scanned = true;
	r = fs->scan_error;
	pthread_mutex_unlock(&fs->scan_lock);
	return r;
}

/* --- where a lower name is --- */

/* A lower directory, and the node that it is part of. */
struct spot {
	struct lower_obj *lower;
	struct node *node;
};

static void spot_done(struct spot *spot)
{
	lower_unref(spot->lower);
	node_unref(spot->node);
}
#define cleanup_spot CLEANUP(spot_done)

static bool is_merged(struct node *node, struct lower_obj *lower)
{
	cleanup_lower_obj struct lower_obj *part = node_lower(node);

	return part && part->ino == lower->ino && !node_is_removed(node);
}

/* From a directory of lower to the next one below it; FS_ABSENT when that does not show. */
static int go_down(struct fs *fs, struct spot *spot, const char *name)
{
	cleanup_lower_obj struct lower_obj *lower = NULL;
	cleanup_node struct node *node = NULL;
	int r = lower_lookup(spot->lower, name, &lower, NULL);

	if (r != LOWER_FOUND)
		return r;
	node = nodes_get(&fs->nodes, lower->ino);
	if (!node && spot->node) {
		r = lookup_step(fs, spot->node, name, &node);
		if (r < 0)
			return r;
	}
	if (node && !is_merged(node, lower))
		node_unref(take_ptr(node));
	/* One that does not show may still hold one that does: renamed out of it. */
	spot_done(spot);
	spot->lower = take_ptr(lower);
	spot->node = take_ptr(node);
	return FS_FOUND;
}

/* Where the directory of a lower path is; spot->node is NULL if it does not show. */
static int find_dir(struct fs *fs, const char *path, const char *end, struct spot *spot)
{
	int r = FS_FOUND;

	spot->lower = lower_root(fs->lower);
	if (!spot->lower)
		return -ENOMEM;
	if (is_merged(fs->root, spot->lower))
		spot->node = node_ref(fs->root);
	while (r == FS_FOUND && path < end) {
		size_t length = strcspn(path, "/");
		cleanup_free char *name = strndup(path, length);

		r = name ? go_down(fs, spot, name) : -ENOMEM;
		path += length + strspn(path + length, "/");
	}
	return r;
}

/* Whether upper has nothing at the name: 1, 0 or -errno. */
static int shows(struct fs *fs, struct node *dir, const char *name)
{
	cleanup_fd_ref struct fd_ref *ref = NULL;
	struct stat st;
	int r = 0;

	if (!node_has_upper(dir))
		return 1;
	ref = object_open(fs, dir, &r);
	if (ref)
		r = verdict_on(ref->fd, name, &st);
	return r < 0 ? r : r == UPPER_NOTHING;
}

struct showing {
	struct fs *fs;
	int scanned; /* 0, or why a directory may show that is found nowhere */
	int (*each)(void *context, struct node *dir, const char *name);
	void *context;
	int count;
};

/* As find_dir; the error when it is not found, and where it may be cannot be read. */
static int find_dir_surely(struct showing *showing, const char *path, const char *end,
			   struct spot *spot)
{
	int r = find_dir(showing->fs, path, end, spot);

	if (r != FS_FOUND || spot->node || showing->scanned == 0)
		return r;
	showing->scanned = scan_upper(showing->fs, true);
	if (showing->scanned < 0)
		return showing->scanned;
	spot_done(spot);
	*spot = (struct spot){ 0 };
	return find_dir(showing->fs, path, end, spot);
}

static int count_showing(void *context, const char *path)
{
	struct showing *showing = context;
	cleanup_spot struct spot spot = { 0 };
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	int r = find_dir_surely(showing, path, slash ? slash : path, &spot);

	if (r != FS_FOUND || !spot.node)
		return r < 0 ? r : 0;
	r = shows(showing->fs, spot.node, name);
	if (r != 1)
		return r;
	showing->count++;
	return showing->each ? showing->each(showing->context, spot.node, name) : 0;
}

int names_visible(struct fs *fs, struct lower_obj *lower,
		  int (*each)(void *context, struct node *dir, const char *name), void *context)
{
	struct showing showing = { .fs = fs, .each = each, .context = context };
	int r;

	if (fs->config->upper >= 0)
		showing.scanned = scan_upper(fs, false);
	r = lower_names(lower, count_showing, &showing);
	return r != 0 ? r : showing.count;
}

int names_count(struct fs *fs, struct lower_obj *lower)
{
	unsigned int mark;
	int n = linked_count(&fs->linked, lower->ino, &mark);

	if (n >= 0)
		return n;
	n = names_visible(fs, lower, NULL, NULL);
	if (n >= 0)
		linked_keep(&fs->linked, lower->ino, mark, n);
	return n;
}
