/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The model of a union, and nothing else: what a name shows is found by asking the
 * branches from the top down.  A directory goes on to the branches below until one
 * that is opaque, is hidden or holds something else; a redirect says under what name
 * they have it.
 */
#include "differ.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

/* Where a directory, or an object, is: one path in each branch that has a part in it. */
struct spots {
	const struct entry **at;
	size_t n;
};

struct merge {
	const struct stack *stack;
	struct stack *out;
	bool *used; /* which entries have shown */
	bool twice; /* one has in two places */
};

static void spots_add(struct spots *spots, const struct entry *entry)
{
	spots->at = xrealloc(spots->at, spots->n + 1, sizeof(*spots->at));
	spots->at[spots->n++] = entry;
}

static void spots_done(struct spots *spots)
{
	free(spots->at);
	*spots = (struct spots){ 0 };
}
#define cleanup_spots __attribute__((cleanup(spots_done)))

static char *join(const char *dir, const char *name)
{
	return !strcmp(dir, ".") ? xstrdup(name) : xformat("%s/%s", dir, name);
}

static bool is_opaque(const struct entry *entry)
{
	return entry->mark >= OPAQUE_TRUSTED;
}

static void find_roots(const struct stack *stack, int64_t branch, struct spots *ret)
{
	for (; branch < stack->n_branches; branch++) {
		const struct entry *root = stack_find(stack, branch, ".");

		if (root)
			spots_add(ret, root);
		if (root && is_opaque(root))
			return;
	}
}

static void find_path(const struct stack *stack, int64_t branch, const char *path,
		      struct spots *ret);

/* Adds what the name in the directory shows: a directory's parts, or the one other object. */
static void find_child(const struct stack *stack, const struct spots *dir, const char *name,
		       struct spots *ret)
{
	size_t i;

	for (i = 0; i < dir->n; i++) {
		cleanup_free char *path = join(dir->at[i]->path, name);
		const struct entry *entry = stack_find(stack, dir->at[i]->branch, path);

		if (!entry)
			continue;
		if (entry->type == ENTRY_WHITEOUT || (entry->type != ENTRY_DIR && ret->n))
			return;
		spots_add(ret, entry);
		if (entry->type != ENTRY_DIR || is_opaque(entry))
			return;
		if (entry->redirect && *entry->redirect == '/') {
			find_path(stack, entry->branch + 1, entry->redirect, ret);
			return;
		}
		/* Beside its own mark, a directory is opaque. */
		if (!entry->redirect && entry->mark == WHITEOUT_WH)
			return;
		if (entry->redirect)
			name = entry->redirect;
	}
}

/* Adds the parts of the directory `path`, as the branches from `branch` on show it. */
static void find_path(const struct stack *stack, int64_t branch, const char *path,
		      struct spots *ret)
{
	cleanup_free char *copy = xstrdup(path);
	char *rest = copy, *name;
	struct spots at = { 0 };
	size_t i;

	find_roots(stack, branch, &at);
	while ((name = strsep(&rest, "/"))) {
		struct spots next = { 0 };

		if (!*name)
			continue;
		find_child(stack, &at, name, &next);
		spots_done(&at);
		at = next;
	}
	for (i = 0; i < at.n && at.at[0]->type == ENTRY_DIR; i++)
		spots_add(ret, at.at[i]);
	spots_done(&at);
}

/* The name that `path` is in the directory `dir`, or NULL. */
static const char *name_in(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	if (!strcmp(path, "."))
		return NULL;
	if (strcmp(dir, ".") != 0) {
		if (strncmp(path, dir, len) != 0 || path[len] != '/')
			return NULL;
		path += len + 1;
	}
	return strchr(path, '/') ? NULL : path;
}

static void use(struct merge *merge, const struct spots *spots)
{
	size_t i, k;

	for (i = 0; i < spots->n; i++) {
		k = spots->at[i] - merge->stack->entries;
		merge->twice |= merge->used[k];
		merge->used[k] = true;
	}
}

static void emit(struct merge *merge, const struct spots *spots, const char *path)
{
	struct entry copy = entry_copy(spots->at[0]);

	free(copy.path);
	free(copy.redirect);
	copy.path = xstrdup(path);
	copy.redirect = NULL;
	copy.mark = MARK_NONE;
	/* Links are links of one branch; group numbers of two branches must not meet. */
	if (copy.group)
		copy.group += copy.branch * 1000000;
	copy.branch = 0;
	copy.has_lower = spots->at[spots->n - 1]->branch > 0;
	stack_add(merge->out, copy);
}

static void merge_at(struct merge *merge, const struct spots *spots, const char *path)
{
	const struct stack *stack = merge->stack;
	size_t i, k;

	use(merge, spots);
	emit(merge, spots, path);
	/* A redirect that leads to a directory above itself has no end. */
	if (spots->at[0]->type != ENTRY_DIR || merge->twice)
		return;
	for (i = 0; i < spots->n; i++)
		for (k = 0; k < stack->count; k++) {
			const struct entry *entry = &stack->entries[k];
			const char *name = entry->branch == spots->at[i]->branch
						   ? name_in(entry->path, spots->at[i]->path)
						   : NULL;
			cleanup_free char *child = name ? join(path, name) : NULL;
			cleanup_spots struct spots found = { 0 };

			if (!name || stack_find(merge->out, 0, child))
				continue;
			find_child(stack, spots, name, &found);
			if (found.n)
				merge_at(merge, &found, child);
		}
}

bool stack_merge(const struct stack *stack, int64_t first, struct stack *ret)
{
	struct merge merge = { .stack = stack, .out = ret };
	cleanup_spots struct spots roots = { 0 };

	*ret = (struct stack){ .n_branches = 1 };
	merge.used = xrealloc(NULL, stack->count, sizeof(bool));
	memset(merge.used, 0, stack->count * sizeof(bool));
	find_roots(stack, first, &roots);
	if (roots.n)
		merge_at(&merge, &roots, ".");
	free(merge.used);
	return !merge.twice;
}
