/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Copy-up: bringing a lower object into upper.
 *
 * The copy is made in the staging directory, complete with owner, mode,
 * times, attributes and content, made durable if the mount wants that, and
 * then put in its place by one rename.  Until the node says that it is in
 * upper, everybody reads the lower object, which does not change; so at any
 * instant, also of a crash, there is the old object or the new one, whole.
 *
 * A file with several visible names is linked to all of them before the node
 * is switched over, so that the group is whole on disk; or to none, if that
 * fails.  If a crash comes between, the next lookup of a name left behind finds the copy by another
 * name of the group and completes it (fs/lookup.c, rejoin).
 */
#include "copyup.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/copy.h"
#include "base/fd.h"
#include "base/xattr.h"
#include "core/idxattr.h"
#include "metacopy.h"
#include "names.h"
#include "pile.h"
#include "protect.h"
#include "quiet.h"
#include "upper.h"

/* Makes the object of the lower type, empty, under the staged name. */
static int make_like(struct lower_obj *lower, const struct stat *st, struct staged *staged)
{
	cleanup_free char *target = NULL;
	mode_t mode = owner_is_written(staged->fs, st->st_mode) ? owner_real_mode(st->st_mode)
								: st->st_mode;
	int r;

	switch (mode & S_IFMT) {
	case S_IFDIR:
		r = mkdirat(staged->dirfd, staged->name, 0700);
		break;
	case S_IFLNK:
		r = lower_readlink(lower, &target);
		if (r < 0)
			return r;
		r = symlinkat(target, staged->dirfd, staged->name);
		break;
	default:
		r = mknodat(staged->dirfd, staged->name, (mode & S_IFMT) | 0600, st->st_rdev);
	}
	return r < 0 ? -errno : 0;
}

static int copy_content(struct lower_obj *lower, struct staged *staged, off_t size, bool do_fsync)
{
	cleanup_fd int src = lower_open(lower, O_RDONLY);
	cleanup_fd int dst = fd_open(staged->dirfd, staged->name, O_RDWR, 0);
	int r = src < 0 ? src : dst < 0 ? dst : copy_data(src, dst, size);

	if (r == 0 && do_fsync && fsync(dst) < 0)
		return -errno;
	return r;
}

/*
 * The flags that chattr(1) sets and that say how a file is to be treated, not
 * how it is stored.  Immutable and append-only become a mark (protect.h).
 */
static void copy_flags(struct lower_obj *lower, struct staged *staged, mode_t mode)
{
	enum { KEPT = FS_NOATIME_FL | FS_SYNC_FL | FS_DIRSYNC_FL | FS_NODUMP_FL };
	cleanup_fd int src = -1;
	cleanup_fd int dst = -1;
	int flags, had;

	if (!S_ISREG(mode) && !S_ISDIR(mode))
		return;
	src = lower_open(lower, O_RDONLY);
	if (src < 0 || ioctl(src, FS_IOC_GETFLAGS, &flags) < 0 || !(flags & KEPT))
		return;
	dst = fd_open(staged->dirfd, staged->name, O_RDONLY, 0);
	if (dst < 0 || ioctl(dst, FS_IOC_GETFLAGS, &had) < 0)
		return;
	had |= flags & KEPT;
	ioctl(dst, FS_IOC_SETFLAGS, &had);
}

static int copy_attributes(struct fs *fs, struct lower_obj *lower, int fd, const struct stat *st)
{
	cleanup_free char *names = NULL;
	int r = owner_copy(fs, fd, st);
	ssize_t n;

	if (r < 0)
		return r;
	n = lower_xattr_list(lower, &names);
	if (n < 0)
		return (int)n;
	for (const char *name = names; name < names + n; name += strlen(name) + 1) {
		ssize_t size = lower_xattr_get(lower, name, NULL, 0);
		cleanup_free char *value = malloc(size > 0 ? (size_t)size : 1);

		if (size < 0 || !value)
			return size < 0 ? (int)size : -ENOMEM;
		if (size > 0)
			size = lower_xattr_get(lower, name, value, (size_t)size);
		if (size < 0)
			return (int)size;
		if (!idxattr_is_whole(name, value, (size_t)size))
			return -EOVERFLOW;
		r = xattr_set(fd, name, value, (size_t)size, 0);
		if (r < 0 && !xattr_may_be_refused(name, r))
			return r;
	}
	return 0;
}

