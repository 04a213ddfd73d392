/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The lower tree, read from the branch directories themselves.
 *
 * A directory object knows its places: the directories, one in each branch at
 * most, that are merged in it, topmost first.  A place is a path from its
 * branch's root; unlike paths in a live tree it can be kept as a string,
 * because branches do not change.  Anything else knows the directory it is in
 * and which place of that holds it.
 *
 * Inode numbers are the branch filesystem's own, with a small number for the
 * filesystem in the upper bits, so that they are the same at every mount of
 * the same branches.  The few that do not fit get a number from a counter.
 *
 * A directory that is merged from more than FEW places is listed once and
 * answered from the listing: a missing name then costs no look into branches.
 */
#include "core/lower.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/fd.h"
#include "base/table.h"
#include "base/xattr.h"
#include "core/whiteout.h"
#include "lower_impl.h"

enum {
	FEW = 2,
	INO_BITS = 52,
	MAX_DEVICES = 1 << 9,
};
static const uint64_t odd_numbers = UINT64_C(1) << 61;

struct place {
	unsigned int branch;
	unsigned int device; /* number of the filesystem */
	bool has_xattr_whiteouts;
	char *path; /* from the branch's root; "." for the root itself */
	struct fd_slot fd;
};

struct object {
	struct lower_obj base;
	/* of a directory */
	char *path; /* in the merged tree; "." for the root */
	size_t n_places;
	struct place *places;
	pthread_mutex_t lock;
	struct listing *listing; /* guarded by lock; NULL until asked for */
	/* of anything else */
	struct object *parent;
	unsigned int place; /* of the parent */
	char name[];
};

/* A number that did not fit, and what it was made for. */
struct odd {
	struct table_link link;
	unsigned int device;
	ino_t real;
	uint64_t ino;
};

/* All names in the merged tree of a file of which its branch says that it has several. */
struct group {
	struct table_link link;
	uint64_t ino;
	size_t n_paths;
	char **paths;
};

struct dirs {
	struct lower base;
	const int *branches;
	size_t n_branches;
	struct fdcache *fds;
	struct object *root;
	pthread_mutex_t lock; /* guards what follows */
	dev_t devices[MAX_DEVICES];
	unsigned int n_devices;
	struct table odd;
	uint64_t next_odd;
	pthread_mutex_t groups_lock; /* guards what follows; held while the tree is scanned */
	struct table groups; /* constant once that is done */
	bool is_scanned;
};

static struct dirs *dirs_of(const struct lower_obj *obj)
{
	return (struct dirs *)obj->lower;
}

static struct object *object_of(struct lower_obj *obj)
{
	return (struct object *)obj;
}

/* --- numbers --- */

static unsigned int device_number(struct dirs *dirs, dev_t device)
{
	unsigned int i;

	pthread_mutex_lock(&dirs->lock);
	for (i = 0; i < dirs->n_devices && dirs->devices[i] != device; i++)
		;
	if (i == dirs->n_devices && i < MAX_DEVICES)
		dirs->devices[dirs->n_devices++] = device;
	pthread_mutex_unlock(&dirs->lock);
	return i;
}

static uint64_t odd_number(struct dirs *dirs, unsigned int device, ino_t real)
{
	uint64_t hash = table_hash_u64(real ^ (uint64_t)device << INO_BITS);
	uint64_t ino = 0;
	struct odd *odd;

	pthread_mutex_lock(&dirs->lock);
	for (struct table_link *link = table_find(&dirs->odd, hash); link;
	     link = table_next(link)) {
		odd = TABLE_OBJECT(link, struct odd, link);
		if (odd->device == device && odd->real == real)
			ino = odd->ino;
	}
	odd = ino ? NULL : malloc(sizeof(*odd));
	if (odd) {
		*odd = (struct odd){ .device = device,
				     .real = real,
				     .ino = odd_numbers | ++dirs->next_odd };
		ino = odd->ino;
		if (table_add(&dirs->odd, &odd->link, hash) < 0)
			free(odd);
	}
	pthread_mutex_unlock(&dirs->lock);
	return ino;
}

static uint64_t number(struct dirs *dirs, unsigned int device, ino_t real)
{
	if (real > LOWER_ROOT_INO && real < UINT64_C(1) << INO_BITS && device < MAX_DEVICES)
		return (uint64_t)device << INO_BITS | real;
	return odd_number(dirs, device, real);
}

