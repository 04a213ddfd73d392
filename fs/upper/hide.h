/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Whiteouts that are put into upper, with the names of the directory held (node->names of the
 * `dirfd` in question). 0 or negative errno.
 *
 * All functions may be called from any thread.
 */
#ifndef UPPER_HIDE_H
#define UPPER_HIDE_H

#include <stdint.h>
#include <sys/types.h>

#include "upper/upper.h"

/* Puts one at a name that is free; -EEXIST if a mark of it is there. */
int hide_free(struct upper *upper, int dirfd, const char *name);

/*
 * Where whiteouts take the place of names: puts one there in one step. flags as of staged_publish;
 * what was there is gone.
 */
int hide_place(struct upper *upper, int dirfd, const char *name, unsigned int flags);

/* The same, and what was there, of that type, is among the orphans as `ino`; its lock is held.
 */
int hide_orphaned(struct upper *upper, int dirfd, const char *name, mode_t type, uint64_t ino);

#endif
