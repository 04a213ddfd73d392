/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Files with several names.  A branch says how many names a file has, but not
 * which, nor which of them show.  So when that is asked for the first time the
 * merged tree is walked once, and all names of all such files are noted.
 *
 * What cannot be read then is noted too, and tried again when somebody asks for
 * a file that may have names there: one of which fewer have been found than its
 * branch says it has.  As long as it cannot be read, that is the answer.  Of
 * every other file all is known.
 */
#include <dirent.h>
#include <errno.h>
#include <string.h>

#include "base/fd.h"
#include "lower/lower_dirs.h"

/* A name, and which of the branches' names it is: redirects can make it several of ours. */
struct name {
	struct trail *trail; /* a reference */
	uint64_t real;
};

/* All names in the merged tree of a file of which its branch says that it has several. */
struct group {
	struct table_link link;
	uint64_t ino;
	nlink_t n_links; /* so many its branch says it has */
	bool is_whole; /* so many are here; no more are taken, as it may be in use */
	size_t n_names;
	struct name *names;
	size_t n_compared, n_real; /* the first `n_compared` are `n_real` names of the branches */
};

/* Entries of a directory that have not been read. */
struct unread {
	struct unread *next;
	struct directory *dir; /* a reference */
	size_t from, end; /* which of its listing: */
	struct listing *listing; /* while it is read; NULL: not made yet */
};

static struct group *find_group(struct dirs *dirs, uint64_t ino)
{
	struct table_link *link = table_find(&dirs->groups, table_hash_u64(ino));

	while (link && TABLE_OBJECT(link, struct group, link)->ino != ino)
		link = table_next(link);
	return link ? TABLE_OBJECT(link, struct group, link) : NULL;
}

static struct unread *unread_new(struct directory *dir, size_t from, size_t end)
{
	struct unread *unread = malloc(sizeof(*unread));

	if (unread)
		*unread = (struct unread){ .dir = directory_of(lower_ref(&dir->base)),
					   .from = from,
					   .end = end };
	return unread;
}

static void unread_free(struct unread *unread)
{
	lower_unref(&unread->dir->base);
	listing_unref(unread->listing);
	free(unread);
}

static struct unread *take_unread(struct dirs *dirs)
{
	struct unread *first = dirs->first_unread;

	dirs->first_unread = first->next;
	return first;
}

/* As the last one to be tried. */
static void put_unread(struct dirs *dirs, struct unread *unread)
{
	/* Until it is tried again, which may be never. */
	listing_unref(unread->listing);
	unread->listing = NULL;
	if (dirs->first_unread)
		dirs->last_unread->next = unread;
	else
		dirs->first_unread = unread;
	dirs->last_unread = unread;
	unread->next = NULL;
}

void links_free(struct dirs *dirs)
{
	struct table_link *link;

	while ((link = table_pop(&dirs->groups))) {
		struct group *group = TABLE_OBJECT(link, struct group, link);

		for (size_t i = 0; i < group->n_names; i++)
			trail_unref(group->names[i].trail, dirs->fds);
		free(group->names);
		free(group);
	}
	table_done(&dirs->groups);
	while (dirs->first_unread)
		unread_free(take_unread(dirs));
}

/* --- groups --- */

/* Whether as many names are known as the file has; compares those that came since this was asked.
 */
static bool group_is_whole(struct group *group)
{
	for (; group->n_compared < group->n_names; group->n_compared++) {
		uint64_t real = group->names[group->n_compared].real;
		size_t i = 0;

		while (group->names[i].real != real)
			i++;
		group->n_real += i == group->n_compared;
	}
	group->is_whole = group->n_real >= group->n_links;
	return group->is_whole;
}

static struct group *group_new(struct dirs *dirs, uint64_t ino, nlink_t n_links)
{
	struct group *group = malloc(sizeof(*group));

	if (!group)
		return NULL;
	*group = (struct group){ .ino = ino, .n_links = n_links };
	if (table_add(&dirs->groups, &group->link, table_hash_u64(ino)) < 0)
		free(take_ptr(group));
	return group;
}

static int add_to_group(struct group *group, struct directory *dir, const char *name, uint64_t real)
{
	struct name *names;

	if (group->is_whole)
		return 0;
	names = realloc(group->names, (group->n_names + 1) * sizeof(*names));
	if (!names)
		return -ENOMEM;
	group->names = names;
	names[group->n_names] = (struct name){ .trail = trail_new(dir->trail, name), .real = real };
	return names[group->n_names].trail ? (group->n_names++, 0) : -ENOMEM;
}

/* --- the walk: of what is on disk, since overrides would have us asked for link counts --- */

/* Begins with a directory below, whose entries are next.  What cannot be read there is noted there.
 */
static int enter(struct directory *dir, const char *name, struct unread **stack)
{
	cleanup_lower_obj struct lower_obj *below = NULL;
	int r = dir->base.lower->ops->lookup(&dir->base, name, &below, NULL);
	struct unread *all;

	if (r != LOWER_FOUND)
		return r;
	if (!S_ISDIR(below->type))
		return 0;
	all = unread_new(directory_of(below), 0, SIZE_MAX);
	if (!all)
		return -ENOMEM;
	all->next = *stack;
	*stack = all;
	return 0;
}

