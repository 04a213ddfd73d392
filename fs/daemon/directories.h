/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The directories of a mount: opened, checked against each other, and held.
 *
 * All are opened before the daemon leaves the caller's directory, and stay
 * open for the life of the mount: an engine may detach them from its own
 * mount namespace as soon as the command returns.
 *
 * The processes that call these have one thread.
 */
#ifndef DAEMON_DIRECTORIES_H
#define DAEMON_DIRECTORIES_H

#include "daemon/options.h"
#include "upper/fs_config.h"

struct directories {
	struct fs_config config;
	int *branches;
	bool *is_mapped; /* of each branch: id-mapped by the mount that it was given in */
};

/* None, for directories_done where nothing was opened. */
#define DIRECTORIES_NONE                                                                           \
	{                                                                                          \
		.config = {                                                                        \
			.upper = -1,                                                               \
			.work = -1,                                                                \
			.claim = -1,                                                               \
			.chain_fd = -1,                                                            \
			.ledger_fd = -1,                                                           \
			.ino32_fd = -1                                                             \
		}                                                                                  \
	}

/*
 * 0, or a negative errno with *error an allocated sentence that names the
 * directory and the reason (-EBUSY: upper or work belong to another mount).
 * directories_done gives everything back, whatever the result.
 */
int directories_open(const struct options *options, struct directories *ret, char **error);
void directories_done(struct directories *dirs);

/* Closes all of its directories and files, and with them the locks, before that. */
void directories_let_go(struct directories *dirs);

/*
 * Takes over directories that are open already, which then belong to *ret:
 * nothing is looked up, locked or checked.  0 or negative errno.
 */
struct directory_fds {
	int upper, work, claim, chain, ino32; /* -1: none */
	const int *branches;
	const bool *is_mapped; /* of each */
	size_t n_branches;
};
int directories_adopt(const struct options *options, const struct directory_fds *fds,
		      struct directories *ret);

/*
 * A volatile mount marks the work directory for as long as it lives.  Where
 * the machine went down meanwhile, the mark stays, and directories_open refuses the
 * directories: what is in upper may be torn.
 */
int directories_mark_volatile(const struct directories *dirs);
void directories_unmark_volatile(const struct directories *dirs);

#endif
