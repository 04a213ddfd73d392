/* SPDX-License-Identifier: GPL-3.0-or-later */
/* scribble: one process, its ranges and its locks; the table of operations. */
#include "scribble.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* ---- ranges ---- */

/* A range to read or change; it may lie beyond the end. */
static void choose_range(struct worker *w)
{
	static const off_t lengths[] = { 16, 300, 9000, BUFFER };
	off_t len = 1 + below(&w->random, lengths[below(&w->random, 4)]);
	off_t reach = least(w->size + 20000, LIMIT), round, start;

	w->off = below(&w->random, reach);
	switch (below(&w->random, 6)) {
	case 0: /* at the end */
		w->off = least(w->size, LIMIT - 1);
		w->off -= below(&w->random, least(w->off, 5000) + 1);
		break;
	case 1: /* at a page */
		w->off &= -PAGE;
		break;
	}
	w->end = LIMIT;
	if (w->own) {
		round = plan.block * settings.n_processes;
		start = w->off / round * round + plan.block * w->number;
		w->off = start + w->off % plan.block;
		w->end = start + plan.block;
		if (w->end > LIMIT) { /* the last may not be whole; the first always is */
			w->off = plan.block * w->number;
			w->end = w->off + plan.block;
		}
	}
	w->len = (size_t)least(len, w->end - w->off);
}

bool clip(struct worker *w)
{
	if (w->off >= w->size)
		return false;
	w->len = (size_t)least((off_t)w->len, w->size - w->off);
	current->len = w->len;
	return true;
}

/* Reads all that is there; in a block of its own, what others do may add to that. */
void read_and_check(struct worker *w, const char *through, int fd)
{
	off_t must = least((off_t)w->len, w->off < w->size ? w->size - w->off : 0);
	ssize_t n = pread(fd, w->buffer, w->len, w->off);

	if (n < must || (!w->own && n > must))
		fail("%s: read %zd of %ld bytes at %ld: %s", through, n, (long)must, (long)w->off,
		     strerror(errno));
	check(through, w->off, w->buffer, (size_t)n);
}

/* ---- the operations ---- */

enum lock {
	LOOKS, /* with others; in its own block, if the file is worked on together */
	CHANGES, /* alone; or together, in its own block */
	PARTS, /* the same; but together, it is done alone: see Limits */
	ALONE,
};

static const struct operation {
	const char *name;
	unsigned weight;
	enum lock lock;
	void (*perform)(struct worker *w);
} operations[] = {
	{ "read", 12, LOOKS, op_read },
	{ "read-before", 8, LOOKS, op_read_before },
	{ "map-read", 12, LOOKS, op_read_map },
	{ "map-before", 8, LOOKS, op_read_map_before },
	{ "seek", 4, LOOKS, op_seek },
	{ "stat", 4, LOOKS, op_stat },
	{ "private-write", 3, LOOKS, op_write_private },
	{ "copy-out", 2, LOOKS, op_copy_out },
	{ "sync", 3, LOOKS, op_sync },
	{ "drop", 4, LOOKS, op_drop },
	{ "reopen", 5, LOOKS, op_reopen },
	{ "remap", 2, LOOKS, op_remap },
	{ "write", 20, CHANGES, op_write },
	{ "map-write", 20, CHANGES, op_write_map },
	{ "allocate", 3, CHANGES, op_allocate },
	{ "punch", 4, PARTS, op_punch },
	{ "zero", 3, PARTS, op_zero },
	{ "copy-in", 4, PARTS, op_copy_in },
	/* Alone, for a plain file gives EIO when a mapping is written to at the same time. */
	{ "direct-read", 6, ALONE, op_read_direct },
	{ "append", 4, ALONE, op_append },
	{ "direct-write", 4, ALONE, op_write_direct },
	{ "copy-within", 3, ALONE, op_copy_within },
	{ "truncate", 4, ALONE, op_truncate },
	{ "open-trunc", 1, ALONE, op_open_trunc },
	{ "name", 2, ALONE, op_name },
};
#define N_OPERATIONS (sizeof(operations) / sizeof(*operations))

static const struct operation remove_all = { "remove-all", 0, ALONE, op_remove_all };

static void perform(struct worker *w, const struct operation *operation)
{
	bool alone = operation->lock == ALONE;
	uint64_t number;

	/* Together, changes of all blocks come in between, but rarely. */
	if (operation->lock == CHANGES)
		alone = !plan.together || below(&w->random, 16) == 0;
	else if (operation->lock == PARTS)
		alone = !plan.together || !settings.strict;
	if (alone)
		pthread_rwlock_wrlock(&shared->lock);
	else
		pthread_rwlock_rdlock(&shared->lock);
	w->own = plan.together && !alone;
	w->size = shared->size;
	choose_range(w);
	number = atomic_fetch_add(&shared->n_ops, 1);
	current = &shared->log[number % N_LOG];
	*current = (struct entry){
		number + 1, operation->name, w->number, w->off, -1, w->len, false
	};
	operation->perform(w);
	current->done = true;
	pthread_rwlock_unlock(&shared->lock);
}

static bool is_disabled(const char *name)
{
	const char *s = settings.disabled;
	size_t len = strlen(name);

	for (; s && *s; s += strcspn(s, ","), s += *s == ',')
		if (!strncmp(s, name, len) && (!s[len] || s[len] == ','))
			return true;
	return false;
}

static const struct operation *choose_operation(struct worker *w)
{
	unsigned total = 0;
	off_t n;
	size_t i;

	for (i = 0; i < N_OPERATIONS; i++)
		total += operations[i].weight;
	n = below(&w->random, total);
	for (i = 0; n >= operations[i].weight; i++)
		n -= operations[i].weight;
	/* With several at work, something that stops all the others is rare. */
	if (plan.together && operations[i].lock >= PARTS && below(&w->random, 3))
		return &operations[0];
	return is_disabled(operations[i].name) ? &operations[0] : &operations[i];
}

_Noreturn void work(unsigned number)
{
	struct worker w = { .number = number, .random = plan.seed * 1000 + number };
	char path[PATH_MAX], name[20];
	unsigned i;

	child_begins();
	w.buffer = aligned_alloc(PAGE, BUFFER);
	snprintf(name, sizeof(name), "out.%u", number);
	path_in(path, "mnt", name);
	w.out = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (!w.buffer || w.out < 0)
		fail("process %u cannot begin: %s", number, strerror(errno));
	/* Opening is done with others, for names may be changed by the first of them. */
	pthread_rwlock_rdlock(&shared->lock);
	open_all(&w);
	pthread_rwlock_unlock(&shared->lock);
	for (i = 0; i < settings.n_ops && !shared->reported; i++) {
		if (plan.unlinked && number == 0 && i == settings.n_ops / 2)
			perform(&w, &remove_all);
		perform(&w, choose_operation(&w));
	}
	/* Unmapping writes back, which is not to meet a write: see Limits. */
	pthread_rwlock_wrlock(&shared->lock);
	munmap(w.map, LIMIT);
	pthread_rwlock_unlock(&shared->lock);
	_exit(0);
}
