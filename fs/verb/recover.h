/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a worker does of what the one before it has left; before it answers requests.
 *
 * For one thread, before the mount is served.
 */
#ifndef VERB_RECOVER_H
#define VERB_RECOVER_H

#include "node/fs.h"

/* Puts back what was changed for a moment (survive/quiet.h). 0 or -ENOMEM. */
int recover_quiet(struct fs *fs);

/*
 * Completes copy-ups of files with several names (copyup/group.h), as far as that can be done now.
 * 0 or negative errno.
 */
int recover_groups(struct fs *fs);

#endif
