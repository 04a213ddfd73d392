/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Making names.  There is one way: fs_create and fs_link both come down to
 * `place`, which knows what may stand in the way of a name in upper.
 *
 * Where the name is free in upper, the object is made in its place by one
 * system call as the caller, so that owner, group, ACLs and mode are right
 * from the first instant.  Where a whiteout stands, it is made in the
 * staging directory, in a directory like its future one, and takes the
 * whiteout's place in one rename; a crash can never show the lower object.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/xattr.h"
#include "branch/whiteout.h"
#include "copyup/copyup.h"
#include "copyup/metacopy.h"
#include "copyup/protect.h"
#include "node/object.h"
#include "upper/creds.h"
#include "upper/hide.h"
#include "upper/orphan.h"
#include "upper/owner.h"
#include "upper/staging.h"
#include "upper/verdict.h"
#include "verb/verbs.h"

/* What is to get a name: something new, or (link) something that is there. */
struct thing {
	const struct newborn *newborn;
	const struct caller *caller;
	int link_fd;
};

static bool has_default_acl(struct fs *fs, int dirfd)
{
	return fs->upper.caps.can_acl && !fs->config->no_acl &&
	       xattr_get(dirfd, "system.posix_acl_default", NULL, 0) > 0;
}

static int make_object(const struct newborn *newborn, mode_t mode, int dirfd, const char *name)
{
	int r;

	if (S_ISDIR(mode))
		r = mkdirat(dirfd, name, mode & 07777);
	else if (S_ISLNK(mode))
		r = symlinkat(newborn->target, dirfd, name);
	else
		r = mknodat(dirfd, name, mode, newborn->rdev);
	return r < 0 ? -errno : 0;
}

/* Makes an object whose owner is written beside it, in the staging directory, for `parent`. */
static int make_owned(struct fs *fs, const struct thing *thing, int parent, int dirfd,
		      const char *name)
{
	const struct newborn *newborn = thing->newborn;
	struct stat st = { .st_mode = newborn->mode & ~thing->caller->umask,
			   .st_uid = thing->caller->uid,
			   .st_gid = thing->caller->gid,
			   .st_rdev = newborn->rdev };
	cleanup_fd int fd = -1;
	struct stat dir;
	int r = owner_stat(&fs->upper, parent, NULL, &dir);

	if (r == 0)
		r = make_object(newborn, owner_real_mode(st.st_mode), dirfd, name);
	if (r < 0)
		return r;
	if (dir.st_mode & S_ISGID) {
		st.st_gid = dir.st_gid;
		st.st_mode |= S_ISDIR(st.st_mode) ? S_ISGID : 0;
	}
	fd = fd_open(dirfd, name, O_PATH, 0);
	return fd < 0 ? fd : owner_write(&fs->upper, fd, &st);
}

static bool is_owned(struct fs *fs, const struct thing *thing)
{
	return thing->newborn && owner_is_written(&fs->upper, thing->newborn->mode);
}

/* Makes the thing as `name` of `dirfd`, as it would be in the directory `parent`. */
static int make(struct fs *fs, const struct thing *thing, int parent, int dirfd, const char *name)
{
	const struct newborn *newborn = thing->newborn;
	mode_t mode;
	int r;

	if (!newborn)
		return fd_link(thing->link_fd, dirfd, name);
	if (is_owned(fs, thing))
		return make_owned(fs, thing, parent, dirfd, name);
	/* A default ACL takes the umask's place (POSIX 1003.1e). */
	mode = newborn->mode & ~(has_default_acl(fs, parent) ? 0 : thing->caller->umask);
	/* A symbolic link has whatever owner it can have, where others have theirs beside them. */
	if (fs->config->override != OVERRIDE_NONE)
		return make_object(newborn, mode, dirfd, name);
	creds_assume(&fs->upper, thing->caller);
	r = make_object(newborn, mode, dirfd, name);
	creds_drop(&fs->upper, thing->caller);
	return r;
}

static bool is_dir(const struct thing *thing)
{
	return thing->newborn && S_ISDIR(thing->newborn->mode);
}

static int set_opaque(struct fs *fs, int dirfd, const char *name)
{
	cleanup_fd int fd = fd_open(dirfd, name, O_PATH | O_DIRECTORY, 0);

	return fd < 0 ? fd : opaque_set(&fs->upper.caps.style, fd);
}

/* Whether a directory made here must not merge with a lower one. */
static int lower_has_dir(struct lower_obj *lower, const char *name)
{
	cleanup_lower_obj struct lower_obj *found = NULL;
	int r = lower ? lower_lookup(lower, name, &found, NULL) : LOWER_ABSENT;

	return r == LOWER_FOUND ? S_ISDIR(found->type) : r;
}

