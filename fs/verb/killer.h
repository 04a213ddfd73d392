/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a change of a file takes from it besides, as write(2) does: setuid and setgid.
 *
 * All functions may be called from any thread.
 */
#ifndef VERB_KILLER_H
#define VERB_KILLER_H

#include "verb/verbs.h"

/*
 * Takes them from a node that is in upper; killer->killed is told if there were any. 0 or negative
 * errno. Takes node->names.
 */
int killer_strike(struct fs *fs, struct node *node, const struct killer *killer);

/* The same where `fd` is any descriptor of its object. */
int killer_strike_fd(struct fs *fs, struct node *node, int fd, const struct killer *killer);

#endif
