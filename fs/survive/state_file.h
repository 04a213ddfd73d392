/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The file behind state.h: records found by an inode number of upper, each with a hash of itself.
 *
 * It may hold anything, as after a power loss or on a disk that fails: what is not a whole record
 * is as if it were not there, and nothing in it leads anywhere. What has been put there outlives
 * the process at once, and the machine when the kernel has written it back, which it does by
 * itself: after a power loss, a record may be older than the object that it seems to be of, or
 * newer, so each says in which run of the machine it was put. The format is in
 * doc/index-format.md.
 *
 * Not for several threads at a time. All functions may answer a negative errno of the disk's.
 */
#ifndef SURVIVE_STATE_FILE_H
#define SURVIVE_STATE_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct state_file;

struct state_record {
	uint64_t ino;
	uint64_t stack; /* what it is a number of, the caller's to say */
	uint64_t birth; /* what else the object is known by, the caller's to say */
};

enum { STATE_FILE_ABSENT = 0, STATE_FILE_FOUND = 1, STATE_FILE_EARLIER = 2 };
enum { STATE_FILE_GREW = 1 }; /* there is room again, if there was none */

/*
 * Opens the file in the work directory, which must outlive it, or begins one that is empty, also
 * where there is one that is none of ours. STATE_FILE_FOREIGN: something that is no file of ours is
 * in the way.
 */
enum { STATE_FILE_FOREIGN = 1 };
int state_file_open(int workdir, struct state_file **ret);

/* Lets go of it; nothing is left to be written. Accepts NULL. */
void state_file_close(struct state_file *file);

/*
 * No number from here on has been reserved, whatever of that is on disk; in a new file, it is some
 * number that no earlier one of this place is likely to have come to.
 */
uint64_t state_file_next(const struct state_file *file);

/* No number from `next` on, which only ever grows, is going to be given out. */
int state_file_reserve(struct state_file *file, uint64_t next);

/* STATE_FILE_EARLIER: it was put in another run of the machine, or in none that is known. */
int state_file_find(struct state_file *file, ino_t real, struct state_record *ret);

/* In place of what is there for it, if anything. 0 or STATE_FILE_GREW; -ENOSPC: it cannot grow. */
int state_file_put(struct state_file *file, ino_t real, struct state_record record);

/* Needs no room. */
int state_file_delete(struct state_file *file, ino_t real);

#endif
