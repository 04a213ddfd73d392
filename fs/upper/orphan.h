/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Names in the orphan directory, where objects stay that have no name any more and are still in
 * use: each by its inode number in hexadecimal. Notes of groups (copyup/group.h) are named alike.
 *
 * All functions may be called from any thread.
 */
#ifndef UPPER_ORPHAN_H
#define UPPER_ORPHAN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "upper/upper.h"

struct orphan_name {
	char s[24];
};
struct orphan_name orphan_name(uint64_t ino);

/* The lock for the name of number `ino`; one thread holds one of them at a time. */
pthread_mutex_t *orphan_lock(struct upper *upper, uint64_t ino);

/*
 * Whether the inode `real` of upper has a name among the orphans, as number `ino`; with its lock
 * held.
 */
bool orphan_is_kept(const struct upper *upper, uint64_t ino, ino_t real);

#endif
