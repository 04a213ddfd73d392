/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "copyup/copyup.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "copyup/group.h"
#include "copyup/metacopy.h"
#include "copyup/stage.h"
#include "node/data_place.h"
#include "node/names.h"
#include "node/object.h"
#include "node/pile.h"
#include "survive/quiet.h"
#include "upper/orphan.h"
#include "upper/verdict.h"

/* A change of a directory's names that its times are not to show. */
struct quiet {
	struct node *dir;
	int dirfd;
	struct timespec times[2];
	struct quiet_note *note;
};

/* Holds the names in `dir`; ended by end_quietly, whatever the result. */
static int begin_quietly(struct fs *fs, struct node *dir, int dirfd, struct quiet *ret)
{
	struct stat st;
	int r;

	*ret = (struct quiet){ .dir = dir, .dirfd = dirfd };
	lock_take(&dir->names);
	r = fd_stat(dirfd, NULL, &st);
	if (r < 0)
		return r;
	ret->times[0] = st.st_atim;
	ret->times[1] = st.st_mtim;
	ret->note = quiet_begin(fs_quiet_notes(fs), dir->ino, ret->times, 0);
	return 0;
}

/* `r` is what the change answered, and the result if that was a failure. */
static int end_quietly(struct quiet *quiet, int r)
{
	if (r == 0)
		r = fd_utimens(quiet->dirfd, quiet->times);
	quiet_end(quiet->note);
	lock_release(&quiet->dir->names);
	return r;
}

/*
 * Whether the name is the lower object's still, with the names of its directory held: a file that
 * is written back is nobody's to lock, and may have been removed or replaced while it was copied.
 * What stands there may also be the copy, of which `real` is the inode number, from an attempt
 * before. LOWERS, COPYS, COPYUP_GONE, or negative errno.
 */
enum { LOWERS = 0, COPYS = 2 };
static int whose_name(int dirfd, const char *name, ino_t real)
{
	struct stat st;
	int r = verdict_on(dirfd, name, &st);

	if (r <= UPPER_NOTHING)
		return r < 0 ? r : LOWERS;
	return r == UPPER_OBJECT && st.st_ino == real ? COPYS : COPYUP_GONE;
}

/* From now on the node is in upper. */
static void switch_over(struct fs *fs, struct node *node, const struct copy *copy, bool is_orphan)
{
	struct lower_obj *lower = NULL;

	lock_take(&node->lock);
	node->has_upper = true;
	node->is_orphan |= is_orphan; /* or it is one since a name of its group was removed */
	node->real = copy->real;
	node->has_data_place = true;
	if (!S_ISDIR(node->type) && copy->has_data)
		lower = take_ptr(node->lower);
	lock_release(&node->lock);
	lower_unref(lower);
	fdcache_drop(&fs->fds, &node->lower_data);
}

/* In its place the copy is what the next holder of these names finds, so the node says so too. */
static int publish_quietly(struct fs *fs, struct staged *staged, struct node *node,
			   const struct copy *copy, struct node *dir, int dirfd, const char *name)
{
	struct quiet quiet;
	int r;

	numbers_set(&fs->numbers, copy->real, node->ino);
	r = begin_quietly(fs, dir, dirfd, &quiet);
	if (r == 0)
		r = whose_name(dirfd, name, copy->real);
	if (r == LOWERS)
		r = staged_publish(staged, dirfd, name, RENAME_NOREPLACE);
	if (r == 0)
		switch_over(fs, node, copy, false);
	return end_quietly(&quiet, r);
}

/* --- the names of a group --- */

int copyup_link(struct fs *fs, int fd, struct node *dir, const char *name)
{
	cleanup_fd_ref struct fd_ref *ref = NULL;
	struct quiet quiet;
	struct stat st;
	int r = fd_stat(fd, NULL, &st);

	if (r == 0)
		ref = copyup_open(fs, dir, &r);
	if (!ref)
		return r;
	r = begin_quietly(fs, dir, ref->fd, &quiet);
	if (r == 0)
		r = whose_name(ref->fd, name, st.st_ino);
	if (r == LOWERS)
		r = fd_link(fd, ref->fd, name);
	r = end_quietly(&quiet, r);
	return r == COPYS ? 0 : r;
}

/* The names of a file while they are given to its copy. */
struct linking {
	struct fs *fs;
	struct node *node;
	int fd; /* the copy */
	ino_t real;
	bool is_resumed; /* it may have other names */
	bool has_name; /* one that is noted with the node */
	size_t n;
	struct named {
		struct node *dir; /* a reference */
		char *name;
	} * names; /* all that are linked, or are about to be */
};

static void linking_done(struct linking *linking)
{
	for (size_t i = 0; i < linking->n; i++) {
		node_unref(linking->names[i].dir);
		free(linking->names[i].name);
	}
	free(linking->names);
}

