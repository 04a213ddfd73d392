/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A stack and a program from a seed.  So that most operations meet something, the
 * program is run as it is made, by a process whose root is a plain copy of the
 * merged tree, and each operation is chosen knowing what is there.  With several
 * threads each has a directory of its own and, in `shared`, names of its own.
 */
#include "differ.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))
#define PICK(g, array) ((array)[rng_below(&(g)->rng, COUNT(array))])

#define FILE_SLOTS 9 /* slots 1 to 8 are for files, the others for directories */
#define MAX_PATH 3000

/* What there is by now, if all goes as it should; symbolic links are not followed. */
struct known {
	char **paths;
	enum entry_type *types;
	size_t count;
};

struct generator {
	struct rng rng;
	struct program *program;
	const struct options *options;
	struct known known[MAX_THREADS];
	struct performer performers[MAX_THREADS];
	int64_t thread;
	int64_t next_group;
};

#define ANY_TYPE (-1)
#define ANY_FILE (-2) /* no directory */

static bool percent(struct generator *g, unsigned int n)
{
	return rng_percent(&g->rng, n);
}

static int64_t below(struct generator *g, int64_t n)
{
	return rng_below(&g->rng, n);
}

/* ---- known paths ---- */

static ssize_t known_find(const struct known *known, const char *path)
{
	size_t i;

	for (i = 0; i < known->count; i++)
		if (!strcmp(known->paths[i], path))
			return i;
	return -1;
}

static bool known_is(const struct known *known, const char *path, int type)
{
	ssize_t i = known_find(known, path);

	return i >= 0 && (type == ANY_TYPE ||
			  (type == ANY_FILE ? known->types[i] != ENTRY_DIR :
					      (int)known->types[i] == type));
}

static void known_add(struct known *known, const char *path, enum entry_type type)
{
	size_t n = known->count++;

	known->paths = xrealloc(known->paths, known->count, sizeof(*known->paths));
	known->types = xrealloc(known->types, known->count, sizeof(*known->types));
	known->paths[n] = xstrdup(path);
	known->types[n] = type;
}

static bool is_top(const char *path)
{
	return !strcmp(path, ".") || !strcmp(path, "shared");
}

static void known_clear(struct known *known)
{
	size_t i;

	for (i = 0; i < known->count; i++)
		free(known->paths[i]);
	free(known->paths);
	free(known->types);
	*known = (struct known){ 0 };
}

static bool known_is_empty(const struct known *known, const char *dir)
{
	size_t i;

	for (i = 0; i < known->count; i++)
		if (path_is_below(known->paths[i], dir) && strcmp(known->paths[i], dir) != 0)
			return false;
	return true;
}

static bool can_create(const struct known *known, const char *path)
{
	const char *slash = strrchr(path, '/');
	char *parent = slash ? strndup(path, slash - path) : xstrdup(".");
	bool can = known_is(known, parent, ENTRY_DIR) && !known_is(known, path, ANY_TYPE) &&
		   strlen(slash ? slash + 1 : path) <= 255 &&
		   strncmp(slash ? slash + 1 : path, ".wh.", 4) != 0;

	free(parent);
	return can;
}

/* Whether a thread may use a path. */
static bool is_for(const struct program *program, int64_t thread, const char *path)
{
	char own[40];

	if (program->n_threads == 1)
		return true;
	snprintf(own, sizeof(own), "t%jd", (intmax_t)thread);
	if (path_is_below(path, own) || !strcmp(path, "shared"))
		return true;
	snprintf(own, sizeof(own), "shared/%jd_", (intmax_t)thread);
	return !strncmp(path, own, strlen(own));
}

static void know(struct generator *g, const char *path, enum entry_type type)
{
	int64_t t;

	for (t = 0; t < g->program->n_threads; t++)
		if (is_for(g->program, t, path))
			known_add(&g->known[t], path, type);
}

static void know_nothing(struct generator *g)
{
	int64_t t;

	for (t = 0; t < g->program->n_threads; t++)
		known_clear(&g->known[t]);
}

/* ---- names and numbers ---- */

