/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The lower tree, read from the branch directories themselves.
 *
 * A directory object knows its places: the directories, one in each branch at
 * most, that are merged in it, topmost first.  A place is a path from its
 * branch's root (trail.h); unlike paths in a live tree it can be kept, because
 * branches do not change.  Anything else knows the directory it is in and
 * which place of that holds it.
 *
 * A directory that is merged from more than FEW places is listed once and
 * answered from the listing: a missing name then costs no look into branches.
 */
#include "lower/lower_dirs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/fd.h"
#include "base/xattr.h"
#include "branch/idxattr.h"
#include "branch/whiteout.h"

enum { FEW = 2 };

static void free_directory(struct directory *dir)
{
	struct dirs *dirs = dirs_of(&dir->base);
	struct finding places = { .dirs = dirs, .places = dir->places, .n = dir->n_places };

	trail_unref(dir->trail, dirs->fds);
	finding_done(&places);
	listing_unref(dir->listing);
	free(dir);
}

static void free_file(struct file *file)
{
	lower_unref(&file->parent->base);
	free(file);
}

static void dirs_free_obj(struct lower_obj *obj)
{
	if (S_ISDIR(obj->type))
		free_directory(directory_of(obj));
	else
		free_file(file_of(obj));
}

/*
 * A directory object from what was found and its trail, which it takes over; NULL: out of memory,
 * or `ino` is 0, no number.
 */
static struct directory *directory_new(struct finding *finding, uint64_t ino, struct trail *trail)
{
	struct directory *dir = trail && ino ? malloc(sizeof(*dir)) : NULL;

	if (!dir) {
		trail_unref(trail, finding->dirs->fds);
		return NULL;
	}
	*dir = (struct directory){
		.base = { .lower = &finding->dirs->base, .ino = ino, .refs = 1, .type = S_IFDIR },
		.trail = trail,
		.places = take_ptr(finding->places),
		.n_places = (unsigned int)finding->n,
	};
	finding->n = 0;
	return dir;
}

/* Of what is at `name` in place `i` of `parent`. NULL: out of memory, or `ino` is 0, no number. */
static struct file *file_new(struct directory *parent, size_t i, const char *name, mode_t mode,
			     uint64_t ino)
{
	size_t size = strlen(name) + 1;
	struct file *file = ino ? malloc(sizeof(*file) + size) : NULL;

	if (!file)
		return NULL;
	file->base = (struct lower_obj){ .lower = parent->base.lower,
					 .ino = ino,
					 .refs = 1,
					 .type = mode & S_IFMT,
					 .place = (uint16_t)i };
	file->parent = directory_of(lower_ref(&parent->base));
	memcpy(file->name, name, size);
	return file;
}

static struct lower_obj *dirs_root(struct lower *lower)
{
	return lower_ref(&((struct dirs *)lower)->root->base);
}

static int dirs_list(struct lower_obj *base, struct listing **ret);

/* What st_nlink of a directory is in the merged view. */
static int merged_nlink(struct lower_obj *dir, struct stat *st)
{
	cleanup_listing struct listing *listing = NULL;
	int r;

	/* One place only: the filesystem has counted, and whiteouts are no directories. */
	if (directory_of(dir)->n_places == 1)
		return 0;
	r = dirs_list(dir, &listing);
	if (r < 0)
		return r;
	st->st_nlink = 2 + listing_subdirs(listing);
	return 0;
}

/* The place that an object's attributes and content come from, and the name in it, if any. */
static struct place *source_of(struct lower_obj *obj)
{
	return S_ISDIR(obj->type) ? &directory_of(obj)->places[0]
				  : &file_of(obj)->parent->places[obj->place];
}

/* Whether the ids of an object are seen through an id-mapped mount. */
static bool is_mapped(struct lower_obj *obj)
{
	const bool *mapped = obj->lower->is_mapped;

	return mapped && mapped[source_of(obj)->branch];
}

