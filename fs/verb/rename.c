/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Renaming.
 *
 * A lower directory is not copied: its upper part gets a redirect that names
 * the lower one, and moves.  A directory without a lower part that comes to
 * stand where lower has a directory is made opaque first.  A whiteout is left
 * behind, by the same system call if that can be, where a lower object would appear.
 *
 * Whatever stands at the new name is prepared so that one rename finishes the
 * matter: a file is given a name among the orphans besides; a directory whose
 * upper part still holds whiteouts changes places with an empty one.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/copy.h"
#include "base/fd.h"
#include "branch/redirect.h"
#include "branch/whiteout.h"
#include "copyup/copyup.h"
#include "copyup/metacopy.h"
#include "copyup/protect.h"
#include "node/names.h"
#include "node/object.h"
#include "upper/hide.h"
#include "upper/orphan.h"
#include "upper/staging.h"
#include "upper/verdict.h"
#include "verb/remove.h"
#include "verb/verbs.h"

enum { SURELY_SHORT = 512 }; /* bytes that every filesystem takes as an xattr */

/* One end of a rename. */
struct end {
	struct node *dir;
	const char *name;
	struct entry entry; /* what is there; node is NULL for nothing */
	struct lower_obj *lower; /* the lower part of dir */
	struct fd_ref *ref; /* dir in upper */
};

static void end_done(struct end *end)
{
	node_unref(end->entry.node);
	lower_unref(end->lower);
	fd_ref_put(end->ref);
}
#define cleanup_end CLEANUP(end_done)

static int find_end(struct fs *fs, struct end *end)
{
	int r = fs_lookup(fs, end->dir, end->name, &end->entry);

	end->lower = node_lower(end->dir);
	return r;
}

static int open_end(struct fs *fs, struct end *end)
{
	int r = 0;

	end->ref = copyup_open(fs, end->dir, &r);
	return r;
}

static int lower_type_at(struct end *end, mode_t *ret)
{
	cleanup_lower_obj struct lower_obj *found = NULL;
	int r = end->lower ? lower_lookup(end->lower, end->name, &found, NULL) : LOWER_ABSENT;

	*ret = r == LOWER_FOUND ? found->type : 0;
	return r;
}

/*
 * Marks the upper part `fd` of a directory that moves with where `lower`, its
 * lower part, is: the whole path, or, if that is too long for an xattr, the one
 * name that will do within a directory.  -EXDEV, as overlayfs has it, if neither.
 */
static int set_redirect(struct fs *fs, struct end *from, struct end *to, struct lower_obj *lower,
			int fd)
{
	cleanup_lower_obj struct lower_obj *found = NULL;
	cleanup_free char *path = NULL;
	const char *name;
	int r = lower_path(lower, &path);

	if (r == 0)
		r = redirect_set(&fs->upper.caps.style, fd, path);
	/* ENOSPC is also what ext4 says of an xattr that is longer than a block. */
	if ((r != -ENOSPC || strlen(path) < SURELY_SHORT) && r != -ERANGE && r != -E2BIG)
		return r;
	name = strrchr(path, '/') + 1;
	if (from->dir == to->dir && from->lower)
		r = lower_lookup(from->lower, name, &found, NULL);
	if (r < 0 || !found || found->ino != lower->ino)
		return -EXDEV;
	return redirect_set(&fs->upper.caps.style, fd, name);
}

/* Copies up what moves from `from`, and marks it for its new place, `to`. */
static int prepare_moved(struct fs *fs, struct end *from, struct end *to)
{
	struct node *node = from->entry.node;
	cleanup_lower_obj struct lower_obj *lower = NULL;
	cleanup_fd_ref struct fd_ref *ref = NULL;
	mode_t type;
	int r;

	if (S_ISDIR(node->type)) {
		lower = node_lower(node);
		if (lower && (!fs->config->redirect_dir || !fs->upper.caps.style.xattr_prefix))
			return -EXDEV;
	}
	r = metacopy_pin(fs, node);
	if (r == 0)
		r = copyup_node(fs, node);
	if (r < 0 || !S_ISDIR(node->type))
		return r;
	ref = object_open(fs, node, &r);
	if (!ref)
		return r;
	if (lower) {
		r = set_redirect(fs, from, to, lower, ref->fd);
		if (r == 0)
			names_moved(fs, node);
		return r;
	}
	r = lower_type_at(to, &type);
	if (r < 0 || !S_ISDIR(type))
		return r < 0 ? r : 0;
	return opaque_set(&fs->upper.caps.style, ref->fd);
}