static char *make_name(struct generator *g)
{
	static const char *const letters[] = { "a", "b", "c", "d", "e", "f" };
	static const char *const odd[] = { "\xff\xfe", "two words", "caf\xc3\xa9", "new\nline", "%41",
					   "..x", "-", "wh.a", ".whx" };
	char *name;

	if (percent(g, 90))
		return xstrdup(PICK(g, letters));
	if (percent(g, 60))
		return xstrdup(PICK(g, odd));
	if (percent(g, 15))
		return xformat(".wh.%s", PICK(g, letters));
	/* Around the limits: 255 with and without room for a prefix. */
	name = xrealloc(NULL, 300, 1);
	memset(name, "xyz"[below(g, 3)], 300);
	name[(int[]){ 255, 255, 252, 251, 256 }[below(g, 5)]] = '\0';
	return name;
}

static struct known *known_here(struct generator *g)
{
	return &g->known[g->thread];
}

static const char *known_path(struct generator *g, int type)
{
	struct known *known = known_here(g);
	size_t start = known->count ? below(g, known->count) : 0, i;

	for (i = 0; i < known->count; i++) {
		const char *path = known->paths[(start + i) % known->count];

		if (is_top(path) && (type != ENTRY_DIR || percent(g, 70)))
			continue;
		if (known_is(known, path, type))
			return path;
	}
	return g->program->n_threads > 1 ? "shared" : ".";
}

static char *path_in(struct generator *g, const char *dir)
{
	char *name = make_name(g), *path;

	if (!strcmp(dir, "."))
		return name;
	if (g->program->n_threads > 1 && !strcmp(dir, "shared"))
		path = xformat("%s/%jd_%s", dir, (intmax_t)g->thread, name);
	else
		path = xformat("%s/%s", dir, name);
	free(name);
	return path;
}

static bool is_shared_top(struct generator *g, const char *path)
{
	return g->program->n_threads > 1 && !strcmp(path, "shared");
}

static char *new_path(struct generator *g)
{
	char *path = NULL;
	int tries;

	/* Deep trees are made less deep. */
	for (tries = 0; tries < 4; tries++) {
		free(path);
		path = path_in(g, known_path(g, ENTRY_DIR));
		if (can_create(known_here(g), path) && strlen(path) < 1000)
			break;
	}
	return path;
}

/* Mostly something that is there and of this type. */
static char *path_of(struct generator *g, int type)
{
	const char *path = known_path(g, percent(g, 90) ? type : ANY_TYPE);

	if (percent(g, 92) && !is_shared_top(g, path))
		return xstrdup(path);
	/* Sometimes below something that is no directory. */
	return percent(g, 30) ? path_in(g, known_path(g, ANY_TYPE)) : new_path(g);
}

static char *any_path(struct generator *g)
{
	return path_of(g, ANY_TYPE);
}

static int64_t any_mode(struct generator *g)
{
	static const int64_t modes[] = { 0644, 0600, 0755, 0777, 0666, 04755, 02755, 01777,
					 0,    0444, 06711, 02775, 02777, 02644, 0711, 0755 };

#ifdef MASK_SGID
	return PICK(g, modes) & ~02000;
#else
	return PICK(g, modes);
#endif
}

static int64_t any_uid(struct generator *g)
{
	static const int64_t ids[] = { 0, 0, 1000, 1001 };

	return PICK(g, ids);
}

static int64_t any_gid(struct generator *g)
{
	static const int64_t ids[] = { 0, 0, 1000, 1001, 2000 };

	return PICK(g, ids);
}

static int64_t any_sec(struct generator *g)
{
	static const int64_t times[] = { 0, 1, -1000, 86400, 1000000000, 1234567890, 1600000000,
					 2147483647, 2147483653, 4000000000 };

	return PICK(g, times);
}

static int64_t any_size(struct generator *g)
{
	static const int64_t sizes[] = { 0,	1,     100,    4095,   4096,  4097,
					 10000, 65536, 70000, 131072, 200000, 20 };

	return percent(g, 60) ? PICK(g, sizes) : below(g, 150000);
}

/* Relative to where the link is; the worker's root is the tree, so nothing leads out. */
static char *any_target(struct generator *g)
{
	static const char *const targets[] = { "a", "b", "c/a", "../a", "../b", "/a", "/b/c", ".",
					       "..", "/", "nowhere/x", "d", "../../c" };

	if (g->program->n_threads > 1)
		return xstrdup(percent(g, 50) ? "a" : "b");
	if (percent(g, 95))
		return xstrdup(PICK(g, targets));
	return xformat("%0*d", percent(g, 50) ? 4095 : (int)below(g, 300) + 1, 7);
}

