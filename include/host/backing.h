/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * FUSE passthrough: files that the kernel reads, writes and maps for a FUSE mount without asking
 * its daemon (Linux 6.9). A file is made known by a call on /dev/fuse, which gives it an id to
 * answer OPEN and CREATE with, and which only CAP_SYS_ADMIN in the initial user namespace may make.
 * For who has that not, cairn-backing makes it (doc/cairn-backing.8), over a socket. Which of the
 * two it is, or neither, is found out by the first call of backing_open and stays.
 *
 * What the daemon has to know besides:
 * - INIT has to be answered with FUSE_PASSTHROUGH, without FUSE_WRITEBACK_CACHE, and with a
 *   max_stack_depth of 1 or 2, or the first call is refused for good. Files of a filesystem that is
 *   stacked as deep (overlayfs: 1) are refused by -ELOOP; so 1 is for branches on disks, 2 also for
 *   those on overlayfs, but then this mount cannot be a branch of overlayfs itself.
 * - The kernel keeps only the path of `fd` and the credentials of the calling thread, and opens the
 *   path for each open file of the mount, in the mode of that, without any check of permission: a
 *   file that was made known by a descriptor that can only be read is written all the same by who
 *   opens it for writing on the mount, unless it is on a read-only mount. Whoever may not be
 *   written may not be given to an OPEN that writes.
 * - An id is the connection's (mount's): workers that follow each other on one /dev/fuse share
 *   them. One file of the mount has one id at a time, while it is open; another is refused (EBUSY,
 *   which the opener sees as EIO). Closing an id leaves alone what is open.
 *
 * All functions may be called from any thread, at the same time.
 */
#ifndef HOST_BACKING_H
#define HOST_BACKING_H

#include <stdbool.h>

/* Where cairn-backing listens, if nobody says something else. */
#define BACKING_SOCKET "/run/cairn-backing.sock"

/* No call waits for the helper any longer, in milliseconds; others that ask at the same time
 * included. */
enum { BACKING_PATIENCE_MS = 2000 };

/*
 * What a file lies on, as far as it may be made known. The kernel opens it with the flags of each
 * open of the mount, which on a filesystem of the network, or FUSE, may already change it
 * (O_TRUNC): BACKING_UNKNOWN. BACKING_READ_ONLY: it can never be written.
 */
enum backing_disk { BACKING_UNKNOWN, BACKING_WRITABLE, BACKING_READ_ONLY };
enum backing_disk backing_disk_of(int fd);

struct backings;

/*
 * A connection to the helper at `path` that is for the FUSE connection `fuse_fd`, which it keeps a
 * copy of: a descriptor (O_CLOEXEC) that is the caller's, or negative errno: -ENOENT, -ECONNREFUSED
 * (nobody is there), -EACCES (this user may not), -EPIPE or -ECONNRESET (this user has too many),
 * -ETIMEDOUT, or another. When its last copy is closed, in whatever process, the helper closes the
 * ids that were got by it, and the FUSE connection. So a supervisor makes it, before there is a
 * worker, and holds it as it does /dev/fuse; workers inherit it.
 */
int backing_connect(int fuse_fd, const char *path);

/*
 * For the FUSE connection `fuse_fd`, which stays the caller's and has to be open until
 * backings_free; NULL: no memory. `helper`, the caller's likewise, is what backing_connect gave, or
 * negative: then the helper at `path` is connected to when it is needed, or none if `path` is NULL.
 * Several processes may use one `helper`. A connection that broke is made again by `path`, once;
 * ids that are got by the new one go with this process.
 */
struct backings *backings_new(int fuse_fd, int helper, const char *path);

/* Ids stay as they are, but for those got by a connection that was made here. NULL is fine. */
void backings_free(struct backings *backings);

/*
 * Whether backing_open is worth a call: true before the first, then whether it is allowed. Once
 * false it stays so. Costs nothing.
 */
bool backings_usable(const struct backings *backings);

/*
 * Makes the regular file `fd` known: an id above 0, which is the caller's to close. `fd` may be
 * closed afterwards. Through the helper it has to be open for reading and writing, on a filesystem
 * that the helper knows; and the path of `fd` is opened with the ids of the user, not of root.
 *
 * -EPERM: it is not allowed, and never will be: backings_usable() is false from now on.
 * Of this file alone: -ELOOP (its filesystem is stacked too deep), -EINVAL and -EISDIR (not a
 * regular file), -EOPNOTSUPP (it cannot be done with such a file), -EBADF, -ENOMEM; and from the
 * helper -EACCES (not open for both, or no filesystem of those) and -EMFILE (the user has as many
 * as are allowed). -EAGAIN: this call waited for others too long.
 */
int backing_open(struct backings *backings, int fd);

/*
 * Gives the id back. 0, or negative errno: -ENOENT: there is no such id, or it was not got by this
 * connection; -EPERM and -EAGAIN as above. What cannot be closed goes with the mount.
 */
int backing_close(struct backings *backings, int id);

#endif
