/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The node of a number that is not in memory: the kernel comes back with a
 * file handle (name_to_handle_at(2)) after it has forgotten the node, or with
 * what another worker told it.  It is looked for among the orphans, then in the
 * directory that the ledger names, then in all directories, whose listings have
 * the numbers; and if another worker told the kernel of it and it is nowhere,
 * among all of lower: then it is a lower object that was removed while in use.
 */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>

#include "base/fd.h"
#include "branch/whiteout.h"
#include "copyup/rejoin.h"
#include "lower/tour.h"
#include "node/dir.h"
#include "node/pile.h"
#include "upper/orphan.h"
#include "upper/owner.h"
#include "verb/verbs.h"

/*
 * Looks into one directory, and puts those in it on the pile (may be NULL): FS_FOUND,
 * FS_ABSENT or -errno.
 */
static int search_dir(struct fs *fs, struct node *dir, uint64_t ino, struct pile *pile,
		      struct node **ret)
{
	cleanup_listing struct listing *listing = NULL;
	int r = dir_list(fs, dir, true, &listing);

	for (size_t i = 0; r >= 0 && i < listing_count(listing); i++) {
		const struct listing_entry *entry = listing_at(listing, i);
		cleanup_node struct node *node = NULL;

		if (entry->ino != ino && !(pile && entry->type == DT_DIR))
			continue;
		r = rejoin_step(fs, dir, entry->name, &node);
		if (r == FS_FOUND && node->ino == ino) {
			*ret = take_ptr(node);
			return FS_FOUND;
		}
		if (r == FS_FOUND && pile && S_ISDIR(node->type))
			r = pile_put(pile, take_ptr(node));
	}
	return r < 0 ? r : FS_ABSENT;
}

static int search_tree(struct fs *fs, uint64_t ino, struct node **ret)
{
	cleanup_pile struct pile pile = { 0 };
	int r = pile_put(&pile, node_ref(fs->root)), error = FS_ABSENT;

	while (r == FS_ABSENT && pile.n) {
		cleanup_node struct node *dir = pile_take(&pile);

		r = search_dir(fs, dir, ino, &pile, ret);
		if (r == -ENOMEM)
			return r;
		/* Gone meanwhile, or not ours to read: the kernel has it from elsewhere. */
		if (r < 0 && r != -ENOENT && r != -ESTALE && r != -EACCES)
			error = r; /* it may be there */
		if (r < 0)
			r = FS_ABSENT;
	}
	return r == FS_FOUND ? r : error;
}

/* Only another worker's: an orphan of ours is in memory for as long as there is one. */
static int find_orphan(struct fs *fs, uint64_t ino, struct node **ret)
{
	struct node made = { .ino = ino, .has_upper = true };
	struct stat st;
	bool is_new;
	int r = fs->nodes.is_restart && fs->upper.orphans >= 0
			? owner_stat(&fs->upper, fs->upper.orphans, orphan_name(ino).s, &st)
			: -ENOENT;

	if (r < 0)
		return r == -ENOENT ? FS_ABSENT : r;
	/* It was about to change places with a directory that was to become one. */
	if (whiteout_is_at(fs->upper.orphans, orphan_name(ino).s, &st))
		return FS_ABSENT;
	made.type = st.st_mode & S_IFMT;
	made.real = st.st_ino;
	*ret = nodes_get_or_add(&fs->nodes, &made, &is_new);
	if (!*ret)
		return -ENOMEM;
	if (is_new) {
		lock_take(&(*ret)->lock);
		(*ret)->is_orphan = true;
		/* It may have a name elsewhere; that it is in the union is not said. */
		(*ret)->is_removed = S_ISDIR(st.st_mode) || st.st_nlink < 2;
		lock_release(&(*ret)->lock);
	}
	return FS_FOUND;
}

/* --- lower objects that have no name any more --- */

