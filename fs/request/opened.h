/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Open files of a mount with io=passthrough.
 *
 * The kernel reads and writes a file itself when OPEN is answered with a backing, which is a file
 * of a branch that it was given before. By its rules (Linux fs/fuse/iomode.c) all opens of an inode
 * that overlap have the same backing, or none of them has one; any other answer fails with EIO. So
 * it is known here, for as long as a file is open, how it is served.
 *
 * A file is opened below, is copied up, and is opened again: readers that have the lower file go on
 * reading that, and the kernel's inode of the file cannot have the copy meanwhile. The open is
 * answered ESTALE then, the kernel looks the name up again, and is told of a second inode: the file
 * is the same node of ours under an id with OPENED_SECOND in it. Everything that is asked of
 * either id is about the node, and what the kernel keeps of either's attributes is told for no
 * time, as the other may change them.
 *
 * How files are served, and how often they are open, outlives a worker in a ledger: by id, with
 * what is open and 1 as the count, and `struct note` as the parent. If a worker dies between two
 * writes, a file is counted as open once too often, until the kernel forgets it; never too seldom.
 *
 * All functions may be called from any thread. The table has a lock of its own, under which
 * nodes->lock may be taken, and each file that is open one that is held while it is opened, so that
 * only who opens the same file waits.
 */
#ifndef REQUEST_OPENED_H
#define REQUEST_OPENED_H

#include <stdbool.h>
#include <stdint.h>

#include "node/fs.h"

struct fuse_file_info;
struct supervised;
struct opened_files;

/* In an id of the kernel's: its second inode of that number. No number of ours is so large. */
#define OPENED_SECOND (UINT64_C(1) << 63)

/* The number that an id of the kernel's stands for. */
static inline uint64_t opened_ino(uint64_t id)
{
	return id & ~OPENED_SECOND;
}

/*
 * Of a mount, whose worker has been given `supervised`, which must outlive it. 0, -ENOMEM, or
 * another negative errno.
 */
int opened_init(struct fs *fs, const struct supervised *supervised, struct opened_files **ret);
/*
 * `is_over`: the mount is, and nobody has a file of it open; what was not closed would keep
 * filesystems of branches busy for as long as /dev/fuse is open. Otherwise the kernel keeps what it
 * has. Accepts NULL.
 */
void opened_done(struct opened_files *files, bool is_over);

/* Whether the kernel takes backings; before the first request. */
void opened_allow(struct opened_files *files, bool is_allowed);

/*
 * Opens a node, which the kernel has as `id`, as fi->flags say: 0 with *fi what to answer, and one
 * open counted; -ESTALE: the kernel is to look it up again; -EPERM of a protected file; or another
 * negative errno. `has_begun`: an earlier worker has counted this open.
 */
int opened_open(struct opened_files *files, struct node *node, uint64_t id, bool has_begun,
		struct fuse_file_info *fi);

/* One open less. */
void opened_close(struct opened_files *files, uint64_t id);

/* The id to tell the kernel of a number by. `files` may be NULL, as below. */
uint64_t opened_id(struct opened_files *files, uint64_t ino);

/* Whether the kernel may keep attributes that it is told of `id`: others than we may change them.
 */
bool opened_keeps_attributes(struct opened_files *files, uint64_t id);

/* Whether somebody has it open who may write to it, so that the kernel does. */
bool opened_is_written(struct opened_files *files, uint64_t id);

/* The kernel has forgotten a number, unless it has been told of it again meanwhile. */
void opened_forget(struct opened_files *files, uint64_t ino);

#endif
