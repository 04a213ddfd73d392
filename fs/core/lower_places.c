/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which directories of which branches are merged in a directory. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/fd.h"
#include "core/redirect.h"
#include "lower_dirs.h"

struct fd_ref *place_fd(struct object *dir, size_t i, int *error)
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

char *place_join(const char *dir, const char *name)
{
	char *path;

	if (strcmp(dir, ".") == 0)
		return strdup(name);
	return asprintf(&path, "%s/%s", dir, name) < 0 ? NULL : path;
}

/* Whatever its directory's mark says, which decides what listings show (Linux 6.18). */
static bool is_xattr_whiteout(int dirfd, const char *name, const struct stat *st)
{
	cleanup_fd int fd = -1;

	if (!S_ISREG(st->st_mode) || st->st_size > 0)
		return false;
	fd = fd_open(dirfd, name, O_PATH, 0);
	return fd >= 0 && whiteout_is_xattr(fd);
}

int place_probe(int dirfd, const char *name, struct stat *st)
{
	int r = fd_stat(dirfd, name, st);

	if (r == -ENOENT) {
		r = whiteout_has_file(dirfd, name);
		return r < 0 ? r : r ? HIDDEN : NOTHING;
	}
	if (r < 0)
		return r;
	return whiteout_is_device(st) || is_xattr_whiteout(dirfd, name, st) ? HIDDEN : OBJECT;
}

void finding_done(struct finding *finding)
{
	for (size_t i = 0; i < finding->n; i++) {
		fdcache_drop(finding->dirs->fds, &finding->places[i].fd);
		free(finding->places[i].path);
	}
	free(finding->places);
}

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
		.device = st->st_dev,
		.path = path,
	};
	return 0;
}

enum { STOP = 0, GO_ON = 1, FOLLOW_REDIRECT = 2 };

/*
 * Whether the branches below take part in the directory `name` of `dirfd`
 * too: STOP, GO_ON, or FOLLOW_REDIRECT with *redirect set (allocated); or -errno.
 */
static int look_below(int dirfd, const char *name, char **redirect)
{
	cleanup_fd int fd = fd_open(dirfd, name, O_PATH | O_DIRECTORY, 0);
	int r;

	if (fd < 0)
		return fd;
	r = opaque_get(fd);
	if (r < 0 || r == OPAQUE_YES)
		return r < 0 ? r : STOP;
	r = redirect_get(fd, MARKS_ANY, redirect);
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
	bool is_below_opaque; /* so that branches below take no part */
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
	char *longer = place_join(*path, name);

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

	if (!redirect || !redirect_is_path(redirect))
		return extend(&descent->below, redirect ? redirect : name);
	path = strdup(redirect + 1);
	if (!path)
		return -ENOMEM;
	free(descent->below);
	descent->below = path;
	return 0;
}

/*
 * One component down.  OBJECT; HIDDEN: neither here nor below; NOTHING: not
 * here; or -errno.
 */
static int descend(struct descent *descent, const char *name, bool is_last)
{
	cleanup_free char *redirect = NULL;
	struct stat st;
	int next, r = place_probe(descent->dirfd, name, &st);

	if (r == OBJECT && !S_ISDIR(st.st_mode))
		return HIDDEN;
	if (r != OBJECT) {
		int extended = r == NOTHING ? extend(&descent->below, name) : 0;

		return extended < 0 ? extended : r;
	}
	r = look_below(descent->dirfd, name, &redirect);
	if (r < 0)
		return r;
	descent->is_below_opaque |= r == STOP;
	/* From the root of the branches below: what is hidden where we are does not matter there.
	 */
	if (redirect && redirect_is_path(redirect))
		descent->is_below_opaque = false;
	r = extend(&descent->walked, name);
	if (r == 0)
		r = follow(descent, name, redirect);
	if (r == 0 && is_last)
		r = add_place(descent->finding, descent->branch, strdup(descent->walked), &st);
	if (r < 0)
		return r;
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

	return r < 0 ? r : add_place(finding, branch, strdup("."), &st);
}

/*
 * Adds the directory `path` of one branch, if it is there.  STOP; or GO_ON
 * with *below the path to look for in the branches below; or -errno.
 */
static int find_in_branch(struct finding *finding, unsigned int branch, const char *path,
			  char **below)
{
	CLEANUP(descent_done) struct descent descent = { .finding = finding, .branch = branch };
	int r = opaque_get(finding->dirs->branches[branch]);

	if (r < 0)
		return r;
	descent.is_below_opaque = r == OPAQUE_YES;
	descent.dirfd = fd_open(finding->dirs->branches[branch], ".", O_PATH | O_DIRECTORY, 0);
	descent.walked = strdup(".");
	descent.below = strdup(".");
	if (descent.dirfd < 0 || !descent.walked || !descent.below)
		return descent.dirfd < 0 ? descent.dirfd : -ENOMEM;
	if (!*path) {
		*below = take_ptr(descent.below);
		r = add_branch_root(finding, branch);
		return r < 0 ? r : descent.is_below_opaque ? STOP : GO_ON;
	}
	while (*path) {
		size_t length = strcspn(path, "/");
		cleanup_free char *name = strndup(path, length);

		path += length + strspn(path + length, "/");
		r = name ? descend(&descent, name, !*path) : -ENOMEM;
		if (r < 0 || r == HIDDEN)
			return r < 0 ? r : STOP;
		if (r == NOTHING) {
			if (*path && extend(&descent.below, path) < 0)
				return -ENOMEM;
			break;
		}
	}
	*below = take_ptr(descent.below);
	return descent.is_below_opaque ? STOP : GO_ON;
}

int finding_by_path(struct finding *finding, unsigned int branch, const char *path)
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

int finding_by_places(struct finding *finding, struct object *dir, size_t i, const char *name)
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
		r = place_probe(ref->fd, name, &st);
		if (r == NOTHING)
			continue;
		if (r < 0 || r == HIDDEN || !S_ISDIR(st.st_mode))
			return r < 0 ? r : 0;
		r = add_place(finding, place->branch, place_join(place->path, name), &st);
		if (r < 0 || place->branch == finding->dirs->n_branches - 1)
			return r;
		r = look_below(ref->fd, name, &redirect);
		if (r < 0 || r == STOP)
			return r;
		if (r == FOLLOW_REDIRECT && redirect_is_path(redirect))
			return finding_by_path(finding, place->branch + 1, redirect);
		if (r == FOLLOW_REDIRECT) {
			free(renamed);
			renamed = take_ptr(redirect);
			name = renamed;
		}
	}
	return 0;
}
