/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * In memory: a table of the numbers in use that are not yet on disk, or that
 * need not be.  On disk: META with the first number not yet handed out and the
 * epoch; NUMBER from the real inode (8 bytes, big-endian) to ours (8 bytes,
 * little-endian); and a log of the changes since, each a record that carries the
 * epoch and a hash of itself.
 *
 * Nothing is left to be done when the mount ends, as it is over before we hear of
 * it: what is beside the tables is in the log.  That is in the kernel's hands
 * when a change has been made, and outlives every process, but not the machine.
 *
 * LMDB writes without syncing, so after a power loss the file may be torn in any
 * way, and is not so much as opened.  A seal beside it says in which run of the
 * machine it was last changed, which is on disk before it is, or that all of it
 * is on disk; a thread sees to that when nothing has changed for a while.
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
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "base/boot.h"
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
	QUIET_SECONDS = 1, /* without a change, until all is made durable */
};
static const char *const tables[] = { "meta", "number", NULL };
static const char file_name[] = "state.mdb";
static const char seal_name[] = "state.seal";
static const char log_name[] = "state.log";

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

/* One change in the log, in the byte order of the machine: it is of no use to another. */
struct record {
	uint64_t epoch;
	uint64_t real;
	uint64_t ino; /* 0: it is gone */
	uint64_t is_kept;
	uint64_t hash; /* of the rest */
};

struct state {
	int workdir;
	bool do_sync;
	pthread_t keeper;
	bool has_keeper;
	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t changed; /* what the keeper waits for */
	bool is_ending;
	bool is_open; /* the seal says since when it is being changed */
	bool has_epoch; /* the tables have it, so that the log is good for something */
	int file, log; /* of the index, and of what is not in it yet; -1: none */
	uint64_t n_logged, epoch;
	uint64_t n_changes, n_settled; /* changes so far, and those that are durable */
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
	struct boot_id boot; /* in which it was opened */
};

/* False where there is none; *ret is then one that says nothing. */
static bool read_seal(int workdir, struct seal *ret)
{
	cleanup_fd int fd = fd_open_own(workdir, seal_name, O_RDONLY, 0);

	*ret = (struct seal){ .is_open = true };
	/* Those of earlier versions end before the boot. */
	if (fd < 0 || fd_pread_all(fd, ret, sizeof(*ret), 0) < 16)
		return false;
	ret->next = le64toh(ret->next);
	ret->is_open = le64toh(ret->is_open);
	ret->boot.s[sizeof(ret->boot.s) - 1] = '\0';
	return true;
}

/* In place, which needs no room on a disk that is full. */
static int write_seal(struct state *state, bool is_open)
{
	struct seal seal = { htole64(state->next), htole64(is_open), boot_id() };
	cleanup_fd int fd = fd_open_own(state->workdir, seal_name, O_CREAT | O_WRONLY, 0600);
	ssize_t n = fd < 0 ? fd : fd_pwrite_all(fd, &seal, sizeof(seal), 0);

	if (n != sizeof(seal))
		return n < 0 ? (int)n : -ENOSPC;
	state->is_open = is_open;
	if (!state->do_sync)
		return 0;
	return fsync(fd) < 0 || fsync(state->workdir) < 0 ? -errno : 0;
}

/* Whether the file holds what was written to it. Else numbers go on far behind all it may have had.
 */
static bool is_whole(struct state *state)
{
	struct seal seal;
	bool is_there = read_seal(state->workdir, &seal);
	struct boot_id boot = boot_id();

	state->next = seal.next > state->next ? seal.next : state->next;
	if (!is_there)
		return false;
	if (!seal.is_open || (*boot.s && strcmp(seal.boot.s, boot.s) == 0))
		return true;
	state->next += NEVER_REACHED;
	return false;
}

/* --- the log --- */

static uint64_t hash_of(const struct record *record)
{
	return table_hash_bytes(record, offsetof(struct record, hash));
}

static int open_log(struct state *state)
{
	state->log = fd_open_own(state->workdir, log_name, O_RDWR | O_CREAT, 0600);
	if (state->log < 0)
		return state->log;
	/* On a disk that is full later there is room, if there is now. */
	posix_fallocate(state->log, 0, (off_t)(STATE_JOURNAL_MAX * sizeof(struct record)));
	return 0;
}