/* --- places --- */

/* A descriptor of place `i` of a directory; NULL with *error set on failure. */
static struct fd_ref *place_fd(struct object *dir, size_t i, int *error)
{
	struct dirs *dirs = dirs_of(&dir->base);
	struct place *place = &dir->places[i];
	struct fd_ref *ref = fdcache_get(dirs->fds, &place->fd);
	int fd;

	if (ref)
		return ref;
	fd = fd_open_beneath(dirs->branches[place->branch], place->path, O_PATH | O_DIRECTORY);
	if (fd < 0) {
		*error = fd;
		return NULL;
	}
	ref = fdcache_put(dirs->fds, &place->fd, fd);
	if (!ref)
		*error = -ENOMEM;
	return ref;
}

static char *join(const char *dir, const char *name)
{
	char *path;

	if (strcmp(dir, ".") == 0)
		return strdup(name);
	return asprintf(&path, "%s/%s", dir, name) < 0 ? NULL : path;
}

enum verdict { NOTHING, HIDDEN, OBJECT };

/* What the directory `dirfd` of one branch says of a name: an enum verdict or -errno. */
static int probe(int dirfd, bool has_xattr_whiteouts, const char *name, struct stat *st)
{
	int r = fd_stat(dirfd, name, st);

	if (r == -ENOENT) {
		r = whiteout_has_file(dirfd, name);
		return r < 0 ? r : r ? HIDDEN : NOTHING;
	}
	if (r < 0)
		return r;
	if (whiteout_is_device(st))
		return HIDDEN;
	if (has_xattr_whiteouts && S_ISREG(st->st_mode) && st->st_size == 0) {
		cleanup_fd int fd = fd_open(dirfd, name, O_PATH, 0);

		if (fd >= 0 && whiteout_is_xattr(fd))
			return HIDDEN;
	}
	return OBJECT;
}

/* Places of a directory while they are found, from the top down. */
struct finding {
	struct dirs *dirs;
	struct place *places;
	size_t n, room;
	struct stat top; /* of the first place */
};

static void finding_done(struct finding *finding)
{
	for (size_t i = 0; i < finding->n; i++) {
		fdcache_drop(finding->dirs->fds, &finding->places[i].fd);
		free(finding->places[i].path);
	}
	free(finding->places);
}
#define cleanup_finding CLEANUP(finding_done)

/* Takes ownership of `path`. */
static int add_place(struct finding *finding, unsigned int branch, char *path,
		     const struct stat *st)
{
	if (!path)
		return -ENOMEM;
	if (finding->n == finding->room) {
		size_t room = finding->room ? finding->room * 2 : 2;
		struct place *places = realloc(finding->places, room * sizeof(*places));

		if (!places) {
			free(path);
			return -ENOMEM;
		}
		/* Slots are in no list yet: fds are kept only once places stand still. */
		finding->places = places;
		finding->room = room;
	}
	if (finding->n == 0)
		finding->top = *st;
	finding->places[finding->n++] = (struct place){
		.branch = branch,
		.device = device_number(finding->dirs, st->st_dev),
		.path = path,
	};
	return 0;
}

enum { STOP = 0, GO_ON = 1, FOLLOW_REDIRECT = 2 };

/*
 * Whether branches below `place` take part in the directory `name` of `dirfd`
 * too: STOP, GO_ON, or FOLLOW_REDIRECT with *redirect set (allocated); or -errno.
 */
static int look_below(int dirfd, const char *name, struct place *place, char **redirect)
{
	cleanup_fd int fd = fd_open(dirfd, name, O_PATH | O_DIRECTORY, 0);
	int r;

	if (fd < 0)
		return fd;
	r = opaque_get(fd);
	if (r < 0 || r == OPAQUE_YES)
		return r < 0 ? r : STOP;
	place->has_xattr_whiteouts = r == OPAQUE_XATTR_WHITEOUTS;
	r = redirect_get(fd, redirect);
	if (r != 0)
		return r < 0 ? r : FOLLOW_REDIRECT;
	r = whiteout_has_file(dirfd, name);
	return r < 0 ? r : r ? STOP : GO_ON;
}