/* ---- the stack ---- */

static void dress(struct generator *g, struct entry *entry)
{
	entry->mode = entry->type == ENTRY_DIR && percent(g, 70) ? 0755 : any_mode(g);
	if (entry->type != ENTRY_DIR || percent(g, 30)) {
		entry->uid = g->options->is_root ? any_uid(g) : 0;
		entry->gid = g->options->is_root ? any_gid(g) : 0;
	}
	entry->sec = any_sec(g);
	entry->nsec = below(g, 1000000000);
	entry->seed = below(g, 1000000);
	if ((entry->type == ENTRY_FILE || entry->type == ENTRY_DIR) && percent(g, 25))
		entry->xattrs = below(g, 4);
	if (g->options->is_root && percent(g, 10))
		entry->xattrs |= XATTR_TRUSTED;
	if (g->options->is_root && entry->type == ENTRY_FILE && percent(g, 5))
		entry->xattrs |= XATTR_CAPABILITY;
	if (entry->type == ENTRY_DIR && percent(g, 8))
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

static enum mark whiteout_format(struct generator *g, int64_t branch, const char *path)
{
	const char *slash = strrchr(path, '/');
	size_t len = strlen(slash ? slash + 1 : path);

	/* The daemon reads what an earlier mount has written in upper: the same formats. */
	(void)branch;
	if (g->program->kernel || percent(g, 40) || len > 251)
		return WHITEOUT_CHAR;
	return WHITEOUT_WH;
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
	stack_add(&g->program->stack, entry);
}

static enum mark opaque_format(struct generator *g)
{
	static const enum mark marks[] = { OPAQUE_TRUSTED, OPAQUE_USER, OPAQUE_FUSE, OPAQUE_WH };

	if (g->program->kernel)
		return OPAQUE_TRUSTED;
	return g->options->is_root ? PICK(g, marks) : marks[1 + below(g, 3)];
}

static enum entry_type any_type(struct generator *g)
{
	static const enum entry_type types[] = {
		ENTRY_DIR,     ENTRY_DIR,  ENTRY_DIR,	 ENTRY_DIR,  ENTRY_FILE, ENTRY_FILE,
		ENTRY_FILE,    ENTRY_FILE, ENTRY_FILE,	 ENTRY_FILE, ENTRY_FILE, ENTRY_SYMLINK,
		ENTRY_SYMLINK, ENTRY_FIFO, ENTRY_SOCKET, ENTRY_CHAR, ENTRY_BLOCK
	};
	enum entry_type type = PICK(g, types);

	return (type == ENTRY_CHAR || type == ENTRY_BLOCK) && !g->options->is_root ? ENTRY_FIFO : type;
}

static int64_t any_device(struct generator *g, bool is_char)
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
		entry.mark = opaque_format(g);
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
	stack_add(stack, entry);
}

static void know_stack(struct generator *g)
{
	struct stack merged;
	size_t i;

	know_nothing(g);
	stack_merge(&g->program->stack, &merged);
	for (i = 0; i < merged.count; i++)
		know(g, merged.entries[i].path, merged.entries[i].type);
	stack_done(&merged);
}

static void generate_branch(struct generator *g, int64_t branch, size_t n)
{
	struct entry root = { .branch = branch, .type = ENTRY_DIR, .path = xstrdup(".") };
	size_t i;

	root.mode = 0777;
	root.sec = any_sec(g);
	stack_add(&g->program->stack, root);
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
			add_link(g, branch, path);
		else
			add_object(g, branch, path);
		/* So that what comes next lies in what there is. */
		if (i % 4 == 3)
			know_stack(g);
	}
	know_stack(g);
}

/* With threads: a directory for each, and the shared one, in the lowest branch. */
static void generate_tops(struct generator *g, int64_t branch)
{
	int64_t t;

	for (t = 0; g->program->n_threads > 1 && t <= g->program->n_threads; t++) {
		struct entry top = { .branch = branch, .type = ENTRY_DIR, .mode = 0777 };

		top.path = t < g->program->n_threads ? xformat("t%jd", (intmax_t)t) :
						       xstrdup("shared");
		stack_add(&g->program->stack, top);
	}
	know_stack(g);
}

static void generate_stack(struct generator *g)
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

