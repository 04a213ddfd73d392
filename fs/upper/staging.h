/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * New things are made in the staging directory, then put in their place in one step.
 *
 * An object is for one thread at a time.
 */
#ifndef UPPER_STAGING_H
#define UPPER_STAGING_H

#include <stdbool.h>
#include <stdio.h> /* RENAME_NOREPLACE, RENAME_EXCHANGE */

#include "base/cleanup.h"
#include "upper/upper.h"

struct staged {
	struct upper *upper; /* NULL: nothing is staged */
	int dirfd; /* where it is: the staging directory or one in it */
	int inherit; /* a directory made for it to inherit from, owned; -1: none */
	bool is_published; /* and gone from here */
	char name[24];
};

/* A name that is free. What has been made under it is removed by staged_done. */
void staged_init(struct upper *upper, struct staged *ret);

/*
 * The same, in a directory that passes on what `dirfd` would: its group if it is setgid, its
 * default ACL. 0 or negative errno; staged_done in any case.
 */
int staged_init_like(struct upper *upper, int dirfd, struct staged *ret);

/* Removes what was made and not published; harmless for one that is zeroed. */
void staged_done(struct staged *staged);
#define cleanup_staged CLEANUP(staged_done)

/*
 * Moves it to its place in one step. flags: 0 (replaces what is no directory), RENAME_NOREPLACE, or
 * RENAME_EXCHANGE (what was there is then what is staged). 0, -EEXIST, or as renameat2(2).
 */
int staged_publish(struct staged *staged, int dirfd, const char *name, unsigned int flags);

#endif