/* A walk down one branch: how far it has come, and what that is called in branches below. */
struct descent {
	struct finding *finding;
	unsigned int branch;
	int dirfd; /* where it is; owned */
	char *walked; /* from the branch's root */
	char *below; /* the same directory in branches below, where redirects lead elsewhere */
};

static void descent_done(struct descent *descent)
{
	if (descent->dirfd >= 0)
		close(descent->dirfd);
	free(descent->walked);
	free(descent->below);
}

/* Replaces a path by one of a name below it. */
static int extend(char **path, const char *name)
{
	char *longer = join(*path, name);

	if (!longer)
		return -ENOMEM;
	free(*path);
	*path = longer;
	return 0;
}

/* Notes what the directory `name` is called below, given its redirect, if it has one. */
static int follow(struct descent *descent, const char *name, const char *redirect)
{
	char *path;

	if (!redirect || *redirect != '/')
		return extend(&descent->below, redirect ? redirect : name);
	redirect += strspn(redirect, "/");
	path = strdup(*redirect ? redirect : ".");
	if (!path)
		return -ENOMEM;
	free(descent->below);
	descent->below = path;
	return 0;
}

/*
 * One component down.  OBJECT; HIDDEN: neither here nor below; NOTHING: not
 * here; or -errno.  *stop is set where branches below take no part.
 */
static int descend(struct descent *descent, const char *name, bool is_last, bool *stop)
{
	struct place place = { 0 };
	cleanup_free char *redirect = NULL;
	struct stat st;
	int next, r = probe(descent->dirfd, false, name, &st);

	if (r == OBJECT && !S_ISDIR(st.st_mode))
		return HIDDEN;
	if (r != OBJECT) {
		int extended = r == NOTHING ? extend(&descent->below, name) : 0;

		return extended < 0 ? extended : r;
	}
	r = look_below(descent->dirfd, name, &place, &redirect);
	if (r < 0)
		return r;
	*stop |= r == STOP;
	r = extend(&descent->walked, name);
	if (r == 0)
		r = follow(descent, name, redirect);
	if (r == 0 && is_last)
		r = add_place(descent->finding, descent->branch, strdup(descent->walked), &st);
	if (r < 0)
		return r;
	if (is_last)
		descent->finding->places[descent->finding->n - 1].has_xattr_whiteouts =
			place.has_xattr_whiteouts;
	next = fd_open(descent->dirfd, name, O_PATH | O_DIRECTORY, 0);
	if (next < 0)
		return next;
	close(descent->dirfd);
	descent->dirfd = next;
	return OBJECT;
}

static int add_branch_root(struct finding *finding, unsigned int branch)
{
	int fd = finding->dirs->branches[branch];
	struct stat st;
	int r = fd_stat(fd, NULL, &st);

	if (r == 0)
		r = add_place(finding, branch, strdup("."), &st);
	if (r == 0)
		r = opaque_get(fd);
	if (r == OPAQUE_XATTR_WHITEOUTS)
		finding->places[finding->n - 1].has_xattr_whiteouts = true;
	return r < 0 ? r : r == OPAQUE_YES ? STOP : GO_ON;
}

/*
 * Adds the directory `path` of one branch, if it is there.  STOP; or GO_ON
 * with *below the path to look for in the branches below; or -errno.
 */
static int find_in_branch(struct finding *finding, unsigned int branch, const char *path,
			  char **below)
{
	CLEANUP(descent_done) struct descent descent = { .finding = finding, .branch = branch };
	bool stop = false;

	descent.dirfd = fd_open(finding->dirs->branches[branch], ".", O_PATH | O_DIRECTORY, 0);
	descent.walked = strdup(".");
	descent.below = strdup(".");
	if (descent.dirfd < 0 || !descent.walked || !descent.below)
		return descent.dirfd < 0 ? descent.dirfd : -ENOMEM;
	if (!*path) {
		*below = take_ptr(descent.below);
		return add_branch_root(finding, branch);
	}
	while (*path) {
		size_t length = strcspn(path, "/");
		cleanup_free char *name = strndup(path, length);
		int r;

		path += length + strspn(path + length, "/");
		r = name ? descend(&descent, name, !*path, &stop) : -ENOMEM;
		if (r < 0 || r == HIDDEN)
			return r < 0 ? r : STOP;
		if (r == NOTHING) {
			if (*path && extend(&descent.below, path) < 0)
				return -ENOMEM;
			break;
		}
	}
	*below = take_ptr(descent.below);
	return stop ? STOP : GO_ON;
}

