/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The generator: what is known to be there, and what names and numbers are worth trying. */
#include "differ_generate.h"

#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

bool percent(struct generator *g, unsigned int n)
{
	return rng_percent(&g->rng, n);
}

int64_t below(struct generator *g, int64_t n)
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

bool known_is(const struct known *known, const char *path, int type)
{
	ssize_t i = known_find(known, path);

	return i >= 0 && (type == ANY_TYPE || (type == ANY_FILE ? known->types[i] != ENTRY_DIR
								: (int)known->types[i] == type));
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

bool known_is_empty(const struct known *known, const char *dir)
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
bool is_for(const struct program *program, int64_t thread, const char *path)
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

void know(struct generator *g, const char *path, enum entry_type type)
{
	int64_t t;

	for (t = 0; t < g->program->n_threads; t++)
		if (is_for(g->program, t, path))
			known_add(&g->known[t], path, type);
}

void know_nothing(struct generator *g)
{
	int64_t t;

	for (t = 0; t < g->program->n_threads; t++)
		known_clear(&g->known[t]);
}

/* ---- names and numbers ---- */

char *make_name(struct generator *g)
{
	static const char *const letters[] = { "a", "b", "c", "d", "e", "f" };
	static const char *const odd[] = { "\xff\xfe",	"two words", "caf\xc3\xa9",
					   "new\nline", "%41",	     "..x",
					   "-",		"wh.a",	     ".whx" };
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
	if (g->options->no_long_names)
		name[251] = '\0';
	return name;
}

struct known *known_here(struct generator *g)
{
	return &g->known[g->thread];
}

const char *known_path(struct generator *g, int type)
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

bool is_shared_top(struct generator *g, const char *path)
{
	return g->program->n_threads > 1 && !strcmp(path, "shared");
}

char *new_path(struct generator *g)
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
char *path_of(struct generator *g, int type)
{
	const char *path = known_path(g, percent(g, 90) ? type : ANY_TYPE);

	if (percent(g, 92) && !is_shared_top(g, path))
		return xstrdup(path);
	/* Sometimes below something that is no directory. */
	return percent(g, 30) ? path_in(g, known_path(g, ANY_TYPE)) : new_path(g);
}

char *any_path(struct generator *g)
{
	return path_of(g, ANY_TYPE);
}

int64_t any_mode(struct generator *g)
{
	static const int64_t modes[] = { 0644, 0600, 0755,  0777,  0666,  04755, 02755, 01777,
					 0,    0444, 06711, 02775, 02777, 02644, 0711,	0755 };

	/* A write that fails for want of space takes setuid away all the same. */
	return PICK(g, modes) & (g->options->full ? 01777 : 07777);
}

int64_t any_uid(struct generator *g)
{
	static const int64_t ids[] = { 0, 0, 1000, 1001 };

	return PICK(g, ids);
}

int64_t any_gid(struct generator *g)
{
	static const int64_t ids[] = { 0, 0, 1000, 1001, 2000 };

	return PICK(g, ids);
}

int64_t any_sec(struct generator *g)
{
	static const int64_t times[] = {
		0,	    1,		-1000,	    86400,	1000000000,
		1234567890, 1600000000, 2147483647, 2147483653, 4000000000
	};

	return PICK(g, times);
}

int64_t any_size(struct generator *g)
{
	static const int64_t sizes[] = { 0,	1,     100,   4095,   4096,   4097,
					 10000, 65536, 70000, 131072, 200000, 20 };

	return percent(g, 60) ? PICK(g, sizes) : below(g, 150000);
}

/* Relative to where the link is; the worker's root is the tree, so nothing leads out. */
char *any_target(struct generator *g)
{
	static const char *const targets[] = { "a",	    "b",    "c/a",    "../a", "../b",
					       "/a",	    "/b/c", ".",      "..",   "/",
					       "nowhere/x", "d",    "../../c" };

	/* Wherever the link moves, it leads to nothing of another thread. */
	if (g->program->n_threads > 1)
		return xformat(percent(g, 50) ? "/t%jd/%s" : "%jd_%s", (intmax_t)g->thread,
			       percent(g, 50) ? "a" : "b");
	if (percent(g, 95))
		return xstrdup(PICK(g, targets));
	return xformat("%0*d", percent(g, 50) ? 4095 : (int)below(g, 300) + 1, 7);
}
