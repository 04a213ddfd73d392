/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "attempt.h"

#include <linux/fuse.h>
#include <string.h>

/* In `unique` of a request that is sent again; headers before Linux 6.9 lack it. */
#define UNIQUE_RESEND (UINT64_C(1) << 63)

/* What the calling thread works on, and whether an earlier worker had begun it. */
static _Thread_local struct attempt *mine;
static _Thread_local bool was_begun;

static struct fuse_in_header *header_of(struct attempt *place)
{
	return (struct fuse_in_header *)place->request;
}

void attempt_clear(struct attempt *place)
{
	mine = NULL;
	was_begun = false;
	__atomic_store_n(&header_of(place)->len, 0, __ATOMIC_RELEASE);
	place->ino = 0;
	place->is_begun = 0;
	place->n_forgotten = 0;
	place->n_told = 0;
}

static void finish_forget(struct attempt *place, struct nodes *nodes)
{
	const struct fuse_in_header *header = header_of(place);
	const void *body = header + 1;
	const struct fuse_batch_forget_in *batch = body;
	const struct fuse_forget_one *ones = (const void *)(batch + 1);

	if (header->opcode == FUSE_FORGET) {
		if (place->n_forgotten == 0)
			nodes_forget(nodes, header->nodeid,
				     ((const struct fuse_forget_in *)body)->nlookup);
		return;
	}
	for (uint32_t i = place->n_forgotten; i < batch->count; i++)
		nodes_forget(nodes, ones[i].nodeid, ones[i].nlookup);
}

/* The entry of a request, or a free one: the first, if all are taken. */
static struct past_attempt *entry_for(struct attempts *attempts, uint64_t unique)
{
	struct past_attempt *free = &attempts->past[0];

	for (size_t i = ATTEMPT_PAST; i-- > 0;) {
		if (attempts->past[i].unique == unique)
			return &attempts->past[i];
		if (!attempts->past[i].unique)
			free = &attempts->past[i];
	}
	return free;
}

/*
 * Of a request that lies in a place.  If the thread had not come to inherit what
 * was kept of it, that is all that there is to know.
 */
static void keep(struct attempts *attempts, const struct attempt *place, uint64_t unique)
{
	struct past_attempt *past = entry_for(attempts, unique);

	past->is_current = true;
	if (past->unique == unique)
		return;
	past->unique = 0;
	past->ino = place->ino;
	past->is_begun = place->is_begun;
	past->n_told = place->n_told;
	memcpy(past->told, place->told, place->n_told * sizeof(*past->told));
	__atomic_store_n(&past->unique, unique, __ATOMIC_RELEASE);
}

void attempts_take_over(struct attempts *attempts, struct nodes *nodes)
{
	for (size_t i = 0; i < ATTEMPT_PAST; i++)
		attempts->past[i].is_current = !attempts->is_drained;
	for (size_t i = 0; i < ATTEMPT_PLACES; i++) {
		struct attempt *place = &attempts->places[i];
		const struct fuse_in_header *header = header_of(place);

		if (header->len == 0)
			continue;
		if (header->opcode == FUSE_FORGET || header->opcode == FUSE_BATCH_FORGET)
			finish_forget(place, nodes);
		else
			keep(attempts, place, header->unique & ~UNIQUE_RESEND);
		attempt_clear(place);
	}
	for (size_t i = 0; i < ATTEMPT_PAST; i++) {
		if (!attempts->past[i].is_current)
			attempts->past[i].unique = 0;
	}
	attempts->is_drained = false;
}

/* The calling thread goes on with what `past` began; if it dies, there is no less to know. */
static void inherit(struct attempt *place, struct past_attempt *past, struct nodes *nodes)
{
	place->ino = past->ino;
	__atomic_store_n(&place->is_begun, past->is_begun, __ATOMIC_RELEASE);
	was_begun = past->is_begun;
	for (; past->n_told > 0; past->n_told--)
		nodes_forget(nodes, past->told[past->n_told - 1], 1);
	past->unique = 0;
}

void attempt_start(struct attempts *attempts, struct attempt *place, struct nodes *nodes)
{
	const struct fuse_in_header *header = header_of(place);
	uint64_t unique = header->unique;

	mine = place;
	was_begun = false;
	if (unique & UNIQUE_RESEND) {
		struct past_attempt *past = entry_for(attempts, unique & ~UNIQUE_RESEND);

		if (past->unique == (unique & ~UNIQUE_RESEND))
			inherit(place, past, nodes);
	} else if (header->opcode != FUSE_FORGET && header->opcode != FUSE_BATCH_FORGET) {
		attempts->is_drained = true;
	}
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
	if (mine) {
		if (mine->n_told == ATTEMPT_TOLD_MAX)
			return false;
		mine->told[mine->n_told] = node->ino;
		__atomic_store_n(&mine->n_told, mine->n_told + 1, __ATOMIC_RELEASE);
	}
	/* Rather too few than too many: what is told too few times is forgotten all the same. */
	node_looked_up(node);
	return true;
}

void attempt_untell(struct node *node)
{
	node_forget(node, 1);
	if (mine)
		mine->n_told--;
}

void attempt_forget(void)
{
	if (mine)
		__atomic_store_n(&mine->n_forgotten, mine->n_forgotten + 1, __ATOMIC_RELEASE);
}

uint32_t attempt_forgotten(void)
{
	return mine ? mine->n_forgotten : 0;
}