/* Adds the directory `path` of each branch from `branch` down, as redirects mean it. */
static int find_by_path(struct finding *finding, unsigned int branch, const char *path)
{
	cleanup_free char *at = strdup(path + strspn(path, "/"));
	int r = at ? GO_ON : -ENOMEM;

	for (; branch < finding->dirs->n_branches && r == GO_ON; branch++) {
		char *below = NULL;

		r = find_in_branch(finding, branch, strcmp(at, ".") == 0 ? "" : at, &below);
		free(at);
		at = below;
	}
	return r < 0 ? r : 0;
}

/* Adds the directory `name` of each place of `dir` from place `i` down. */
static int find_by_places(struct finding *finding, struct object *dir, size_t i, const char *name)
{
	cleanup_free char *renamed = NULL;

	for (; i < dir->n_places; i++) {
		cleanup_free char *redirect = NULL;
		cleanup_fd_ref struct fd_ref *ref = NULL;
		struct place *place = &dir->places[i];
		struct stat st;
		int r = 0;

		ref = place_fd(dir, i, &r);
		if (!ref)
			return r;
		r = probe(ref->fd, place->has_xattr_whiteouts, name, &st);
		if (r == NOTHING)
			continue;
		if (r < 0 || r == HIDDEN || !S_ISDIR(st.st_mode))
			return r < 0 ? r : 0;
		r = add_place(finding, place->branch, join(place->path, name), &st);
		if (r < 0 || place->branch == finding->dirs->n_branches - 1)
			return r;
		r = look_below(ref->fd, name, &finding->places[finding->n - 1], &redirect);
		if (r < 0 || r == STOP)
			return r;
		if (r == FOLLOW_REDIRECT && *redirect == '/')
			return find_by_path(finding, place->branch + 1, redirect);
		if (r == FOLLOW_REDIRECT) {
			free(renamed);
			renamed = take_ptr(redirect);
			name = renamed;
		}
	}
	return 0;
}

/* --- objects --- */

static struct object *object_new(struct dirs *dirs, const char *name, mode_t mode, uint64_t ino)
{
	size_t size = strlen(name) + 1;
	struct object *obj = calloc(1, sizeof(*obj) + size);

	if (!obj)
		return NULL;
	obj->base = (struct lower_obj){
		.lower = &dirs->base, .refs = 1, .type = mode & S_IFMT, .ino = ino
	};
	pthread_mutex_init(&obj->lock, NULL);
	memcpy(obj->name, name, size);
	return obj;
}

static void dirs_free_obj(struct lower_obj *base)
{
	struct object *obj = object_of(base);
	struct finding places = { .dirs = dirs_of(base),
				  .places = obj->places,
				  .n = obj->n_places };

	finding_done(&places);
	free(obj->path);
	listing_unref(obj->listing);
	pthread_mutex_destroy(&obj->lock);
	if (obj->parent)
		lower_unref(&obj->parent->base);
	free(obj);
}

/* A directory object from what was found and its path, which it takes over; NULL: out of memory. */
static struct object *object_of_places(struct finding *finding, uint64_t ino, char *path)
{
	struct object *obj = path ? object_new(finding->dirs, "", S_IFDIR, ino) : NULL;

	if (!obj) {
		free(path);
		return NULL;
	}
	obj->path = path;
	obj->places = take_ptr(finding->places);
	obj->n_places = finding->n;
	finding->n = 0;
	return obj;
}

static struct lower_obj *dirs_root(struct lower *lower)
{
	return lower_ref(&((struct dirs *)lower)->root->base);
}

static int dirs_list(struct lower_obj *base, struct listing **ret);

/* Number of visible names of a file of which the branch says that it has several. */
static int visible_names(struct lower_obj *obj);

/* What st_nlink of a directory is in the merged view. */
static int merged_nlink(struct lower_obj *dir, struct stat *st)
{
	cleanup_listing struct listing *listing = NULL;
	int r;

	/* One place only: the filesystem has counted, and whiteouts are no directories. */
	if (object_of(dir)->n_places == 1)
		return 0;
	r = dirs_list(dir, &listing);
	if (r < 0)
		return r;
	st->st_nlink = 2 + listing_subdirs(listing);
	return 0;
}