static int is_dir(const struct end *end)
{
	return end->entry.node && S_ISDIR(end->entry.node->type);
}

/* Puts an empty directory in the place of one that shows none but holds whiteouts. */
static int empty_target(struct fs *fs, struct end *to)
{
	cleanup_staged struct staged staged = { 0 };
	cleanup_fd int fd = -1;
	struct stat st;
	int r = fd_stat(to->ref->fd, to->name, &st);

	if (r < 0)
		return r;
	/* Filesystems without renameat2's flags: for a moment there is none. */
	if (!fs->upper.caps.can_exchange)
		return fd_rename(to->ref->fd, to->name, fs->upper.orphans,
				 orphan_name(to->entry.node->ino).s, 0);
	staged_init(&fs->upper, &staged);
	if (mkdirat(staged.dirfd, staged.name, 0700) < 0)
		return -errno;
	fd = fd_open(staged.dirfd, staged.name, O_PATH | O_DIRECTORY, 0);
	r = fd < 0 ? fd : opaque_set(&fs->upper.caps.style, fd);
	if (r == 0)
		r = copy_stat(fd, &st);
	if (r == 0)
		r = staged_publish(&staged, to->ref->fd, to->name, RENAME_EXCHANGE);
	/* What was there is an orphan now. */
	if (r == 0)
		r = fd_rename(staged.dirfd, staged.name, fs->upper.orphans,
			      orphan_name(to->entry.node->ino).s, 0);
	return r;
}

/* What empty_target has put away comes back, as there was nothing to make room for. */
static void put_back(struct fs *fs, struct end *to)
{
	struct orphan_name name = orphan_name(to->entry.node->ino);

	pthread_mutex_lock(orphan_lock(&fs->upper, to->entry.node->ino));
	if (fd_rename(fs->upper.orphans, name.s, to->ref->fd, to->name,
		      fs->upper.caps.can_exchange ? RENAME_EXCHANGE : 0) == 0)
		fd_remove_tree(fs->upper.orphans, name.s);
	pthread_mutex_unlock(orphan_lock(&fs->upper, to->entry.node->ino));
}

static int keep_file(struct fs *fs, struct end *to)
{
	cleanup_fd_ref struct fd_ref *ref = NULL;
	int r = 0;

	ref = object_open(fs, to->entry.node, &r);
	if (!ref)
		return r;
	pthread_mutex_lock(orphan_lock(&fs->upper, to->entry.node->ino));
	r = fd_link(ref->fd, fs->upper.orphans, orphan_name(to->entry.node->ino).s);
	pthread_mutex_unlock(orphan_lock(&fs->upper, to->entry.node->ino));
	return r == -EEXIST ? 0 : r;
}

/* It is not replaced after all. */
static void keep_no_file(struct fs *fs, struct node *target)
{
	bool was_orphan;

	lock_take(&target->lock);
	was_orphan = target->is_orphan;
	lock_release(&target->lock);
	if (was_orphan)
		return;
	pthread_mutex_lock(orphan_lock(&fs->upper, target->ino));
	unlinkat(fs->upper.orphans, orphan_name(target->ino).s, 0);
	pthread_mutex_unlock(orphan_lock(&fs->upper, target->ino));
}

/*
 * Without xattrs an empty directory cannot be opaque: the mark would be a file
 * in it.  Then the two change places first, and the one that is replaced is
 * taken from the old name; in between that name shows an empty directory.
 */
