/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One line on a terminal that says how far long work is; nothing where stderr is none. */
#ifndef TOOLS_PROGRESS_H
#define TOOLS_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

struct progress {
	bool shown; /* stderr is a terminal */
	bool drawn; /* there is a line to take away */
	uint64_t last_done;
	struct timespec began, drew;
};

/* Shows nothing yet; what is shown is one line, and only on a terminal. */
void progress_begin(struct progress *progress);
/* `total` 0: not known.  Draws at most ten times a second. */
void progress_step(struct progress *progress, uint64_t done, uint64_t total);
void progress_end(struct progress *progress);

#endif