/* Turns a branch's stat into the merged view's. */
static int complete_stat(struct lower_obj *obj, struct stat *st)
{
	int n;

	st->st_ino = obj->ino;
	if (S_ISDIR(st->st_mode))
		return merged_nlink(obj, st);
	if (st->st_nlink < 2)
		return 0;
	n = visible_names(obj);
	if (n > 0)
		st->st_nlink = (nlink_t)n;
	return n < 0 ? n : 0;
}

static int found_dir(struct object *dir, size_t i, const char *name, struct lower_obj **ret,
		     struct stat *st)
{
	struct dirs *dirs = dirs_of(&dir->base);
	cleanup_finding struct finding finding = { .dirs = dirs };
	cleanup_lower_obj struct lower_obj *obj = NULL;
	struct object *made;
	int r = find_by_places(&finding, dir, i, name);

	if (r < 0)
		return r;
	if (finding.n == 0)
		return LOWER_ABSENT;
	made = object_of_places(&finding,
				number(dirs, finding.places[0].device, finding.top.st_ino),
				join(dir->path, name));
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

static int found_file(struct object *dir, size_t i, const char *name, const struct stat *found,
		      struct lower_obj **ret, struct stat *st)
{
	struct dirs *dirs = dirs_of(&dir->base);
	unsigned int device = dir->places[i].device;
	cleanup_lower_obj struct lower_obj *obj = NULL;
	struct object *made = object_new(dirs, name, found->st_mode,
					 number(dirs, device, found->st_ino));

	if (!made)
		return -ENOMEM;
	made->parent = object_of(lower_ref(&dir->base));
	made->place = (unsigned int)i;
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
static int listing_if_useful(struct object *dir, struct listing **ret)
{
	pthread_mutex_lock(&dir->lock);
	*ret = dir->listing ? listing_ref(dir->listing) : NULL;
	pthread_mutex_unlock(&dir->lock);
	return *ret || dir->n_places <= FEW ? 0 : dirs_list(&dir->base, ret);
}

static int dirs_lookup(struct lower_obj *base, const char *name, struct lower_obj **ret,
		       struct stat *st)
{
	struct object *dir = object_of(base);
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
		r = probe(ref->fd, dir->places[i].has_xattr_whiteouts, name, &found);
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
	struct object *obj;
	int r;

	path += strspn(path, "/");
	if (!*path) {
		*ret = lower_ref(&dirs->root->base);
		return LOWER_FOUND;
	}
	r = find_by_path(&finding, 0, path);
	if (r < 0)
		return r;
	if (finding.n == 0)
		return LOWER_ABSENT;
	obj = object_of_places(&finding, number(dirs, finding.places[0].device, finding.top.st_ino),
			       strdup(path));
	if (!obj)
		return -ENOMEM;
	*ret = &obj->base;
	return LOWER_FOUND;
}

/* The place that an object's attributes and content come from, and the name in it, if any. */
static struct place *source_of(struct object *obj)
{
	return S_ISDIR(obj->base.type) ? &obj->places[0] : &obj->parent->places[obj->place];
}

static int dirs_path(struct lower_obj *base, char **ret)
{
	const char *path = object_of(base)->path;

	return asprintf(ret, "/%s", strcmp(path, ".") == 0 ? "" : path) < 0 ? -ENOMEM : 0;
}

static int dirs_source(struct lower_obj *base, unsigned int *branch, char **path)
{
	struct object *obj = object_of(base);
	struct place *place = source_of(obj);

	*path = *obj->name ? join(place->path, obj->name) : strdup(place->path);
	*branch = place->branch;
	return *path ? 0 : -ENOMEM;
}

/* --- listings --- */

/* Whether a directory entry is a whiteout that does not show it by its name. */
static int entry_is_whiteout(int dirfd, const struct place *place, const struct dirent *entry)
{
	struct stat st;
	int r;

	if (entry->d_type != DT_CHR && entry->d_type != DT_UNKNOWN &&
	    !(place->has_xattr_whiteouts && entry->d_type == DT_REG))
		return false;
	r = probe(dirfd, place->has_xattr_whiteouts, entry->d_name, &st);
	return r < 0 ? r : r == HIDDEN;
}

static unsigned char type_of(int dirfd, const struct dirent *entry)
{
	struct stat st;

	if (entry->d_type != DT_UNKNOWN || fd_stat(dirfd, entry->d_name, &st) < 0)
		return entry->d_type;
	return (unsigned char)IFTODT(st.st_mode);
}

/* Adds one entry of place `i`; 1 if it is a mark that has to be looked at afterwards. */
static int list_entry(struct object *dir, size_t i, int dirfd, const struct dirent *entry,
		      struct listing *listing)
{
	const struct place *place = &dir->places[i];
	int r;

