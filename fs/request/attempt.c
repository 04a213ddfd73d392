/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "request/attempt.h"

#include <linux/fuse.h>
#include <string.h>

#include "request/opened.h"

/* In `unique` of a request that is sent again; headers before Linux 6.9 lack it. */
#define UNIQUE_RESEND (UINT64_C(1) << 63)

/*
 * Between any two writes here a worker may die.  They are ordered so that a node
 * is then counted once too often, and stays until the mount ends, and never once
 * too seldom: it would be gone while the kernel uses it.
 */

/* What the calling thread works on; what an earlier worker left of it, or NULL. */
static _Thread_local struct attempt *mine;
static _Thread_local struct past_attempt *before;
static _Thread_local bool was_begun;

static struct fuse_in_header *header_of(struct attempt *place)
{
	return (struct fuse_in_header *)place->request;
}

void attempt_clear(struct attempt *place)
{
	mine = NULL;
	before = NULL;
	was_begun = false;
	__atomic_store_n(&header_of(place)->len, 0, __ATOMIC_RELEASE);
	place->ino = 0;
	place->is_begun = 0;
	place->n_forgotten = 0;
	place->n_told = 0;
}

static bool is_forget(const struct fuse_in_header *header)
{
	return header->opcode == FUSE_FORGET || header->opcode == FUSE_BATCH_FORGET;
}

/* Does what is left of a FORGET. */
static void forget(struct attempt *place, struct nodes *nodes)
{
	const struct fuse_in_header *header = header_of(place);
	const void *body = header + 1;
	const struct fuse_forget_in *single = body;
	const struct fuse_batch_forget_in *batch = body;
	const struct fuse_forget_one *ones = (const void *)(batch + 1);
	uint32_t n = header->opcode == FUSE_FORGET ? 1 : batch->count;

	for (uint32_t i = place->n_forgotten; i < n; i++) {
		__atomic_store_n(&place->n_forgotten, i + 1, __ATOMIC_RELEASE);
		if (header->opcode == FUSE_FORGET)
			nodes_forget(nodes, opened_ino(header->nodeid), single->nlookup);
		else
			nodes_forget(nodes, opened_ino(ones[i].nodeid), ones[i].nlookup);
	}
}

/* The entry of a request, or a free one: the first, if all are taken. */
static struct past_attempt *entry_for(struct attempts *attempts, uint64_t unique)
{
	struct past_attempt *free = &attempts->past[0];

	for (size_t i = ATTEMPT_PAST; i-- > 0;) {
		struct past_attempt *past = &attempts->past[i];
		uint64_t found = __atomic_load_n(&past->unique, __ATOMIC_ACQUIRE);

		if (found == unique)
			return past;
		if (!found)
			free = past;
	}
	return free;
}

/* The last of a list of those told, taken off it; 0: there is none. */
static uint64_t pop_told(uint32_t *n_told, const uint64_t told[])
{
	uint32_t n = *n_told;

	if (n == 0)
		return 0;
	__atomic_store_n(n_told, n - 1, __ATOMIC_RELEASE);
	return told[n - 1];
}

/* Of a request that lies in a place, and perhaps of the times that it came before. */
static void keep(struct attempts *attempts, struct attempt *place, uint64_t unique)
{
	struct past_attempt *past = entry_for(attempts, unique);
	uint64_t ino;

	if (past->unique != unique) {
		past->n_told = 0;
		past->is_begun = 0;
		__atomic_store_n(&past->unique, unique, __ATOMIC_RELEASE);
	}
	if (place->is_begun) {
		past->ino = place->ino;
		__atomic_store_n(&past->is_begun, 1, __ATOMIC_RELEASE);
	}
	while ((ino = pop_told(&place->n_told, place->told))) {
		if (past->n_told == ATTEMPT_TOLD_MAX)
			continue;
		past->told[past->n_told] = ino;
		__atomic_store_n(&past->n_told, past->n_told + 1, __ATOMIC_RELEASE);
	}
}

