/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The generator: branches. */
#include "differ_generate.h"

#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "base/cleanup.h"

static void dress(struct generator *g, struct entry *entry)
{
	entry->mode = entry->type == ENTRY_DIR && percent(g, 70) ? 0755 : any_mode(g);
	if (entry->type != ENTRY_DIR || percent(g, 30)) {
		entry->uid = g->options->has_ids ? any_uid(g) : 0;
		entry->gid = g->options->has_ids ? any_gid(g) : 0;
	}
	entry->sec = any_sec(g);
	entry->nsec = below(g, 1000000000);
	entry->seed = below(g, 1000000);
	if ((entry->type == ENTRY_FILE || entry->type == ENTRY_DIR) && percent(g, 25))
		entry->xattrs = below(g, 4);
	if (g->options->is_root && percent(g, 10))
		entry->xattrs |= XATTR_TRUSTED;
	if (g->options->is_root && entry->type == ENTRY_FILE && !g->options->full && percent(g, 5))
		entry->xattrs |= XATTR_CAPABILITY;
	if (entry->type == ENTRY_DIR && g->options->has_ids && percent(g, 8))
		entry->xattrs |= XATTR_DEFAULT_ACL;
}

/* Makes the directories above `path` in `branch`. False if something else is in the way. */
static bool make_parents(struct generator *g, int64_t branch, const char *path)
{
	struct stack *stack = &g->program->stack;
	const char *slash = path;
	bool fine = true;

	while (fine && (slash = strchr(slash, '/'))) {
		char *parent = strndup(path, slash++ - path);
		const struct entry *there = stack_find(stack, branch, parent);

		if (there) {
			fine = there->type == ENTRY_DIR;
			free(parent);
		} else {
			struct entry dir = { .branch = branch, .type = ENTRY_DIR, .path = parent };

			dress(g, &dir);
			stack_add(stack, dir);
		}
	}
	return fine;
}

/* An x in place of the y would make the directory no longer opaque. */
static bool xattr_whiteouts_fit(const struct entry *dir)
{
	return dir->mark < OPAQUE_TRUSTED;
}

/* Whether there is room for .wh. before the name. */
static bool wh_fits(const char *path)
{
	const char *slash = strrchr(path, '/');

	return strlen(slash ? slash + 1 : path) <= 251;
}

/* The daemon reads what an earlier mount has written in upper: the same formats. MARK_NONE: none.
 */
static enum mark whiteout_format(struct generator *g, int64_t branch, const char *path)
{
	static const enum mark all[] = { WHITEOUT_CHAR, WHITEOUT_CHAR, WHITEOUT_CHAR,
					 WHITEOUT_WH,	WHITEOUT_WH,   WHITEOUT_WH,
					 WHITEOUT_ATTR, WHITEOUT_ATTR, WHITEOUT_ATTR_USER };
	static const enum mark kernel[] = { WHITEOUT_CHAR, WHITEOUT_CHAR, WHITEOUT_ATTR };
	const char *slash = strrchr(path, '/');
	char *parent = slash ? strndup(path, slash - path) : xstrdup(".");
	const struct entry *dir = stack_find(&g->program->stack, branch, parent);
	enum mark format = g->program->kernel ? PICK(g, kernel) : PICK(g, all);

	free(parent);
	if (g->options->is_nested)
		return xattr_whiteouts_fit(dir) ? WHITEOUT_ATTR : MARK_NONE;
	if ((format == WHITEOUT_WH && !wh_fits(path)) ||
	    (format == WHITEOUT_ATTR && !g->options->is_root))
		return WHITEOUT_CHAR;
	if ((format == WHITEOUT_ATTR || format == WHITEOUT_ATTR_USER) && !xattr_whiteouts_fit(dir))
		return WHITEOUT_CHAR;
	return format;
}

static void add_whiteout(struct generator *g, int64_t branch, char *path)
{
	struct entry entry = { .branch = branch, .type = ENTRY_WHITEOUT, .path = path };

	if (strstr(path, ".wh.") || !make_parents(g, branch, path) ||
	    stack_find(&g->program->stack, branch, path)) {
		free(path);
		return;
	}
	entry.mark = whiteout_format(g, branch, path);
	if (entry.mark == MARK_NONE)
		free(path);
	else
		stack_add(&g->program->stack, entry);
}

static enum mark opaque_format(struct generator *g, const char *path)
{
	static const enum mark marks[] = { OPAQUE_TRUSTED, OPAQUE_USER, OPAQUE_FUSE, OPAQUE_WH,
					   WHITEOUT_WH };
	enum mark mark;