static void write_log(struct state *state, const struct entry *entry)
{
	struct record record = { .epoch = state->epoch,
				 .real = entry->real,
				 .ino = entry->is_gone ? 0 : entry->ino,
				 .is_kept = entry->is_kept };

	if (!state->has_epoch || state->n_logged == STATE_JOURNAL_MAX)
		return;
	record.hash = hash_of(&record);
	if (fd_pwrite_all(state->log, &record, sizeof(record),
			  (off_t)(state->n_logged * sizeof(record))) == sizeof(record))
		state->n_logged++;
}

static struct entry *need_entry(struct state *state, ino_t real);

/* Takes over a change that the tables do not have yet. */
static void recall(struct state *state, uint64_t real, uint64_t ino, bool is_kept)
{
	struct entry *entry = need_entry(state, real);

	if (!entry)
		return;
	entry->ino = ino;
	entry->is_gone = ino == 0;
	entry->is_kept = is_kept;
	state->n_dirty += !entry->is_dirty;
	entry->is_dirty = true;
	if (ino >= state->next)
		state->next = ino + 1;
}

static void read_log(struct state *state)
{
	struct record record;

	while (state->n_logged < STATE_JOURNAL_MAX &&
	       fd_pread_all(state->log, &record, sizeof(record),
			    (off_t)(state->n_logged * sizeof(record))) == sizeof(record) &&
	       record.epoch == state->epoch && record.hash == hash_of(&record)) {
		recall(state, record.real, record.ino, record.is_kept);
		state->n_logged++;
	}
}

/* --- opening --- */

static uint64_t read_meta_number(struct index_txn *txn, const char *key)
{
	struct index_value value;

	return index_get(txn, META, key, strlen(key), &value) == INDEX_FOUND ? read_number(value)
									     : 0;
}

static int read_meta(struct state *state)
{
	struct index_txn txn;
	uint64_t next;
	int r = index_begin(state->index, false, &txn);

	if (r < 0)
		return r;
	next = read_meta_number(&txn, "next");
	state->epoch = read_meta_number(&txn, "epoch");
	index_abort(&txn);
	state->next = next > state->next ? next : state->next;
	state->reserved = next > state->next ? next : state->next;
	return 0;
}

/* An empty file has a log of its own, whatever is left of another one's. */
static uint64_t first_epoch(void)
{
	uint64_t epoch;

	return getrandom(&epoch, sizeof(epoch), GRND_NONBLOCK) == sizeof(epoch)
		       ? epoch | 1
		       : (uint64_t)time(NULL) << 20;
}

static int open_index(struct state *state)
{
	int r = fd_open_own(state->workdir, file_name, O_RDWR | O_CREAT, 0600);

	if (r < 0)
		return r;
	state->file = r;
	return index_open(state->file, NULL, INDEX_WRITE_ALONE, tables, &state->index);
}

/* What is there, or, if that is damaged, an empty one. */
static int open_file(struct state *state, bool is_restart)
{
	int r;

	if (!is_restart && !is_whole(state))
		unlinkat(state->workdir, file_name, 0);
	r = open_index(state);
	if (r == INDEX_DAMAGED) {
		close(take_fd(&state->file));
		r = unlinkat(state->workdir, file_name, 0) < 0 ? -errno : open_index(state);
	}
	if (r == 0)
		r = read_meta(state);
	state->has_epoch = state->epoch;
	if (!state->has_epoch)
		state->epoch = first_epoch();
	return r;
}

static void *keep(void *context);
static void init_locks(struct state *state);

