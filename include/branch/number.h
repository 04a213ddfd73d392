/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The inode numbers of a mount: 64 bits, which say where they come from.
 *
 *   1                  the root (FUSE)
 *   below 2^61         lower objects: which of the branches' filesystems, in the order of the
 *                      branches, in the bits from 52 on, and the object's own number there; or,
 *                      by a chain index, numbers of the index
 *   2^61 to 2^62       lower objects of which that does not fit into so few bits: hashed
 *   from 2^62 on       born in upper, counted up (survive/state.h)
 *
 * A lower object's number is a function of what the object is, so that every worker and every mount
 * of the same branches finds the same, and nothing about it has to be kept. With ino32_t others are
 * shown in their place (survive/ino32.h).
 */
#ifndef BRANCH_NUMBER_H
#define BRANCH_NUMBER_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/table.h"

/* The inode number of the root of every mount, which the FUSE protocol sets. */
enum { LOWER_ROOT_INO = 1 };

/* Numbers from here on are never given to lower objects: they belong to objects born in upper. */
#define LOWER_INO_END (UINT64_C(1) << 62)

struct lower_numbers {
	dev_t *devices; /* the branches' filesystems; constant */
	size_t n_devices;
	pthread_mutex_t lock; /* guards what follows */
	struct table hashed; /* that were made, by which object of which filesystem */
};

/* `branches` are open directories. 0 or negative errno; lower_numbers_done in any case. */
int lower_numbers_init(struct lower_numbers *numbers, const int branches[], size_t n_branches);
void lower_numbers_done(struct lower_numbers *numbers);

/*
 * The number of the object `real` of a filesystem. 0: out of memory, or another object has that
 * number, which for hashed ones takes some 2^30 objects. From any thread.
 */
uint64_t lower_numbers_get(struct lower_numbers *numbers, dev_t device, ino_t real);

/*
 * Whether the next mount will find the same, also on a machine that counts its disks anew. Not so
 * for what lies on another filesystem than its branch, as subvolumes do.
 */
bool number_is_lasting(uint64_t number);

/*
 * Whether earlier versions gave the same to the same object: one of the first branch's filesystem,
 * or of a chain index.
 */
bool number_is_old(uint64_t number);

#endif
