/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Which branches a mount is of: lower objects' numbers mean nothing in another stack.
 *
 * All functions may be called from any thread.
 */
#ifndef UPPER_STACK_ID_H
#define UPPER_STACK_ID_H

#include <stdint.h>

#include "upper/fs_config.h"

struct stack_id {
	/*
	 * Of the branches' filesystems and roots, in order; the same on a machine that counts its
	 * disks anew. 0: one of them cannot be told from others.
	 */
	uint64_t now;
	/* As earlier versions made it. 0: by that, other branches could be taken for these. */
	uint64_t before;
};

/* Asks the branches of `config`, and its index if numbers come from there. 0 or negative errno. */
int stack_id_get(const struct fs_config *config, enum numbering numbering, struct stack_id *ret);

#endif