/* Turns a branch's stat into the merged view's. */
static int complete_stat(struct lower_obj *obj, struct stat *st)
{
	int n;

	st->st_ino = obj->ino;
	if (is_mapped(obj))
		idmaps_store_owner(obj->lower->ids, st);
	if (S_ISDIR(obj->type))
		return merged_nlink(obj, st);
	if (st->st_nlink < 2)
		return 0;
	n = links_visible(obj);
	if (n > 0)
		st->st_nlink = (nlink_t)n;
	return n < 0 ? n : 0;
}

/* The trail of the directory `name` of `dir`: that of its first place, where it is the same. */
static struct trail *trail_below(struct directory *dir, const char *name,
				 const struct finding *found)
{
	struct trail *place = found->places[0].trail;

	if (place->above == dir->trail && strcmp(place->name, name) == 0)
		return trail_ref(place);
	return trail_new(dir->trail, name);
}

static int found_dir(struct directory *dir, size_t i, const char *name, struct lower_obj **ret,
		     struct stat *st)
{
	struct dirs *dirs = dirs_of(&dir->base);
	cleanup_finding struct finding finding = { .dirs = dirs };
	cleanup_lower_obj struct lower_obj *obj = NULL;
	struct directory *made;
	int r = finding_by_places(&finding, dir, i, name);

	if (r < 0)
		return r;
	if (finding.n == 0)
		return LOWER_ABSENT;
	made = directory_new(
		&finding,
		lower_numbers_get(&dirs->numbers, finding.places[0].device, finding.top.st_ino),
		trail_below(dir, name, &finding));
	if (!made)
		return -ENOMEM;
	obj = &made->base;
	if (st) {
		*st = finding.top;
		r = complete_stat(obj, st);
		if (r < 0)
			return r;
	}
	*ret = take_ptr(obj);
	return LOWER_FOUND;
}

static int found_file(struct directory *dir, size_t i, const char *name, const struct stat *found,
		      struct lower_obj **ret, struct stat *st)
{
	cleanup_lower_obj struct lower_obj *obj = NULL;
	uint64_t ino = lower_numbers_get(&dirs_of(&dir->base)->numbers, found->st_dev,
					 found->st_ino);
	struct file *made = file_new(dir, i, name, found->st_mode, ino);

	if (!made)
		return -ENOMEM;
	obj = &made->base;
	if (st) {
		int r;

		*st = *found;
		r = complete_stat(obj, st);
		if (r < 0)
			return r;
	}
	*ret = take_ptr(obj);
	return LOWER_FOUND;
}

/* The listing if the directory is worth one or has one already, else NULL. */
static int listing_if_useful(struct directory *dir, struct listing **ret)
{
	lock_take(&dir->lock);
	*ret = dir->listing ? listing_ref(dir->listing) : NULL;
	lock_release(&dir->lock);
	return *ret || dir->n_places <= FEW || dirs_of(&dir->base)->lists_nothing
		       ? 0
		       : dirs_list(&dir->base, ret);
}

static int dirs_lookup(struct lower_obj *base, const char *name, struct lower_obj **ret,
		       struct stat *st)
{
	struct directory *dir = directory_of(base);
	cleanup_listing struct listing *listing = NULL;
	size_t i = 0;
	int r;

	if (whiteout_is_mark_name(name))
		return LOWER_ABSENT;
	r = listing_if_useful(dir, &listing);
	if (r < 0)
		return r;
	if (listing) {
		const struct listing_entry *entry = listing_find(listing, name);

		if (!entry)
			return LOWER_ABSENT;
		i = entry->source;
	}
	for (; i < dir->n_places; i++) {
		cleanup_fd_ref struct fd_ref *ref = place_fd(dir, i, &r);
		struct stat found;

		if (!ref)
			return r;
		r = place_probe(ref->fd, name, &found);
		if (r == NOTHING)
			continue;
		if (r < 0 || r == HIDDEN)
			return r < 0 ? r : LOWER_ABSENT;
		if (S_ISDIR(found.st_mode))
			return found_dir(dir, i, name, ret, st);
		return found_file(dir, i, name, &found, ret, st);
	}
	return LOWER_ABSENT;
}

