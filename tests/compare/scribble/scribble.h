/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * scribble: several processes write and read one file by every means there is:
 * pwrite, O_APPEND, shared and private mappings, O_DIRECT, truncation,
 * fallocate, copy_file_range, holes, all names, no name.  A model of what the
 * file holds is kept in shared memory, and every byte read is compared with it.
 *
 * A seed is a plan: how the file begins (in a lower branch, there with two
 * names, in the top branch, made through the mount), how long it is, and one of
 * two ways of working.
 *
 * Locked: a process changes the file alone and reads it with others.
 *
 * Together: the file is cut into blocks that are not pages, dealt out to the
 * processes in turn.  Each changes and reads its own at any time, so pages are
 * changed by several at once, by different means; only what moves everyone's
 * bytes (truncation, appending, whole pages) is done alone.
 *
 * Limits of FUSE in the kernel (seen with Linux 6.18, whatever the daemon), which
 * --strict leaves out of account, as a plain directory can be used:
 *
 * - Without the writeback cache, write(2) beyond the end sets the size last.  If
 *   a mapping made the last page dirty, and it is written back in between, all
 *   beyond the old size becomes zeros.  So the last page is cleaned before, and
 *   processes that work together write within the file.
 * - copy_file_range to a part of a page drops the page from the cache, with what
 *   a mapping has just put into the rest; fallocate that zeroes a part of a page
 *   can be undone by a writeback of all of it.  So these are done alone.
 *
 * Descriptors and mappings made before the first change, that is before the
 * copy-up, are used throughout; with io=passthrough the file is copied up before, as
 * they would keep the lower file.  In the end the file is read through the mount,
 * in the top branch, and through a new mount; the lower branch is as it was.
 *
 * What one process does follows from the seed, their order does not.
 *
 *   scribble.c         options, the loop over seeds, mounting
 *   scribble_plan.c    what a seed means; the file as it begins and as it ends
 *   scribble_work.c    one process: what it does when, under which lock
 *   scribble_read.c    operations that only look
 *   scribble_change.c  operations that change what the file holds
 *   scribble_open.c    operations on its descriptors, mappings and names
 *   scribble_report.c  comparing, the log of operations, chance
 */
#ifndef SCRIBBLE_H
#define SCRIBBLE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/types.h>

#define PAGE 4096
#define LIMIT (2 << 20) /* no byte is written beyond */
#define BUFFER (64 << 10)
#define SOURCE_SIZE (300 << 10)
#define N_NAMES 3
#define N_LOG 4096
#define MAX_PROCESSES 64
#define HUNG_SECONDS 60

struct settings {
	const char *cairnfs, *more_options, *dir, *disabled;
	bool plain, keep, verbose, strict;
	unsigned n_processes, n_ops, seconds;
	uint64_t first_seed, last_seed;
	int modes; /* of fallocate, that the filesystem below has */
	bool has_direct;
};
extern struct settings settings;

/* ---- a seed (scribble_plan.c) ---- */

enum start { LOWER, LINKED, UPPER, BORN };

/* What a seed means. */
struct plan {
	uint64_t seed;
	enum start start;
	off_t size;
	bool holes, together, unlinked;
	off_t block; /* length of what one process owns at a time */
};
extern struct plan plan;
extern const char *const names[N_NAMES];

/* Made before the first change; inherited by all. */
struct before {
	int fd;
	unsigned char *map, *private_map;
};
extern struct before before;

void plan_choose(uint64_t seed);
void plan_show(FILE *f);
/* What is there before the mount, and what is made in it. */
void make_branches(void);
void make_in_mount(void);
/* Negative: something cannot be opened. */
int before_open(void);
void before_close(void);
/* In the mount that was worked in; in the branches; in a new mount.  The model is lost with the
 * last. */
void verify_open(void);
void verify_upper(void);
void verify_mount(void);
void verify_lower(void);

/* ---- what all processes see (scribble.c) ---- */

struct entry {
	uint64_t number;
	const char *op;
	unsigned worker;
	off_t off, to;
	size_t len;
	bool done;
};

struct shared {
	pthread_rwlock_t lock;
	_Atomic uint64_t n_ops;
	_Atomic bool reported;
	_Atomic bool changed; /* something asked for the file to be changed */
	_Atomic off_t size; /* under a shared lock it only grows */
	bool there[N_NAMES];
	struct stat stats[N_NAMES]; /* in the lower branch, at first */
	struct entry log[N_LOG];
	off_t first_size;
	unsigned char data[LIMIT], first[LIMIT], source[SOURCE_SIZE];
};
extern struct shared *shared;

extern char *scratch; /* lower, upper, work and mnt are in here */
char *path_in(char *path, const char *dir, const char *name); /* path: of PATH_MAX */
void child_begins(void);

/* ---- a process (scribble_work.c) ---- */

enum { READ, WRITE, APPEND, DIRECT, N_FDS };

struct worker {
	unsigned number;
	uint64_t random;
	int fds[N_FDS];
	int out; /* a file of its own */
	unsigned char *map; /* shared, to be written to */
	unsigned char *private_map;
	unsigned char *buffer; /* of BUFFER bytes, aligned */
	/* Of the operation: */
	bool own; /* only within a block of its own */
	off_t size; /* at least, while the lock is held */
	off_t off, end; /* what may be used: the block, or all */
	size_t len;
};

_Noreturn void work(unsigned number);
bool clip(struct worker *w); /* the range, to what the file has; false: nothing */
void read_and_check(struct worker *w, const char *through, int fd);

/* scribble_read.c */
void op_read(struct worker *w);
void op_read_before(struct worker *w);
void op_read_map(struct worker *w);
void op_read_map_before(struct worker *w);
void op_read_direct(struct worker *w);
void op_seek(struct worker *w);
void op_stat(struct worker *w);
void op_write_private(struct worker *w);
void op_copy_out(struct worker *w);
void copy_range(int in, off_t from, int out, off_t to, size_t len);

/* scribble_change.c */
void op_write(struct worker *w);
void op_append(struct worker *w);
void op_write_map(struct worker *w);
void op_write_direct(struct worker *w);
void op_truncate(struct worker *w);
void op_allocate(struct worker *w);
void op_punch(struct worker *w);
void op_zero(struct worker *w);
void op_copy_in(struct worker *w);
void op_copy_within(struct worker *w);
void resized(off_t size); /* the model */

/* scribble_open.c */
void open_all(struct worker *w);
void op_reopen(struct worker *w);
void op_open_trunc(struct worker *w);
void op_remap(struct worker *w);
void op_sync(struct worker *w);
void op_drop(struct worker *w);
void op_name(struct worker *w);
void op_remove_all(struct worker *w);

/* ---- reporting (scribble_report.c) ---- */

extern struct entry *current; /* of this process */

/* Ends the process; the first one that fails says why, in one line before the logs.  off: of a
 * byte, or -1. */
_Noreturn void fail_at(off_t off, const char *format, ...) __attribute__((format(printf, 2, 3)));
#define fail(...) fail_at(-1, __VA_ARGS__)
void show_log(off_t off);
/* `len` bytes that were read at `off`, with what is wanted, or with the model. */
void compare(const char *through, off_t off, const unsigned char *got, size_t len,
	     const unsigned char *want);
void check(const char *through, off_t off, const unsigned char *got, size_t len);

off_t below(uint64_t *state, off_t n); /* 0 to n - 1 */
void fill(uint64_t *state, unsigned char *p, size_t len);
off_t least(off_t a, off_t b);

#endif