/* What is copied of a file that is only to have other attributes. */
enum { NO_CONTENT = -1 };

static int stage_content(struct fs *fs, struct lower_obj *lower, off_t limit, struct staged *staged,
			 int fd, const struct stat *st, bool *has_data)
{
	*has_data = true;
	if (!S_ISREG(st->st_mode) || st->st_size == 0 || limit == 0)
		return 0;
	if (limit == NO_CONTENT && fs->config->metacopy) {
		*has_data = false;
		if (metacopy_mark(fs, lower, fd, st->st_size) == 0)
			return 0;
		/* Such a mark cannot be made here: a whole copy will do. */
		*has_data = true;
		metacopy_remove(fd);
	}
	return copy_content(lower, staged,
			    limit != NO_CONTENT && limit < st->st_size ? limit : st->st_size,
			    fs->config->do_fsync);
}

/* A copy while it is made. */
struct copy {
	struct stat st; /* of the original */
	ino_t real; /* its inode number */
	bool has_data;
};

/* Makes the whole copy under the staged name, of what ret->st says. */
static int stage_copy(struct fs *fs, struct node *node, struct lower_obj *lower, off_t limit,
		      struct staged *staged, struct copy *ret)
{
	struct stat *st = &ret->st;
	cleanup_fd int fd = -1;
	struct stat made;
	int r;

	/* As kernel overlayfs has it: the copy would be somebody else's. */
	if (st->st_uid == IDMAP_NONE || st->st_gid == IDMAP_NONE)
		return -EOVERFLOW;
	r = make_like(lower, st, staged);
	if (r < 0)
		return r;
	fd = fd_open(staged->dirfd, staged->name, O_PATH, 0);
	r = fd < 0 ? fd : fd_stat(fd, NULL, &made);
	if (r < 0)
		return r;
	/* Directories have the number of their lower part; rootless, only files take marks. */
	if (!S_ISDIR(st->st_mode) && !origin_set(fs, fd, made.st_ino, node->ino))
		state_set_kept(fs->state, made.st_ino, node->ino, fd_birth(fd));
	r = stage_content(fs, lower, limit, staged, fd, st, &ret->has_data);
	if (r == 0)
		r = copy_attributes(fs, lower, fd, st);
	if (r == 0)
		copy_flags(lower, staged, st->st_mode);
	if (r == 0)
		r = protect_copy(fs, node, fd);
	ret->real = made.st_ino;
	return r;
}

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
	pthread_mutex_lock(&dir->names);
	r = fd_stat(dirfd, NULL, &st);
	if (r < 0)
		return r;
	ret->times[0] = st.st_atim;
	ret->times[1] = st.st_mtim;
	ret->note = quiet_begin(fs, dir->ino, ret->times, 0);
	return 0;
}

/* `r` is what the change answered, and the result if that was a failure. */
static int end_quietly(struct quiet *quiet, int r)
{
	if (r == 0)
		r = fd_utimens(quiet->dirfd, quiet->times);
	quiet_end(quiet->note);
	pthread_mutex_unlock(&quiet->dir->names);
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
	int r = upper_probe(dirfd, name, &st);

	if (r <= UPPER_NOTHING)
		return r < 0 ? r : LOWERS;
	return r == UPPER_OBJECT && st.st_ino == real ? COPYS : COPYUP_GONE;
}

/* From now on the node is in upper. */
static void switch_over(struct fs *fs, struct node *node, const struct copy *copy, bool is_orphan)
{
	struct lower_obj *lower = NULL;

	pthread_mutex_lock(&node->lock);
	node->has_upper = true;
	node->is_orphan |= is_orphan; /* or it is one since a name of its group was removed */
	node->real = copy->real;
	node->has_data_place = true;
	if (!S_ISDIR(node->type) && copy->has_data)
		lower = take_ptr(node->lower);
	pthread_mutex_unlock(&node->lock);
	lower_unref(lower);
	fdcache_drop(&fs->fds, &node->lower_data);
}