static int dirs_walk(struct lower *lower, const char *path, struct lower_obj **ret)
{
	struct dirs *dirs = (struct dirs *)lower;
	cleanup_finding struct finding finding = { .dirs = dirs };
	struct directory *dir;
	int r;

	path += strspn(path, "/");
	if (!*path) {
		*ret = lower_ref(&dirs->root->base);
		return LOWER_FOUND;
	}
	r = finding_by_path(&finding, 0, path);
	if (r < 0)
		return r;
	if (finding.n == 0)
		return LOWER_ABSENT;
	dir = directory_new(
		&finding,
		lower_numbers_get(&dirs->numbers, finding.places[0].device, finding.top.st_ino),
		trail_of_path(path));
	if (!dir)
		return -ENOMEM;
	*ret = &dir->base;
	return LOWER_FOUND;
}

/* The name of what is no directory, or NULL. */
static const char *name_of(struct lower_obj *obj)
{
	return S_ISDIR(obj->type) ? NULL : file_of(obj)->name;
}

static int dirs_path(struct lower_obj *base, char **ret)
{
	const char *name = name_of(base);
	struct trail *trail = name ? file_of(base)->parent->trail : directory_of(base)->trail;
	cleanup_free char *path = trail_path(trail, name);

	if (!path)
		return -ENOMEM;
	return asprintf(ret, "/%s", trail->length || name ? path : "") < 0 ? -ENOMEM : 0;
}

static int dirs_source(struct lower_obj *base, unsigned int *branch, char **path)
{
	const char *name = name_of(base);
	struct place *place = source_of(base);
	char *found = NULL;

	if (place->is_renamed ||
	    place->trail->length + (name ? strlen(name) : 0) < LOWER_LONG_PATH) {
		found = trail_path(place->trail, name);
		if (!found)
			return -ENOMEM;
	}
	*path = found;
	*branch = place->branch;
	return 0;
}

/* --- listings --- */

/* One place of a directory while it is listed. */
struct placed_listing {
	struct directory *dir;
	size_t i;
	int dirfd;
	bool has_xattr_whiteouts;
	struct listing *listing;
};

/* Whether a directory entry is a whiteout that does not show it by its name. */
static int entry_is_whiteout(const struct placed_listing *to, const struct dirent *entry)
{
	struct stat st;
	int r;

	if (entry->d_type != DT_CHR && entry->d_type != DT_UNKNOWN &&
	    !(to->has_xattr_whiteouts && entry->d_type == DT_REG))
		return false;
	r = place_probe(to->dirfd, entry->d_name, &st);
	return r < 0 ? r : r == HIDDEN;
}

static unsigned char type_of(int dirfd, const struct dirent *entry)
{
	struct stat st;

	if (entry->d_type != DT_UNKNOWN || fd_stat(dirfd, entry->d_name, &st) < 0)
		return entry->d_type;
	return (unsigned char)IFTODT(st.st_mode);
}

/* Adds one entry; 1 if it is a mark that has to be looked at afterwards. */
static int list_entry(const struct placed_listing *to, const struct dirent *entry)
{
	const struct place *place = &to->dir->places[to->i];
	int r;

	if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
		return 0;
	if (whiteout_is_mark_name(entry->d_name))
		return 1;
	r = entry_is_whiteout(to, entry);
	if (r != 0)
		return r < 0 ? r : listing_hide(to->listing, entry->d_name);
	r = listing_add(
		to->listing, entry->d_name, type_of(to->dirfd, entry),
		lower_numbers_get(&dirs_of(&to->dir->base)->numbers, place->device, entry->d_ino),
		(uint32_t)to->i);
	return r < 0 ? r : 0;
}