	if (g->program->kernel)
		return OPAQUE_TRUSTED;
	mark = g->options->is_root ? PICK(g, marks) : marks[1 + below(g, 4)];
	return mark == WHITEOUT_WH && !wh_fits(path) ? MARK_NONE : mark;
}

static enum entry_type any_type(struct generator *g)
{
	static const enum entry_type types[] = {
		ENTRY_DIR,     ENTRY_DIR,  ENTRY_DIR,	 ENTRY_DIR,  ENTRY_FILE, ENTRY_FILE,
		ENTRY_FILE,    ENTRY_FILE, ENTRY_FILE,	 ENTRY_FILE, ENTRY_FILE, ENTRY_SYMLINK,
		ENTRY_SYMLINK, ENTRY_FIFO, ENTRY_SOCKET, ENTRY_CHAR, ENTRY_BLOCK
	};
	enum entry_type type = PICK(g, types);

	return (type == ENTRY_CHAR || type == ENTRY_BLOCK) && !g->options->is_root ? ENTRY_FIFO
										   : type;
}

int64_t any_device(struct generator *g, bool is_char)
{
	static const int64_t minors[] = { 3, 5 };

	/* Character devices: null and zero. Block devices: none that exists. */
	return is_char ? (int64_t)makedev(1, PICK(g, minors)) : (int64_t)makedev(251, below(g, 9));
}

static void add_object(struct generator *g, int64_t branch, char *path)
{
	struct entry entry = { .branch = branch, .type = any_type(g), .path = path };

	if (!make_parents(g, branch, path) || stack_find(&g->program->stack, branch, path) ||
	    strlen(strrchr(path, '/') ? strrchr(path, '/') + 1 : path) > 255 ||
	    strstr(path, ".wh.")) {
		free(path);
		return;
	}
	dress(g, &entry);
	if (entry.type == ENTRY_DIR && percent(g, 20))
		entry.mark = opaque_format(g, path);
	if (entry.type != ENTRY_DIR && !g->program->kernel && percent(g, 3) && wh_fits(path))
		entry.mark = WHITEOUT_WH;
	if (entry.type == ENTRY_SYMLINK)
		entry.target = any_target(g);
	if (entry.type == ENTRY_CHAR || entry.type == ENTRY_BLOCK)
		entry.rdev = any_device(g, entry.type == ENTRY_CHAR);
	if (entry.type == ENTRY_FILE) {
		entry.size = any_size(g);
		entry.sparse = percent(g, 15);
		if (entry.sparse)
			entry.size += 3000000;
	}
	stack_add(&g->program->stack, entry);
}

static bool can_link(struct generator *g, const struct entry *entry, int64_t branch)
{
	return entry->branch == branch && entry->type != ENTRY_DIR &&
	       entry->type != ENTRY_WHITEOUT && is_for(g->program, g->thread, entry->path);
}

/* A second name for some object of this branch that is no directory; threads share none. */
static void add_link(struct generator *g, int64_t branch, char *path)
{
	struct stack *stack = &g->program->stack;
	size_t start = below(g, stack->count), i;
	struct entry entry, *old = NULL;

	if (!make_parents(g, branch, path) || stack_find(stack, branch, path) ||
	    strstr(path, ".wh.")) {
		free(path);
		return;
	}
	for (i = 0; i < stack->count; i++) {
		old = &stack->entries[(start + i) % stack->count];
		if (can_link(g, old, branch))
			break;
	}
	if (!old || i == stack->count) {
		free(path);
		return;
	}
	if (!old->group)
		old->group = ++g->next_group;
	entry = *old;
	entry.path = path;
	entry.target = xstrdup(old->target);
	entry.mark = MARK_NONE;
	stack_add(stack, entry);
}

static void know_stack(struct generator *g)
{
	struct stack merged;
	size_t i;

	know_nothing(g);
	stack_merge(&g->program->stack, 0, &merged);
	for (i = 0; i < merged.count; i++)
		know(g, merged.entries[i].path, merged.entries[i].type);
	stack_done(&merged);
}

/* ---- redirects ---- */

static char *parent_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? strndup(path, slash - path) : xstrdup(".");
}

/* Some directory that the branches below show, but not their root; NULL if there is none. */
static const char *lower_dir(struct generator *g)
{
	size_t start = g->lower.count ? below(g, g->lower.count) : 0, i;

	for (i = 0; i < g->lower.count; i++) {
		const struct entry *entry = &g->lower.entries[(start + i) % g->lower.count];

		if (entry->type == ENTRY_DIR && strcmp(entry->path, ".") != 0 &&
		    is_for(g->program, g->thread, entry->path) && !is_shared_top(g, entry->path) &&
		    (g->program->n_threads == 1 || strchr(entry->path, '/')))
			return entry->path;
	}
	return NULL;
}