/* In its place the copy is what the next holder of these names finds, so the node says so too. */
static int publish_quietly(struct staged *staged, struct node *node, const struct copy *copy,
			   struct node *dir, int dirfd, const char *name)
{
	struct quiet quiet;
	int r;

	state_set(staged->fs->state, copy->real, node->ino);
	r = begin_quietly(staged->fs, dir, dirfd, &quiet);
	if (r == 0)
		r = whose_name(dirfd, name, copy->real);
	if (r == LOWERS)
		r = staged_publish(staged, dirfd, name, RENAME_NOREPLACE);
	if (r == 0)
		switch_over(staged->fs, node, copy, false);
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
		ref = upper_open_copied(fs, dir, &r);
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
struct group {
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

static void group_done(struct group *group)
{
	for (size_t i = 0; i < group->n; i++) {
		node_unref(group->names[i].dir);
		free(group->names[i].name);
	}
	free(group->names);
}

/* 0, or negative errno; a name that is gone, or is the copy's already, is passed over. */
static int link_name(void *context, struct node *dir, const char *name)
{
	struct group *group = context;
	int r;
	struct named *names = realloc(group->names, (group->n + 1) * sizeof(*names));

	if (!names)
		return -ENOMEM;
	group->names = names;
	names += group->n;
	*names = (struct named){ .name = strdup(name) };
	if (!names->name)
		return -ENOMEM;
	names->dir = node_ref(dir);
	group->n++;
	r = copyup_link(group->fs, group->fd, dir, name);
	/* Who has taken it notes so as well, but perhaps later than it is used. */
	if (r == COPYUP_GONE) {
		node_remove_alias(group->node, dir, name);
		return 0;
	}
	/* By one that is noted the copy is found. */
	if (r == 0 && !group->has_name)
		r = node_add_alias(group->node, dir, name);
	group->has_name = true;
	return r;
}

/* Takes a name from the copy, if it has it. */
static int unlink_name(struct group *group, const struct named *named)
{
	cleanup_fd_ref struct fd_ref *ref = NULL;
	struct quiet quiet;
	struct stat st;
	int r = 0;

	ref = upper_open(group->fs, named->dir, &r);
	if (!ref)
		return r;
	r = begin_quietly(group->fs, named->dir, ref->fd, &quiet);
	if (r == 0)
		r = fd_stat(ref->fd, named->name, &st);
	if (r == 0 && st.st_ino == group->real && unlinkat(ref->fd, named->name, 0) < 0)
		r = -errno;
	r = end_quietly(&quiet, r);
	return r == -ENOENT ? 0 : r;
}

/* Takes back all that were linked; an error if the copy may have a name still. */
static int unlink_names(struct group *group)
{
	int r = group->is_resumed ? -EEXIST : 0;

	for (size_t i = 0; r == 0 && i < group->n; i++)
		r = unlink_name(group, &group->names[i]);
	return r;
}

/* With none of its names left, the copy goes where files are that are used on. */
static int keep_nameless(struct group *group, struct node *node, bool *is_orphan)
{
	struct fs *fs = group->fs;
	struct stat st;
	int r = fd_stat(group->fd, NULL, &st);

	*is_orphan = r == 0 && st.st_nlink == 1;
	if (!*is_orphan)
		return r;
	pthread_mutex_lock(&fs->orphans_lock);
	r = fd_rename(fs->groups, orphan_name(node->ino).s, fs->orphans, orphan_name(node->ino).s,
		      0);
	pthread_mutex_unlock(&fs->orphans_lock);
	return r;
}

/*
 * Gives a copy that is in the work directory all names of the file, `name` first, or none;
 * where they cannot be taken back it stays there, and the next copy-up goes on with it.
 */
static int publish_group(struct group *group, struct node *node, struct lower_obj *lower,
			 struct node *dir, const char *name, const struct copy *copy)
{
	bool is_orphan = false;
	int r;