static int find_removed(struct fs *fs, uint64_t ino, struct node **ret)
{
	cleanup_lower_obj struct lower_obj *obj = NULL;
	struct node made = { .ino = ino };
	bool is_new;
	int r = tour_find(fs->lower, ino, &obj);

	if (r != LOWER_FOUND)
		return r;
	made.type = obj->type;
	made.lower = obj;
	*ret = nodes_get_or_add(&fs->nodes, &made, &is_new);
	if (!*ret)
		return -ENOMEM;
	if (is_new) {
		lock_take(&(*ret)->lock);
		(*ret)->is_removed = true;
		lock_release(&(*ret)->lock);
	}
	return FS_FOUND;
}

/* --- the ledger's hint --- */

enum {
	MAX_WAY = 1 << 20, /* a chain of hints that is longer is wrong */
	MAX_SEARCHES = 10, /* while names move all the time */
};

/* The numbers from the one that is looked for up to one that is known. */
struct way {
	uint64_t *inos;
	size_t n, room;
};

static void way_done(struct way *way)
{
	free(way->inos);
}

static int way_add(struct way *way, uint64_t ino)
{
	if (way->n == way->room) {
		size_t room = way->room ? way->room * 2 : 16;
		uint64_t *inos = realloc(way->inos, room * sizeof(*inos));

		if (!inos)
			return -ENOMEM;
		way->inos = inos;
		way->room = room;
	}
	way->inos[way->n++] = ino;
	return 0;
}

/* A node that is in memory, or an orphan. */
static int find_known(struct fs *fs, uint64_t ino, struct node **ret)
{
	*ret = nodes_get(&fs->nodes, ino);
	return *ret ? FS_FOUND : find_orphan(fs, ino, ret);
}

/* Goes from a number that is not known to the directory that the hint names, and so on. */
static int go_up(struct fs *fs, uint64_t ino, struct way *way, struct node **ret)
{
	int r;

	while ((r = find_known(fs, ino, ret)) == FS_ABSENT) {
		if (way->n == MAX_WAY)
			return FS_ABSENT;
		r = way_add(way, ino);
		if (r < 0 || !nodes_was_told(&fs->nodes, ino, &ino) || !ino)
			return r < 0 ? r : FS_ABSENT;
	}
	return r;
}

/* FS_ABSENT also where a directory on the way is not to be found. */
static int go_down(struct fs *fs, struct way *way, struct node **at)
{
	int r = FS_FOUND;

	while (r == FS_FOUND && way->n) {
		cleanup_node struct node *dir = take_ptr(*at);

		if (!S_ISDIR(dir->type))
			return FS_ABSENT;
		r = search_dir(fs, dir, way->inos[--way->n], NULL, at);
	}
	return r == -ESTALE || r == -ENOENT ? FS_ABSENT : r;
}

/* As fs_find, without searching everywhere. */
static int find_by_hint(struct fs *fs, uint64_t ino, struct node **ret)
{
	CLEANUP(way_done) struct way way = { 0 };
	cleanup_node struct node *at = NULL;
	int r = go_up(fs, ino, &way, &at);

	if (r == FS_FOUND)
		r = go_down(fs, &way, &at);
	if (r == FS_FOUND)
		*ret = take_ptr(at);
	return r;
}

static int find_anywhere(struct fs *fs, uint64_t ino, struct node **ret)
{
	uint64_t parent;
	int r = find_by_hint(fs, ino, ret);

	if (r == FS_ABSENT)
		r = search_tree(fs, ino, ret);
	if (r == FS_ABSENT && nodes_was_told(&fs->nodes, ino, &parent))
		r = find_removed(fs, ino, ret);
	return r;
}

int fs_find(struct fs *fs, uint64_t ino, struct node **ret)
{
	unsigned long before = 0;
	int r = FS_ABSENT;

	/* What moves from where we have not been to where we have, is missed; hardly ever twice. */
	for (int i = 0; r == FS_ABSENT && i < MAX_SEARCHES; i++) {
		if (i > 0 && atomic_load(&fs->nodes.n_changes) == before)
			break;
		before = atomic_load(&fs->nodes.n_changes);
		r = find_anywhere(fs, ino, ret);
	}
	return r;
}
