/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What is to last is put into the file (state_file.h) when it changes, where it outlives every
 * process: nothing is left to be done when the mount ends, as it is over before we hear of it.
 *
 * In memory is what the file need not have, as the objects themselves say it, and what it could not
 * take: that is in the journal too, for the next worker.
 *
 * Numbers are reserved in blocks: the file names a number beyond all that may be in use, so that a
 * crash wastes some and repeats none.
 */
#include "survive/state.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/random.h"
#include "base/table.h"
#include "branch/number.h"
#include "survive/state_file.h"

enum {
	BLOCK = 1 << 20, /* numbers reserved at a time */
	PATIENCE = 1 << 6, /* changes after which a file that could not be made is tried again */
	CACHE_BITS = 12,
};

/* A number that was found, so that a listing does not ask the file for each name each time. */
struct cached {
	ino_t real;
	uint64_t ino; /* 0: none */
};

struct remembered {
	struct table_link link;
	ino_t real;
	struct state_record record; /* ino 0: it is gone */
	bool is_unwritten; /* the file is to say so, and does not */
};

struct state {
	uint64_t
		stack_id; /* what lower objects' numbers are numbers of; 0: of nothing that lasts */
	uint64_t mount_id; /* or of this mount alone */
	pthread_mutex_t lock; /* guards what follows */
	int workdir;
	struct state_file *file; /* NULL: none could be made */
	unsigned int n_without; /* changes since then */
	struct table table;
	struct cached cache[1 << CACHE_BITS];
	size_t n_unwritten;
	uint64_t next, reserved;
	struct state_journal *journal; /* NULL: none is kept */
};

/* --- what is in memory --- */

static struct cached *cached_at(struct state *state, ino_t real)
{
	return &state->cache[table_hash_u64(real) >> (64 - CACHE_BITS)];
}

/* What was found of an inode is not true any more. */
static void drop_cached(struct state *state, ino_t real)
{
	struct cached *cached = cached_at(state, real);

	if (cached->real == real)
		cached->ino = 0;
}

static struct remembered *find_remembered(struct state *state, ino_t real)
{
	struct table_link *link = table_find(&state->table, table_hash_u64(real));

	while (link && TABLE_OBJECT(link, struct remembered, link)->real != real)
		link = table_next(link);
	return link ? TABLE_OBJECT(link, struct remembered, link) : NULL;
}

/* Memory does not say anything of it any more. */
static void forget(struct state *state, ino_t real)
{
	struct remembered *entry = find_remembered(state, real);

	if (!entry)
		return;
	state->n_unwritten -= entry->is_unwritten;
	table_remove(&state->table, &entry->link);
	free(entry);
}

/* 0 or -ENOMEM. */
static int remember(struct state *state, ino_t real, struct state_record record, bool is_unwritten)
{
	struct remembered *entry = find_remembered(state, real);

	drop_cached(state, real);
	if (!entry) {
		entry = calloc(1, sizeof(*entry));
		if (!entry)
			return -ENOMEM;
		entry->real = real;
		if (table_add(&state->table, &entry->link, table_hash_u64(real)) < 0) {
			free(entry);
			return -ENOMEM;
		}
	}
	state->n_unwritten += is_unwritten - entry->is_unwritten;
	entry->record = record;
	entry->is_unwritten = is_unwritten;
	return 0;
}

/* --- the journal --- */

/* Full, it takes no more, and says so: what comes then may be lost if the worker dies. */
static void write_journal(struct state_journal *journal, ino_t real, struct state_record record)
{
	unsigned int n = atomic_load(&journal->n);

	if (n >= STATE_JOURNAL_MAX) {
		atomic_store(&journal->n, STATE_JOURNAL_MAX + 1);
		return;
	}
	journal->changes[n].real = real;
	journal->changes[n].record = record;
	atomic_store(&journal->n, n + 1);
}

/* --- changes --- */

static int put_into_file(struct state *state, ino_t real, struct state_record record)
{
	if (!state->file)
		return -ENOSPC;
	/* The file has only numbers that it says are given out. */
	if (record.ino >= state->reserved)
		return -EIO;
	return record.ino ? state_file_put(state->file, real, record)
			  : state_file_delete(state->file, real);
}

