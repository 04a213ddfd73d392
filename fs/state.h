/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Inode numbers of objects in upper: which number of ours belongs to which
 * inode of the upper filesystem.
 *
 * Numbers are kept in an LMDB file in the work directory, so that an object
 * born in upper keeps its number over unmount and mount.  Losing it costs nothing but that
 * constancy, so it is synced only when nothing has changed for a while, and begun anew after a
 * power loss before that.  Numbers of objects that were copied up are not in
 * it; those carry theirs with them in an xattr (fs/origin.h).
 *
 * All functions may be called from any thread.
 */
#ifndef FS_STATE_H
#define FS_STATE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct state;

/*
 * Changes that are not in the file yet, in memory that a worker shares with
 * the one that follows it, which holds them also on a disk that is full.  Zeroed memory is an
 * empty journal.
 */
enum { STATE_JOURNAL_MAX = 8192 };
struct state_journal {
	atomic_uint n;
	atomic_ulong next; /* the first number that no worker has given out; 0: not known */
	struct {
		uint64_t real;
		uint64_t ino; /* 0: it is gone */
		uint64_t is_kept; /* as by state_set_kept */
	} changes[STATE_JOURNAL_MAX];
};

/*
 * Opens or begins the state in the work directory.  What an earlier mount left
 * is used, unless the machine went down before it was durable, or if this is a restart of the
 * same mount.  `do_sync`: a power loss must not make it seem durable.  0 or negative errno;
 * -EPERM: something that is no file of ours is in the way.
 */
int state_open(int workdir, bool is_restart, bool do_sync, struct state **ret);

/* Takes over what the journal holds, and keeps it from then on; it must outlive the state. */
void state_keep_journal(struct state *state, struct state_journal *journal);

/* Lets go of it. All that is to be kept is where it belongs already. Accepts NULL. */
void state_close(struct state *state);

/* The number of an inode of upper; 0 when it has none yet. */
uint64_t state_find(struct state *state, ino_t real);

/*
 * Gives `real` the number `ino`; or, if that is 0, the one it has already, or
 * else a new one that no object of this mount ever had.  Returns the number it
 * has then, or 0: out of memory.
 */
uint64_t state_set(struct state *state, ino_t real, uint64_t ino);

/*
 * As state_set, for a number of a lower object whose copy cannot carry it: it
 * is kept on disk like those given out here.
 */
void state_set_kept(struct state *state, ino_t real, uint64_t ino);

/* The inode is gone from upper; its number is not used again. */
void state_drop(struct state *state, ino_t real);

#endif