static int list_place(struct directory *dir, size_t i, struct listing *listing)
{
	struct placed_listing to = { .dir = dir, .i = i, .listing = listing };
	cleanup_fd_ref struct fd_ref *ref = NULL;
	cleanup_dir DIR *stream = NULL;
	bool has_marks = false;
	struct dirent *entry;
	int r = 0;

	ref = place_fd(dir, i, &r);
	if (!ref)
		return r;
	r = fd_opendir(ref->fd, &stream);
	if (r < 0)
		return r;
	fd_keep_atime(dirfd(stream));
	to.dirfd = ref->fd;
	to.has_xattr_whiteouts = whiteout_may_be_xattr(ref->fd);
	while ((errno = 0, entry = readdir(stream))) {
		r = list_entry(&to, entry);
		if (r < 0)
			return r;
		has_marks |= r > 0;
	}
	if (errno)
		return -errno;
	return has_marks && i + 1 < dir->n_places ? listing_hide_marked(listing, stream) : 0;
}

static int dirs_list(struct lower_obj *base, struct listing **ret)
{
	struct directory *dir = directory_of(base);
	cleanup_listing struct listing *made = NULL;
	int r = 0;

	if (!S_ISDIR(base->type))
		return -ENOTDIR;
	lock_take(&dir->lock);
	if (dir->listing)
		made = listing_ref(dir->listing);
	lock_release(&dir->lock);
	if (made) {
		*ret = take_ptr(made);
		return 0;
	}
	made = listing_new(base->lower->seed);
	if (!made)
		return -ENOMEM;
	for (size_t i = 0; i < dir->n_places && r == 0; i++)
		r = list_place(dir, i, made);
	if (r < 0)
		return r;
	listing_seal(made);
	/* Of one place nothing is counted in it, or looked up: it is wanted once. */
	lock_take(&dir->lock);
	if (!dir->listing && dir->n_places > 1)
		dir->listing = listing_ref(made);
	lock_release(&dir->lock);
	*ret = take_ptr(made);
	return 0;
}

/* --- one object --- */

/* Where the object is: its directory in a branch, and *name there; "." of a directory itself. */
static struct fd_ref *find_at(struct lower_obj *base, const char **name, int *error)
{
	*error = 0;
	*name = name_of(base);
	if (*name)
		return place_fd(file_of(base)->parent, base->place, error);
	*name = ".";
	return place_fd(directory_of(base), 0, error);
}

static int dirs_open(struct lower_obj *base, int flags)
{
	cleanup_fd_ref struct fd_ref *ref = NULL;
	cleanup_fd int fd = -1;
	const char *at;
	int r;

	ref = find_at(base, &at, &r);
	if (!ref)
		return r;
	if (S_ISDIR(base->type))
		return fd_open(ref->fd, at, flags | O_DIRECTORY, 0);
	fd = fd_open(ref->fd, at, flags | O_NONBLOCK, 0);
	if (fd >= 0 && S_ISREG(base->type) && !(flags & O_PATH) &&
	    metacopy_get(fd, base->lower->file_marks))
		return data_open(file_of(base), fd, flags | O_NONBLOCK);
	return take_fd(&fd);
}

static int dirs_stat(struct lower_obj *base, struct stat *ret)
{
	cleanup_fd_ref struct fd_ref *ref = NULL;
	const char *at;
	int r;

	ref = find_at(base, &at, &r);
	if (!ref)
		return r;
	r = fd_stat(ref->fd, at, ret);
	return r < 0 ? r : complete_stat(base, ret);
}

static int dirs_readlink(struct lower_obj *base, char **ret)
{
	cleanup_fd_ref struct fd_ref *ref = NULL;
	const char *at;
	int r;

	if (!S_ISLNK(base->type))
		return -EINVAL;
	ref = find_at(base, &at, &r);
	return ref ? fd_readlink(ref->fd, at, ret) : r;
}

