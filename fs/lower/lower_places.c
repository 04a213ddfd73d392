/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which directories of which branches are merged in a directory. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/fd.h"
#include "branch/redirect.h"
#include "lower/lower_dirs.h"

struct fd_ref *place_fd(struct directory *dir, size_t i, int *error)
{
	struct dirs *dirs = dirs_of(&dir->base);
	struct place *place = &dir->places[i];

	return trail_open(place->trail, dirs->branches[place->branch], dirs->fds, error);
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
	return whiteout_is_at(dirfd, name, st) ? HIDDEN : OBJECT;
}

void finding_done(struct finding *finding)
{
	for (size_t i = 0; i < finding->n; i++)
		trail_unref(finding->places[i].trail, finding->dirs->fds);
	free(finding->places);
}

/* Takes over the reference to `trail`, NULL if there was no memory for it. */
static int add_place(struct finding *finding, unsigned int branch, struct trail *trail,
		     bool is_renamed, const struct stat *st)
{
	if (!trail)
		return -ENOMEM;
	if (finding->n == finding->room) {
		size_t room = finding->room ? finding->room * 2 : 2;
		struct place *places = realloc(finding->places, room * sizeof(*places));

		if (!places) {
			trail_unref(trail, finding->dirs->fds);
			return -ENOMEM;
		}
		finding->places = places;
		finding->room = room;
	}
	if (finding->n == 0)
		finding->top = *st;
	finding->places[finding->n++] = (struct place){
		.branch = branch,
		.device = st->st_dev,
		.is_renamed = is_renamed,
		.trail = trail,
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

/* A path that grows; NULL: the root. */
struct text {
	char *s;
	size_t length, room;
};

static int text_extend(struct text *text, const char *name)
{
	size_t added = strlen(name) + (text->length > 0);

	if (text->length + added >= text->room) {
		size_t room = 2 * text->room + added + 64;
		char *s = realloc(text->s, room);

		if (!s)
			return -ENOMEM;
		text->s = s;
		text->room = room;
	}
	if (text->length > 0)
		text->s[text->length++] = '/';
	strcpy(text->s + text->length, name);
	text->length += strlen(name);
	return 0;
}

/* A walk down one branch: how far it has come, and what that is called in branches below. */
struct descent {
	struct finding *finding;
	unsigned int branch;
	int dirfd; /* where it is; owned */
	struct trail *walked; /* from the branch's root; owned */
	struct text
		below; /* the same directory in branches below, where redirects lead elsewhere */
	bool is_below_opaque; /* so that branches below take no part */
};

static void descent_done(struct descent *descent)
{
	if (descent->dirfd >= 0)
		close(descent->dirfd);
	trail_unref(descent->walked, descent->finding->dirs->fds);
	free(descent->below.s);
}

static int go_on(struct descent *descent, const char *name)
{
	struct trail *longer = trail_new(descent->walked, name);

	if (!longer)
		return -ENOMEM;
	trail_unref(descent->walked, descent->finding->dirs->fds);
	descent->walked = longer;
	return 0;
}

/* Notes what the directory `name` is called below, given its redirect, if it has one. */
static int follow(struct descent *descent, const char *name, const char *redirect)
{
	if (!redirect || !redirect_is_path(redirect))
		return text_extend(&descent->below, redirect ? redirect : name);
	descent->below.length = 0;
	return text_extend(&descent->below, redirect + 1);
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
		int extended = r == NOTHING ? text_extend(&descent->below, name) : 0;

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
	r = go_on(descent, name);
	if (r == 0)
		r = follow(descent, name, redirect);
	if (r == 0 && is_last)
		r = add_place(descent->finding, descent->branch, trail_ref(descent->walked), true,
			      &st);
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

	return r < 0 ? r : add_place(finding, branch, trail_new(NULL, ""), false, &st);
}

/*
 * Adds the directory `path` of one branch, if it is there.  STOP; or GO_ON
 * with *below the path to look for in the branches below, NULL: the root; or -errno.
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
	descent.walked = trail_new(NULL, "");
	if (descent.dirfd < 0 || !descent.walked)
		return descent.dirfd < 0 ? descent.dirfd : -ENOMEM;
	if (!*path) {
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
			if (*path && text_extend(&descent.below, path) < 0)
				return -ENOMEM;
			break;
		}
	}
	*below = take_ptr(descent.below.s);
	return descent.is_below_opaque ? STOP : GO_ON;
}

int finding_by_path(struct finding *finding, unsigned int branch, const char *path)
{
	cleanup_free char *at = NULL;
	int r = GO_ON;

	path += strspn(path, "/");
	if (*path && strcmp(path, ".") != 0) {
		at = strdup(path);
		r = at ? GO_ON : -ENOMEM;
	}
	for (; branch < finding->dirs->n_branches && r == GO_ON; branch++) {
		char *below = NULL;

		r = find_in_branch(finding, branch, at ? at : "", &below);
		free(at);
		at = below;
	}
	return r < 0 ? r : 0;
}

int finding_by_places(struct finding *finding, struct directory *dir, size_t i, const char *name)
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
		r = add_place(finding, place->branch, trail_new(place->trail, name),
			      place->is_renamed || renamed, &st);
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
