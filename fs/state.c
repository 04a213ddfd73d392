/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * In memory: a table of the numbers in use that are not yet on disk, or that
 * need not be.  On disk: META with the first number not yet handed out; NUMBER
 * from the real inode (8 bytes, big-endian) to ours (8 bytes, little-endian).
 *
 * LMDB writes without syncing, so after a power loss the file may be torn in any
 * way, and is not so much as opened.  A seal beside it says whether it was
 * closed, and is on disk before the file is first changed.
 *
 * Numbers are reserved in blocks: the file names a number beyond all that may
 * be in use, so a crash wastes some and repeats none.
 */
#include "state.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/table.h"
#include "core/index.h"
#include "core/lower.h"

enum {
	META,
	NUMBER,
	BLOCK = 1 << 20, /* numbers reserved at a time */
	MAX_CHANGES = 4096, /* kept in memory before they are written */
};
static const char *const tables[] = { "meta", "number", NULL };
static const char file_name[] = "state.mdb";
static const char seal_name[] = "state.seal";

/* Numbers that one mount may hand out: as many as no filesystem has inodes. */
#define NEVER_REACHED (UINT64_C(1) << 32)

struct entry {
	struct table_link link;
	ino_t real;
	uint64_t ino;
	bool is_dirty; /* not on disk yet */
	bool is_gone; /* to be deleted on disk */
	bool is_kept; /* a lower number that is on disk all the same */
};

/* Whether the disk has, or is to have, the number. */
static bool is_for_disk(const struct entry *entry)
{
	return !entry->is_gone && (entry->ino >= LOWER_INO_END || entry->is_kept);
}

struct state {
	int workdir;
	bool do_sync;
	pthread_mutex_t lock; /* guards what follows */
	struct index *index;
	struct table table;
	size_t n_dirty;
	uint64_t next, reserved;
	struct state_journal *journal; /* NULL: none is kept */
};

static uint64_t read_number(struct index_value value)
{
	uint64_t n;

	if (value.size != sizeof(n))
		return 0;
	memcpy(&n, value.data, sizeof(n));
	return le64toh(n);
}

static void put_meta_number(struct index_txn *txn, const char *key, uint64_t n)
{
	n = htole64(n);
	index_put(txn, META, key, strlen(key), &n, sizeof(n));
}

/* --- the seal --- */

struct seal {
	uint64_t next; /* first number not handed out when it was written; little-endian, as both */
	uint64_t is_open;
};

/* False where there is none. */
static bool read_seal(int workdir, struct seal *ret)
{
	cleanup_fd int fd = fd_open(workdir, seal_name, O_RDONLY, 0);

	if (fd < 0 || fd_pread_all(fd, ret, sizeof(*ret), 0) != sizeof(*ret))
		return false;
	ret->next = le64toh(ret->next);
	ret->is_open = le64toh(ret->is_open);
	return true;
}

/* In place, which needs no room on a disk that is full. */
static int write_seal(const struct state *state, bool is_open)
{
	struct seal seal = { htole64(state->next), htole64(is_open) };
	cleanup_fd int fd = fd_open(state->workdir, seal_name, O_CREAT | O_WRONLY, 0600);
	ssize_t n = fd < 0 ? fd : fd_pwrite_all(fd, &seal, sizeof(seal), 0);

	if (n != sizeof(seal))
		return n < 0 ? (int)n : -ENOSPC;
	if (!state->do_sync)
		return 0;
	return fsync(fd) < 0 || fsync(state->workdir) < 0 ? -errno : 0;
}

/* Does away with a file that was not closed. Numbers go on far behind all that it may have had. */
static void discard_open(struct state *state)
{
	struct seal seal;

	if (read_seal(state->workdir, &seal)) {
		state->next = seal.next + (seal.is_open ? NEVER_REACHED : 0);
		if (!seal.is_open)
			return;
	}
	unlinkat(state->workdir, file_name, 0);
}

/* --- opening --- */

/* Takes the next block of numbers. */
static int begin(struct state *state, bool is_restart)
{
	struct index_value value;
	struct index_txn txn;
	int r = index_begin(state->index, true, &txn);

	if (r < 0)
		return r;
	if (index_get(&txn, META, "next", 4, &value) == INDEX_FOUND &&
	    read_number(value) > state->next)
		state->next = read_number(value);
	state->reserved = state->next + BLOCK;
	put_meta_number(&txn, "next", state->reserved);
	r = index_commit(&txn);
	/* A restart does without: those before it know what is given out (journal). */
	return is_restart && (r == -ENOSPC || r == -EDQUOT) ? 0 : r;
}