static int replace_by_swap(struct fs *fs, struct end *from, struct end *to, bool whiteout)
{
	int r = remove_check_empty(fs, to->entry.node);

	if (r == 0)
		r = fd_rename(from->ref->fd, from->name, to->ref->fd, to->name, RENAME_EXCHANGE);
	if (r == 0 && whiteout)
		r = hide_free(&fs->upper, from->ref->fd, from->name);
	if (r < 0 && r != -EEXIST)
		return r;
	r = fd_rename(from->ref->fd, from->name, fs->upper.orphans,
		      orphan_name(to->entry.node->ino).s, 0);
	return r < 0 ? r : 1;
}

/*
 * Sees to it that what is replaced can still be used.  1 if it is among the
 * orphans now, 0 if that is not needed.
 */
static int prepare_replaced(struct fs *fs, struct end *to)
{
	int r;

	if (!to->entry.node)
		return 0;
	if (S_ISDIR(to->entry.node->type)) {
		r = remove_check_empty(fs, to->entry.node);
		if (r < 0 || !node_has_upper(to->entry.node))
			return r;
		r = empty_target(fs, to);
	} else {
		if (!node_has_upper(to->entry.node))
			return 0;
		r = keep_file(fs, to);
	}
	return r < 0 ? r : 1;
}

/*
 * Moves a file onto one that shows, and leaves a whiteout by xattr: it has both names for a moment,
 * as no call does all of it, and neither file can get lost (op_dir.c knows what that looks like).
 */
static int move_by_link(struct fs *fs, struct end *from, struct end *to)
{
	cleanup_staged struct staged staged;
	int r;

	staged_init(&fs->upper, &staged);
	if (linkat(from->ref->fd, from->name, staged.dirfd, staged.name, 0) < 0)
		return -errno;
	r = staged_publish(&staged, to->ref->fd, to->name, 0);
	return r < 0 ? r : hide_place(&fs->upper, from->ref->fd, from->name, 0);
}

/*
 * Moves to where nothing shows, or only an empty directory, and leaves a whiteout by xattr: that is
 * put at the new name first, and they change places.
 */
static int move_by_exchange(struct fs *fs, struct end *from, struct end *to, int at_target)
{
	int r = whiteout_admit(&fs->upper.caps.style, from->ref->fd);

	if (r == 0)
		r = hide_place(&fs->upper, to->ref->fd, to->name,
			       at_target == UPPER_OBJECT ? RENAME_EXCHANGE : RENAME_NOREPLACE);
	if (r == 0)
		r = fd_rename(from->ref->fd, from->name, to->ref->fd, to->name, RENAME_EXCHANGE);
	return r;
}

/* Moves to a name where `at`, a whiteout, stands: they change places, and it serves there. */
static int move_to_whiteout(struct fs *fs, struct end *from, struct end *to, const struct stat *at,
			    bool whiteout)
{
	int r = S_ISREG(at->st_mode) ? whiteout_admit(&fs->upper.caps.style, from->ref->fd) : 0;

	if (r == 0)
		r = fd_rename(from->ref->fd, from->name, to->ref->fd, to->name, RENAME_EXCHANGE);
	if (r == 0 && !whiteout && unlinkat(from->ref->fd, from->name, 0) < 0)
		r = -errno;
	return r;
}

/* Moves to a name where no whiteout stands, leaving one of another format than beside the name. */
static int move_from(struct fs *fs, struct end *from, struct end *to, int at_target)
{
	if (fs->upper.caps.style.format == WHITEOUT_DEVICE)
		return fd_rename(from->ref->fd, from->name, to->ref->fd, to->name, RENAME_WHITEOUT);
	if (to->entry.node && !S_ISDIR(to->entry.node->type))
		return move_by_link(fs, from, to);
	return move_by_exchange(fs, from, to, at_target);
}

/*
 * The rename itself, with both directories' names held.  `whiteout`: leave one.
 */