/* Whether a request lies in a place. */
static bool is_in_place(struct attempts *attempts, uint64_t unique)
{
	for (size_t i = 0; i < ATTEMPT_PLACES; i++) {
		const struct fuse_in_header *header = header_of(&attempts->places[i]);

		if (header->len != 0 && (header->unique & ~UNIQUE_RESEND) == unique)
			return true;
	}
	return false;
}

/* Drops what will not come again. */
static void drop_answered(struct attempts *attempts)
{
	for (size_t i = 0; i < ATTEMPT_PAST; i++) {
		struct past_attempt *past = &attempts->past[i];

		if (past->unique && !is_in_place(attempts, past->unique))
			__atomic_store_n(&past->unique, 0, __ATOMIC_RELEASE);
	}
}

void attempts_take_over(struct attempts *attempts, struct nodes *nodes)
{
	/* Before anything is put there that may: the one after us would take it for answered. */
	if (attempts->is_drained)
		drop_answered(attempts);
	__atomic_store_n(&attempts->is_drained, 0, __ATOMIC_RELEASE);
	for (size_t i = 0; i < ATTEMPT_PLACES; i++) {
		struct attempt *place = &attempts->places[i];
		const struct fuse_in_header *header = header_of(place);

		if (header->len != 0 && is_forget(header))
			forget(place, nodes);
		else if (header->len != 0)
			keep(attempts, place, header->unique & ~UNIQUE_RESEND);
		/* Also of one that was being cleared. */
		attempt_clear(place);
	}
}

bool attempts_await(const struct attempts *attempts, uint64_t ino)
{
	for (size_t i = 0; i < ATTEMPT_PAST; i++) {
		if (attempts->past[i].unique && attempts->past[i].ino == ino)
			return true;
	}
	return false;
}

bool attempt_start(struct attempts *attempts, struct attempt *place, struct nodes *nodes)
{
	const struct fuse_in_header *header = header_of(place);
	uint64_t unique = header->unique & ~UNIQUE_RESEND;

	mine = place;
	if (is_forget(header)) {
		forget(place, nodes);
		return true;
	}
	if (unique == header->unique) {
		/* An interrupt, as a FORGET, goes before what comes again, and says nothing of it.
		 */
		if (header->opcode != FUSE_INTERRUPT)
			__atomic_store_n(&attempts->is_drained, 1, __ATOMIC_RELAXED);
		return false;
	}
	before = entry_for(attempts, unique);
	if (__atomic_load_n(&before->unique, __ATOMIC_RELAXED) != unique) {
		before = NULL;
		return false;
	}
	was_begun = before->is_begun;
	place->ino = before->ino;
	__atomic_store_n(&place->is_begun, before->is_begun, __ATOMIC_RELEASE);
	return false;
}

void attempt_end(struct attempt *place, struct nodes *nodes)
{
	struct past_attempt *past = before;
	uint64_t ino;

	attempt_clear(place);
	if (!past)
		return;
	while ((ino = pop_told(&past->n_told, past->told)))
		nodes_forget(nodes, ino, 1);
	__atomic_store_n(&past->unique, 0, __ATOMIC_RELEASE);
}

void attempt_begin(uint64_t ino)
{
	if (!mine)
		return;
	mine->ino = ino;
	__atomic_store_n(&mine->is_begun, 1, __ATOMIC_RELEASE);
}

bool attempt_was_begun(uint64_t *ino)
{
	if (was_begun && ino)
		*ino = mine->ino;
	return was_begun;
}

bool attempt_tell(struct node *node)
{
	if (mine && mine->n_told == ATTEMPT_TOLD_MAX)
		return false;
	if (node_looked_up(node) < 0)
		return false;
	if (mine) {
		mine->told[mine->n_told] = node->ino;
		__atomic_store_n(&mine->n_told, mine->n_told + 1, __ATOMIC_RELEASE);
	}
	return true;
}

void attempt_untell(struct node *node)
{
	if (mine)
		__atomic_store_n(&mine->n_told, mine->n_told - 1, __ATOMIC_RELEASE);
	node_forget(node, 1);
}
