/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One mount: what it owns, and its verbs.
 *
 * The verbs know nothing of FUSE.  Each is a plain function on nodes that may be called from
 * any thread, and returns 0 (or a count, or a descriptor) or a negative errno
 * that is meant for the application.
 */
#ifndef FS_FS_H
#define FS_FS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/types.h>

#include "core/idmap.h"
#include "core/override.h"
#include "core/whiteout.h"
#include "ino32.h"
#include "node.h"
#include "searched.h"
#include "state.h"

/* Something that is changed for a moment only, and what it was (quiet.h). */
enum { QUIET_NOTES = 128 }; /* two for each request that is worked on, so that there is room */
struct quiet_note {
	uint64_t ino; /* 0: free */
	struct timespec times[2]; /* of a directory, or a file whose content is changed */
	mode_t mode; /* of a file; 0: the times count */
};

/*
 * What the first worker of a mount has found out, and those after it go by: they could
 * find something else, on a disk that is full or with another index, and the kernel has
 * been told what goes with the first.
 */
struct kept_caps {
	uint32_t is_kept; /* the rest is there */
	uint32_t format, marks, origin; /* as probe.c numbers them */
	uint32_t can_exchange, can_rename_whiteout, can_acl, can_user_xattr;
};

/* Memory that the workers of a mount share, zeroed at first. */
struct kept {
	struct state_journal journal;
	struct quiet_note quiet[QUIET_NOTES];
	struct kept_caps caps;
	uint32_t numbering; /* of lower: an enum numbering, 0: not known yet */
	uint64_t seed; /* of listings; 0: not chosen yet */
};
enum numbering { NUMBERING_BRANCHES = 1, NUMBERING_CHAIN };

/* What a mount is made of; constant after the options are parsed. */
struct fs_config {
	const int *branches; /* open directories, topmost first */
	size_t n_branches;
	const struct idmaps *ids; /* how ids are shown; NULL: as they are */
	const bool *is_mapped; /* the branches that id-mapped mounts show that way; NULL: none */
	int upper, work; /* open directories; -1 without a top branch */
	int claim; /* by which they are ours (core/claim.h), held by all processes; or -1 */
	bool has_chain; /* there is to be a chain index: */
	int chain_fd; /* the file; -1: it could not be opened */
	const char *chain_id;
	bool do_fsync; /* copy-ups are durable before they show */
	bool is_volatile; /* nothing is ever synced */
	bool metacopy; /* a change of attributes copies no data */
	bool user_xattrs; /* marks are of the user namespace */
	bool file_whiteouts; /* whiteouts are `.wh.NAME`, whatever else could be made */
	bool redirect_dir; /* lower directories may be renamed */
	bool static_nlink; /* directories say 1 */
	bool writeback; /* the kernel collects what is written before we see it */
	bool no_atime, no_dir_atime; /* reading files, and directories, leaves their atime */
	bool no_acl; /* ACLs are neither shown nor kept */
	enum override override; /* owners are written beside objects */
	struct kept *kept; /* shared by the workers of a mount, or NULL */
	int ledger_fd; /* shared like that (ledger.h); 0: none */
	int ino32_fd; /* and this, for short numbers (ino32.h); 0: long ones are shown */
	bool is_restart; /* another worker served this mount before */
	bool loses_caps; /* with another fsuid: they have to be raised again (creds.c) */
};

/* Which branches these are (stack_id.h): lower objects' numbers mean nothing in another stack. */
struct stack_id {
	/*
	 * Of the branches' filesystems and roots, in order; the same on a machine that counts its
	 * disks anew. 0: one of them cannot be told from others.
	 */
	uint64_t now;
	/* As earlier versions made it. 0: by that, other branches could be taken for these. */
	uint64_t before;
};

/* What the filesystem of upper and the kernel can do; measured once at mount. */
struct caps {
	struct whiteout_style style;
	bool can_exchange; /* RENAME_EXCHANGE */
	bool can_rename_whiteout; /* RENAME_WHITEOUT */
	bool can_acl; /* POSIX ACLs are kept */
	bool can_user_xattr; /* xattrs of the user namespace are */
	const char *origin_xattr; /* of the trusted or user namespace; NULL: none */
	/*
	 * What times of upper are multiples of, in nanoseconds, for the kernel to know before
	 * the first request. 0: not asked for, as without writeback, or in a later worker.
	 */
	unsigned int time_unit;
};

