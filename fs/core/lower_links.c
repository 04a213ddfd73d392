/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Files with several names.  A branch says how many names a file has, but not
 * which, nor which of them show.  So when that is asked for the first time the
 * merged tree is walked once, and all names of all such files are noted.
 */
#include <dirent.h>
#include <errno.h>
#include <string.h>

#include "base/fd.h"
#include "lower_dirs.h"

/* All names in the merged tree of a file of which its branch says that it has several. */
struct group {
	struct table_link link;
	uint64_t ino;
	size_t n_paths;
	char **paths;
};

static struct group *find_group(struct dirs *dirs, uint64_t ino)
{
	struct table_link *link = table_find(&dirs->groups, table_hash_u64(ino));

	while (link && TABLE_OBJECT(link, struct group, link)->ino != ino)
		link = table_next(link);
	return link ? TABLE_OBJECT(link, struct group, link) : NULL;
}

void links_free(struct dirs *dirs)
{
	struct table_link *link;

	while ((link = table_pop(&dirs->groups))) {
		struct group *group = TABLE_OBJECT(link, struct group, link);

		for (size_t i = 0; i < group->n_paths; i++)
			free(group->paths[i]);
		free(group->paths);
		free(group);
	}
	table_done(&dirs->groups);
}

static int add_to_group(struct dirs *dirs, uint64_t ino, const char *path)
{
	struct group *group = find_group(dirs, ino);
	char **paths;

	if (!group) {
		group = malloc(sizeof(*group));
		if (!group)
			return -ENOMEM;
		*group = (struct group){ .ino = ino };
		if (table_add(&dirs->groups, &group->link, table_hash_u64(ino)) < 0) {
			free(group);
			return -ENOMEM;
		}
	}
	paths = realloc(group->paths, (group->n_paths + 1) * sizeof(*paths));
	if (!paths)
		return -ENOMEM;
	group->paths = paths;
	paths[group->n_paths] = strdup(path);
	return paths[group->n_paths] ? (group->n_paths++, 0) : -ENOMEM;
}

static int scan(struct object *dir);

/* Notes one listed name if it is one of several of a file; goes down into a directory. */
static int scan_entry(struct object *dir, const struct listing_entry *entry)
{
	struct dirs *dirs = dirs_of(&dir->base);
	cleanup_lower_obj struct lower_obj *below = NULL;
	cleanup_fd_ref struct fd_ref *ref = NULL;
	cleanup_free char *path = NULL;
	struct stat st;
	int r = 0;

	if (entry->type == DT_DIR) {
		r = lower_lookup(&dir->base, entry->name, &below, NULL);
		return r == LOWER_FOUND ? scan(object_of(below)) : r;
	}
	ref = place_fd(dir, entry->source, &r);
	if (!ref)
		return r;
	r = fd_stat(ref->fd, entry->name, &st);
	if (r < 0 || st.st_nlink < 2)
		return r;
	path = place_join(dir->path, entry->name);
	return path ? add_to_group(dirs, entry->ino, path) : -ENOMEM;
}

/* Notes every name in the merged tree of a file that has several. */
static int scan(struct object *dir)
{
	cleanup_listing struct listing *listing = NULL;
	int r = lower_list(&dir->base, &listing);

	for (size_t i = 0; r == 0 && i < listing_count(listing); i++)
		r = scan_entry(dir, listing_at(listing, i));
	return r;
}

/* The group of a file, or NULL; the tree is scanned when that is asked for the first time. */
static int group_of(struct lower_obj *base, struct group **ret)
{
	struct dirs *dirs = dirs_of(base);
	int r = 0;

	pthread_mutex_lock(&dirs->groups_lock);
	if (!dirs->is_scanned) {
		links_free(dirs); /* of a scan that failed */
		r = scan(dirs->root);
		dirs->is_scanned = r == 0;
	}
	*ret = r == 0 ? find_group(dirs, base->ino) : NULL;
	pthread_mutex_unlock(&dirs->groups_lock);
	return r;
}

int links_names(struct lower_obj *base, int (*each)(void *context, const char *path), void *context)
{
	struct object *obj = object_of(base);
	struct group *group;
	int r;

	if (S_ISDIR(base->type))
		return -EISDIR;
	r = group_of(base, &group);
	if (r == 0 && !group) {
		cleanup_free char *path = place_join(obj->parent->path, obj->name);

		return path ? each(context, path) : -ENOMEM;
	}
	for (size_t i = 0; r == 0 && i < group->n_paths; i++)
		r = each(context, group->paths[i]);
	return r;
}

int links_visible(struct lower_obj *obj)
{
	struct group *group;
	int r = group_of(obj, &group);

	return r < 0 ? r : group ? (int)group->n_paths : 1;
}