/* 0, or negative errno; a name that is gone, or is the copy's already, is passed over. */
static int link_name(void *context, struct node *dir, const char *name)
{
	struct linking *linking = context;
	int r;
	struct named *names = realloc(linking->names, (linking->n + 1) * sizeof(*names));

	if (!names)
		return -ENOMEM;
	linking->names = names;
	names += linking->n;
	*names = (struct named){ .name = strdup(name) };
	if (!names->name)
		return -ENOMEM;
	names->dir = node_ref(dir);
	linking->n++;
	r = copyup_link(linking->fs, linking->fd, dir, name);
	/* Who has taken it notes so as well, but perhaps later than it is used. */
	if (r == COPYUP_GONE) {
		node_remove_alias(linking->node, dir, name);
		return 0;
	}
	/* By one that is noted the copy is found. */
	if (r == 0 && !linking->has_name)
		r = node_add_alias(linking->node, dir, name);
	linking->has_name = true;
	return r;
}

/* Takes a name from the copy, if it has it. */
static int unlink_name(struct linking *linking, const struct named *named)
{
	cleanup_fd_ref struct fd_ref *ref = NULL;
	struct quiet quiet;
	struct stat st;
	int r = 0;

	ref = object_open(linking->fs, named->dir, &r);
	if (!ref)
		return r;
	r = begin_quietly(linking->fs, named->dir, ref->fd, &quiet);
	if (r == 0)
		r = fd_stat(ref->fd, named->name, &st);
	if (r == 0 && st.st_ino == linking->real && unlinkat(ref->fd, named->name, 0) < 0)
		r = -errno;
	r = end_quietly(&quiet, r);
	return r == -ENOENT ? 0 : r;
}

/* Takes back all that were linked; an error if the copy may have a name still. */
static int unlink_names(struct linking *linking)
{
	int r = linking->is_resumed ? -EEXIST : 0;

	for (size_t i = 0; r == 0 && i < linking->n; i++)
		r = unlink_name(linking, &linking->names[i]);
	return r;
}

/* With none of its names left, the copy goes where files are that are used on. */
static int keep_nameless(struct linking *linking, struct node *node, bool *is_orphan)
{
	struct fs *fs = linking->fs;
	struct stat st;
	int r = fd_stat(linking->fd, NULL, &st);

	*is_orphan = r == 0 && st.st_nlink == 1;
	if (!*is_orphan)
		return r;
	pthread_mutex_lock(orphan_lock(&fs->upper, node->ino));
	r = fd_rename(fs->upper.groups, orphan_name(node->ino).s, fs->upper.orphans,
		      orphan_name(node->ino).s, 0);
	pthread_mutex_unlock(orphan_lock(&fs->upper, node->ino));
	return r;
}

/*
 * Gives a copy that is in the work directory all names of the file, `name` first, or none;
 * where they cannot be taken back it stays there, and the next copy-up goes on with it.
 */
static int publish_group(struct linking *linking, struct node *node, struct lower_obj *lower,
			 struct node *dir, const char *name, const struct copy *copy)
{
	bool is_orphan = false;
	int r;

	numbers_set(&linking->fs->numbers, linking->real, node->ino);
	/* Of its lower names some do not show any more. */
	linked_begin(&linking->fs->linked, node->ino);
	r = link_name(linking, dir, name);
	if (r == 0)
		r = names_visible(linking->fs, lower, link_name, linking);
	if (r >= 0)
		r = keep_nameless(linking, node, &is_orphan);
	if (r >= 0)
		switch_over(linking->fs, node, copy, is_orphan);
	if (r >= 0 || unlink_names(linking) == 0)
		group_end(linking->fs, node->ino);
	linked_end(&linking->fs->linked, node->ino, LINKED_LOST);
	return r < 0 ? r : 0;
}

/* --- the copy-up itself --- */

/* A file that has been removed and is still in use goes where such files are. */
static int copyup_removed(struct fs *fs, struct node *node, struct lower_obj *lower, off_t limit)
{
	cleanup_staged struct staged staged;
	struct copy copy;
	int r;

	staged_init(&fs->upper, &staged);
	r = lower_stat(lower, &copy.st);
	/* There is no name to find the data by. */
	if (r == 0)
		r = stage_copy(fs, node, lower, limit == STAGE_NO_CONTENT ? INT64_MAX : limit,
			       &staged, &copy);
	if (r == 0) {
		numbers_set(&fs->numbers, copy.real, node->ino);
		r = staged_publish(&staged, fs->upper.orphans, orphan_name(node->ino).s, 0);
	}
	if (r == 0)
		switch_over(fs, node, &copy, true);
	return r;
}

/* With all names at once. The copy is whole, as one that was begun is gone on with. */
static int copyup_group(struct fs *fs, struct node *node, struct lower_obj *lower, off_t limit,
			struct node *dir, const char *name, struct copy *copy)
{
	CLEANUP(linking_done) struct linking linking = { .fs = fs, .node = node };
	cleanup_staged struct staged staged = { 0 };
	cleanup_fd int fd = group_resume(fs, node->ino, &copy->real);
	int r = fd;

