/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Directories to mount on, and the programs that do it. */
#ifndef TOOLS_MOUNT_POINT_H
#define TOOLS_MOUNT_POINT_H

#include <stdbool.h>

/*
 * The path as /proc/self/mountinfo shows it, absolute and without symbolic
 * links, allocated; NULL: its directory is not there.  The last component is not looked
 * into, as what is mounted there may be dead.
 */
char *mount_point_resolve(const char *path);

bool mount_point_is_mounted(const char *path);

/* Runs a program found on PATH, and waits: its exit status, or 127; signals count as 128. */
int process_run(char *const argv[]);

#endif
