/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the layers below one that is being unpacked show, for the rare entry that refers to it. */
#ifndef LAYER_BELOW_H
#define LAYER_BELOW_H

#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"

enum below { BELOW_ABSENT = 0, BELOW_FOUND = 1 };

/*
 * Looks a clean path up in the merged view of `layers` (open directories,
 * topmost first).  BELOW_FOUND with an O_PATH descriptor that becomes the
 * caller's, BELOW_ABSENT, or negative errno.  No symbolic link is followed.
 */
int below_find(const int layers[], size_t n_layers, const char *path, int *ret);

/* The same in steps, for those who want to know of each directory on the way. */
struct descent {
	int *at; /* the directory in each layer, or -1 */
	size_t n; /* how many layers can still have something to say */
};

/* At the root.  0 or negative errno. */
int descent_begin(struct descent *descent, const int layers[], size_t n_layers);

/*
 * Goes down to `name`; what is no directory ends the way unless it is the last.  BELOW_FOUND with
 * an O_PATH descriptor of the topmost one, the caller's; BELOW_ABSENT, or negative errno.
 */
int descent_step(struct descent *descent, const char *name, bool is_last, int *ret);

void descent_done(struct descent *descent);
#define cleanup_descent CLEANUP(descent_done)

#endif
