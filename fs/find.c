/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The node of a number that is not in memory: the kernel comes back with a
 * file handle (name_to_handle_at(2)) after it has forgotten the node, or with
 * what another worker told it.  It is looked for among the orphans, then in the
 * directory that the ledger names, then in all directories, whose listings have
 * the numbers; and if another worker told the kernel of it and it is nowhere,
 * among all of lower: then it is a lower object that was removed while in use.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/fd.h"
#include "upper.h"

/* Directories that are still to be gone through; references. */
struct heap {
	struct node **dirs;
	size_t n, room;
};

static void heap_done(struct heap *heap)
{
	while (heap->n)
		node_unref(heap->dirs[--heap->n]);
	free(heap->dirs);
}

/* Takes the reference over. */
static int heap_put(struct heap *heap, struct node *dir)
{
	if (heap->n == heap->room) {
		size_t room = heap->room ? heap->room * 2 : 64;
		struct node **dirs = realloc(heap->dirs, room * sizeof(*dirs));

		if (!dirs) {
			node_unref(dir);
			return -ENOMEM;
		}
		heap->dirs = dirs;
		heap->room = room;
	}
	heap->dirs[heap->n++] = dir;
	return 0;
}

/*
 * Looks into one directory, and puts those in it on the heap (may be NULL): FS_FOUND,
 * FS_ABSENT or -errno.
 */
static int search_dir(struct fs *fs, struct node *dir, uint64_t ino, struct heap *heap,
		      struct node **ret)
{
	cleanup_listing struct listing *listing = NULL;
	int r = fs_list(fs, dir, true, &listing);

	for (size_t i = 0; r >= 0 && i < listing_count(listing); i++) {
		const struct listing_entry *entry = listing_at(listing, i);
		cleanup_node struct node *node = NULL;

		if (entry->ino != ino && !(heap && entry->type == DT_DIR))
			continue;
		r = upper_step(fs, dir, entry->name, &node);
		if (r == FS_FOUND && node->ino == ino) {
			*ret = take_ptr(node);
			return FS_FOUND;
		}
		if (r == FS_FOUND && heap && S_ISDIR(node->type))
			r = heap_put(heap, take_ptr(node));
	}
	return r < 0 ? r : FS_ABSENT;
}

static int search_tree(struct fs *fs, uint64_t ino, struct node **ret)
{
	CLEANUP(heap_done) struct heap heap = { 0 };
	int r = heap_put(&heap, node_ref(fs->root)), error = FS_ABSENT;

	while (r == FS_ABSENT && heap.n) {
		cleanup_node struct node *dir = heap.dirs[--heap.n];

		r = search_dir(fs, dir, ino, &heap, ret);
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
	int r = fs->nodes.is_restart && fs->orphans >= 0
			? owner_stat(fs, fs->orphans, orphan_name(ino).s, &st)
			: -ENOENT;

	if (r < 0)
		return r == -ENOENT ? FS_ABSENT : r;
	made.type = st.st_mode & S_IFMT;
	made.real = st.st_ino;
	*ret = nodes_get_or_add(&fs->nodes, &made, &is_new);
	if (!*ret)
		return -ENOMEM;
	if (is_new) {
		pthread_mutex_lock(&(*ret)->lock);
		(*ret)->is_orphan = true;
		/* It may have a name elsewhere; that it is in the union is not said. */
		(*ret)->is_removed = S_ISDIR(st.st_mode) || st.st_nlink < 2;
		pthread_mutex_unlock(&(*ret)->lock);
	}
	return FS_FOUND;
}

/* --- lower objects that have no name any more --- */

static int search_lower_dir(struct lower_obj *dir, uint64_t ino, struct lower_obj **ret)
{
	cleanup_listing struct listing *listing = NULL;
	int r = lower_list(dir, &listing);

	for (size_t i = 0; r >= 0 && i < listing_count(listing); i++) {
		const struct listing_entry *entry = listing_at(listing, i);
		cleanup_lower_obj struct lower_obj *obj = NULL;

		if (entry->ino != ino && entry->type != DT_DIR)
			continue;
		r = lower_lookup(dir, entry->name, &obj, NULL);
		if (r == LOWER_FOUND && obj->ino == ino) {
			*ret = take_ptr(obj);
			return LOWER_FOUND;
		}
		if (r == LOWER_FOUND && S_ISDIR(obj->type)) {
			r = search_lower_dir(obj, ino, ret);
			if (r != LOWER_ABSENT)
				return r;
		}
	}
	return r < 0 ? r : LOWER_ABSENT;
}

int find_lower_object(struct fs *fs, uint64_t ino, struct lower_obj **ret)
{
	cleanup_lower_obj struct lower_obj *root = lower_root(fs->lower);

	return root ? search_lower_dir(root, ino, ret) : -ENOMEM;
}

static int find_removed(struct fs *fs, uint64_t ino, struct node **ret)
{
	cleanup_lower_obj struct lower_obj *obj = NULL;
	struct node made = { .ino = ino };
	bool is_new;
	int r = find_lower_object(fs, ino, &obj);

	if (r != LOWER_FOUND)
		return r;
	made.type = obj->type;
	made.lower = obj;
	*ret = nodes_get_or_add(&fs->nodes, &made, &is_new);
	if (!*ret)
		return -ENOMEM;
	if (is_new) {
		pthread_mutex_lock(&(*ret)->lock);
		(*ret)->is_removed = true;
		pthread_mutex_unlock(&(*ret)->lock);
	}
	return FS_FOUND;
}

/* --- the ledger's hint --- */

enum {
	MAX_DEPTH = 4096, /* a chain of hints that is longer is wrong */
	MAX_SEARCHES = 10, /* while names move all the time */
};

static int find(struct fs *fs, uint64_t ino, unsigned int depth, struct node **ret);

/* FS_ABSENT also where the directory is not to be found. */
static int find_in_parent(struct fs *fs, uint64_t ino, uint64_t parent, unsigned int depth,
			  struct node **ret)
{
	cleanup_node struct node *dir = NULL;
	int r;

	if (!parent || depth == MAX_DEPTH)
		return FS_ABSENT;
	r = find(fs, parent, depth + 1, &dir);
	if (r != FS_FOUND || !S_ISDIR(dir->type))
		return r < 0 ? r : FS_ABSENT;
	r = search_dir(fs, dir, ino, NULL, ret);
	return r == -ESTALE || r == -ENOENT ? FS_ABSENT : r;
}

/* As fs_find, without searching everywhere. */
static int find(struct fs *fs, uint64_t ino, unsigned int depth, struct node **ret)
{
	uint64_t parent = 0;
	int r;

	*ret = nodes_get(&fs->nodes, ino);
	if (*ret)
		return FS_FOUND;
	r = find_orphan(fs, ino, ret);
	if (r == FS_ABSENT && nodes_was_told(&fs->nodes, ino, &parent))
		r = find_in_parent(fs, ino, parent, depth, ret);
	return r;
}

static int find_anywhere(struct fs *fs, uint64_t ino, struct node **ret)
{
	uint64_t parent;
	int r = find(fs, ino, 0, ret);

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