static int place_over_whiteout(struct fs *fs, const struct thing *thing, struct lower_obj *lower,
			       int dirfd, const char *name)
{
	cleanup_staged struct staged staged = { 0 };
	int r = staged_init_like(&fs->upper, dirfd, &staged);

	if (r == 0)
		r = make(fs, thing, dirfd, staged.dirfd, staged.name);
	if (r == 0 && is_dir(thing)) {
		r = lower_has_dir(lower, name);
		if (r == 1)
			r = set_opaque(fs, staged.dirfd, staged.name);
	}
	if (r < 0)
		return r;
	/* A directory cannot replace what is none, only change places with it. */
	if (!is_dir(thing) || fs->upper.caps.can_exchange)
		return staged_publish(&staged, dirfd, name, is_dir(thing) ? RENAME_EXCHANGE : 0);
	r = whiteout_free_name(dirfd, name);
	if (r == 0)
		r = staged_publish(&staged, dirfd, name, RENAME_NOREPLACE);
	return r < 0 ? r : whiteout_remove_file(dirfd, name);
}

/* Where the name is free: in place if it can be whole from the first instant, else staged. */
static int place_free(struct fs *fs, const struct thing *thing, int dirfd, const char *name)
{
	cleanup_staged struct staged staged = { 0 };
	int r;

	if (!is_owned(fs, thing))
		return make(fs, thing, dirfd, dirfd, name);
	staged_init(&fs->upper, &staged);
	r = make(fs, thing, dirfd, staged.dirfd, staged.name);
	return r < 0 ? r : staged_publish(&staged, dirfd, name, RENAME_NOREPLACE);
}

static int place_over_file_mark(struct fs *fs, const struct thing *thing, struct lower_obj *lower,
				int dirfd, const char *name)
{
	int r = place_free(fs, thing, dirfd, name);

	if (r == 0 && is_dir(thing)) {
		r = lower_has_dir(lower, name);
		if (r == 1)
			r = set_opaque(fs, dirfd, name);
		if (r < 0) {
			unlinkat(dirfd, name, AT_REMOVEDIR);
			return r;
		}
	}
	/* The name hides what is below by itself now; beside it the mark means nothing more. */
	return r < 0 ? r : whiteout_remove_file(dirfd, name);
}

/* Gives the thing the name, with dir->names held. */
static int place(struct fs *fs, const struct thing *thing, struct lower_obj *lower, int dirfd,
		 const char *name)
{
	struct stat st;
	int r = verdict_on(dirfd, name, &st);

	switch (r) {
	case UPPER_OBJECT:
		return -EEXIST;
	case UPPER_WHITEOUT:
		return place_over_whiteout(fs, thing, lower, dirfd, name);
	case UPPER_HIDDEN:
		return place_over_file_mark(fs, thing, lower, dirfd, name);
	case UPPER_NOTHING:
		break;
	default:
		return r;
	}
	if (lower) {
		cleanup_lower_obj struct lower_obj *found = NULL;

		r = lower_lookup(lower, name, &found, NULL);
		if (r != LOWER_ABSENT)
			return r < 0 ? r : -EEXIST;
	}
	return place_free(fs, thing, dirfd, name);
}

/* Checks and copies up the directory, then places the thing; *ret is the directory in upper. */
static int place_in(struct fs *fs, const struct thing *thing, struct node *dir, const char *name,
		    struct fd_ref **ret)
{
	cleanup_lower_obj struct lower_obj *lower = NULL;
	cleanup_fd_ref struct fd_ref *ref = NULL;
	int r = verdict_on_new(name);

	if (r == 0)
		r = protect_check(fs, dir, PROTECT_IMMUTABLE);
	if (r == 0)
		r = copyup_node(fs, dir);
	if (r < 0)
		return r;
	if (node_is_removed(dir))
		return -ENOENT;
	ref = object_open(fs, dir, &r);
	if (!ref)
		return r;
	lower = node_lower(dir);
	node_tally_begin(dir);
	lock_take(&dir->names);
	r = place(fs, thing, lower, ref->fd, name);
	lock_release(&dir->names);
	if (r == 0)
		node_names_changed(dir);
	node_tally_end(dir, !is_dir(thing) || r == -EEXIST ? 0 : r < 0 ? TALLY_LOST : 1);
	if (r == 0)
		node_attributes_changed(dir, NAMES_ASKED);
	if (r < 0)
		return r;
	*ret = take_ptr(ref);
	return 0;
}

/* The node of something that has just been made. */
static int newborn_node(struct fs *fs, const struct stat *st, struct node **ret)
{
	struct node made = { .type = st->st_mode & S_IFMT,
			     .has_upper = true,
			     .has_data_place = true,
			     .protection = PROTECT_KNOWN,
			     .real = st->st_ino };
	bool is_new;

	/* A number that this inode had in an earlier life must not come back. */
	made.ino = numbers_renew(&fs->numbers, st->st_ino);
	*ret = made.ino ? nodes_get_or_add(&fs->nodes, &made, &is_new) : NULL;
	return *ret ? 0 : -ENOMEM;
}