/* ---- operations ---- */

static int64_t open_slot(struct generator *g, int64_t from, int64_t n)
{
	int64_t slot = 0;
	int tries;

	for (tries = 0; tries < 12; tries++) {
		slot = from + below(g, n);
		if (g->performers[g->thread].slots[slot] >= 0)
			break;
	}
	return slot;
}

static int64_t file_slot(struct generator *g)
{
	return open_slot(g, 1, FILE_SLOTS - 1);
}

static int64_t dir_slot(struct generator *g)
{
	return open_slot(g, FILE_SLOTS, 4);
}

static int64_t open_flags(struct generator *g)
{
	static const int64_t modes[] = { O_RDONLY, O_WRONLY, O_RDWR, O_RDWR, O_RDWR, O_RDWR };
	int64_t flags = PICK(g, modes);

	if (percent(g, 40))
		flags |= O_CREAT;
	if (percent(g, 8))
		flags |= O_EXCL;
	if (percent(g, 12))
		flags |= O_TRUNC;
	if (percent(g, 12))
		flags |= O_APPEND;
	if (percent(g, 10))
		flags |= O_NOFOLLOW;
	if (percent(g, 2))
		flags |= O_DIRECTORY;
	if (percent(g, 3))
		flags |= O_SYNC;
	if (percent(g, 3))
		flags = O_PATH | (percent(g, 50) ? O_NOFOLLOW : 0);
	/* O_EXCL alone means something for O_TMPFILE, and is undefined elsewhere. */
	return flags & O_CREAT ? flags : flags & ~O_EXCL;
}

static void generate_open(struct generator *g, struct op *op)
{
	op->mode = any_mode(g);
	if (percent(g, 20)) {
		op->slot = FILE_SLOTS + below(g, 4);
		op->path = xstrdup(known_path(g, ENTRY_DIR));
		op->flags = O_RDONLY | O_DIRECTORY;
		op->mode = 0;
		return;
	}
	op->slot = 1 + below(g, FILE_SLOTS - 1);
	if (percent(g, 10)) {
		op->path = xstrdup(known_path(g, ENTRY_DIR));
		op->flags = O_TMPFILE | O_RDWR;
	} else {
		op->flags = open_flags(g);
		op->path = op->flags & O_CREAT && percent(g, 40) ? new_path(g) :
			   path_of(g, percent(g, 85) ? ENTRY_FILE : ANY_TYPE);
	}
}

static void generate_fd_data(struct generator *g, struct op *op)
{
	static const int64_t allocations[] = {
		0, FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		FALLOC_FL_ZERO_RANGE, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE,
		FALLOC_FL_COLLAPSE_RANGE, FALLOC_FL_INSERT_RANGE, FALLOC_FL_PUNCH_HOLE
	};

	op->slot = file_slot(g);
	op->off = percent(g, 50) ? any_size(g) : 0;
	op->len = any_size(g);
	op->seed = below(g, 1000000);
	if (op->kind == OP_LSEEK)
		op->mode = below(g, 3);
	if (op->kind == OP_HOLES)
		op->len = 0;
	if (op->kind == OP_FALLOCATE)
		op->flags = PICK(g, allocations);
	if (op->kind == OP_COPY) {
		op->slot2 = file_slot(g);
		op->off2 = any_size(g);
	}
	if (op->kind == OP_MMAP_READ || op->kind == OP_MMAP_WRITE)
		op->flags = percent(g, 60) ? MAP_SHARED : MAP_PRIVATE;
}

static void generate_attributes(struct generator *g, struct op *op)
{
	op->mode = any_mode(g);
	op->uid = percent(g, 20) ? -1 : any_uid(g);
	op->gid = percent(g, 20) ? -1 : any_gid(g);
	op->sec = any_sec(g);
	op->nsec = percent(g, 10) ? UTIME_NOW : percent(g, 10) ? UTIME_OMIT : below(g, 1000000000);
	if (op->kind != OP_CHMOD && op->kind != OP_FCHMOD)
		op->mode = 0;
	if (op->kind != OP_CHOWN && op->kind != OP_FCHOWN)
		op->uid = op->gid = 0;
	if (op->kind != OP_UTIMENS && op->kind != OP_FUTIMENS)
		op->sec = op->nsec = 0;
	if ((op->kind == OP_CHOWN || op->kind == OP_UTIMENS) && percent(g, 50))
		op->flags = AT_SYMLINK_NOFOLLOW;
}

