/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the files that carry operations out share.  An op_function does one kind of
 * operation with what `performer` has open, and puts the answer in words.
 */
#ifndef DIFFER_PERFORM_H
#define DIFFER_PERFORM_H

#include "differ.h"

#define MAX_IO (1 << 20)

typedef void op_function(struct performer *p, const struct op *op, struct text *text);

/* ---- descriptors (differ_perform.c) ---- */

/* The descriptor of a slot, or of the directory that a path begins at; or -1. */
int slot_fd(const struct performer *performer, int64_t slot);
int at_fd(const struct performer *performer, int64_t at);
void performer_become(struct performer *performer, int64_t cred);
void empty_slot(struct performer *p, int64_t slot);
size_t io_len(const struct op *op);

/* ---- words (differ_answer.c) ---- */

void say_time(const struct performer *performer, struct text *text, const char *name,
	      struct timespec t);
void say_stat(const struct performer *performer, struct text *text, const struct stat *st);
void say_bytes(struct text *text, const void *bytes, size_t len);
/* A list of names that each end with a NUL, `size` bytes, sorted. */
void say_names(struct text *text, const char *list, size_t size);

/* ---- descriptors and content (differ_file.c) ---- */

/* The times that `op` sets. */
void times_of(const struct op *op, struct timespec times[2]);
op_function op_open, op_close, op_read, op_write, op_lseek, op_holes, op_fallocate, op_copy,
	op_mmap_read, op_mmap_write, op_fstat, op_futimens, op_readfile, op_writefile;

/* ---- names and attributes (differ_name.c, differ_xattr.c) ---- */

op_function op_linkfd, op_name, op_truncate, op_stat, op_statx, op_statfs;
/* renameat2, unless the side must not rename what it is (differ_redirect.c). */
int redirect_rename(struct performer *p, const struct op *op, int at, int at2);
op_function op_setxattr, op_getxattr, op_listxattr, op_removexattr;

/* ---- locks, the page cache, events, handles, depth, positions (differ_*.c) ---- */

op_function op_flock, op_lock, op_getlock, op_lease, op_direct, op_watch, op_events, op_handle,
	op_linkproc, op_getflags, op_setflags, op_deep, op_positions;

#endif