	if (fd >= 0) {
		copy->has_data = !S_ISREG(node->type) || !data_place_is_marked(fs, fd);
		linking.is_resumed = true;
	}
	if (fd == -ENOENT) {
		staged_init(&fs->upper, &staged);
		r = stage_copy(fs, node, lower, limit == STAGE_NO_CONTENT ? limit : INT64_MAX,
			       &staged, copy);
		if (r == 0)
			r = fd = fd_open(staged.dirfd, staged.name, O_PATH, 0);
		if (r >= 0)
			r = group_begin(fs, node->ino, &staged);
	}
	linking.fd = fd;
	linking.real = copy->real;
	return r < 0 ? r : publish_group(&linking, node, lower, dir, name, copy);
}

static int copyup_single(struct fs *fs, struct node *node, struct lower_obj *lower, off_t limit,
			 struct node *dir, const char *name, struct copy *copy)
{
	cleanup_fd_ref struct fd_ref *ref = NULL;
	cleanup_staged struct staged staged = { 0 };
	int r = 0;

	ref = copyup_open(fs, dir, &r);
	if (!ref)
		return r;
	staged_init(&fs->upper, &staged);
	r = stage_copy(fs, node, lower, limit, &staged, copy);
	if (r == 0)
		r = publish_quietly(fs, &staged, node, copy, dir, ref->fd, name);
	return r == COPYUP_GONE ? copyup_removed(fs, node, lower, limit) : r;
}

static int copyup_named(struct fs *fs, struct node *node, struct lower_obj *lower, off_t limit,
			struct node *dir, const char *name)
{
	struct copy copy;
	int r = lower_stat(lower, &copy.st);

	if (r == 0 && !S_ISDIR(copy.st.st_mode) && copy.st.st_nlink > 1)
		r = copyup_group(fs, node, lower, limit, dir, name, &copy);
	else if (r == 0)
		r = copyup_single(fs, node, lower, limit, dir, name, &copy);
	return r;
}

static int note_name(void *context, struct node *dir, const char *name)
{
	int r = node_add_alias(context, dir, name);

	return r < 0 ? r : 1;
}

/* Some name of the node: one that is known, or one that lower knows and that shows. */
static int some_name(struct fs *fs, struct node *node, struct lower_obj *lower, struct node **dir,
		     char **name)
{
	int r = node_alias(node, 0, dir, name);

	if (r != 0)
		return r;
	r = names_visible(fs, lower, note_name, node);
	return r < 0 ? r : node_alias(node, 0, dir, name);
}

/* With node->copyup held. */
static int copyup_locked(struct fs *fs, struct node *node, off_t limit)
{
	cleanup_lower_obj struct lower_obj *lower = NULL;
	cleanup_node struct node *dir = NULL;
	cleanup_free char *name = NULL;
	int r;

	if (node_has_upper(node))
		return 0;
	lower = node_lower(node);
	if (!lower)
		return -ESTALE;
	if (node_is_removed(node))
		return copyup_removed(fs, node, lower, limit);
	r = some_name(fs, node, lower, &dir, &name);
	if (r <= 0)
		return r < 0 ? r : -ESTALE;
	return copyup_named(fs, node, lower, limit, dir, name);
}

static bool is_in_upper(struct fs *fs, struct node *dir)
{
	(void)fs;
	return node_has_upper(dir);
}

/* The directories above, the topmost first; what has no known name finds one later. */
static int copyup_above(struct fs *fs, struct node *node)
{
	cleanup_pile struct pile way = { 0 };
	cleanup_node struct node *above = node_parent(node);
	int r = above == node ? 0 : pile_climb(&way, fs, above, is_in_upper);

	while (r == 0 && way.n) {
		cleanup_node struct node *dir = pile_take(&way);

		r = copyup_node(fs, dir);
	}
	return r;
}

static int copyup(struct fs *fs, struct node *node, off_t limit)
{
	int r;

	if (node_has_upper(node))
		return 0;
	if (fs->config->upper < 0)
		return -EROFS;
	r = copyup_above(fs, node);
	if (r < 0)
		return r;
	lock_take(&node->copyup);
	r = copyup_locked(fs, node, limit);
	lock_release(&node->copyup);
	return r;
}

int copyup_node(struct fs *fs, struct node *node)
{
	return copyup(fs, node, STAGE_NO_CONTENT);
}

struct fd_ref *copyup_open(struct fs *fs, struct node *node, int *error)
{
	int r = copyup_node(fs, node);

	if (r < 0) {
		*error = r;
		return NULL;
	}
	return object_open(fs, node, error);
}

int copyup_finish(struct fs *fs, struct node *node, struct lower_obj *lower)
{
	CLEANUP(linking_done)
	struct linking linking = { .fs = fs, .node = node, .is_resumed = true, .has_name = true };
	cleanup_fd int fd = -1;
	int r = copyup_node(fs, node);

	if (r < 0)
		return r;
	lock_take(&node->copyup);
	fd = linking.fd = group_resume(fs, node->ino, &linking.real);
	r = fd < 0 ? fd : names_visible(fs, lower, link_name, &linking);
	if (r >= 0)
		group_end(fs, node->ino);
	lock_release(&node->copyup);
	return r < 0 && r != -ENOENT ? r : 0;
}

int copyup_data(struct fs *fs, struct node *node, off_t limit)
{
	int r = copyup(fs, node, limit);

	return r == 0 && S_ISREG(node->type) ? metacopy_complete(fs, node, limit) : r;
}