int state_open(int workdir, bool is_restart, bool do_sync, struct state **ret)
{
	struct state *state = calloc(1, sizeof(*state));
	int r;

	if (!state)
		return -ENOMEM;
	state->workdir = workdir;
	state->do_sync = do_sync;
	state->next = LOWER_INO_END;
	state->file = state->log = -1;
	init_locks(state);
	r = open_file(state, is_restart);
	if (r == 0)
		r = open_log(state);
	if (r != 0) {
		state_close(state);
		return r < 0 ? r : -EIO;
	}
	read_log(state);
	/* Where there is no room for it, more is lost with the machine. */
	state->has_keeper = pthread_create(&state->keeper, NULL, keep, state) == 0;
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
static int flush(struct state *state)
{
	struct index_txn txn;
	struct table_link *link;
	int r = state->is_open ? 0 : write_seal(state, true);

	if (r == 0)
		r = index_begin(state->index, true, &txn);
	if (r < 0)
		return r;
	for (size_t i = 0; i < state->table.n_buckets; i++) {
		for (link = state->table.buckets[i]; link; link = link->next) {
			struct entry *entry = TABLE_OBJECT(link, struct entry, link);
			struct real_key key = real_key(entry->real);
			uint64_t ino = htole64(entry->ino);

			if (!entry->is_dirty)
				continue;
			if (is_for_disk(entry))
				index_put(&txn, NUMBER, key.bytes, sizeof(key), &ino, sizeof(ino));
			else
				index_delete(&txn, NUMBER, key.bytes, sizeof(key));
		}
	}
	put_meta_number(&txn, "next", state->reserved);
	/* What is in the log is in the tables now: its records are of an epoch that is over. */
	put_meta_number(&txn, "epoch", state->epoch + 1);
	r = index_commit(&txn);
	if (r < 0)
		return r;
	state->epoch++;
	state->has_epoch = true;
	state->n_logged = 0;
	drop_written(state);
	if (state->journal)
		atomic_store(&state->journal->n, 0);
	return 0;
}

/* --- what is done when nothing else is --- */

/* With the lock held: all that is known is on disk, and the seal says so. */
static void settle(struct state *state)
{
	int r = flush(state);

	if (r == 0 && state->do_sync && fsync(state->file) < 0)
		r = -errno;
	if (r == 0)
		write_seal(state, false);
}

/* Waits until nothing has changed for a while, and makes durable what had. */
static void *keep(void *context)
{
	struct state *state = context;

	pthread_mutex_lock(&state->lock);
	while (!state->is_ending) {
		uint64_t seen = state->n_changes;
		struct timespec until;

		if (seen == state->n_settled) {
			pthread_cond_wait(&state->changed, &state->lock);
			continue;
		}
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_sec += QUIET_SECONDS;
		while (!state->is_ending &&
		       pthread_cond_timedwait(&state->changed, &state->lock, &until) == 0)
			;
		if (state->is_ending || state->n_changes != seen)
			continue;
		/* If it fails, on a disk that is full, it is tried after the next change. */
		settle(state);
		state->n_settled = seen;
	}
	pthread_mutex_unlock(&state->lock);
	return NULL;
}

static void init_locks(struct state *state)
{
	pthread_condattr_t attr;

	pthread_mutex_init(&state->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&state->changed, &attr);
	pthread_condattr_destroy(&attr);
}

/* --- closing --- */

void state_close(struct state *state)
{
	struct table_link *link;

	if (!state)
		return;
	pthread_mutex_lock(&state->lock);
	state->is_ending = true;
	pthread_cond_signal(&state->changed);
	pthread_mutex_unlock(&state->lock);
	if (state->has_keeper)
		pthread_join(state->keeper, NULL);
	index_close(state->index);
	if (state->file >= 0)
		close(state->file);
	if (state->log >= 0)
		close(state->log);
	while ((link = table_pop(&state->table)))
		free(TABLE_OBJECT(link, struct entry, link));
	table_done(&state->table);
	pthread_cond_destroy(&state->changed);
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
	write_log(state, entry);
	entry->is_dirty = true;
	state->n_dirty += !was_dirty;
	/* The keeper wakes up for the first, and then by itself. */
	if (state->n_changes++ == state->n_settled)
		pthread_cond_signal(&state->changed);
	if (!state->has_epoch || state->n_dirty >= MAX_CHANGES || state->n_logged >= MAX_CHANGES ||
	    (state->journal && atomic_load(&state->journal->n) >= MAX_CHANGES))
		flush(state);
}

static uint64_t new_number(struct state *state)
{
	if (state->next >= state->reserved) {
		state->reserved = state->next;
		state->reserved += BLOCK;
		flush(state);
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
	for (unsigned int i = 0; i < n && i < STATE_JOURNAL_MAX; i++)
		recall(state, journal->changes[i].real, journal->changes[i].ino,
		       journal->changes[i].is_kept);
	state->journal = journal;
	if (atomic_load(&journal->next) > state->next)
		state->next = atomic_load(&journal->next);
	if (n)
		flush(state);
	pthread_mutex_unlock(&state->lock);
}
