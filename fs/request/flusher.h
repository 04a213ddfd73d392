/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Has the kernel write back what it holds of a file and we have not seen yet:
 * pages that a mapping has made dirty, or (writeback=1) what was written.
 *
 * The kernel does that when it is told to discard the pages, and the caller
 * waits meanwhile, without a way to be killed, for WRITE requests that we
 * ourselves must answer.  A worker that died in such a wait would never be
 * gone, and the one that could answer never started.  So a process of its own
 * does it, which is made when it is needed first and ends with the worker.
 */
#ifndef REQUEST_FLUSHER_H
#define REQUEST_FLUSHER_H

#include <stdint.h>
#include <sys/types.h>

struct flusher {
	int fuse_fd;
	int socket; /* to the process; -1: there is none yet */
	pid_t pid;
};

static inline struct flusher flusher_new(int fuse_fd)
{
	return (struct flusher){ .fuse_fd = fuse_fd, .socket = -1 };
}

/*
 * Returns once that part of the file has been written back; 0 or negative
 * errno.  For one thread, and not one that answers requests.
 */
int flusher_flush(struct flusher *flusher, uint64_t ino, off_t offset, off_t length);

/* Ends a flush under way in another thread, and all to come, with -EIO. */
void flusher_stop(struct flusher *flusher);
void flusher_done(struct flusher *flusher);

#endif