struct fs {
	const struct fs_config *config;
	struct caps caps;
	struct fdcache fds;
	struct lower *lower;
	struct nodes nodes;
	struct ino32 *ino32; /* NULL: long numbers are shown */
	struct state *state; /* NULL without a top branch, like what follows */
	int staging; /* directory for what is being made */
	int groups; /* directory for notes of names that are being copied up */
	/*
	 * Held while a name among the orphans comes or goes: the last node that one was kept
	 * for may go while another of the same number is made.
	 */
	pthread_mutex_t orphans_lock;
	int orphans; /* directory for what is removed and still in use, by number */
	atomic_ulong n_staged;
	enum numbering numbering; /* of lower */
	uint64_t seed; /* of listings (core/listing.h) */
	struct stack_id stack_id; /* part of an origin mark */
	struct node *root;
	pthread_mutex_t scan_lock; /* held while upper is looked through for renamed directories */
	bool is_scanned; /* guarded by scan_lock, as what follows */
	int scan_error; /* the first, 0: none; and what it came from: */
	struct node *failed_dir; /* a reference */
	char *failed_name; /* in it; NULL: the directory itself */
	struct searched searched;
	pthread_mutex_t moved_lock; /* guards what follows */
	struct node **moved; /* directories with a lower part that were renamed; references */
	size_t n_moved;
};

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

/* --- finding (lookup.c, find.c, dir.c) --- */

/* FS_FOUND with *ret set, FS_ABSENT, or negative errno. */
enum { FS_ABSENT = 0, FS_FOUND = 1 };
int fs_lookup(struct fs *fs, struct node *dir, const char *name, struct entry *ret);

/*
 * The node of a number, in memory or not; FS_FOUND with *ret a reference,
 * FS_ABSENT, or negative errno.  What is not in memory is searched for
 * everywhere, which takes as long as going through all directories.
 */
int fs_find(struct fs *fs, uint64_t ino, struct node **ret);

/* The merged, sealed listing with a reference; a new one if `fresh` and names have changed. */
int fs_list(struct fs *fs, struct node *dir, bool fresh, struct listing **ret);

/*
 * Readings: a process going through a directory from its first name to its
 * last.  The kernel keeps the names that one reading gives it, and once that
 * was at the end shows them to any reader who is in the middle, without a look
 * at whether names have changed.  So readings begun before and after a change
 * have different numbers, of READING_BITS bits, which are part of the positions
 * that their readers are given: none goes on with what another began.  Both
 * functions return whether what the kernel has kept must be discarded before
 * the answer is sent.
 */
bool fs_reading_begin(struct node *dir, unsigned int *number);
bool fs_reading_end(struct node *dir, unsigned int number);

/* The directory that `dir` is in; the root is in itself. */
struct node *fs_parent(struct node *dir);

/* --- making and removing names (create.c, remove.c, rename.c) --- */

/* Who asks. */
struct caller {
	uid_t uid;
	gid_t gid;
	mode_t umask;
};

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

int fs_link(struct fs *fs, struct node *node, struct node *dir, const char *name,
	    struct entry *ret);

int fs_unlink(struct fs *fs, struct node *dir, const char *name);
int fs_rmdir(struct fs *fs, struct node *dir, const char *name);

/* flags: RENAME_NOREPLACE or RENAME_EXCHANGE. -EXDEV for a lower directory without redirect_dir. */
int fs_rename(struct fs *fs, struct node *olddir, const char *oldname, struct node *newdir,
	      const char *newname, unsigned int flags);

/* --- one object (attr.c, data.c, copyup.c) --- */

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

int fs_readlink(struct fs *fs, struct node *node, char **ret);
int fs_statfs(struct fs *fs, struct statvfs *ret);

ssize_t fs_xattr_get(struct fs *fs, struct node *node, const char *name, void *value, size_t size);
ssize_t fs_xattr_list(struct fs *fs, struct node *node, char **ret);
int fs_xattr_set(struct fs *fs, struct node *node, const char *name, const void *value, size_t size,
		 int flags);
int fs_xattr_remove(struct fs *fs, struct node *node, const char *name);

/* Makes sure that the object is in upper, if not its data. -EROFS without a top branch. */
int fs_copyup(struct fs *fs, struct node *node);

/*
 * A descriptor to read a file by, or (copying it up first) to write it by.
 * NULL with *error set to a negative errno on failure.
 */
struct fd_ref *fs_file(struct fs *fs, struct node *node, bool for_writing, int *error);

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
struct extent {
	off_t start, length;
};
off_t fs_seek(struct fs *fs, struct node *node, off_t offset, int whence, struct extent *hole);

/* A file's data, a directory's names, or (also by the root) everything, made durable. */
int fs_sync(struct fs *fs, struct node *node, bool data_only);
int fs_sync_all(struct fs *fs);

#endif
