/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Whose upper and work are: one mount's at a time, or a command's that removes them. A file in work
 * that only its owner can open is locked with flock(2), by a descriptor that lives as long as a
 * process of the mount does, and says which mount that is. Upper is locked itself, against mounts
 * with another work directory; as who may read it can do that too, it is then asked who did.
 *
 * All functions may be called from any thread.
 */
#ifndef HOST_CLAIM_H
#define HOST_CLAIM_H

#include <stdint.h>

/*
 * Claims the open directory `work`: a descriptor, by which it is claimed until the last copy is
 * closed. After `umount` has returned the daemon is still closing, for some milliseconds: then it
 * is waited for. -EBUSY: it belongs to a mount, wherever that is; -ENOENT: it was removed
 * meanwhile; -EPERM: the file there is not one of ours; or another negative errno.
 */
int claim_work(int work);

/* The same without waiting. */
int claim_work_now(int work);

/* After its mount was unmounted: waits for the daemon to let go, as long as claim_work does. */
void claim_await(int work);

/*
 * Claims the open directory `upper`, until the last copy of that descriptor is closed, for who has
 * claimed the work directory that goes with it by `claim`. 0 also if only somebody who may not
 * write there has it locked, as far as that is seen (host/holder.h): then an xattr of upper, which
 * only root can set, says by which claim it is in use. Otherwise as claim_work.
 */
int claim_upper(int upper, int claim);

/*
 * Notes in what claim_work gave that the mount at `mountpoint` has it, and this process. 0, or
 * negative errno: there is no note then.
 */
int claim_note(int claim, const char *mountpoint);

/*
 * The mount that was last noted in `work`, as mounted_id() has it, and where it is (allocated), as
 * its owner saw it; 0, and NULL: none.
 */
uint64_t claim_mount(int work, char **place);

#endif
