/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The chain index: the merged view of an ordered stack of sealed branches in
 * one read-only file (doc/index-format.md).  Whiteouts, opaque marks and
 * redirects are resolved when it is built, so a lookup is one descent
 * whatever the number of branches, and the file is shared by every mount.
 *
 * All functions may be called from any thread.
 */
#ifndef LOWER_CHAIN_H
#define LOWER_CHAIN_H

#include <stddef.h>
#include <stdint.h>

/*
 * Walks the branches (open directories, topmost first; they stay the
 * caller's) and writes their chain index as a new file `name` in `dirfd`,
 * durable when this returns.  `chain_id` is kept in it for lower_of_chain to
 * compare.  0 or negative errno (-EEXIST: `name` is there); on failure nothing is
 * left behind.  Memory does not grow with the number of files.
 */
int chain_build(const int branches[], size_t n_branches, const char *chain_id, int dirfd,
		const char *name);

/*
 * What tells a whole index from all others, of which the same numbers mean other objects. 0 or
 * negative errno.
 */
int chain_identity(int fd, uint64_t *ret);

#endif