/* How `path` says where `from` is: by name, if that is beside it. */
static char *redirect_to(struct generator *g, const char *path, const char *from)
{
	cleanup_free char *parent = parent_of(path), *beside = parent_of(from);
	const char *slash = strrchr(from, '/');

	return !strcmp(parent, beside) && percent(g, 60) ? xstrdup(slash ? slash + 1 : from)
							 : xformat("/%s", from);
}

static bool shows_twice(const struct stack *stack)
{
	struct stack merged;
	bool twice = !stack_merge(stack, 0, &merged);

	stack_done(&merged);
	return twice;
}

/* A directory that was moved here, as a union would leave it. Takes `path`. */
static void add_redirect(struct generator *g, int64_t branch, char *path)
{
	struct stack *stack = &g->program->stack;
	struct entry dir = { .branch = branch, .type = ENTRY_DIR, .path = path };
	const char *from = lower_dir(g);

	if (!from || strstr(path, ".wh.") || !make_parents(g, branch, path) ||
	    stack_find(stack, branch, path)) {
		free(path);
		return;
	}
	dress(g, &dir);
	dir.redirect = redirect_to(g, path, from);
	if (!g->options->is_root || (!g->program->kernel && percent(g, 50)))
		dir.xattrs |= XATTR_REDIRECT_USER;
	/* Opaque is opaque, redirect or not. */
	if (percent(g, 8))
		dir.mark = opaque_format(g, dir.path);
	stack_add(stack, dir);
	if (percent(g, 90))
		add_whiteout(g, branch, xstrdup(from));
}

/* What shows in two places would have two inode numbers, or none of its own. */
static void settle_redirects(struct stack *stack)
{
	size_t i;

	for (i = stack->count; i-- > 0 && shows_twice(stack);) {
		free(stack->entries[i].redirect);
		stack->entries[i].redirect = NULL;
	}
}

static void generate_branch(struct generator *g, int64_t branch, size_t n)
{
	struct entry root = { .branch = branch, .type = ENTRY_DIR, .path = xstrdup(".") };
	size_t i;

	root.mode = 0777;
	root.sec = any_sec(g);
	if (!g->program->kernel && branch > 0 && percent(g, 2))
		root.mark = opaque_format(g, root.path);
	stack_add(&g->program->stack, root);
	stack_merge(&g->program->stack, branch + 1, &g->lower);
	for (i = 0; i < n; i++) {
		char *path;

		g->thread = below(g, g->program->n_threads);
		path = percent(g, 50) ? new_path(g) : any_path(g);
		if (!strcmp(path, ".") || strlen(path) > MAX_PATH / 2 ||
		    strlen(strrchr(path, '/') ? strrchr(path, '/') + 1 : path) > 255)
			free(path);
		else if (percent(g, 15) && (!is_shared_top(g, path)))
			add_whiteout(g, branch, path);
		else if (percent(g, 12))
			add_redirect(g, branch, path);
		else if (percent(g, 12))
			add_link(g, branch, path);
		else
			add_object(g, branch, path);
		/* So that what comes next lies in what there is. */
		if (i % 4 == 3)
			know_stack(g);
	}
	stack_done(&g->lower);
	settle_redirects(&g->program->stack);
	know_stack(g);
}

/* With threads: a directory for each, and the shared one, in the lowest branch. */
static void generate_tops(struct generator *g, int64_t branch)
{
	int64_t t;

	for (t = 0; g->program->n_threads > 1 && t <= g->program->n_threads; t++) {
		struct entry top = { .branch = branch, .type = ENTRY_DIR, .mode = 0777 };

		top.path = t < g->program->n_threads ? xformat("t%jd", (intmax_t)t)
						     : xstrdup("shared");
		stack_add(&g->program->stack, top);
	}
	know_stack(g);
}

void generate_stack(struct generator *g)
{
	struct stack *stack = &g->program->stack;
	int64_t branch;

	stack->n_branches = 2 + (percent(g, 25) ? 0 : below(g, 8));
	generate_tops(g, stack->n_branches - 1);
	for (branch = stack->n_branches - 1; branch >= 1; branch--)
		generate_branch(g, branch, 3 + below(g, 30));
	/* Upper is often empty, and else what an earlier mount may have left. */
	generate_branch(g, 0, percent(g, 70) ? 0 : below(g, 20));
}