	if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
		return 0;
	if (whiteout_is_mark_name(entry->d_name))
		return 1;
	r = entry_is_whiteout(dirfd, place, entry);
	if (r != 0)
		return r < 0 ? r : listing_hide(listing, entry->d_name);
	r = listing_add(listing, entry->d_name, type_of(dirfd, entry),
			number(dirs_of(&dir->base), place->device, entry->d_ino), (uint32_t)i);
	return r < 0 ? r : 0;
}

/* `.wh.NAME` hides NAME below this place, not in it: so marks come after all entries. */
static int hide_marked(DIR *stream, struct listing *listing)
{
	struct dirent *entry;

	rewinddir(stream);
	while ((errno = 0, entry = readdir(stream))) {
		const char *hidden = whiteout_hidden_name(entry->d_name);
		int r = hidden ? listing_hide(listing, hidden) : 0;

		if (r < 0)
			return r;
	}
	return -errno;
}

static int list_place(struct object *dir, size_t i, struct listing *listing)
{
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
	while ((errno = 0, entry = readdir(stream))) {
		r = list_entry(dir, i, ref->fd, entry, listing);
		if (r < 0)
			return r;
		has_marks |= r > 0;
	}
	if (errno)
		return -errno;
	return has_marks && i + 1 < dir->n_places ? hide_marked(stream, listing) : 0;
}

static int dirs_list(struct lower_obj *base, struct listing **ret)
{
	struct object *dir = object_of(base);
	cleanup_listing struct listing *made = NULL;
	int r = 0;

	pthread_mutex_lock(&dir->lock);
	if (dir->listing)
		made = listing_ref(dir->listing);
	pthread_mutex_unlock(&dir->lock);
	if (made) {
		*ret = take_ptr(made);
		return 0;
	}
	made = listing_new();
	if (!made)
		return -ENOMEM;
	for (size_t i = 0; i < dir->n_places && r == 0; i++)
		r = list_place(dir, i, made);
	if (r < 0)
		return r;
	listing_seal(made);
	pthread_mutex_lock(&dir->lock);
	if (!dir->listing)
		dir->listing = listing_ref(made);
	pthread_mutex_unlock(&dir->lock);
	*ret = take_ptr(made);
	return 0;
}

/* --- one object --- */

static int dirs_open(struct lower_obj *base, int flags)
{
	struct object *obj = object_of(base);
	struct object *dir = S_ISDIR(base->type) ? obj : obj->parent;
	int r = 0;
	cleanup_fd_ref struct fd_ref *ref = place_fd(dir, dir == obj ? 0 : obj->place, &r);

	if (!ref)
		return r;
	if (dir == obj)
		return fd_open(ref->fd, ".", flags | O_DIRECTORY, 0);
	return fd_open(ref->fd, obj->name, flags | O_NONBLOCK, 0);
}

static int dirs_stat(struct lower_obj *base, struct stat *ret)
{
	struct object *obj = object_of(base);
	struct object *dir = S_ISDIR(base->type) ? obj : obj->parent;
	int r = 0;
	cleanup_fd_ref struct fd_ref *ref = place_fd(dir, dir == obj ? 0 : obj->place, &r);

	if (!ref)
		return r;
	r = fd_stat(ref->fd, dir == obj ? NULL : obj->name, ret);
	return r < 0 ? r : complete_stat(base, ret);
}

static int dirs_readlink(struct lower_obj *base, char **ret)
{
	struct object *obj = object_of(base);
	int r = 0;
	cleanup_fd_ref struct fd_ref *ref = NULL;

	if (!S_ISLNK(base->type))
		return -EINVAL;
	ref = place_fd(obj->parent, obj->place, &r);
	return ref ? fd_readlink(ref->fd, obj->name, ret) : r;
}

static ssize_t dirs_xattr_get(struct lower_obj *obj, const char *name, void *value, size_t size)
{
	cleanup_fd int fd = dirs_open(obj, O_PATH);

	return fd < 0 ? fd : xattr_get(fd, name, value, size);
}

static ssize_t dirs_xattr_list(struct lower_obj *obj, char **ret)
{
	cleanup_fd int fd = dirs_open(obj, O_PATH);
	ssize_t n = fd < 0 ? fd : xattr_list(fd, ret);

	return n < 0 ? n : (ssize_t)xattr_list_filter(*ret, (size_t)n, whiteout_is_private_xattr);
}

/* --- hard links --- */

static struct group *find_group(struct dirs *dirs, uint64_t ino)
{
	struct table_link *link = table_find(&dirs->groups, table_hash_u64(ino));

