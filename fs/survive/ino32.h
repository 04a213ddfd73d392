/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Short numbers: what a mount with ino32_t shows in place of its own inode
 * numbers, for programs that cannot take more than 32 bits.  Nodes keep the long
 * ones; only what is shown as st_ino and d_ino is translated.
 *
 * A number below INO32_FIRST is shown as it is.  Any other is given one from
 * INO32_FIRST on when it is first shown, and keeps it until it is dropped.  So no
 * two are ever shown alike.
 *
 * The numbers given out are in a file in the work directory, or without one in memory that
 * outlives a worker (a memfd).
 *
 * All functions may be called from any thread.
 */
#ifndef SURVIVE_INO32_H
#define SURVIVE_INO32_H

#include <stdbool.h>
#include <stdint.h>

struct ino32;

#define INO32_FIRST (UINT32_C(1) << 31)

/* What is no number. */
#define INO32_NONE UINT32_MAX

/* How many can be given out. */
#define INO32_MAX (INO32_NONE - INO32_FIRST)

/*
 * Opens the table in `fd`, which stays the caller's and is empty at first; what
 * an earlier worker or mount gave out is known.  No more than `max` are given out at a
 * time.  0 or negative errno.
 */
int ino32_open(int fd, uint32_t max, struct ino32 **ret);
/* Leaves what is in `fd` as it is. Accepts NULL. */
void ino32_close(struct ino32 *table);

/* What `ino` is shown as: 0, -EOVERFLOW when no number is left, or -ENOMEM. */
int ino32_get(struct ino32 *table, uint64_t ino, uint32_t *ret);

/* Whether `n` more can be given out. Accepts NULL, which gives out none: true. */
bool ino32_has_room(struct ino32 *table, uint32_t n);

/*
 * Nobody knows `ino` any more, and if it was given to an object born in upper,
 * it never comes again: what it was shown as may be given out anew.  Numbers of
 * lower objects are kept.  Accepts NULL.
 */
void ino32_drop(struct ino32 *table, uint64_t ino);

#endif
