/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Inode numbers of objects in upper: which number of ours belongs to which
 * inode of the upper filesystem.
 *
 * Numbers are kept in a file in the work directory (state_file.h), so that an object born in upper
 * keeps its number over unmount and mount. Losing it costs nothing but that constancy, so it is
 * never synced, and what of it is damaged is void. Numbers of objects that were copied up are not
 * in it; those carry theirs with them in an xattr (upper/origin.h), unless they cannot.
 *
 * As it is not synced, what it says from an earlier run of the machine may be of another object,
 * of whose inode it was then: such a number is confirmed before it counts.
 *
 * All functions may be called from any thread.
 */
#ifndef SURVIVE_STATE_H
#define SURVIVE_STATE_H

#include <stdatomic.h>
#include <stdint.h>
#include <sys/types.h>

#include "survive/state_file.h"

struct state;

/*
 * What the next worker of the mount has to know and the file does not say, as on a disk that is
 * full. Zeroed memory is an empty journal.
 */
enum { STATE_JOURNAL_MAX = 8192 };
struct state_journal {
	atomic_uint n;
	atomic_ulong next; /* the first number that no worker has given out; 0: not known */
	atomic_ulong mount_id; /* of what is noted for this mount alone; 0: not known */
	struct {
		uint64_t real;
		struct state_record record; /* ino 0: it is gone */
	} changes[STATE_JOURNAL_MAX];
};

struct state_config {
	uint64_t stack_id; /* of the lower branches (upper/stack_id.h); 0: they cannot be known
			      again */
	struct state_journal *journal; /* taken over and kept; it must outlive the state; or NULL */
};

/*
 * Opens or begins the state in the work directory. 0 or negative errno; -EPERM: something that is
 * no file of ours is in the way.
 */
int state_open(int workdir, const struct state_config *config, struct state **ret);

/* Lets go of it. All that is to be kept is where it belongs already. Accepts NULL. */
void state_close(struct state *state);

/* The number of an inode of upper; 0 when it has none yet, or one that is to be confirmed. */
uint64_t state_find(struct state *state, ino_t real);

/*
 * The number of an object that carries none itself, also from an earlier run of the machine: one
 * that was given out here, or that was kept for an object of this birth (state_set_kept). From now
 * on that is its number. 0: it has none.
 */
uint64_t state_confirm(struct state *state, ino_t real, uint64_t birth);

/*
 * Gives `real` the number `ino`; or, if that is 0, the one it has already, or
 * else a new one that no object of this mount ever had.  Returns the number it
 * has then, or 0: out of memory.
 */
uint64_t state_set(struct state *state, ino_t real, uint64_t ino);

/*
 * Gives an inode that is another object's from now on a new number, which is returned; 0: out of
 * memory. *before (if not NULL, which saves a look) is the one it had, or 0.
 */
uint64_t state_renew(struct state *state, ino_t real, uint64_t *before);

/*
 * As state_set, for a number of a lower object whose copy cannot carry it: it is kept on disk like
 * those given out here, for mounts of the same stack, or, if the number is one that the next mount
 * may not find, for this mount alone. `birth` says when the copy was made (fd_birth); without it,
 * 0, the number is not known after the machine was restarted.
 */
void state_set_kept(struct state *state, ino_t real, uint64_t ino, uint64_t birth);

/* The inode is gone from upper; its number is not used again. */
void state_drop(struct state *state, ino_t real);

#endif
