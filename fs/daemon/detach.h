/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Directories seen through mounts of our own, as kernel overlayfs sees its layers: without what is
 * mounted on them or below, our own mount among it, and without keeping their filesystems from
 * being unmounted. It takes the right to mount (open_tree(2), OPEN_TREE_CLONE); where that is
 * missing a directory stays what it is.
 *
 * The processes that call these have one thread.
 */
#ifndef DAEMON_DETACH_H
#define DAEMON_DETACH_H

#include <stdbool.h>

/*
 * The open directory `fd` again, in a mount of its own, the caller's to close; -1: not to be had.
 * `is_guarded`: nothing in it is to be changed by way of the new descriptor, nor by what is opened
 * by way of it, its atime not either; detach_is_guarded tells whether that was to be had.
 */
int detach_dir(int fd, bool is_guarded);

/* Whether a directory is guarded so. */
bool detach_is_guarded(int fd);

/* Detaches the open file `fd` as detach_dir does a directory. It is `name` in the open directory
 * `dirfd`, to be read. */
int detach_file(int dirfd, const char *name, int fd);

/* Detaches two directories that must be in one mount, so that names can be moved between them. */
bool detach_pair(int a, int b, int *ret_a, int *ret_b);

#endif
