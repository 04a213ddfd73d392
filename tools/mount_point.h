/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Directories to mount on, and the programs that do it. */
#ifndef TOOLS_MOUNT_POINT_H
#define TOOLS_MOUNT_POINT_H

#include <sys/types.h>

/*
 * The path as /proc/self/mountinfo shows it, absolute and without symbolic
 * links, allocated; NULL: its directory is not there.  The last component is not looked
 * into, as what is mounted there may be dead.
 */
char *mount_point_resolve(const char *path);

/*
 * Where the symbolic link at `path` leads, likewise, through links that lead to links; NULL: there
 * is none, or it leads nowhere.
 */
char *mount_point_follow(const char *path);

/* The st_dev of what is at a path, without a request to a FUSE daemon; 0 or negative errno. */
int mount_point_dev(const char *path, dev_t *ret);

/*
 * Runs a program found on PATH, and waits: its exit status, or 127; signals count as 128. `input`,
 * if not -1, is its standard input; who is killed meanwhile leaves it to the program.
 */
int process_run(char *const argv[], int input);

#endif
