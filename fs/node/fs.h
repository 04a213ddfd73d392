/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One mount: what it owns.
 *
 * All locks of a mount, in the order in which they may be taken; none of those after the first line
 * of stars is held over a system call on a branch. Two of one kind only where said.
 *
 *   node->copyup       while the object is copied to upper, data and all; only requests that need
 *                      that very copy wait for it
 *   fs->scan_lock      while upper is looked through, once, for renamed directories (names.c)
 *   node->names        of a directory: while one name in upper changes (of two directories the
 *                      one with the smaller number first); of a file: while its mode does; of
 *                      both: while times are set. A file's comes before its directory's
 *   orphan_lock()      while a name among the orphans comes or goes
 *   groups_lock        of lower_dirs: while a branch is looked through, once, for names of one file
 *   ***
 *   node->lock         the fields that node.h names
 *   fs->moved_lock     the list of renamed directories
 *   nodes->lock        the table of nodes, their references, names and the ledger
 *   state, ino32, lower_numbers, linked, fdcache, lower_dirs: each its own table; they are taken
 *                      last, and nothing is taken while they are held. The state's is held over
 *                      reads and writes of its own file, which is mapped or in work
 *
 * The request room has two more, which nobody holds while a verb runs: the seeker's (op_seek.h) and
 * the loop's (loop.c).
 */
#ifndef NODE_FS_H
#define NODE_FS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/fdcache.h"
#include "lower/lower.h"
#include "node/linked.h"
#include "node/node.h"
#include "survive/kept.h"
#include "survive/numbers.h"
#include "upper/upper.h"

/* What a name is found to be; others than these are negative errno. */
enum { FS_ABSENT = 0, FS_FOUND = 1 };

struct fs {
	const struct fs_config *config;
	struct upper upper;
	struct fdcache fds;
	struct lower *lower;
	struct nodes nodes;
	struct numbers numbers;
	enum numbering numbering; /* of lower */
	uint64_t seed; /* of listings (branch/listing.h) */
	struct node *root;
	pthread_mutex_t scan_lock; /* guards what follows (names.c) */
	bool is_scanned;
	int scan_error; /* the first, 0: none; and what it came from: */
	struct node *failed_dir; /* a reference */
	char *failed_name; /* in it; NULL: the directory itself */
	struct linked linked;
	pthread_mutex_t moved_lock; /* guards what follows */
	struct node_dir *moved; /* directories with a lower part that were renamed; references */
};

/* The notes of what is changed for a moment (survive/quiet.h); NULL: nobody will follow. */
static inline struct quiet_note *fs_quiet_notes(const struct fs *fs)
{
	return fs->config->kept ? fs->config->kept->quiet : NULL;
}

#endif
