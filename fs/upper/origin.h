/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Origin marks: which lower object a file in upper was copied from.
 *
 * A file that was copied up keeps the number of the lower object.  It carries
 * it in an xattr of 24 bytes, little-endian: the number, the identity of the
 * stack of branches it is a number of, and the inode number of the file
 * itself, so that a copy of the file made behind our back is no second claim.
 *
 * All functions may be called from any thread.
 */
#ifndef UPPER_ORIGIN_H
#define UPPER_ORIGIN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "upper/upper.h"

/* Marks `fd`, the inode `real`, as number `ino`; false where no mark can be written. */
bool origin_set(const struct upper *upper, int fd, ino_t real, uint64_t ino);

/* The number, or 0 when there is no mark or it was not made for this file and these branches. */
uint64_t origin_get(const struct upper *upper, int fd, ino_t real);

#endif
