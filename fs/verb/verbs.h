/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The verbs of a mount: what requests come down to.
 *
 * The verbs know nothing of FUSE.  Each is a plain function on nodes that may be called from
 * any thread, and returns 0 (or a count, or a descriptor) or a negative errno
 * that is meant for the application.
 */
#ifndef VERB_VERBS_H
#define VERB_VERBS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/types.h>

#include "base/cleanup.h"
#include "node/fs.h"
#include "upper/creds.h"

/* --- a mount begins and ends (life.c, recover.c) --- */

/*
 * Opens a mount. `config` must outlive it.  0; FS_STALE_CHAIN: the chain index
 * cannot be used, the branches are read themselves; or negative errno.
 */
enum { FS_STALE_CHAIN = 1 };
/*
 * A restart that fails leaves all that is on disk; -EPROTO: the chain index is not the one it was.
 * -EOPNOTSUPP: lower names could not be hidden in upper, which takes no whiteouts of any kind.
 */
int fs_open(const struct fs_config *config, struct fs **ret);
/*
 * The mount is over; accepts NULL. On disk nothing is made or written any more, but removed what
 * nobody needs: an unmount has returned before we hear of it, and who unmounted may be removing the
 * work directory already.
 */
void fs_close(struct fs *fs);

/* Another worker goes on, or is to; accepts NULL. On disk all stays as it is. */
void fs_leave(struct fs *fs);

/*
 * Of a restart: removes the orphans that no node of the kernel's stands for, unless
 * `is_awaited` says of their number that it will. 0 or negative errno.
 */
int fs_drop_orphans(struct fs *fs, bool (*is_awaited)(void *context, uint64_t ino), void *context);

/* What an application is told of an object. */
struct entry {
	struct node *node; /* a reference, the caller's */
	struct stat st;
};
static inline void cleanup_entry_at(struct entry *entry)
{
	node_unref(entry->node);
}
#define cleanup_entry CLEANUP(cleanup_entry_at)

/* --- finding (entry.c, find.c) --- */

/* FS_FOUND with *ret set, FS_ABSENT, or negative errno. */
int fs_lookup(struct fs *fs, struct node *dir, const char *name, struct entry *ret);

/*
 * The node of a number, in memory or not; FS_FOUND with *ret a reference,
 * FS_ABSENT, or negative errno.  What is not in memory is searched for
 * everywhere, which takes as long as going through all directories.
 */
int fs_find(struct fs *fs, uint64_t ino, struct node **ret);

/* --- making and removing names (create.c, remove.c, rename.c) --- */

/* What is to be made. */
struct newborn {
	mode_t mode; /* with its type */
	dev_t rdev;
	const char *target; /* of a symbolic link */
};

/* -EEXIST; -EINVAL for a name that would be read as a mark; -EPERM for a device 0:0. */
int fs_create(struct fs *fs, struct node *dir, const char *name, const struct newborn *newborn,
	      const struct caller *caller, struct entry *ret);

/* A regular file without a name, which fs_link can give it. */
int fs_tmpfile(struct fs *fs, struct node *dir, mode_t mode, const struct caller *caller,
	       struct entry *ret);

/*
 * Gives a file another name: as link(2). -EPERM for a directory; *ret is told of the file, with a
 * reference.
 */
int fs_link(struct fs *fs, struct node *node, struct node *dir, const char *name,
	    struct entry *ret);

/* Take a name away: -ENOENT, -EISDIR and -ENOTDIR, -ENOTEMPTY, -EPERM where it is protected. */
int fs_unlink(struct fs *fs, struct node *dir, const char *name);
int fs_rmdir(struct fs *fs, struct node *dir, const char *name);

/* flags: RENAME_NOREPLACE or RENAME_EXCHANGE. -EXDEV for a lower directory without redirect_dir. */
int fs_rename(struct fs *fs, struct node *olddir, const char *oldname, struct node *newdir,
	      const char *newname, unsigned int flags);

/* --- one object (stat.c, attr.c, extended.c, flags.c, data.c) --- */

/* Attributes as the union has them; st_ino is the node's, st_dev means nothing. 0 or negative
 * errno. */
int fs_getattr(struct fs *fs, struct node *node, struct stat *ret);

/*
 * A caller whose change of a file takes setuid and setgid away, as write(2)
 * does: setgid stays where the group may not execute and the caller is in it.
 * Asked only when that matters.
 */
