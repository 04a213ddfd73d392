/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the parts of the generator share; what it does: differ_generate.c. */
#ifndef DIFFER_GENERATE_H
#define DIFFER_GENERATE_H

#include "differ.h"

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
	struct known known[MAX_THREADS]; /* what each thread may use */
	struct stack lower; /* while a branch is made: what those below it show */
	struct side side;
	struct performer performers[MAX_THREADS];
	int64_t thread; /* whose operation or entry is being made */
	int64_t next_group;
};

#define ANY_TYPE (-1)
#define ANY_FILE (-2) /* no directory */

/* ---- paths, names and numbers (differ_generate_names.c) ---- */

/* n times in a hundred */
bool percent(struct generator *g, unsigned int n);
/* 0 to n - 1 */
int64_t below(struct generator *g, int64_t n);
/* `type` may be ANY_TYPE or ANY_FILE, here and below. */
bool known_is(const struct known *known, const char *path, int type);
bool known_is_empty(const struct known *known, const char *dir);
/* Whether a thread may use a path. */
bool is_for(const struct program *program, int64_t thread, const char *path);
void know(struct generator *g, const char *path, enum entry_type type);
void know_nothing(struct generator *g);
char *make_name(struct generator *g);
struct known *known_here(struct generator *g);
/* Some known path; the top of what the thread may use if there is none. */
const char *known_path(struct generator *g, int type);
bool is_shared_top(struct generator *g, const char *path);
/* In a known directory, and probably not there yet. Allocated, as all paths that follow. */
char *new_path(struct generator *g);
/* Mostly something that is there and of this type. */
char *path_of(struct generator *g, int type);
char *any_path(struct generator *g);
int64_t any_mode(struct generator *g);
int64_t any_uid(struct generator *g);
int64_t any_gid(struct generator *g);
int64_t any_sec(struct generator *g);
int64_t any_size(struct generator *g);
char *any_target(struct generator *g);

/* ---- the stack (differ_generate_stack.c) ---- */

int64_t any_device(struct generator *g, bool is_char);
void generate_stack(struct generator *g);

/* ---- operations (differ_generate_ops.c) ---- */

void generate_op(struct generator *g);

#endif