static int move(struct fs *fs, struct end *from, struct end *to, bool whiteout)
{
	bool takes_place = whiteout && whiteout_takes_place(&fs->upper.caps.style);
	bool is_dir = S_ISDIR(from->entry.node->type);
	struct stat st;
	int at_target = verdict_on(to->ref->fd, to->name, &st);
	int r = at_target < 0 ? at_target : 0;

	if (r == 0 && whiteout && !takes_place)
		r = whiteout_create(&fs->upper.caps.style, from->ref->fd, from->name);
	if (r < 0 && r != -EEXIST)
		return r;
	if (at_target == UPPER_WHITEOUT && is_dir && !fs->upper.caps.can_exchange) {
		r = whiteout_free_name(to->ref->fd, to->name);
		if (r < 0)
			return r;
		at_target = UPPER_HIDDEN;
	}
	/* A directory cannot replace what is none, nor can a file leave another behind. */
	if (at_target == UPPER_WHITEOUT &&
	    (is_dir || (takes_place && fs->upper.caps.style.format == WHITEOUT_XATTR)))
		return move_to_whiteout(fs, from, to, &st, whiteout);
	if (takes_place)
		r = move_from(fs, from, to, at_target);
	else
		r = fd_rename(from->ref->fd, from->name, to->ref->fd, to->name, 0);
	if (r == 0 && at_target == UPPER_HIDDEN)
		r = whiteout_remove_file(to->ref->fd, to->name);
	return r;
}

/* Both directories' names, in one order for everybody. */
static void lock_both(struct node *a, struct node *b)
{
	if (a == b) {
		lock_take(&a->names);
		return;
	}
	lock_take(a->ino < b->ino ? &a->names : &b->names);
	lock_take(a->ino < b->ino ? &b->names : &a->names);
}

static void unlock_both(struct node *a, struct node *b)
{
	lock_release(&a->names);
	if (a != b)
		lock_release(&b->names);
}

static int exchange(struct fs *fs, struct end *from, struct end *to)
{
	int r = prepare_moved(fs, from, to);

	if (r == 0)
		r = prepare_moved(fs, to, from);
	if (r < 0)
		return r;
	/* What can fail comes first; and at no time have they no name. */
	r = node_add_alias(from->entry.node, to->dir, to->name);
	if (r == 0)
		r = node_add_alias(to->entry.node, from->dir, from->name);
	if (r == 0) {
		lock_both(from->dir, to->dir);
		r = fd_rename(from->ref->fd, from->name, to->ref->fd, to->name, RENAME_EXCHANGE);
		unlock_both(from->dir, to->dir);
	}
	/* Of the two names that each has now, the one it had or the one it has. */
	node_remove_alias(from->entry.node, r < 0 ? to->dir : from->dir,
			  r < 0 ? to->name : from->name);
	node_remove_alias(to->entry.node, r < 0 ? from->dir : to->dir,
			  r < 0 ? from->name : to->name);
	return r;
}

/* Both steps: 1 if what was replaced is among the orphans now, 0 if not, or -errno. */
static int replace_and_move(struct fs *fs, struct end *from, struct end *to, bool whiteout)
{
	struct node *target = to->entry.node;
	int replaced, r;

	if (target && S_ISDIR(target->type) && node_has_upper(target) &&
	    fs->upper.caps.can_exchange && !fs->upper.caps.style.xattr_prefix)
		return replace_by_swap(fs, from, to, whiteout);
	replaced = prepare_replaced(fs, to);
	if (replaced < 0)
		return replaced;
	r = move(fs, from, to, whiteout);
	if (r < 0 && replaced == 1 && S_ISDIR(target->type))
		put_back(fs, to);
	else if (r < 0 && replaced == 1)
		keep_no_file(fs, target);
	return r < 0 ? r : replaced;
}