static int open_file(struct state *state, bool is_restart)
{
	int r = 0;

	if (!is_restart) {
		discard_open(state);
		r = write_seal(state, true);
	}
	if (r == 0)
		r = index_open(state->workdir, file_name, INDEX_WRITE_NOSYNC, tables,
			       &state->index);
	if (r == INDEX_DAMAGED) {
		unlinkat(state->workdir, file_name, 0);
		r = index_open(state->workdir, file_name, INDEX_WRITE_NOSYNC, tables,
			       &state->index);
	}
	return r == 0 ? begin(state, is_restart) : r;
}

int state_open(int workdir, bool is_restart, bool do_sync, struct state **ret)
{
	struct state *state = calloc(1, sizeof(*state));
	int r;

	if (!state)
		return -ENOMEM;
	state->workdir = workdir;
	state->do_sync = do_sync;
	state->next = LOWER_INO_END;
	pthread_mutex_init(&state->lock, NULL);
	r = open_file(state, is_restart);
	if (r != 0) {
		index_close(state->index);
		pthread_mutex_destroy(&state->lock);
		free(state);
		return r < 0 ? r : -EIO;
	}
	*ret = state;
	return 0;
}

struct real_key {
	uint8_t bytes[8];
};

static struct real_key real_key(ino_t real)
{
	uint64_t n = htobe64(real);
	struct real_key key;

	memcpy(key.bytes, &n, sizeof(n));
	return key;
}

/* Forgets the entries that the disk knows as well now; lower numbers it does not keep. */
static void drop_written(struct state *state)
{
	struct table kept = { 0 };
	struct table_link *link;

	while ((link = table_pop(&state->table))) {
		struct entry *entry = TABLE_OBJECT(link, struct entry, link);

		bool is_done = entry->is_dirty && (entry->is_gone || is_for_disk(entry));

		entry->is_dirty = false;
		if (is_done || table_add(&kept, link, table_hash_u64(entry->real)) < 0)
			free(entry);
	}
	table_done(&state->table);
	state->table = kept;
	state->n_dirty = 0;
}

/*
 * Writes what is dirty.  A failure (the disk is full) keeps it in memory,
 * where it does its duty until the mount ends.
 */
static int flush(struct state *state, bool is_last)
{
	struct index_txn txn;
	struct table_link *link;
	int r = index_begin(state->index, true, &txn);

	if (r < 0)
		return r;
	for (size_t i = 0; i < state->table.n_buckets; i++) {
		for (link = state->table.buckets[i]; link; link = link->next) {
			struct entry *entry = TABLE_OBJECT(link, struct entry, link);
			struct real_key key = real_key(entry->real);
			uint64_t ino = htole64(entry->ino);

			if (!is_for_disk(entry))
				index_delete(&txn, NUMBER, key.bytes, sizeof(key));
			else if (entry->is_dirty)
				index_put(&txn, NUMBER, key.bytes, sizeof(key), &ino, sizeof(ino));
		}
	}
	put_meta_number(&txn, "next", is_last ? state->next : state->reserved);
	r = index_commit(&txn);
	if (r < 0)
		return r;
	drop_written(state);
	if (state->journal)
		atomic_store(&state->journal->n, 0);
	return 0;
}

/* Closed is what is on disk. */
static int sync_file(const struct state *state)
{
	cleanup_fd int fd = -1;

	if (!state->do_sync)
		return 0;
	fd = fd_open(state->workdir, file_name, O_RDONLY, 0);
	return fd < 0 ? fd : fsync(fd) < 0 ? -errno : 0;
}

void state_close(struct state *state)
{
	int r;

	if (!state)
		return;
	r = flush(state, true);
	index_close(take_ptr(state->index));
	if (r == 0)
		r = sync_file(state);
	if (r == 0)
		write_seal(state, false);
	state_leave(state);
}

void state_leave(struct state *state)
{
	struct table_link *link;

	if (!state)
		return;
	index_close(state->index);
	while ((link = table_pop(&state->table)))
		free(TABLE_OBJECT(link, struct entry, link));
	table_done(&state->table);
	pthread_mutex_destroy(&state->lock);
	free(state);
}

static struct entry *find(struct state *state, ino_t real)
{
	struct table_link *link = table_find(&state->table, table_hash_u64(real));

	while (link && TABLE_OBJECT(link, struct entry, link)->real != real)
		link = table_next(link);
	return link ? TABLE_OBJECT(link, struct entry, link) : NULL;
}

