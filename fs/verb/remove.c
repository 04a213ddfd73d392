/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Removing names.
 *
 * The kernel may use an object long after its last name is gone, and does not
 * say until it forgets it.  So an object in upper is not unlinked but moved to
 * the orphan directory, under its number, and removed when it is forgotten.
 * Where a lower object of that name would appear, the same step that takes the
 * name away puts a whiteout there.
 */
#include "verb/remove.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "branch/whiteout.h"
#include "copyup/copyup.h"
#include "copyup/metacopy.h"
#include "copyup/protect.h"
#include "node/dir.h"
#include "node/names.h"
#include "upper/hide.h"
#include "upper/orphan.h"
#include "upper/verdict.h"
#include "verb/verbs.h"

int remove_check_empty(struct fs *fs, struct node *dir)
{
	cleanup_listing struct listing *listing = NULL;
	int r = dir_list(fs, dir, true, &listing);

	return r < 0 ? r : listing_count(listing) ? -ENOTEMPTY : 0;
}

/* Whether some name of the node is left besides this one. */
static int has_other_alias(struct node *node, struct node *dir, const char *name)
{
	for (unsigned int i = 0;; i++) {
		cleanup_node struct node *parent = NULL;
		cleanup_free char *other = NULL;
		int r = node_alias(node, i, &parent, &other);

		if (r <= 0)
			return r;
		if (parent != dir || strcmp(other, name) != 0)
			return 1;
	}
}

void remove_note(struct fs *fs, struct node *node, nlink_t n_links, struct node *dir,
		 const char *name)
{
	cleanup_lower_obj struct lower_obj *lower = NULL;
	int left;

	node_remove_alias(node, dir, name);
	node_names_changed(dir);
	if (!S_ISDIR(node->type) && !node_has_upper(node))
		lower = node_lower(node);
	if (!lower)
		left = has_other_alias(node, dir, name);
	else
		left = n_links > 1 ? names_count(fs, lower) : 0;
	lock_take(&node->lock);
	/* If it cannot be found out (the name is gone all the same), it is when it is asked for. */
	node->is_removed = left == 0;
	lock_release(&node->lock);
}

/* Takes one of several names of a file in upper away. */
static int unlink_one(struct fs *fs, int dirfd, const char *name, bool whiteout)
{
	int r = 0;

	if (whiteout && whiteout_takes_place(&fs->upper.caps.style))
		return hide_place(&fs->upper, dirfd, name, 0);
	if (whiteout)
		r = whiteout_create(&fs->upper.caps.style, dirfd, name);
	if (r < 0 && r != -EEXIST)
		return r;
	return unlinkat(dirfd, name, 0) < 0 ? -errno : 0;
}

/* Takes the name away and leaves the object with the orphans, and a whiteout if asked. */
static int make_orphan(struct fs *fs, struct node *node, ino_t real, int dirfd, const char *name,
		       bool whiteout)
{
	bool takes_place = whiteout && whiteout_takes_place(&fs->upper.caps.style);
	int r = 0;

	if (whiteout && !takes_place)
		r = whiteout_create(&fs->upper.caps.style, dirfd, name);
	if (r < 0 && r != -EEXIST)
		return r;
	pthread_mutex_lock(orphan_lock(&fs->upper, node->ino));
	/* Renaming a name to another of the same file would do nothing, and succeed. */
	if (orphan_is_kept(&fs->upper, node->ino, real))
		r = unlink_one(fs, dirfd, name, whiteout);
	else if (takes_place)
		r = hide_orphaned(&fs->upper, dirfd, name, node->type, node->ino);
	else
		r = fd_rename(dirfd, name, fs->upper.orphans, orphan_name(node->ino).s, 0);
	pthread_mutex_unlock(orphan_lock(&fs->upper, node->ino));
	if (r < 0)
		return r;
	lock_take(&node->lock);
	node->is_orphan = true;
	lock_release(&node->lock);
	return 0;
}

/* Whether a lower object of this name would appear: 1, 0 or -errno. */
static int lower_has(struct lower_obj *lower, const char *name)
{
	cleanup_lower_obj struct lower_obj *found = NULL;

	return lower ? lower_lookup(lower, name, &found, NULL) : LOWER_ABSENT;
}

