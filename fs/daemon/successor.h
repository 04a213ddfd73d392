/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A worker that is another program: the one that is installed now.  It is called
 * as the mount was, with one option before all others that says by which
 * descriptors it gets what its predecessors had, as numbers:
 *
 *   --take-over=FUSE,SHARED,LEDGER,TALK,UPPER,WORK,CLAIM,CHAIN,INO32,OPENED,HELPER[,BRANCH[m]]...
 *
 * with -1 for what there is not, and an m behind a branch that an id-mapped mount shows.
 * It does not open any path of the other options, which may mean something else by
 * now, or nothing.
 *
 * The processes that call these have one thread.
 */
#ifndef DAEMON_SUCCESSOR_H
#define DAEMON_SUCCESSOR_H

#include "daemon/directories.h"
#include "daemon/supervisor.h"

/*
 * Executes the program `fd` with `argv`, as the mount was called.  It has the
 * descriptors of `supervised` and `config` open, and no others of ours.  Returns a
 * negative errno if it fails.
 */
int successor_execute(int fd, char *const argv[], const struct supervised *supervised,
		      const struct fs_config *config);

/* The value of --take-over, if that is what the program was called with, or NULL. */
const char *successor_asked(int argc, char *const argv[]);

/* Of these, the one to talk to the supervisor by; -1: there is none. */
int successor_talk(const char *text);

/*
 * Takes over the others: *supervised, with the shared memory mapped, and the
 * descriptors of *dirs, whose configuration is otherwise that of `options`.
 * 0, or a negative errno with *error an allocated sentence: -EPROTO if the mount
 * is of another version.
 */
int successor_take_over(const char *text, const struct options *options,
			struct supervised *supervised, struct directories *dirs, char **error);

#endif
