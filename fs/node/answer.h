/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Whether attributes of a directory that were answered before may still be on their way.
 *
 * The kernel knows that its attributes of a directory are old when it has changed names there. But
 * an answer to another thread that was made before the change may reach its cache after, and would
 * stay; then it is to be told to discard what was asked for before (nodes->changed), which costs it
 * another request before the next name. Each thread has one request under way (fuse_in_header.pid
 * says whose it is), so the answers that a thread had before have arrived by its next. It is enough
 * to know, for each directory, whom it was answered to last.
 *
 * From any thread.
 */
#ifndef NODE_ANSWER_H
#define NODE_ANSWER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* To whom attributes were answered: a thread, or one of these. */
enum { ANSWERED_NOBODY = 0, ANSWERED_MANY = UINT32_MAX };

/* The calling thread works on a request of the thread `id` from now on; 0: of one not known. */
void answer_for(uint32_t id);

/* Before attributes are read for an answer. */
void answer_begin(_Atomic uint32_t *answered);

/*
 * After a change: whether anything that was answered, or begun to be, before may arrive later than
 * the answer to this request. If so, the kernel is to be told now.
 */
bool answer_is_late(_Atomic uint32_t *answered);

#endif