/* A value whose ids an id-mapped mount shows. */
static ssize_t get_mapped(struct lower_obj *obj, int fd, const char *name, void *value, size_t size)
{
	cleanup_free char *shown = NULL;
	cleanup_free char *stored = NULL;
	ssize_t n = xattr_get_all(fd, name, &shown);

	if (n < 0)
		return n;
	stored = malloc((size_t)n + IDXATTR_GROWTH);
	if (!stored)
		return -ENOMEM;
	memcpy(stored, shown, (size_t)n);
	n = idxattr_store_any(obj->lower->ids, name, stored, (size_t)n);
	if (size && (size_t)n > size)
		return -ERANGE;
	if (size)
		memcpy(value, stored, (size_t)n);
	return n;
}

static ssize_t dirs_xattr_get(struct lower_obj *obj, const char *name, void *value, size_t size)
{
	cleanup_fd_ref struct fd_ref *ref = NULL;
	cleanup_fd int fd = -1;
	const char *at;
	int r;

	if (is_mapped(obj) && idxattr_has_ids(name)) {
		fd = dirs_open(obj, O_PATH);
		return fd < 0 ? fd : get_mapped(obj, fd, name, value, size);
	}
	ref = find_at(obj, &at, &r);
	return ref ? xattr_get_at(ref->fd, at, name, value, size) : r;
}

static ssize_t dirs_xattr_list(struct lower_obj *obj, char **ret)
{
	cleanup_fd_ref struct fd_ref *ref = NULL;
	const char *at;
	ssize_t n;
	int r;

	ref = find_at(obj, &at, &r);
	n = ref ? xattr_list_at(ref->fd, at, ret) : r;
	return n < 0 ? n : (ssize_t)xattr_list_filter(*ret, (size_t)n, whiteout_is_private_xattr);
}

/* --- the tree --- */

static void dirs_free(struct lower *lower)
{
	struct dirs *dirs = (struct dirs *)lower;

	if (dirs->root)
		lower_unref(&dirs->root->base);
	links_free(dirs);
	lower_numbers_done(&dirs->numbers);
	pthread_mutex_destroy(&dirs->groups_lock);
	free(dirs);
}

static const struct lower_ops dirs_ops = {
	.free = dirs_free,
	.root = dirs_root,
	.free_obj = dirs_free_obj,
	.lookup = dirs_lookup,
	.walk = dirs_walk,
	.path = dirs_path,
	.source = dirs_source,
	.list = dirs_list,
	.stat = dirs_stat,
	.readlink = dirs_readlink,
	.xattr_get = dirs_xattr_get,
	.xattr_list = dirs_xattr_list,
	.open = dirs_open,
	.names = links_names,
};

/* The branches' roots are the places of the root, as far down as none is opaque. */
static int make_root(struct dirs *dirs)
{
	cleanup_finding struct finding finding = { .dirs = dirs };
	int r = finding_by_path(&finding, 0, "/");

	if (r < 0)
		return r;
	dirs->root = directory_new(&finding, LOWER_ROOT_INO, trail_ref(finding.places[0].trail));
	return dirs->root ? 0 : -ENOMEM;
}

void lower_use_no_listings(struct lower *lower)
{
	((struct dirs *)lower)->lists_nothing = true;
}

int lower_of_dirs(const int branches[], size_t n_branches, struct fdcache *fds, struct lower **ret)
{
	struct dirs *dirs;
	int r;

	if (n_branches > UINT16_MAX)
		return -E2BIG;
	dirs = calloc(1, sizeof(*dirs));
	if (!dirs)
		return -ENOMEM;
	dirs->base.ops = &dirs_ops;
	dirs->base.file_marks = MARKS_TRUSTED;
	dirs->branches = branches;
	dirs->n_branches = n_branches;
	dirs->fds = fds;
	pthread_mutex_init(&dirs->groups_lock, NULL);
	r = lower_numbers_init(&dirs->numbers, branches, n_branches);
	if (r == 0)
		r = make_root(dirs);
	if (r < 0) {
		dirs_free(&dirs->base);
		return r;
	}
	*ret = &dirs->base;
	return 0;
}