static int replace(struct fs *fs, struct end *from, struct end *to)
{
	int replaced, whiteout, r;
	mode_t type;

	r = prepare_moved(fs, from, to);
	/* What is replaced is found by its name as yet, if its data are elsewhere. */
	if (r == 0 && to->entry.node)
		r = metacopy_pin(fs, to->entry.node);
	if (r < 0)
		return r;
	whiteout = lower_type_at(from, &type);
	if (whiteout < 0)
		return whiteout;
	/* What can fail comes first; and at no time has it no name. */
	r = node_add_alias(from->entry.node, to->dir, to->name);
	if (r < 0)
		return r;
	/* A file that is replaced has a name less. */
	if (to->entry.node)
		linked_begin(&fs->linked, to->entry.node->ino);
	lock_both(from->dir, to->dir);
	replaced = replace_and_move(fs, from, to, whiteout);
	unlock_both(from->dir, to->dir);
	if (to->entry.node)
		linked_end(&fs->linked, to->entry.node->ino, replaced < 0 ? LINKED_LOST : -1);
	if (replaced < 0) {
		node_remove_alias(from->entry.node, to->dir, to->name);
		return replaced;
	}
	if (replaced == 1) {
		lock_take(&to->entry.node->lock);
		to->entry.node->is_orphan = true;
		lock_release(&to->entry.node->lock);
		node_links_changed(to->entry.node);
	}
	if (whiteout && to->entry.node && fs->upper.caps.style.format == WHITEOUT_XATTR)
		node_links_changed(from->entry.node); /* it had one more for a moment */
	if (to->entry.node)
		remove_note(fs, to->entry.node, to->entry.st.st_nlink, to->dir, to->name);
	node_remove_alias(from->entry.node, from->dir, from->name);
	return 0;
}

static int check(struct end *from, struct end *to, unsigned int flags)
{
	bool from_is_dir = S_ISDIR(from->entry.node->type);

	/* A whiteout cannot be shown, so none can be left for the caller, as with overlayfs. */
	if (flags & ~(unsigned int)(RENAME_NOREPLACE | RENAME_EXCHANGE))
		return -EINVAL;
	if (flags & RENAME_NOREPLACE && to->entry.node)
		return -EEXIST;
	if (flags & RENAME_EXCHANGE)
		return to->entry.node ? 0 : -ENOENT;
	if (!to->entry.node || from_is_dir == S_ISDIR(to->entry.node->type))
		return 0;
	return from_is_dir ? -ENOTDIR : -EISDIR;
}

/* What stands at an end, if anything, is to go from there. */
static int check_protection(struct fs *fs, struct end *end)
{
	int r = protect_check(fs, end->dir, end->entry.node ? PROTECT_ANY : PROTECT_IMMUTABLE);

	return r == 0 && end->entry.node ? protect_check(fs, end->entry.node, PROTECT_ANY) : r;
}

/* Both ends' directories count those in them: they have changed places, or one has moved. */
static void tally_end(struct end *from, struct end *to, bool is_exchange, int r)
{
	int moved = is_dir(from) - (is_exchange ? is_dir(to) : 0);
	int replaced = is_exchange ? 0 : is_dir(to);
	bool is_lost = r < 0 && (is_dir(from) || is_dir(to));

	if (r < 0)
		moved = replaced = 0;
	node_tally_end(from->dir, is_lost ? TALLY_LOST : -moved);
	node_tally_end(to->dir, is_lost ? TALLY_LOST : moved - replaced);
}

int fs_rename(struct fs *fs, struct node *olddir, const char *oldname, struct node *newdir,
	      const char *newname, unsigned int flags)
{
	cleanup_end struct end from = { .dir = olddir, .name = oldname };
	cleanup_end struct end to = { .dir = newdir, .name = newname };
	enum names_change change;
	int r = verdict_on_new(newname);

	if (r == 0)
		r = find_end(fs, &from);
	if (r != FS_FOUND)
		return r < 0 ? r : -ENOENT;
	r = find_end(fs, &to);
	if (r >= 0)
		r = check(&from, &to, flags);
	if (r < 0 || from.entry.node == to.entry.node)
		return r; /* two names of one file stay as they are */
	r = check_protection(fs, &from);
	if (r == 0)
		r = check_protection(fs, &to);
	if (r == 0)
		r = open_end(fs, &from);
	if (r == 0)
		r = open_end(fs, &to);
	if (r < 0)
		return r;
	node_tally_begin(olddir);
	node_tally_begin(newdir);
	r = flags & RENAME_EXCHANGE ? exchange(fs, &from, &to) : replace(fs, &from, &to);
	node_names_changed(olddir);
	node_names_changed(newdir);
	tally_end(&from, &to, flags & RENAME_EXCHANGE, r);
	change = r == 0 ? NAMES_ASKED : NAMES_UNASKED;
	node_attributes_changed(olddir, change);
	node_attributes_changed(newdir, change);
	return r;
}
