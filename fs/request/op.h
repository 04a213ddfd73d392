/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * FUSE requests: decoded, handed to one verb, replied to.  Nothing here takes
 * a decision or a lock.
 *
 * Handlers run in any thread, each for one request.
 */
#ifndef REQUEST_OP_H
#define REQUEST_OP_H

#define FUSE_USE_VERSION 318
#include <fuse_lowlevel.h>

#include "branch/idmap.h"
#include "request/attempt.h"
#include "request/opened.h"
#include "verb/verbs.h"

/* The user data of a session. */
struct mount {
	struct fs *fs;
	struct fuse_session *session;
	struct seeker *seeker;
	struct opened_files *opened; /* NULL: files are opened without a request */
	const struct idmaps *ids;
	bool has_acl; /* what the kernel is to do itself */
	bool has_xattrs;
	double timeout; /* seconds; how long the kernel may keep names and attributes */
};

/* --- shared by the handlers --- */

static inline struct mount *op_mount(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

static inline struct fs *op_fs(fuse_req_t req)
{
	return op_mount(req)->fs;
}

/* The node with a reference; if there is none, the request has been answered. */
struct node *op_node(fuse_req_t req, fuse_ino_t ino);
/* The same of one that is to be a directory: it has what only those have (node.h). */
struct node *op_dir_node(fuse_req_t req, fuse_ino_t ino);
/* The same of a node that the kernel may have forgotten: it is searched for. */
struct node *op_found_node(fuse_req_t req, fuse_ino_t ino);

/*
 * Makes what is new in a directory, or finds that an earlier worker has, for this very request: 0
 * with *ret (a reference), or as fs_create. It begins the attempt with 0.
 */
int op_make(fuse_req_t req, struct node *dir, const char *name, const struct newborn *newborn,
	    struct entry *ret);

/* Answers with an error, or success for 0 and above. */
void op_reply(fuse_req_t req, int r);
void op_reply_size(fuse_req_t req, ssize_t n);

/*
 * Answers with an entry, which the kernel then knows. `changed`: the directory whose names the
 * request has changed, of which the kernel is told if the answer becomes an error; or NULL.
 */
void op_reply_entry(fuse_req_t req, struct node *changed, const struct entry *entry);
/*
 * The same with attributes that the kernel is not to keep: two links made of one
 * file at a time are answered in any order, and it would keep the last count.
 */
void op_reply_link(fuse_req_t req, struct node *changed, const struct entry *entry);
/* The same of what the kernel asks for by an id that it is to keep. */
void op_reply_same(fuse_req_t req, fuse_ino_t id, const struct entry *entry);
/*
 * What such an answer is made of; as op_shown. The kernel must have been told of the node already
 * (attempt_tell), as its id is one only for as long as it knows that.
 */
int op_entry_param(fuse_req_t req, const struct entry *entry, struct fuse_entry_param *ret);

/* How long the kernel may keep attributes of what it has as `id`, in seconds. */
double op_timeout(fuse_req_t req, fuse_ino_t id);

/* The handlers of op_dir.c, op_file.c, op_attr.c and op_seek.c. */
void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev);
void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode);
void op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name);
void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name);
void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name);
void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name);
void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t newparent,
	       const char *newname, unsigned int flags);
void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi);
void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		    struct fuse_file_info *fi);

void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
		struct fuse_file_info *fi);
void op_statx(fuse_req_t req, fuse_ino_t ino, int flags, int mask, struct fuse_file_info *fi);
void op_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned int command, void *arg,
	      struct fuse_file_info *fi, unsigned int flags, const void *in, size_t in_size,
	      size_t out_size);
void op_readlink(fuse_req_t req, fuse_ino_t ino);
void op_statfs(fuse_req_t req, fuse_ino_t ino);
void op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size,
		 int flags);
void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size);
void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size);
void op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name);

/* Of mounts with io=passthrough alone. */
void op_open(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *fi);
void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
	       struct fuse_file_info *fi);
void op_tmpfile(fuse_req_t req, fuse_ino_t parent, mode_t mode, struct fuse_file_info *fi);
void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi);
void op_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t off,
	      struct fuse_file_info *fi);
void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi);
void op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t length,
		  struct fuse_file_info *fi);
void op_copy_file_range(fuse_req_t req, fuse_ino_t ino_in, off_t off_in,
			struct fuse_file_info *fi_in, fuse_ino_t ino_out, off_t off_out,
			struct fuse_file_info *fi_out, size_t len, int flags);
void op_lseek(fuse_req_t req, fuse_ino_t ino, off_t off, int whence, struct fuse_file_info *fi);

/*
 * Who asks, for what creates: 0; -EOVERFLOW when that id cannot be stored, unless root has it,
 * whose files are then nobody's until they are given an owner; -ENOSPC when there is no number
 * left that could be shown of what is made.
 */
int op_caller(fuse_req_t req, struct caller *ret);

/* The request's caller as a killer, for as long as the request lives. */
struct op_killer {
	struct killer base;
	fuse_req_t req;
};
struct op_killer op_killer(fuse_req_t req);

/* Whether the caller is in a group, as the mount shows it. */
bool op_is_member(fuse_req_t req, gid_t shown);

/*
 * The attributes of a number have changed, or its names: makes the kernel discard what it knows of
 * them. No lock is taken for that which a request of the same inode could hold. For struct nodes
 * too, with the mount as context.
 */
void op_changed(void *mount, uint64_t ino);

/* For struct nodes, with the mount: the kernel has forgotten a number. */
void op_forgotten(void *mount, uint64_t ino);

/*
 * The handlers that a session has: OPEN and CREATE are asked for where files are opened by a
 * request.
 */
struct fuse_lowlevel_ops op_table(const struct mount *mount);

/*
 * Attributes as the mount shows them.  With ino32_t (ino32.h) -EOVERFLOW where no
 * number is left, or -ENOMEM; otherwise 0.
 */
int op_shown(fuse_req_t req, const struct stat *st, struct stat *ret);

/*
 * A number as listings show it; INO32_NONE where op_shown fails: one name must not
 * hide those after it, and programs take EOVERFLOW for a reason to read on.
 */
uint64_t op_listed(fuse_req_t req, uint64_t ino);

#endif
