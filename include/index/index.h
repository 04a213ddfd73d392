/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Ordered tables of bytes in one file: the only face of LMDB in this project.
 *
 * An index must not be carried over a fork.  A transaction belongs to
 * the thread that began it; of a file that several processes use, one thread has transactions.
 * Values are valid until the transaction ends and must be copied to live longer; they are not
 * aligned.
 *
 * Writing is sticky: after the first failure of index_put or index_delete the
 * transaction does nothing more, and index_commit returns that failure.
 */
#ifndef INDEX_INDEX_H
#define INDEX_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct index;

enum {
	INDEX_MAX_TABLES = 8,
	INDEX_MAX_KEY = 511, /* LMDB's own limit, in bytes */
};

enum index_mode {
	INDEX_READ, /* a finished file, which nobody writes any more */
	/*
	 * By any number of processes: a transaction waits until no other one is at work that
	 * writes, or, if it writes itself, none at all. Made if absent; each commit is durable.
	 * The file is read whole and checked, and replaced whole by a commit: damage of any kind is
	 * seen. NAME.old is then what it was before.
	 */
	INDEX_WRITE,
	INDEX_SHARED_READ, /* the same file, by one that only reads; a read-only disk will do */
	/*
	 * By one thread at a time of one process, without a lock file; survives the process, not
	 * the machine.
	 */
	INDEX_WRITE_ALONE,
};

/* What a lookup found. */
enum { INDEX_ABSENT = 0, INDEX_FOUND = 1 };

struct index_value {
	const void *data;
	size_t size;
};

struct index_txn {
	struct index *index;
	void *handle;
	int error; /* the first failure, a negative errno */
};

/*
 * Opens `name` in `dirfd`, or, with a NULL name, for reading or alone, the file that `dirfd`
 * itself is, with the given tables, made as needed.  The tables
 * are numbered in the order of `names` (NULL ended).
 * 0; INDEX_DAMAGED when the file is no index of ours or is cut short; or negative errno
 * (-ENOENT when reading and absent; -ENOSPC).  The array `names` must outlive the index.
 */
enum { INDEX_DAMAGED = 1 };
int index_open(int dirfd, const char *name, enum index_mode mode, const char *const names[],
	       struct index **ret);

/* Accepts NULL. Every transaction must have ended. */
void index_close(struct index *index);

/*
 * Of a file that several processes use: whether one of that name holds up, 0, INDEX_DAMAGED or
 * negative errno; and whether the open one was written so that damage to it would have been seen,
 * as earlier versions did not.
 */
int index_look(int dirfd, const char *name);
bool index_is_sealed(const struct index *index);

/* -EUCLEAN: the file has been damaged since it was opened. */
int index_begin(struct index *index, bool write, struct index_txn *ret);
int index_commit(struct index_txn *txn);
/* Harmless after a commit. */
void index_abort(struct index_txn *txn);

/* INDEX_FOUND, INDEX_ABSENT or negative errno. */
int index_get(struct index_txn *txn, unsigned int table, const void *key, size_t key_size,
	      struct index_value *ret);

/* Puts a value in place of what is there; a failure is kept, and index_commit answers it. */
void index_put(struct index_txn *txn, unsigned int table, const void *key, size_t key_size,
	       const void *value, size_t value_size);
/* Nothing happens when the key is absent. */
void index_delete(struct index_txn *txn, unsigned int table, const void *key, size_t key_size);

/*
 * Every record of `table` whose key begins with `prefix`, in key order, until
 * `each` returns other than 0, which is then the result; 0 at the end, or
 * negative errno.  `each` may not write to the table.
 */
int index_each(struct index_txn *txn, unsigned int table, const void *prefix, size_t prefix_size,
	       int (*each)(void *context, struct index_value key, struct index_value value),
	       void *context);

/* Records in `table`, or negative errno. */
int64_t index_count(struct index_txn *txn, unsigned int table);

#endif
