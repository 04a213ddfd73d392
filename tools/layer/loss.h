/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What of an archive could not be kept here, though nothing failed: to be told once an import. */
#ifndef LAYER_LOSS_H
#define LAYER_LOSS_H

#include <stddef.h>

#include "value/error.h"

struct loss {
	size_t n; /* so many attributes */
	struct error first; /* which one was the first, of what, and why */
};

/* Notes that `what` of the entry `path` is lost for the negative errno r; `loss` may be NULL. */
void loss_note(struct loss *loss, const char *what, const char *path, int r);

#endif