/* What has been made and cannot be told of goes again. */
static void undo(struct fs *fs, struct node *dir, int dirfd, const char *name, mode_t mode)
{
	cleanup_lower_obj struct lower_obj *lower = node_lower(dir);
	cleanup_lower_obj struct lower_obj *found = NULL;

	node_tally_begin(dir);
	lock_take(&dir->names);
	if (unlinkat(dirfd, name, S_ISDIR(mode) ? AT_REMOVEDIR : 0) == 0 && lower &&
	    lower_lookup(lower, name, &found, NULL) != LOWER_ABSENT)
		hide_free(&fs->upper, dirfd, name);
	lock_release(&dir->names);
	node_names_changed(dir);
	node_tally_end(dir, S_ISDIR(mode) ? TALLY_LOST : 0);
	node_attributes_changed(dir, NAMES_UNASKED);
}

int fs_create(struct fs *fs, struct node *dir, const char *name, const struct newborn *newborn,
	      const struct caller *caller, struct entry *ret)
{
	struct thing thing = { .newborn = newborn, .caller = caller, .link_fd = -1 };
	cleanup_fd_ref struct fd_ref *ref = NULL;
	cleanup_entry struct entry entry = { 0 };
	int r;

	/* It would be a whiteout. */
	if (S_ISCHR(newborn->mode) && newborn->rdev == makedev(0, 0))
		return -EPERM;
	r = place_in(fs, &thing, dir, name, &ref);
	if (r < 0)
		return r;
	r = owner_stat(&fs->upper, ref->fd, name, &entry.st);
	if (r == 0)
		r = newborn_node(fs, &entry.st, &entry.node);
	if (r == 0)
		r = node_add_alias(entry.node, dir, name);
	if (r < 0) {
		undo(fs, dir, ref->fd, name, newborn->mode);
		return r;
	}
	entry.st.st_ino = entry.node->ino;
	*ret = entry;
	entry.node = NULL;
	return 0;
}

int fs_tmpfile(struct fs *fs, struct node *dir, mode_t mode, const struct caller *caller,
	       struct entry *ret)
{
	struct newborn newborn = { .mode = S_IFREG | mode };
	struct thing thing = { .newborn = &newborn, .caller = caller, .link_fd = -1 };
	cleanup_entry struct entry entry = { 0 };
	cleanup_staged struct staged staged = { 0 };
	cleanup_fd_ref struct fd_ref *ref = NULL;
	int r = protect_check(fs, dir, PROTECT_IMMUTABLE);

	if (r == 0)
		ref = copyup_open(fs, dir, &r);
	if (!ref)
		return r;
	r = staged_init_like(&fs->upper, ref->fd, &staged);
	if (r == 0)
		r = make(fs, &thing, ref->fd, staged.dirfd, staged.name);
	if (r == 0)
		r = owner_stat(&fs->upper, staged.dirfd, staged.name, &entry.st);
	if (r == 0)
		r = newborn_node(fs, &entry.st, &entry.node);
	if (r == 0)
		r = staged_publish(&staged, fs->upper.orphans, orphan_name(entry.node->ino).s, 0);
	if (r < 0)
		return r;
	lock_take(&entry.node->lock);
	entry.node->is_orphan = entry.node->is_removed = true;
	lock_release(&entry.node->lock);
	entry.st.st_ino = entry.node->ino;
	entry.st.st_nlink = 0;
	*ret = entry;
	entry.node = NULL;
	return 0;
}

/*
 * A file that had lost its names has one again.  The kernel holds the file and
 * the directory meanwhile, so nobody removes the new name as its old one goes.
 */
static void adopt(struct fs *fs, struct node *node)
{
	bool was_orphan;

	pthread_mutex_lock(orphan_lock(&fs->upper, node->ino));
	lock_take(&node->lock);
	was_orphan = node->is_orphan;
	node->is_orphan = node->is_removed = false;
	lock_release(&node->lock);
	if (was_orphan)
		unlinkat(fs->upper.orphans, orphan_name(node->ino).s, 0);
	pthread_mutex_unlock(orphan_lock(&fs->upper, node->ino));
}

int fs_link(struct fs *fs, struct node *node, struct node *dir, const char *name, struct entry *ret)
{
	cleanup_fd_ref struct fd_ref *path = NULL;
	cleanup_fd_ref struct fd_ref *ref = NULL;
	struct thing thing = { 0 };
	int r;

	if (S_ISDIR(node->type))
		return -EPERM;
	r = protect_check(fs, node, PROTECT_ANY);
	if (r == 0)
		r = metacopy_pin(fs, node);
	if (r == 0)
		path = copyup_open(fs, node, &r);
	if (!path)
		return r;
	thing.link_fd = path->fd;
	r = place_in(fs, &thing, dir, name, &ref);
	if (r < 0)
		return r;
	r = node_add_alias(node, dir, name);
	if (r == 0)
		r = fs_getattr(fs, node, &ret->st);
	if (r < 0) {
		node_remove_alias(node, dir, name);
		undo(fs, dir, ref->fd, name, node->type);
		return r;
	}
	adopt(fs, node);
	ret->node = node_ref(node);
	return 0;
}