static void generate_xattr(struct generator *g, struct op *op)
{
	static const char *const names[] = {
		"user.three", "security.capability",
		"security.test", "trusted.overlay.opaque", "user.overlay.origin",
		"user.fuseoverlayfs.opaque", "nonsense", "system.other", "user."
	};
	static const int64_t sizes[] = { 0, 1, 20, 200, 200, 65537 };

	static const char *const usual[] = { "user.one", "user.two", "trusted.three",
					     "system.posix_acl_access", "system.posix_acl_default" };

	op->path2 = xstrdup(percent(g, 70) ? PICK(g, usual) : PICK(g, names));
	op->seed = below(g, 1000000);
	if (op->kind == OP_SETXATTR || op->kind == OP_FSETXATTR) {
		op->len = PICK(g, sizes);
		if (percent(g, 40))
			op->flags = percent(g, 50) ? XATTR_CREATE : XATTR_REPLACE;
	} else if (percent(g, 15)) {
		op->len = 1 + below(g, 30);
	}
}

static void generate_rename(struct generator *g, struct op *op)
{
	op->path = path_of(g, percent(g, 50) ? ENTRY_DIR : ANY_FILE);
	if (percent(g, 10))
		op->flags = RENAME_NOREPLACE;
	else if (percent(g, 15))
		op->flags = RENAME_EXCHANGE;
	if (percent(g, op->flags & RENAME_EXCHANGE ? 10 : 60))
		op->path2 = new_path(g);
	else
		op->path2 = path_of(g, known_is(known_here(g), op->path, ENTRY_DIR) ? ENTRY_DIR :
									      ANY_FILE);
}

static void generate_mknod(struct generator *g, struct op *op)
{
	static const mode_t types[] = { S_IFIFO, S_IFSOCK, S_IFCHR, S_IFBLK, S_IFREG, S_IFIFO };
	mode_t type = PICK(g, types);

	if (!g->options->is_root && (type == S_IFCHR || type == S_IFBLK))
		type = S_IFIFO;
	op->path = new_path(g);
	op->mode = type | any_mode(g);
	if (type == S_IFCHR || type == S_IFBLK)
		op->rdev = type == S_IFCHR && percent(g, 10) ? 0 : any_device(g, type == S_IFCHR);
}

static const char *empty_dir(struct generator *g)
{
	const char *path = ".";
	int tries;

	for (tries = 0; tries < 10; tries++) {
		path = known_path(g, ENTRY_DIR);
		if (known_is_empty(known_here(g), path))
			break;
	}
	return path;
}

static void generate_names(struct generator *g, struct op *op)
{
	switch (op->kind) {
	case OP_MKDIR:
		op->path = percent(g, 85) ? new_path(g) : any_path(g);
		op->mode = percent(g, 60) ? 0755 : any_mode(g);
		break;
	case OP_RMDIR:
		op->path = percent(g, 70) ? xstrdup(empty_dir(g)) : path_of(g, ENTRY_DIR);
		break;
	case OP_UNLINK:
		op->path = path_of(g, ANY_FILE);
		break;
	case OP_RENAME:
		generate_rename(g, op);
		break;
	case OP_LINK:
		op->path = path_of(g, ANY_FILE);
		op->path2 = percent(g, 90) ? new_path(g) : any_path(g);
		op->flags = percent(g, 20) ? AT_SYMLINK_FOLLOW : 0;
		break;
	case OP_SYMLINK:
		op->path = new_path(g);
		op->path2 = any_target(g);
		break;
	case OP_MKNOD:
		generate_mknod(g, op);
		break;
	case OP_LINKFD:
		op->slot = file_slot(g);
		op->path = new_path(g);
		break;
	default:
		break;
	}
}

