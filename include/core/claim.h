/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Whose upper and work are: one mount's at a time, or a command's that removes them. They are
 * locked with flock(2), by a descriptor that lives as long as a process of the mount does, and a
 * note in work says which mount that is.
 */
#ifndef CORE_CLAIM_H
#define CORE_CLAIM_H

#include <stdint.h>

/*
 * Locks the open directory `dirfd`, which is `work` or the upper directory that goes with it; the
 * lock goes when the last copy of that descriptor is closed. After `umount` has returned the daemon
 * is still closing, for some milliseconds: then it is waited for. 0; -EBUSY: it belongs to a mount,
 * wherever that is; -ENOENT: it was removed meanwhile; or negative errno.
 */
int claim_take(int dirfd, int work);

/* Notes in `work`, which is claimed, that the mount at `mountpoint` has it, and this process. */
void claim_note(int work, const char *mountpoint);

/*
 * The mount that was last noted, as mounted_id() has it, and where it is (allocated), as its owner
 * saw it; 0, and NULL: none.
 */
uint64_t claim_mount(int work, char **place);

#endif