	state_set(group->fs->state, group->real, node->ino);
	r = link_name(group, dir, name);
	if (r == 0)
		r = names_visible(group->fs, lower, link_name, group);
	if (r >= 0)
		r = keep_nameless(group, node, &is_orphan);
	if (r >= 0)
		switch_over(group->fs, node, copy, is_orphan);
	if (r >= 0 || unlink_names(group) == 0)
		group_end(group->fs, node->ino);
	return r < 0 ? r : 0;
}

/* --- the copy-up itself --- */

/* A file that has been removed and is still in use goes where such files are. */
static int copyup_removed(struct fs *fs, struct node *node, struct lower_obj *lower, off_t limit)
{
	cleanup_staged struct staged staged;
	struct copy copy;
	int r;

	staged_init(fs, &staged);
	r = lower_stat(lower, &copy.st);
	/* There is no name to find the data by. */
	if (r == 0)
		r = stage_copy(fs, node, lower, limit == NO_CONTENT ? INT64_MAX : limit, &staged,
			       &copy);
	if (r == 0) {
		state_set(fs->state, copy.real, node->ino);
		r = staged_publish(&staged, fs->orphans, orphan_name(node->ino).s, 0);
	}
	if (r == 0)
		switch_over(fs, node, &copy, true);
	return r;
}

/* With all names at once. The copy is whole, as one that was begun is gone on with. */
static int copyup_group(struct fs *fs, struct node *node, struct lower_obj *lower, off_t limit,
			struct node *dir, const char *name, struct copy *copy)
{
	CLEANUP(group_done) struct group group = { .fs = fs, .node = node };
	cleanup_staged struct staged staged = { 0 };
	cleanup_fd int fd = group_resume(fs, node->ino, &copy->real);
	int r = fd;

	if (fd >= 0) {
		copy->has_data = !S_ISREG(node->type) || !metacopy_is_marked(fs, fd);
		group.is_resumed = true;
	}
	if (fd == -ENOENT) {
		staged_init(fs, &staged);
		r = stage_copy(fs, node, lower, limit == NO_CONTENT ? limit : INT64_MAX, &staged,
			       copy);
		if (r == 0)
			r = fd = fd_open(staged.dirfd, staged.name, O_PATH, 0);
		if (r >= 0)
			r = group_begin(fs, node->ino, &staged);
	}
	group.fd = fd;
	group.real = copy->real;
	return r < 0 ? r : publish_group(&group, node, lower, dir, name, copy);
}

static int copyup_single(struct fs *fs, struct node *node, struct lower_obj *lower, off_t limit,
			 struct node *dir, const char *name, struct copy *copy)
{
	cleanup_fd_ref struct fd_ref *ref = NULL;
	cleanup_staged struct staged staged = { 0 };
	int r = 0;

	ref = upper_open_copied(fs, dir, &r);
	if (!ref)
		return r;
	staged_init(fs, &staged);
	r = stage_copy(fs, node, lower, limit, &staged, copy);
	if (r == 0)
		r = publish_quietly(&staged, node, copy, dir, ref->fd, name);
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
	cleanup_node struct node *above = fs_parent(node);
	int r = above == node ? 0 : pile_climb(&way, fs, above, is_in_upper);

	while (r == 0 && way.n) {
		cleanup_node struct node *dir = pile_take(&way);

		r = fs_copyup(fs, dir);
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
	pthread_mutex_lock(&node->copyup);
	r = copyup_locked(fs, node, limit);
	pthread_mutex_unlock(&node->copyup);
	return r;
}

int fs_copyup(struct fs *fs, struct node *node)
{
	return copyup(fs, node, NO_CONTENT);
}

int copyup_finish(struct fs *fs, struct node *node, struct lower_obj *lower)
{
	CLEANUP(group_done)
	struct group group = { .fs = fs, .node = node, .is_resumed = true, .has_name = true };
	cleanup_fd int fd = -1;
	int r = fs_copyup(fs, node);

	if (r < 0)
		return r;
	pthread_mutex_lock(&node->copyup);
	fd = group.fd = group_resume(fs, node->ino, &group.real);
	r = fd < 0 ? fd : names_visible(fs, lower, link_name, &group);
	if (r >= 0)
		group_end(fs, node->ino);
	pthread_mutex_unlock(&node->copyup);
	return r < 0 && r != -ENOENT ? r : 0;
}

int copyup_data(struct fs *fs, struct node *node, off_t limit)
{
	int r = copyup(fs, node, limit);

	return r == 0 && S_ISREG(node->type) ? metacopy_complete(fs, node, limit) : r;
}
