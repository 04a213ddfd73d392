/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Names of a lower file of which others have its copy already, as a crash or an error in the middle
 * of copying up has left them: a name that is looked up is given the copy first. So whoever gets at
 * files by names goes by these, and not by lookup_find itself.
 *
 * All functions may be called from any thread.
 */
#ifndef COPYUP_REJOIN_H
#define COPYUP_REJOIN_H

#include "node/lookup.h"

/* As lookup_find, and never LOOKUP_SHARED. */
int rejoin_lookup(struct fs *fs, struct node *dir, const char *name, struct found *ret);

/* As lookup_step, for names of all kinds of objects. */
int rejoin_step(struct fs *fs, struct node *dir, const char *name, struct node **ret);

#endif