struct killer {
	bool (*is_member)(const struct killer *killer, gid_t gid);
	/* Bits have been taken away; may be NULL. */
	void (*killed)(const struct killer *killer, struct node *node);
};

/* Which of the attributes to set; FS_SET_*_NOW take the clock's time. */
enum {
	FS_SET_MODE = 1 << 0,
	FS_SET_UID = 1 << 1,
	FS_SET_GID = 1 << 2,
	FS_SET_SIZE = 1 << 3,
	FS_SET_ATIME = 1 << 4,
	FS_SET_MTIME = 1 << 5,
	FS_SET_ATIME_NOW = 1 << 6,
	FS_SET_MTIME_NOW = 1 << 7,
};
/* `killer` may be NULL. */
int fs_setattr(struct fs *fs, struct node *node, const struct stat *st, unsigned int set,
	       const struct killer *killer, struct stat *ret);

/* When the object that stands for the node now was made; 0 and *ret untouched where that is
 * unknown. */
int fs_birth(struct fs *fs, struct node *node, struct timespec *ret);

/*
 * The flags that ioctl_iflags(2) is about, and their like: `command` is one of
 * FS_IOC_GETFLAGS, FS_IOC_SETFLAGS, FS_IOC_FSGETXATTR and FS_IOC_FSSETXATTR,
 * `flags` what it takes. -ENOTTY for any other, or where there are none.
 */
int fs_flags(struct fs *fs, struct node *node, unsigned int command, void *flags);

/* Where a symbolic link leads, allocated; and statvfs(2) of upper, or without one of the topmost
 * branch. */
int fs_readlink(struct fs *fs, struct node *node, char **ret);
int fs_statfs(struct fs *fs, struct statvfs *ret);

/*
 * As xattr_get, xattr_list, xattr_set and xattr_remove (base/xattr.h), by the names that are shown:
 * marks and overrides are not, and those of a mount inside are escaped on disk (branch/nesting.h).
 */
ssize_t fs_xattr_get(struct fs *fs, struct node *node, const char *name, void *value, size_t size);
ssize_t fs_xattr_list(struct fs *fs, struct node *node, char **ret);
int fs_xattr_set(struct fs *fs, struct node *node, const char *name, const void *value, size_t size,
		 int flags);
int fs_xattr_remove(struct fs *fs, struct node *node, const char *name);

/*
 * Where the content of a file is that is opened with `flags` of open(2), and with *ret a
 * descriptor, a reference, to do that by. To be written, it is copied up first; FS_CONTENT_LATER:
 * not before it is written, as it is large and may be about to be truncated (*ret is NULL then).
 * *by_us: each write must be checked. Negative errno: -EPERM where the file is protected, -EINVAL
 * where O_DIRECT cannot be had.
 */
enum fs_content { FS_CONTENT_UPPER, FS_CONTENT_BELOW, FS_CONTENT_LATER };
int fs_content_open(struct fs *fs, struct node *node, int flags, struct fd_ref **ret, bool *by_us);

/* In what follows, `killer` may be NULL. */

/* Count written, all of it unless an error came first. */
ssize_t fs_write(struct fs *fs, struct node *node, const void *data, size_t size, off_t offset,
		 const struct killer *killer);
/* Writes what was changed in memory, by mmap(2): setuid, setgid and capabilities outlive that. */
ssize_t fs_write_back(struct fs *fs, struct node *node, const void *data, size_t size,
		      off_t offset);
int fs_fallocate(struct fs *fs, struct node *node, int mode, off_t offset, off_t length,
		 const struct killer *killer);
ssize_t fs_copy_range(struct fs *fs, struct node *in, off_t in_offset, struct node *out,
		      off_t out_offset, size_t size, const struct killer *killer);

/*
 * As lseek(2) with SEEK_DATA or SEEK_HOLE.  *hole, if its length is not 0, is
 * what the answer takes for a hole; the kernel may hold data for it that we
 * have not seen yet.
 */
struct hole {
	off_t start, length;
};
off_t fs_seek(struct fs *fs, struct node *node, off_t offset, int whence, struct hole *hole);

/* A file's data, a directory's names, or (also by the root) everything, made durable. */
int fs_sync(struct fs *fs, struct node *node, bool data_only);
int fs_sync_all(struct fs *fs);

#endif
