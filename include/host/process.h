/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Other processes, as /proc shows them. From any thread. */
#ifndef HOST_PROCESS_H
#define HOST_PROCESS_H

#include <stdbool.h>
#include <sys/types.h>

/*
 * Whether a process is that user's alone: by its real user, who started it and whose descriptors
 * it may have, as well as by its effective and saved ones. False also if it is not there any more.
 */
bool process_is_of(pid_t pid, uid_t uid);

/*
 * Whether a process is in another user namespace than this one, in which that user, of ours, has an
 * id: it may have rights there to what is his.
 */
bool process_maps(pid_t pid, uid_t uid);

/* Whether this process is root's, in the initial user namespace. */
bool process_is_privileged(void);

#endif