/* Whether the object can be reached without this name: 1, 0 or -errno. */
static int may_unlink(struct node *node, struct node *dir, const char *name, const struct stat *st)
{
	bool is_orphan;

	if (S_ISDIR(node->type) || st->st_nlink < 2)
		return 0;
	lock_take(&node->lock);
	is_orphan = node->is_orphan;
	lock_release(&node->lock);
	return is_orphan ? 1 : has_other_alias(node, dir, name);
}

/* With dir->names held: what has to happen in upper. *st is what was there, with no links if
 * nothing. */
static int take_name(struct fs *fs, struct node *node, struct node *dir, int dirfd,
		     const char *name, struct lower_obj *lower, struct stat *st)
{
	/* What is not in upper was found by this name in lower, which does not change. */
	int whiteout = node_has_upper(node) ? lower_has(lower, name) : 1;
	int r = whiteout < 0 ? whiteout : verdict_on(dirfd, name, st);

	if (r < 0)
		return r;
	st->st_nlink = r == UPPER_OBJECT ? st->st_nlink : 0;
	if (r != UPPER_OBJECT)
		return whiteout ? hide_free(&fs->upper, dirfd, name) : -ENOENT;
	r = may_unlink(node, dir, name, st);
	if (r != 0)
		return r < 0 ? r : unlink_one(fs, dirfd, name, whiteout);
	return make_orphan(fs, node, st->st_ino, dirfd, name, whiteout);
}

static int remove_name(struct fs *fs, const struct entry *entry, struct node *dir, const char *name)
{
	struct node *node = entry->node;
	cleanup_lower_obj struct lower_obj *lower = node_lower(dir);
	cleanup_fd_ref struct fd_ref *ref = NULL;
	struct stat st;
	bool is_dir;
	int r = protect_check(fs, dir, PROTECT_ANY);

	if (r == 0)
		r = protect_check(fs, node, PROTECT_ANY);
	/* Where its data are is found by its name as yet. */
	if (r == 0)
		r = metacopy_pin(fs, node);
	if (r == 0)
		ref = copyup_open(fs, dir, &r);
	if (!ref)
		return r;
	/* It is counted: a directory in the one that it is in, a name of a file among its names. */
	is_dir = S_ISDIR(node->type);
	if (is_dir)
		node_tally_begin(dir);
	else
		linked_begin(&fs->linked, node->ino);
	lock_take(&dir->names);
	r = take_name(fs, node, dir, ref->fd, name, lower, &st);
	lock_release(&dir->names);
	if (!is_dir)
		linked_end(&fs->linked, node->ino, r < 0 ? LINKED_LOST : -1);
	if (r == 0 && st.st_nlink > 1 && !is_dir)
		node_links_changed(node);
	if (r == 0)
		remove_note(fs, node, entry->st.st_nlink, dir, name);
	/* A listing of before is known to be stale by now. */
	if (is_dir)
		node_tally_end(dir, r < 0 ? TALLY_LOST : -1);
	if (r == 0)
		node_attributes_changed(dir, NAMES_ASKED);
	return r;
}

int fs_unlink(struct fs *fs, struct node *dir, const char *name)
{
	cleanup_entry struct entry entry = { 0 };
	int r = fs_lookup(fs, dir, name, &entry);

	if (r != FS_FOUND)
		return r < 0 ? r : -ENOENT;
	if (S_ISDIR(entry.node->type))
		return -EISDIR;
	return remove_name(fs, &entry, dir, name);
}

int fs_rmdir(struct fs *fs, struct node *dir, const char *name)
{
	cleanup_entry struct entry entry = { 0 };
	int r = fs_lookup(fs, dir, name, &entry);

	if (r != FS_FOUND)
		return r < 0 ? r : -ENOENT;
	if (!S_ISDIR(entry.node->type))
		return -ENOTDIR;
	r = remove_check_empty(fs, entry.node);
	return r < 0 ? r : remove_name(fs, &entry, dir, name);
}