static void generate_looks(struct generator *g, struct op *op)
{
	static const int types[N_OP_KINDS] = {
		[OP_TRUNCATE] = 1, [OP_READFILE] = 1, [OP_WRITEFILE] = 1, [OP_READLINK] = 2,
	};

	op->path = path_of(g, types[op->kind] == 1 ? ENTRY_FILE :
			      types[op->kind] == 2 ? ENTRY_SYMLINK : ANY_TYPE);
	switch (op->kind) {
	case OP_STAT:
	case OP_STATX:
		op->flags = percent(g, 60) ? AT_SYMLINK_NOFOLLOW : 0;
		break;
	case OP_ACCESS:
		op->mode = below(g, 8);
		op->flags = percent(g, 30) ? AT_EACCESS : 0;
		break;
	case OP_READLINK:
		op->len = percent(g, 20) ? below(g, 10) : 0;
		break;
	case OP_READDIR:
		free(op->path);
		op->path = path_of(g, ENTRY_DIR);
		op->len = percent(g, 50) ? 32000 - 1 : below(g, 1000);
		op->seed = below(g, 1000);
		break;
	case OP_TRUNCATE:
		op->len = any_size(g);
		break;
	case OP_WRITEFILE:
		op->flags = percent(g, 50) ? O_CREAT : 0;
		op->flags |= percent(g, 50) ? O_TRUNC : 0;
		op->flags |= percent(g, 10) ? O_APPEND : 0;
		op->mode = any_mode(g);
		op->len = any_size(g);
		op->seed = below(g, 1000000);
		break;
	default:
		break;
	}
}

static void generate_args(struct generator *g, struct op *op)
{
	switch (op->kind) {
	case OP_OPEN:
		generate_open(g, op);
		break;
	case OP_READ ... OP_HOLES:
	case OP_FTRUNCATE ... OP_SYNCFS:
		generate_fd_data(g, op);
		break;
	case OP_CLOSE:
	case OP_FSTAT:
	case OP_FLISTXATTR:
		op->slot = file_slot(g);
		break;
	case OP_FCHMOD ... OP_FUTIMENS:
		op->slot = file_slot(g);
		generate_attributes(g, op);
		break;
	case OP_FSETXATTR:
	case OP_FGETXATTR:
	case OP_FREMOVEXATTR:
		op->slot = file_slot(g);
		generate_xattr(g, op);
		break;
	case OP_LINKFD:
	case OP_MKDIR ... OP_SYMLINK:
	case OP_MKNOD:
		generate_names(g, op);
		break;
	case OP_CHMOD ... OP_UTIMENS:
		op->path = any_path(g);
		generate_attributes(g, op);
		break;
	case OP_SETXATTR:
	case OP_GETXATTR:
	case OP_REMOVEXATTR:
		op->path = any_path(g);
		op->check = percent(g, 40) ? 2 : 0;
		generate_xattr(g, op);
		break;
	case OP_READDIRFD:
		op->slot = dir_slot(g);
		op->len = percent(g, 50) ? 32000 - 1 : below(g, 1000);
		op->seed = below(g, 1000);
		break;
	case OP_STATFS:
		op->path = xstrdup(known_path(g, ENTRY_DIR));
		break;
	case OP_UMASK:
		op->mode = (int64_t[]){ 022, 077, 0, 002, 027 }[below(g, 5)];
		break;
	default:
		generate_looks(g, op);
	}
}

/* Some begin at a directory that was opened earlier and may be elsewhere or gone by now. */
static void begin_at_slot(struct generator *g, struct op *op)
{
	static const enum op_kind kinds[] = { OP_OPEN,	 OP_MKDIR,   OP_RMDIR, OP_UNLINK, OP_RENAME,
					      OP_MKNOD,	 OP_SYMLINK, OP_STAT,  OP_CHMOD,  OP_CHOWN,
					      OP_READDIR, OP_LINK,   OP_READFILE, OP_WRITEFILE };
	size_t i;

	if (!op->path || g->program->n_threads > 1 || !percent(g, 5))
		return;
	for (i = 0; i < COUNT(kinds); i++) {
		if (kinds[i] != op->kind)
			continue;
		op->at = dir_slot(g);
		free(op->path);
		op->path = make_name(g);
		return;
	}
}