/* The file has room again. */
static void write_unwritten(struct state *state)
{
	struct table all = state->table, kept = { 0 };
	struct table_link *link;

	state->table = kept;
	while ((link = table_pop(&all))) {
		struct remembered *entry = TABLE_OBJECT(link, struct remembered, link);

		if (entry->is_unwritten && put_into_file(state, entry->real, entry->record) >= 0) {
			state->n_unwritten--;
			free(entry);
		} else if (table_add(&state->table, link, link->hash) < 0) {
			state->n_unwritten -= entry->is_unwritten;
			free(entry);
		}
	}
	table_done(&all);
	if (state->journal && !state->n_unwritten)
		atomic_store(&state->journal->n, 0);
}

/* Numbers that the disk does not take down as given out are for this mount alone. */
static void reserve(struct state *state)
{
	if (!state->file || state_file_reserve(state->file, state->next + BLOCK) < 0)
		return;
	state->reserved = state->next + BLOCK;
	if (state->n_unwritten)
		write_unwritten(state);
}

/* A disk that was full when the mount began need not be so any more. */
static void try_file(struct state *state)
{
	if (state->file || ++state->n_without % PATIENCE > 0)
		return;
	if (state_file_open(state->workdir, &state->file) == 0)
		reserve(state);
}

/* Notes what is to last; an `ino` of 0: it is gone. 0 or -ENOMEM. */
static int change(struct state *state, ino_t real, struct state_record record)
{
	struct state_journal *journal = state->journal;
	/* The last word of the journal counts. */
	bool is_noted = journal && atomic_load(&journal->n) > 0;
	int r;

	drop_cached(state, real);
	try_file(state);
	if (is_noted)
		write_journal(journal, real, record);
	r = put_into_file(state, real, record);
	if (r < 0) {
		if (journal && !is_noted)
			write_journal(journal, real, record);
		return remember(state, real, record, true);
	}
	forget(state, real);
	if (r == STATE_FILE_GREW && state->n_unwritten)
		write_unwritten(state);
	return 0;
}

/* --- opening --- */

/* What is in the way is said; where there is no room, as on a full disk, memory does. */
static int open_file(struct state *state)
{
	int r = state_file_open(state->workdir, &state->file);

	if (r == STATE_FILE_FOREIGN)
		return -EPERM;
	state->next = r == 0 ? state_file_next(state->file)
			     : LOWER_INO_END + (random_u64() >> 35 << 32);
	state->reserved = state->next;
	return 0;
}

/* Of a journal that was full, what the file has is newer: it was only put there when it had room.
 */
static bool is_outdated(struct state *state, ino_t real)
{
	struct state_record record;

	return atomic_load(&state->journal->n) > STATE_JOURNAL_MAX && state->file &&
	       state_file_find(state->file, real, &record) == STATE_FILE_FOUND;
}

/* Goes on where the last worker was. */
static void take_over(struct state *state)
{
	struct state_journal *journal = state->journal;
	unsigned int n = atomic_load(&journal->n);
	uint64_t next = atomic_load(&journal->next);

	if (!atomic_load(&journal->mount_id))
		atomic_store(&journal->mount_id, state->mount_id);
	state->mount_id = atomic_load(&journal->mount_id);
	if (next)
		state->next = next;
	for (unsigned int i = 0; i < n && i < STATE_JOURNAL_MAX; i++) {
		if (!is_outdated(state, journal->changes[i].real))
			remember(state, journal->changes[i].real, journal->changes[i].record, true);
	}
	if (state->next > state->reserved)
		reserve(state);
	else if (state->n_unwritten)
		write_unwritten(state);
}

int state_open(int workdir, const struct state_config *config, struct state **ret)
{
	struct state *state = calloc(1, sizeof(*state));
	int r;

	if (!state)
		return -ENOMEM;
	state->stack_id = config->stack_id;
	state->mount_id = random_u64() | 1;
	state->workdir = workdir;
	state->journal = config->journal;
	pthread_mutex_init(&state->lock, NULL);
	r = open_file(state);
	if (r < 0) {
		state_close(state);
		return r;
	}
	if (state->journal)
		take_over(state);
	*ret = state;
	return 0;
}

/* --- closing --- */

void state_close(struct state *state)
{
	struct table_link *link;

	if (!state)
		return;
	state_file_close(state->file);
	while ((link = table_pop(&state->table)))
		free(TABLE_OBJECT(link, struct remembered, link));
	table_done(&state->table);
	pthread_mutex_destroy(&state->lock);
	free(state);
}

/* --- numbers --- */

