/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What is mounted where, as this process sees it. Nothing here asks a FUSE daemon: what is mounted
 * may be dead. From any thread.
 */
#ifndef HOST_MOUNTED_H
#define HOST_MOUNTED_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { MOUNTED_NOTHING = 0, MOUNTED_CAIRNFS, MOUNTED_OTHER };

/*
 * What is mounted at `path`, on top: one of these, or negative errno. `path` is as
 * /proc/self/mountinfo has it, absolute and without symbolic links. *source (if not NULL) is
 * allocated, and says of a cairnfs what its source is.
 */
int mounted_at(const char *path, char **source);

/*
 * The number of the mount that `path` is in, which no later mount gets (before Linux 6.8: one that
 * a later mount may get); 0: not known. *dev (if not NULL) is its st_dev then.
 */
uint64_t mounted_id(const char *path, uint64_t *dev);

/* The number that mountinfo has for the mount in which an open file or directory (also with O_PATH)
 * lies, and that a later mount may get; 0: not known. */
uint64_t mounted_short_id(int fd);

/* Whether what is open lies in an id-mapped mount (mount_setattr(2)) that this process sees. */
bool mounted_maps_ids(int fd);

/* Where a filesystem is mounted, allocated; NULL: nowhere. */
char *mounted_where(dev_t dev);

/*
 * Whose mount a FUSE filesystem is, as its option user_id says: true, or false where none is
 * mounted that this process sees.
 */
bool mounted_owner(dev_t dev, uid_t *ret);

#endif
