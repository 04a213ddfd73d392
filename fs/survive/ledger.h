/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the kernel has been told of: the number of each node that it knows, how
 * often it was told, and the directory that it was last found in.  It is kept
 * in memory that outlives a worker (a memfd), so that the next one knows what
 * it has to know again, and when the kernel has forgotten it.
 *
 * A worker may die between any two of its writes.  Every field is written in
 * one piece; the directory is no more than a hint of where to look first.
 * A ledger has no lock: it is used with that of the nodes held.
 */
#ifndef SURVIVE_LEDGER_H
#define SURVIVE_LEDGER_H

#include <stdint.h>

struct ledger;

struct ledger_entry {
	uint64_t ino; /* 0: free */
	uint64_t n_lookups;
	uint64_t parent; /* 0: not known */
};

/*
 * Opens the ledger in `fd`, which stays the caller's and is empty at first.  What
 * an earlier worker wrote there is unclaimed.  0 or negative errno.
 */
int ledger_open(int fd, struct ledger **ret);
/* Leaves the content as it is. Accepts NULL. */
void ledger_close(struct ledger *ledger);

/* A new entry; NULL where there is no memory for it. One without lookups is none to the next
 * worker. */
struct ledger_entry *ledger_add(struct ledger *ledger, uint64_t ino, uint64_t n_lookups,
				uint64_t parent);

/* The unclaimed entry of a number, or NULL. */
struct ledger_entry *ledger_find(struct ledger *ledger, uint64_t ino);

/* The same, which is from then on the caller's. */
struct ledger_entry *ledger_claim(struct ledger *ledger, uint64_t ino);

/* Frees an entry, claimed or not. */
void ledger_remove(struct ledger *ledger, struct ledger_entry *entry);

#endif
