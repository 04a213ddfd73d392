/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The inode numbers of a mount: the one place that gives one to an object of upper, and that says
 * what is shown for it. How numbers are made, and where lower ones come from, is in
 * branch/number.h.
 *
 * What an object of upper has is found in this order: what the state file notes (state.h), the
 * object's own origin mark (upper/origin.h), an older note that fits its birth; else a new one is
 * given. With ino32_t a short one is shown in its place (ino32.h).
 *
 * All functions may be called from any thread. `real` is the number that the filesystem of upper
 * gives an inode.
 */
#ifndef SURVIVE_NUMBERS_H
#define SURVIVE_NUMBERS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "upper/upper.h"

struct numbers {
	const struct upper *upper;
	struct state *state; /* NULL without a top branch */
	struct ino32 *ino32; /* NULL: long numbers are shown */
};

/*
 * Opens what `upper->config` says is kept: the state in the work directory, if there is one, and
 * the table of short numbers. 0 or negative errno; numbers_close in any case.
 */
int numbers_open(struct numbers *numbers, const struct upper *upper);

/* Lets go of the files. All that is to be kept is where it belongs already. Twice is once. */
void numbers_close(struct numbers *numbers);

/* What is noted for an inode of upper: its number, or 0 where that is not known without a look. */
uint64_t numbers_noted(struct numbers *numbers, ino_t real);

/* What an object has of its own: its mark, or an older note that fits it; 0: nothing. */
uint64_t numbers_own(struct numbers *numbers, int fd, const struct stat *st);

/* The number of an object in upper that has no lower part; 0: out of memory. */
uint64_t numbers_get(struct numbers *numbers, int dirfd, const char *name, const struct stat *st);

/* The same where numbers_noted has said 0 already. */
uint64_t numbers_find(struct numbers *numbers, int dirfd, const char *name, const struct stat *st);

/* The inode is lower object `ino` in upper. Returns the number that it has then; 0: no memory. */
uint64_t numbers_set(struct numbers *numbers, ino_t real, uint64_t ino);

/*
 * `fd`, the inode `real`, is a copy of the lower object `ino` that is being made: it carries the
 * number with it, or, where it takes no mark, that is kept for it.
 */
void numbers_mark_copy(struct numbers *numbers, int fd, ino_t real, uint64_t ino);

/*
 * A new number for an inode that has just been made, which may have been another object's before:
 * that one's never comes back. 0: out of memory.
 */
uint64_t numbers_renew(struct numbers *numbers, ino_t real);

/* The object `ino` is gone for good, and with it the inode. */
void numbers_drop(struct numbers *numbers, ino_t real, uint64_t ino);

/* What `ino` is shown as: 0; -EOVERFLOW: no short number is left; or -ENOMEM. */
int numbers_show(struct numbers *numbers, uint64_t ino, uint64_t *ret);

/* Whether `n` more objects could be shown. */
bool numbers_has_room(struct numbers *numbers, uint32_t n);

#endif