/* Notes one name of a file that has several. */
static int scan_name(struct directory *dir, const struct listing_entry *entry, int dirfd,
		     nlink_t n_links)
{
	struct dirs *dirs = dirs_of(&dir->base);
	struct group *group = find_group(dirs, entry->ino);
	uint64_t real = table_hash_bytes(entry->name, strlen(entry->name));
	struct stat st;
	int r = fd_stat(dirfd, NULL, &st);

	if (r < 0)
		return r;
	real = table_hash_u64(table_hash_u64(real ^ st.st_ino) ^ st.st_dev);
	if (!group)
		group = group_new(dirs, entry->ino, n_links);
	return group ? add_to_group(group, dir, entry->name, real) : -ENOMEM;
}

static int scan_entry(struct directory *dir, const struct listing_entry *entry,
		      struct unread **stack)
{
	cleanup_fd_ref struct fd_ref *ref = NULL;
	struct stat st;
	int r = 0;

	if (entry->type == DT_DIR)
		return enter(dir, entry->name, stack);
	ref = place_fd(dir, entry->source, &r);
	if (ref)
		r = fd_stat(ref->fd, entry->name, &st);
	if (r < 0)
		return r;
	if (S_ISDIR(st.st_mode)) /* the listing did not know */
		return enter(dir, entry->name, stack);
	return st.st_nlink < 2 ? 0 : scan_name(dir, entry, ref->fd, st.st_nlink);
}

/* The next entry of a part: 1, 0 at its end, or -errno.  One of many that cannot be read is put
 * with the unread for itself, and is no failure. */
static int scan_next(struct unread *part, struct unread **stack)
{
	struct directory *dir = part->dir;
	bool is_single = part->end - part->from == 1;
	int r = 0;

	/* Once for all entries: the directory does not keep it. */
	if (!part->listing)
		r = dir->base.lower->ops->list(&dir->base, &part->listing);
	if (r < 0 || part->from >= part->end || part->from >= listing_count(part->listing))
		return r;
	r = scan_entry(dir, listing_at(part->listing, part->from), stack);
	if (r < 0 && !is_single) {
		struct unread *single = unread_new(dir, part->from, part->from + 1);

		if (!single)
			return r;
		put_unread(dirs_of(&dir->base), single);
		r = 0;
	}
	part->from += r == 0;
	return r < 0 ? r : 1;
}

/*
 * Takes over what has not been read, and reads it and all below it; puts it back, or what is left
 * of it, on failure.  A tree may be of any depth: what has been begun is on a stack of our own.
 */
static int scan(struct dirs *dirs, struct unread *first)
{
	struct unread *stack = first;
	int result = 0;

	first->next = NULL;
	while (stack) {
		struct unread *part = stack;
		int r = scan_next(part, &stack);

		if (r > 0)
			continue;
		stack = part->next; /* nothing has been put on it */
		if (r < 0)
			put_unread(dirs, part);
		else
			unread_free(part);
		if (!stack)
			result = r;
	}
	return result;
}

/* --- questions --- */

/*
 * Tries again to read what could not be read, until that fails once; the next time it goes on
 * behind that.  So it costs little to ask often, and what can be read again will be.
 */
static int read_unread(struct dirs *dirs)
{
	int r = 0;

	while (r == 0 && dirs->first_unread)
		r = scan(dirs, take_unread(dirs));
	return r;
}

static int begin_scan(struct dirs *dirs)
{
	struct unread *all = unread_new(dirs->root, 0, SIZE_MAX);

	if (!all)
		return -ENOMEM;
	scan(dirs, all);
	dirs->is_scanned = true;
	return 0;
}

/* Whether all is known of the names of a file: its group, or NULL if it has one name. 1, 0, -errno.
 */
static int is_known(struct file *file, struct group **ret)
{
	struct dirs *dirs = dirs_of(&file->base);
	cleanup_fd_ref struct fd_ref *ref = NULL;
	struct stat st;
	int r = 0;

	*ret = find_group(dirs, file->base.ino);
	if (!dirs->first_unread)
		return 1;
	if (*ret)
		return group_is_whole(*ret);
	ref = place_fd(file->parent, file->base.place, &r);
	if (ref)
		r = fd_stat(ref->fd, file->name, &st);
	return r < 0 ? r : st.st_nlink < 2;
}

/* The group of a file, or NULL; the tree is scanned when that is asked for the first time. */
static int group_of(struct lower_obj *base, struct group **ret)
{
	struct dirs *dirs = dirs_of(base);
	int r = 0;

	pthread_mutex_lock(&dirs->groups_lock);
	if (!dirs->is_scanned)
		r = begin_scan(dirs);
	if (r == 0)
		r = is_known(file_of(base), ret);
	if (r == 0) {
		int failed = read_unread(dirs);

		r = is_known(file_of(base), ret);
		if (r == 0)
			r = failed;
	}
	pthread_mutex_unlock(&dirs->groups_lock);
	return r < 0 ? r : 0;
}

int links_names(struct lower_obj *base, int (*each)(void *context, const char *path), void *context)
{
	struct file *file = file_of(base);
	struct group *group;
	int r;

	if (S_ISDIR(base->type))
		return -EISDIR;
	r = group_of(base, &group);
	if (r == 0 && !group) {
		cleanup_free char *path = trail_path(file->parent->trail, file->name);

		return path ? each(context, path) : -ENOMEM;
	}
	for (size_t i = 0; r == 0 && i < group->n_names; i++) {
		cleanup_free char *path = trail_path(group->names[i].trail, NULL);

		r = path ? each(context, path) : -ENOMEM;
	}
	return r;
}

int links_visible(struct lower_obj *obj)
{
	struct group *group;
	int r = group_of(obj, &group);

	return r < 0 ? r : group ? (int)group->n_names : 1;
}
