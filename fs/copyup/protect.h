/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Immutable and append-only objects, as chattr(1) makes them with +i and +a.
 *
 * In upper the two are a mark, the xattr overlay.protattr with the letters `i` and `a`, as kernel
 * overlayfs has it (Linux fs/overlayfs/util.c): the real flags would be in the way of copying up
 * below, of renaming what is staged, and of whoever removes the container. Objects of lower
 * branches have the real flags, and keep them as the mark when they are copied up. FUSE's own
 * inodes know neither, so every change asks here.
 */
#ifndef COPYUP_PROTECT_H
#define COPYUP_PROTECT_H

#include "node/fs.h"

enum {
	PROTECT_IMMUTABLE = 1 << 0,
	PROTECT_APPEND_ONLY = 1 << 1,
	PROTECT_ANY = PROTECT_IMMUTABLE | PROTECT_APPEND_ONLY,
	PROTECT_KNOWN = 1 << 7, /* in node->protection: the rest has been asked for */
};

/*
 * The PROTECT_* bits of an object, without PROTECT_KNOWN, or negative errno. Asks the filesystem
 * once for each node; from any thread.
 */
int protect_get(struct fs *fs, struct node *node);

/* Marks `fd`, in upper, with the bits (0 takes the mark away). 0, -EOPNOTSUPP, or negative errno.
 */
int protect_mark(struct fs *fs, int fd, unsigned int protection);

/* The node has been marked so. */
void protect_note(struct node *node, unsigned int protection);

/*
 * 0 if the object is protected in none of the ways `how` (bits of the above), -EPERM if it is, or
 * another negative errno.
 */
int protect_check(struct fs *fs, struct node *node, unsigned int how);

/*
 * Whether the bytes from `offset` on may be written, as protect_check says it: an append-only file
 * takes only what lies behind its end.
 */
int protect_check_write(struct fs *fs, struct node *node, int fd, off_t offset);

/* Marks `fd`, a copy that is being made of the node's object, as that is: 0 or negative errno. */
int protect_copy(struct fs *fs, struct node *node, int fd);

#endif