	while (link && TABLE_OBJECT(link, struct group, link)->ino != ino)
		link = table_next(link);
	return link ? TABLE_OBJECT(link, struct group, link) : NULL;
}

static void free_groups(struct dirs *dirs)
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
	path = join(dir->path, entry->name);
	return path ? add_to_group(dirs, entry->ino, path) : -ENOMEM;
}

/* Notes every name in the merged tree of a file that has several. */
static int scan(struct object *dir)
{
	cleanup_listing struct listing *listing = NULL;
	int r = dirs_list(&dir->base, &listing);

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
		free_groups(dirs); /* of a scan that failed */
		r = scan(dirs->root);
		dirs->is_scanned = r == 0;
	}
	*ret = r == 0 ? find_group(dirs, base->ino) : NULL;
	pthread_mutex_unlock(&dirs->groups_lock);
	return r;
}

static int dirs_names(struct lower_obj *base, int (*each)(void *context, const char *path),
		      void *context)
{
	struct object *obj = object_of(base);
	struct group *group;
	int r;

	if (S_ISDIR(base->type))
		return -EISDIR;
	r = group_of(base, &group);
	if (r == 0 && !group) {
		cleanup_free char *path = join(obj->parent->path, obj->name);

		return path ? each(context, path) : -ENOMEM;
	}
	for (size_t i = 0; r == 0 && i < group->n_paths; i++)
		r = each(context, group->paths[i]);
	return r;
}

/* Number of visible names of a file of which its branch says that it has several. */
static int visible_names(struct lower_obj *obj)
{
	struct group *group;
	int r = group_of(obj, &group);

	return r < 0 ? r : group ? (int)group->n_paths : 1;
}

/* --- the tree --- */

static void dirs_free(struct lower *lower)
{
	struct dirs *dirs = (struct dirs *)lower;
	struct table_link *link;

	if (dirs->root)
		lower_unref(&dirs->root->base);
	free_groups(dirs);
	while ((link = table_pop(&dirs->odd)))
		free(TABLE_OBJECT(link, struct odd, link));
	table_done(&dirs->odd);
	pthread_mutex_destroy(&dirs->lock);
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
	.names = dirs_names,
};

/* The branches' roots are the places of the root, as far down as none is opaque. */
static int make_root(struct dirs *dirs)
{
	cleanup_finding struct finding finding = { .dirs = dirs };
	int r = find_by_path(&finding, 0, "/");

	if (r < 0)
		return r;
	dirs->root = object_of_places(&finding, LOWER_ROOT_INO, strdup("."));
	return dirs->root ? 0 : -ENOMEM;
}

int lower_of_dirs(const int branches[], size_t n_branches, struct fdcache *fds, struct lower **ret)
{
	struct dirs *dirs = calloc(1, sizeof(*dirs));
	int r;

	if (!dirs)
		return -ENOMEM;
	dirs->base.ops = &dirs_ops;
	dirs->branches = branches;
	dirs->n_branches = n_branches;
	dirs->fds = fds;
	pthread_mutex_init(&dirs->lock, NULL);
	pthread_mutex_init(&dirs->groups_lock, NULL);
	r = make_root(dirs);
	if (r < 0) {
		dirs_free(&dirs->base);
		return r;
	}
	*ret = &dirs->base;
	return 0;
}
