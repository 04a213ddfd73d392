/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Who has a directory locked with flock(2), for which it need only be opened to read. */
#ifndef HOST_HOLDER_H
#define HOST_HOLDER_H

#include <stdbool.h>

/*
 * Whether the open directory is locked, by other processes, only for those who may not write there
 * anyway: neither root nor its owner nor who asks. False also if who has it locked is not to be
 * seen (processes of another pid namespace, or such as we may not look into, which for an ordinary
 * user are all that matter), if group or others may write there, or if a process of somebody who
 * may write has it open, and a lock elsewhere, as a mount does that could not lock it either. It
 * looks at all descriptors of all processes, so it is for when a lock is in the way. From any
 * thread.
 */
bool holder_is_outsider(int dirfd);

#endif