/* Whether a record says something here: it may be of another stack of branches. */
static bool is_ours(const struct state *state, struct state_record record)
{
	if (!record.stack)
		return record.ino >= LOWER_INO_END;
	return record.ino && record.ino < LOWER_INO_END &&
	       (record.stack == state->stack_id || record.stack == state->mount_id);
}

/* Whether it was noted for this very object, which has been born since if it was not. */
static bool is_of(struct state_record record, uint64_t birth)
{
	return !record.stack || (birth && record.birth == birth);
}

/*
 * What is noted of an inode, with the lock held: STATE_FILE_FOUND, STATE_FILE_EARLIER, or
 * STATE_FILE_ABSENT if that is nothing here.
 */
static int look(struct state *state, ino_t real, struct state_record *ret)
{
	struct remembered *entry = find_remembered(state, real);
	int r = STATE_FILE_FOUND;

	if (entry)
		*ret = entry->record;
	else
		r = state->file ? state_file_find(state->file, real, ret) : STATE_FILE_ABSENT;
	/* What objects say themselves is not noted with a stack. */
	if (r <= STATE_FILE_ABSENT || (entry && !entry->is_unwritten))
		return r < 0 ? STATE_FILE_ABSENT : r;
	return is_ours(state, *ret) ? r : STATE_FILE_ABSENT;
}

/* With the lock held. */
static uint64_t find_number(struct state *state, ino_t real)
{
	struct cached *cached = cached_at(state, real);
	struct state_record record;

	if (cached->ino && cached->real == real)
		return cached->ino;
	if (look(state, real, &record) != STATE_FILE_FOUND)
		return 0;
	*cached = (struct cached){ real, record.ino };
	return record.ino;
}

uint64_t state_find(struct state *state, ino_t real)
{
	uint64_t ino;

	pthread_mutex_lock(&state->lock);
	ino = find_number(state, real);
	pthread_mutex_unlock(&state->lock);
	return ino;
}

uint64_t state_confirm(struct state *state, ino_t real, uint64_t birth)
{
	struct state_record record;
	bool is_known;
	int r;

	pthread_mutex_lock(&state->lock);
	r = look(state, real, &record);
	is_known = r == STATE_FILE_FOUND || (r == STATE_FILE_EARLIER && is_of(record, birth) &&
					     change(state, real, record) == 0);
	pthread_mutex_unlock(&state->lock);
	return is_known ? record.ino : 0;
}

static uint64_t new_number(struct state *state)
{
	if (state->next >= state->reserved)
		reserve(state);
	if (state->journal)
		atomic_store(&state->journal->next, state->next + 1);
	return state->next++;
}

/* A number that the object brings along: where it had another, the file is to forget that. */
static int set_brought(struct state *state, ino_t real, uint64_t ino, uint64_t before)
{
	int r = before ? change(state, real, (struct state_record){ 0 }) : 0;

	return r < 0 ? r : remember(state, real, (struct state_record){ .ino = ino }, false);
}

uint64_t state_set(struct state *state, ino_t real, uint64_t ino)
{
	uint64_t known;
	int r = 0;

	pthread_mutex_lock(&state->lock);
	known = find_number(state, real);
	if (!known || (ino && known != ino)) {
		uint64_t before = known;

		known = ino ? ino : new_number(state);
		if (known >= LOWER_INO_END)
			r = change(state, real, (struct state_record){ .ino = known });
		else
			r = set_brought(state, real, known, before);
	}
	pthread_mutex_unlock(&state->lock);
	return r < 0 ? 0 : known;
}

uint64_t state_renew(struct state *state, ino_t real, uint64_t *before)
{
	struct state_record record = { 0 };

	pthread_mutex_lock(&state->lock);
	if (before)
		*before = find_number(state, real);
	record.ino = new_number(state);
	if (change(state, real, record) < 0)
		record.ino = 0;
	pthread_mutex_unlock(&state->lock);
	return record.ino;
}

void state_set_kept(struct state *state, ino_t real, uint64_t ino, uint64_t birth)
{
	bool is_lasting = state->stack_id && number_is_lasting(ino);
	struct state_record record = {
		.ino = ino,
		.stack = is_lasting ? state->stack_id : state->mount_id,
		.birth = birth,
	};

	pthread_mutex_lock(&state->lock);
	change(state, real, record);
	pthread_mutex_unlock(&state->lock);
}

void state_drop(struct state *state, ino_t real)
{
	pthread_mutex_lock(&state->lock);
	change(state, real, (struct state_record){ 0 });
	pthread_mutex_unlock(&state->lock);
}