static const struct {
	enum op_kind kind;
	unsigned int weight;
} weights[] = {
	{ OP_OPEN, 90 },	{ OP_CLOSE, 20 },	{ OP_READ, 25 },     { OP_WRITE, 30 },
	{ OP_PREAD, 30 },	{ OP_PWRITE, 40 },	{ OP_LSEEK, 8 },     { OP_HOLES, 8 },
	{ OP_TRUNCATE, 12 },	{ OP_FTRUNCATE, 12 },	{ OP_FALLOCATE, 12 }, { OP_COPY, 10 },
	{ OP_MMAP_READ, 12 },	{ OP_MMAP_WRITE, 12 },	{ OP_FSYNC, 2 },     { OP_FDATASYNC, 2 },
	{ OP_SYNCFS, 1 },	{ OP_FSTAT, 20 },	{ OP_FCHMOD, 8 },    { OP_FCHOWN, 8 },
	{ OP_FUTIMENS, 10 },	{ OP_FSETXATTR, 6 },	{ OP_FGETXATTR, 5 }, { OP_FLISTXATTR, 4 },
	{ OP_FREMOVEXATTR, 4 }, { OP_LINKFD, 8 },	{ OP_READFILE, 40 }, { OP_WRITEFILE, 30 },
	{ OP_MKDIR, 40 },	{ OP_RMDIR, 30 },	{ OP_UNLINK, 60 },   { OP_RENAME, 80 },
	{ OP_LINK, 30 },	{ OP_SYMLINK, 12 },	{ OP_READLINK, 10 }, { OP_MKNOD, 15 },
	{ OP_CHMOD, 20 },	{ OP_CHOWN, 20 },	{ OP_UTIMENS, 25 },  { OP_SETXATTR, 20 },
	{ OP_GETXATTR, 12 },	{ OP_LISTXATTR, 8 },	{ OP_REMOVEXATTR, 8 }, { OP_STAT, 40 },
	{ OP_STATX, 10 },	{ OP_ACCESS, 15 },	{ OP_READDIR, 30 },  { OP_READDIRFD, 8 },
	{ OP_STATFS, 1 },	{ OP_UMASK, 4 },
};

static enum op_kind any_kind(struct generator *g)
{
	unsigned int total = 0;
	size_t i;
	int64_t at;

	for (i = 0; i < COUNT(weights); i++)
		total += g->options->disabled[weights[i].kind] ? 0 : weights[i].weight;
	at = below(g, total);
	for (i = 0;; i++) {
		at -= g->options->disabled[weights[i].kind] ? 0 : weights[i].weight;
		if (at < 0)
			return weights[i].kind;
	}
}

/* Whether its outcome depends on what other threads do: it changes what they share. */
static bool is_order_dependent(struct generator *g, const struct op *op)
{
	if (op->path2 && op->kind != OP_SYMLINK && is_shared_top(g, op->path2))
		return true;
	if (!op->path || !is_shared_top(g, op->path))
		return false;
	switch (op->kind) {
	case OP_OPEN:
		return op->flags & O_CREAT;
	case OP_READDIR:
	case OP_STAT:
	case OP_GETXATTR:
	case OP_LISTXATTR:
	case OP_STATFS:
		return false;
	default:
		return true;
	}
}

static void generate_op(struct generator *g)
{
	struct op op = { .kind = any_kind(g) };

	g->thread = below(g, g->program->n_threads);
	op.thread = g->thread;
	if (g->options->is_root && percent(g, 15))
		op.cred = 1 + below(g, 4);
	generate_args(g, &op);
	op.check |= percent(g, 30);
	begin_at_slot(g, &op);
	if (is_order_dependent(g, &op)) {
		free(op.path);
		free(op.path2);
		op = (struct op){ .kind = OP_UMASK, .thread = op.thread, .mode = 022 };
	}
	program_add(g->program, op);
}

/* ---- the run that tells what is there ---- */

static enum entry_type type_of_mode(mode_t mode)
{
	return S_ISDIR(mode) ? ENTRY_DIR : S_ISLNK(mode) ? ENTRY_SYMLINK :
	       S_ISFIFO(mode) ? ENTRY_FIFO : S_ISSOCK(mode) ? ENTRY_SOCKET :
	       S_ISCHR(mode) ? ENTRY_CHAR : S_ISBLK(mode) ? ENTRY_BLOCK : ENTRY_FILE;
}

