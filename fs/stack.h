/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The directories of a mount: opened, checked against each other, and held.
 *
 * All are opened before the daemon leaves the caller's directory, and stay
 * open for the life of the mount: an engine may detach them from its own
 * mount namespace as soon as the command returns.
 */
#ifndef FS_STACK_H
#define FS_STACK_H

#include "fs.h"
#include "options.h"

struct stack {
	struct fs_config config;
	int *branches;
	bool *is_mapped; /* of each branch: id-mapped by the mount that it was given in */
};

/*
 * 0, or a negative errno with *error an allocated sentence that names the
 * directory and the reason (-EBUSY: upper or work belong to another mount).
 * stack_done gives everything back, whatever the result.
 */
int stack_open(const struct options *options, struct stack *ret, char **error);
void stack_done(struct stack *stack);

/* Closes all of its directories and files, and with them the locks, before that. */
void stack_let_go(struct stack *stack);

/*
 * The same of directories that are open already, which then belong to the stack:
 * nothing is looked up, locked or checked.  0 or negative errno.
 */
struct stack_fds {
	int upper, work, claim, chain, ino32; /* -1: none */
	const int *branches;
	const bool *is_mapped; /* of each */
	size_t n_branches;
};
int stack_adopt(const struct options *options, const struct stack_fds *fds, struct stack *ret);

/*
 * A volatile mount marks the work directory for as long as it lives.  Where
 * the machine went down meanwhile, the mark stays, and stack_open refuses the
 * directories: what is in upper may be torn.
 */
int stack_mark_volatile(const struct stack *stack);
void stack_unmark_volatile(const struct stack *stack);

#endif