/* With the lock held. */
static uint64_t find_number(struct state *state, ino_t real)
{
	struct entry *entry = find(state, real);
	struct real_key key = real_key(real);
	struct index_value value;
	struct index_txn txn;
	uint64_t ino = 0;

	if (entry)
		return entry->is_gone ? 0 : entry->ino;
	if (index_begin(state->index, false, &txn) < 0)
		return 0;
	if (index_get(&txn, NUMBER, key.bytes, sizeof(key), &value) == INDEX_FOUND)
		ino = read_number(value);
	index_abort(&txn);
	return ino;
}

uint64_t state_find(struct state *state, ino_t real)
{
	uint64_t ino;

	pthread_mutex_lock(&state->lock);
	ino = find_number(state, real);
	pthread_mutex_unlock(&state->lock);
	return ino;
}

/* The entry of `real`, made if need be; NULL: out of memory. */
static struct entry *need_entry(struct state *state, ino_t real)
{
	struct entry *entry = find(state, real);

	if (entry)
		return entry;
	entry = malloc(sizeof(*entry));
	if (!entry)
		return NULL;
	*entry = (struct entry){ .real = real };
	if (table_add(&state->table, &entry->link, table_hash_u64(real)) < 0) {
		free(entry);
		return NULL;
	}
	return entry;
}

/* Full, because the disk was, it takes no more: those numbers may change if the worker dies. */
static void write_journal(struct state_journal *journal, const struct entry *entry)
{
	unsigned int n = atomic_load(&journal->n);

	if (n == STATE_JOURNAL_MAX)
		return;
	journal->changes[n].real = entry->real;
	journal->changes[n].ino = entry->is_gone ? 0 : entry->ino;
	journal->changes[n].is_kept = entry->is_kept;
	atomic_store(&journal->n, n + 1);
}

/* Notes that the disk is behind; the entry may be gone afterwards. */
static void count_change(struct state *state, struct entry *entry)
{
	bool was_dirty = entry->is_dirty;

	if (state->journal)
		write_journal(state->journal, entry);
	entry->is_dirty = true;
	state->n_dirty += !was_dirty;
	if (state->n_dirty >= MAX_CHANGES ||
	    (state->journal && atomic_load(&state->journal->n) >= MAX_CHANGES))
		flush(state, false);
}

static uint64_t new_number(struct state *state)
{
	if (state->next >= state->reserved) {
		state->reserved = state->next;
		state->reserved += BLOCK;
		flush(state, false);
	}
	if (state->journal)
		atomic_store(&state->journal->next, state->next + 1);
	return state->next++;
}

uint64_t state_set(struct state *state, ino_t real, uint64_t ino)
{
	struct entry *entry;
	uint64_t known;

	pthread_mutex_lock(&state->lock);
	known = find_number(state, real);
	if (!known || (ino && known != ino)) {
		uint64_t before = known;

		known = ino ? ino : new_number(state);
		entry = need_entry(state, real);
		if (entry) {
			entry->ino = known;
			entry->is_gone = entry->is_kept = false;
			/* Only numbers from here on are kept on disk; others may have to go there.
			 */
			if (known >= LOWER_INO_END || before >= LOWER_INO_END)
				count_change(state, entry);
		} else {
			known = 0;
		}
	}
	pthread_mutex_unlock(&state->lock);
	return known;
}

void state_set_kept(struct state *state, ino_t real, uint64_t ino)
{
	struct entry *entry;

	pthread_mutex_lock(&state->lock);
	entry = need_entry(state, real);
	if (entry) {
		entry->ino = ino;
		entry->is_gone = false;
		entry->is_kept = true;
		count_change(state, entry);
	}
	pthread_mutex_unlock(&state->lock);
}

void state_drop(struct state *state, ino_t real)
{
	struct entry *entry;

	pthread_mutex_lock(&state->lock);
	entry = need_entry(state, real);
	if (entry) {
		entry->is_gone = true;
		count_change(state, entry);
	}
	pthread_mutex_unlock(&state->lock);
}

void state_keep_journal(struct state *state, struct state_journal *journal)
{
	unsigned int n = atomic_load(&journal->n);

	pthread_mutex_lock(&state->lock);
	for (unsigned int i = 0; i < n && i < STATE_JOURNAL_MAX; i++) {
		struct entry *entry = need_entry(state, journal->changes[i].real);

		if (!entry)
			continue;
		entry->ino = journal->changes[i].ino;
		entry->is_gone = entry->ino == 0;
		entry->is_kept = journal->changes[i].is_kept;
		entry->is_dirty = true;
	}
	state->journal = journal;
	if (atomic_load(&journal->next) > state->next)
		state->next = atomic_load(&journal->next);
	if (n)
		flush(state, false);
	pthread_mutex_unlock(&state->lock);
}
