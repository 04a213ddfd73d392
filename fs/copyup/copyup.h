/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Copy-up: bringing a lower object into upper.
 *
 * The copy is made in the staging directory, complete with owner, mode,
 * times, attributes and content, made durable if the mount wants that, and
 * then put in its place by one rename.  Until the node says that it is in
 * upper, everybody reads the lower object, which does not change; so at any
 * instant, also of a crash, there is the old object or the new one, whole.
 *
 * A file with several visible names is linked to all of them before the node
 * is switched over, so that the group is whole on disk; or to none, if that
 * fails.  If a crash comes between, the next lookup of a name left behind finds the copy by another
 * name of the group and completes it (copyup/rejoin.h).
 *
 * All functions may be called from any thread. They take the node's copyup lock, and the names of
 * directories.
 */
#ifndef COPYUP_COPYUP_H
#define COPYUP_COPYUP_H

#include "node/fs.h"

/*
 * Makes sure that the object is in upper, if not its data, and the directories above it before. 0;
 * -EROFS without a top branch; -ESTALE: it has no name to be put at; or another negative errno.
 */
int copyup_node(struct fs *fs, struct node *node);

/* The same with the content of a file, of which only the first `limit` bytes are needed. */
int copyup_data(struct fs *fs, struct node *node, off_t limit);

/* object_open after copyup_node. */
struct fd_ref *copyup_open(struct fs *fs, struct node *node, int *error);

/*
 * Goes on with the copy-up of a file of which some names have the copy and others not, as an error
 * has left it (group.h): all that show have it then. `lower` is the file in lower. 0, also if there
 * is nothing to do, or negative errno.
 */
int copyup_finish(struct fs *fs, struct node *node, struct lower_obj *lower);

/*
 * Gives the copy `fd` of a file another of the lower file's names, without the directory's times
 * showing it: 0, also if the name has it; COPYUP_GONE: the name is another object's since, or
 * nobody's; or negative errno.
 */
enum { COPYUP_GONE = 1 };
int copyup_link(struct fs *fs, int fd, struct node *dir, const char *name);

#endif
