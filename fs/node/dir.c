/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Listing a directory: the names in upper, then those of lower that they
 * leave visible.  The result is kept with the node until its names change; a
 * reader in the middle of a directory goes on with it even then, which POSIX
 * allows and which keeps `rm -r` of a large directory from listing it again
 * for every few names.  What has been read to its end the kernel has.
 */
#include "node/dir.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>

#include "base/fd.h"
#include "branch/whiteout.h"
#include "node/merge.h"
#include "node/object.h"
#include "upper/owner.h"

struct merge {
	struct fs *fs;
	struct listing *listing;
	struct lower_obj *lower;
	int dirfd;
	bool has_xattr_whiteouts;
};

/* The number that a lookup of this name would give. */
static int number_of(struct merge *merge, const char *name, const struct stat *st, uint64_t *ret)
{
	cleanup_lower_obj struct lower_obj *merged = NULL;
	int r = 0;

	*ret = numbers_noted(&merge->fs->numbers, st->st_ino);
	if (*ret)
		return 0;
	if (S_ISDIR(st->st_mode))
		r = merge_lower(merge->fs, merge->dirfd, name, merge->lower, &merged);
	/* One whose marks cannot be followed is listed, or nothing beside it could be reached. */
	if (r < 0 && r != -EIO)
		return r;
	*ret = merged ? numbers_set(&merge->fs->numbers, st->st_ino, merged->ino)
		      : numbers_find(&merge->fs->numbers, merge->dirfd, name, st);
	return *ret ? 0 : -ENOMEM;
}

/* 1 for a mark, which has to be looked at when all names are known. */
static int add_upper(struct merge *merge, const struct dirent *entry)
{
	struct stat st = { .st_ino = entry->d_ino, .st_mode = DTTOIF(entry->d_type) };
	uint64_t ino;
	int r;

	if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
		return 0;
	if (whiteout_is_mark_name(entry->d_name))
		return 1;
	if (entry->d_type == DT_UNKNOWN || entry->d_type == DT_CHR ||
	    (entry->d_type == DT_REG && merge->has_xattr_whiteouts)) {
		r = fd_stat(merge->dirfd, entry->d_name, &st);
		if (r == -ENOENT)
			return 0; /* removed since */
		if (r < 0)
			return r;
		if (merge->has_xattr_whiteouts ? whiteout_is_at(merge->dirfd, entry->d_name, &st)
					       : whiteout_is_device(&st))
			return listing_hide(merge->listing, entry->d_name);
	}
	r = owner_complete(&merge->fs->upper, merge->dirfd, entry->d_name, &st);
	if (r == 0)
		r = number_of(merge, entry->d_name, &st, &ino);
	if (r == -ENOENT || r == -ENOTDIR)
		return 0;
	if (r == 0)
		r = listing_add(merge->listing, entry->d_name, (unsigned char)IFTODT(st.st_mode),
				ino, 0);
	return r < 0 ? r : 0;
}

static int list_upper(struct merge *merge)
{
	cleanup_dir DIR *stream = NULL;
	bool has_marks = false;
	struct dirent *entry;
	int r = fd_opendir(merge->dirfd, &stream);

	if (r < 0)
		return r;
	if (merge->fs->config->no_dir_atime)
		fd_keep_atime(dirfd(stream));
	while ((errno = 0, entry = readdir(stream))) {
		r = add_upper(merge, entry);
		if (r < 0)
			return r;
		has_marks |= r > 0;
	}
	if (errno)
		return -errno;
	return has_marks && merge->lower ? listing_hide_marked(merge->listing, stream) : 0;
}

static int list_lower(struct merge *merge)
{
	cleanup_listing struct listing *below = NULL;
	int r = lower_list(merge->lower, &below);

	for (size_t i = 0; r >= 0 && i < listing_count(below); i++) {
		const struct listing_entry *entry = listing_at(below, i);

		r = listing_add(merge->listing, entry->name, entry->type, entry->ino, 1);
	}
	return r < 0 ? r : 0;
}

static int build(struct fs *fs, struct node *dir, struct listing **ret)
{
	cleanup_listing struct listing *listing = NULL;
	cleanup_lower_obj struct lower_obj *lower = node_lower(dir);
	struct merge merge = { .fs = fs, .lower = lower };
	int r = 0;

	if (lower && !node_has_upper(dir) && !node_is_removed(dir))
		return lower_list(lower, ret);
	listing = merge.listing = listing_new(fs->seed);
	if (!listing)
		return -ENOMEM;
	if (!node_is_removed(dir)) {
		cleanup_fd_ref struct fd_ref *ref = object_open(fs, dir, &r);

		if (!ref)
			return r;
		merge.dirfd = ref->fd;
		merge.has_xattr_whiteouts = whiteout_may_be_xattr(ref->fd);
		r = list_upper(&merge);
		if (r == 0 && lower)
			r = list_lower(&merge);
	}
	if (r < 0)
		return r;
	listing_seal(listing);
	*ret = take_ptr(listing);
	return 0;
}

/* Keeps a listing unless a later one is there already. */
static void keep(struct node *dir, struct listing *listing, uint64_t version)
{
	struct node_dir *more = node_dir(dir);
	struct listing *replaced = NULL;

	lock_take(&dir->lock);
	if (!more->listing || more->listing_version <= version) {
		replaced = more->listing;
		more->listing = listing_ref(listing);
		more->listing_version = version;
	}
	lock_release(&dir->lock);
	listing_unref(replaced);
}

int dir_list(struct fs *fs, struct node *dir, bool fresh, struct listing **ret)
{
	struct node_dir *more = node_dir(dir);
	cleanup_listing struct listing *made = NULL;
	uint64_t version;
	int r;

	if (!S_ISDIR(dir->type))
		return -ENOTDIR;
	lock_take(&dir->lock);
	version = more->names_version;
	if (more->listing && !(fresh && more->listing_version != version))
		made = listing_ref(more->listing);
	lock_release(&dir->lock);
	if (!made) {
		r = build(fs, dir, &made);
		if (r < 0)
			return r;
		keep(dir, made, version);
	}
	*ret = take_ptr(made);
	return 0;
}

bool dir_reading_begin(struct node *dir, unsigned int *number)
{
	struct node_dir *more = node_dir(dir);
	bool is_outdated;

	lock_take(&dir->lock);
	is_outdated = more->was_read && more->reading_version != more->names_version;
	if (more->reading_version != more->names_version) {
		more->reading_version = more->names_version;
		more->reading = (more->reading + 1) % (1U << READING_BITS);
		more->was_read = false;
	}
	*number = more->reading;
	lock_release(&dir->lock);
	return is_outdated;
}

bool dir_reading_end(struct node *dir, unsigned int number)
{
	struct node_dir *more = node_dir(dir);
	struct listing *had = NULL;
	bool is_current;

	lock_take(&dir->lock);
	is_current = more->reading == number && more->reading_version == more->names_version;
	more->was_read |= is_current;
	/* The kernel has it: there are as many entries in such listings as nodes. */
	if (is_current)
		had = take_ptr(more->listing);
	lock_release(&dir->lock);
	listing_unref(had);
	return !is_current;
}
