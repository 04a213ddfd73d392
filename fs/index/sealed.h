/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A file that is read whole, into memory, and replaced whole.  What is read holds up or is refused;
 * what happens to the file later reaches nobody who has read it.  The caller sees to it that nobody
 * reads or replaces it while it is replaced.
 *
 * An object is for one thread at a time.
 */
#ifndef INDEX_SEALED_H
#define INDEX_SEALED_H

#include <stdbool.h>
#include <stddef.h>

#include "index/seal.h"

/* A file larger than this is none of ours; a page of it, as LMDB writes them, has no less than
 * that. */
enum { SEALED_MAX_SIZE = 1 << 30, SEALED_PAGE = 4096 };

struct sealed {
	int fd; /* memory with the content, without the seal, to be read and written; -1: none */
	bool has_seal; /* not one that an earlier version has written */
	unsigned char seal[SEAL_SIZE];
};

/* 0, SEAL_BAD, or negative errno (-ENOENT). */
int sealed_read(int dirfd, const char *name, struct sealed *ret);

/* Begins with a file that is not there yet, as sealed_begin does with one that is. */
int sealed_begin(struct sealed *ret);

/* Whether the file is the one that was read, or written, by its seal. */
bool sealed_is_current(const struct sealed *sealed, int dirfd, const char *name);

/*
 * Makes the content be the file, durable, in one step: at any instant the file is what it was or
 * what it is to be.  What it was stays as `old`, which is where the next one is written: to where
 * there is room for it.  0, or negative errno.
 */
int sealed_write(struct sealed *sealed, int dirfd, const char *name, const char *old);

/* Lets go of the memory; the file stays as it is. Twice is once. */
void sealed_done(struct sealed *sealed);

#endif