/* Sorted: the order of a listing is the filesystem's, and must not decide what comes next. */
static void know_tree(struct generator *g, int dirfd, const char *path)
{
	struct dirent **list;
	struct stat st;
	int i, n = scandirat(dirfd, ".", &list, NULL, alphasort);

	for (i = 0; i < n; i++) {
		cleanup_free struct dirent *d = list[i];
		cleanup_free char *child = !strcmp(path, ".") ? xstrdup(d->d_name) :
					   xformat("%s/%s", path, d->d_name);
		cleanup_fd int fd = -1;

		if (!strcmp(d->d_name, ".") || !strcmp(d->d_name, "..") ||
		    fstatat(dirfd, d->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		    strlen(child) > MAX_PATH)
			continue;
		know(g, child, type_of_mode(st.st_mode));
		if (!S_ISDIR(st.st_mode))
			continue;
		fd = openat(dirfd, d->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd >= 0)
			know_tree(g, fd, child);
	}
	if (n >= 0)
		free(list);
}

static bool changes_names(enum op_kind kind)
{
	return kind == OP_OPEN || kind == OP_LINKFD || kind == OP_WRITEFILE ||
	       (kind >= OP_MKDIR && kind <= OP_SYMLINK) || kind == OP_MKNOD;
}

static void try_op(struct generator *g, int root)
{
	const struct op *op = &g->program->ops[g->program->count - 1];
	cleanup_text struct text answer = { 0 };

	if (accept_skips(op))
		return;
	if (accept_must_fail(op))
		op_refuse(&g->performers[op->thread], op, &answer);
	else
		op_perform(&g->performers[op->thread], op, &answer);
	if (!changes_names(op->kind) || !strncmp(answer.s, "r=-1", 4))
		return;
	know_nothing(g);
	know(g, ".", ENTRY_DIR);
	know_tree(g, root, ".");
}

static void close_all(struct generator *g, int root, bool again)
{
	int64_t t;

	for (t = 0; t < g->program->n_threads; t++) {
		if (again)
			performer_done(&g->performers[t]);
		performer_init(&g->performers[t], root, 0, g->options->is_root,
			       g->program->n_threads > 1);
	}
	umask(022);
}

static void generate_ops(struct generator *g, int root)
{
	size_t i, n = g->options->n_ops;

	close_all(g, root, false);
	for (i = 1; i <= n; i++) {
		if (i % (n / 3 + 1) == 0) {
			program_add(g->program, (struct op){ .kind = OP_REMOUNT });
			close_all(g, root, true);
		} else if (i % 150 == 0) {
			program_add(g->program, (struct op){ .kind = OP_COMPARE });
		} else {
			generate_op(g);
			try_op(g, root);
		}
	}
}

/* The generating process: its root is `dir`, it prints the program into `out` and ends. */
static _Noreturn void generate_in(struct generator *g, const char *dir, int out)
{
	int root = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	FILE *f = fdopen(out, "w");
	struct stack merged;

	umask(0);
	stack_merge(&g->program->stack, &merged);
	if (root < 0 || !f || stack_materialise(&merged, 0, root) < 0 || fchdir(root) < 0 ||
	    chroot(".") < 0)
		_exit(1);
	generate_ops(g, root);
	program_print(g->program, f);
	fclose(f);
	_exit(0);
}

static int generate_program(struct generator *g, const char *dir, struct program *ret)
{
	int pipe_fds[2], status = -1;
	FILE *in;
	pid_t pid;
	int r;

	if (pipe2(pipe_fds, O_CLOEXEC) < 0)
		return -errno;
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		/* Else it would wait for ever for itself to read, should we stop reading. */
		close(pipe_fds[0]);
		generate_in(g, dir, pipe_fds[1]);
	}
	close(pipe_fds[1]);
	in = fdopen(pipe_fds[0], "r");
	r = program_parse(ret, in, "generated program");
	fclose(in);
	waitpid(pid, &status, 0);
	return r < 0 ? r : status ? -EIO : 0;
}

int program_generate(struct program *program, uint64_t seed, const struct options *options)
{
	struct program raw = { .seed = seed, .n_threads = options->n_threads };
	struct generator g = { .rng = { seed }, .program = &raw, .options = options };
	cleanup_free char *dir = xformat("%s/generate.XXXXXX", options->dir);
	int r;

	*program = (struct program){ 0 };
	raw.kernel = !strcmp(options->profile, "kernel") ||
		     (!strcmp(options->profile, "mixed") && seed % 2);
	rng_next(&g.rng);
	generate_stack(&g);
	if (!mkdtemp(dir))
		r = -errno;
	else
		r = generate_program(&g, dir, program);
	fd_remove_tree(AT_FDCWD, dir);
	know_nothing(&g);
	program_done(&raw);
	return r;
}
