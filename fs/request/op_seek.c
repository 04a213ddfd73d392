/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * SEEK_DATA and SEEK_HOLE.  The kernel asks us without writing back what it
 * holds of the file, so where our file has a hole, there may be data.  An
 * answer that rests on a hole is given by a thread of its own, after that part
 * of the file has been written back (flusher.h), so that all threads that
 * answer requests are there for the writing.
 */
#include "request/op_seek.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>

#include "request/op.h"

struct seek {
	struct seek *next;
	fuse_req_t req;
	struct node *node; /* a reference */
	off_t offset;
	int whence;
};

static void reply(fuse_req_t req, off_t at)
{
	if (at < 0)
		fuse_reply_err(req, (int)-at);
	else
		fuse_reply_lseek(req, at);
}

/* The answer when all of the hole that it rests on has been written back. */
static off_t certain(struct seeker *seeker, const struct seek *seek)
{
	struct fs *fs = op_fs(seek->req);
	struct hole hole, flushed = { 0 };
	off_t at = fs_seek(fs, seek->node, seek->offset, seek->whence, &hole);

	while (hole.length > 0 && !(hole.start >= flushed.start &&
				    hole.start + hole.length <= flushed.start + flushed.length)) {
		int r = flusher_flush(&seeker->flusher, seek->node->ino, hole.start, hole.length);

		if (r < 0)
			return r;
		flushed = hole;
		at = fs_seek(fs, seek->node, seek->offset, seek->whence, &hole);
	}
	return at;
}

static void seek_done(struct seek *seek)
{
	node_unref(seek->node);
	free(seek);
}

static struct seek *next_seek(struct seeker *seeker)
{
	struct seek *seek;

	pthread_mutex_lock(&seeker->lock);
	while (!seeker->seeks && !seeker->is_ending)
		pthread_cond_wait(&seeker->changed, &seeker->lock);
	seek = seeker->seeks;
	if (seek)
		seeker->seeks = seek->next;
	pthread_mutex_unlock(&seeker->lock);
	return seek;
}

static void *serve(void *argument)
{
	struct seeker *seeker = argument;
	struct seek *seek;

	while ((seek = next_seek(seeker))) {
		reply(seek->req, certain(seeker, seek));
		seek_done(seek);
	}
	return NULL;
}

/* With the lock held. Signals are for the threads that serve. */
static bool start_thread(struct seeker *seeker)
{
	sigset_t all, old;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	if (!seeker->has_thread)
		seeker->has_thread = pthread_create(&seeker->thread, NULL, serve, seeker) == 0;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return seeker->has_thread;
}

/* Hands it to the thread, or answers that it cannot be known. */
static void put(struct seeker *seeker, const struct seek *made)
{
	struct seek *seek = malloc(sizeof(*seek));
	bool is_put = false;

	pthread_mutex_lock(&seeker->lock);
	if (seek && !seeker->is_ending && start_thread(seeker)) {
		*seek = *made;
		seek->node = node_ref(made->node);
		seek->next = seeker->seeks;
		seeker->seeks = seek;
		pthread_cond_signal(&seeker->changed);
		is_put = true;
	}
	pthread_mutex_unlock(&seeker->lock);
	if (!is_put) {
		free(seek);
		reply(made->req, -ENOMEM);
	}
}

void op_lseek(fuse_req_t req, fuse_ino_t ino, off_t off, int whence, struct fuse_file_info *fi)
{
	cleanup_node struct node *node = op_node(req, ino);
	struct hole hole;
	off_t at;

	(void)fi;
	if (!node)
		return;
	at = fs_seek(op_fs(req), node, off, whence, &hole);
	if (hole.length > 0)
		put(op_mount(req)->seeker,
		    &(struct seek){ .req = req, .node = node, .offset = off, .whence = whence });
	else
		reply(req, at);
}

void seeker_init(struct seeker *seeker, int fuse_fd)
{
	*seeker = (struct seeker){ .flusher = flusher_new(fuse_fd) };
	pthread_mutex_init(&seeker->lock, NULL);
	pthread_cond_init(&seeker->changed, NULL);
}

void seeker_done(struct seeker *seeker)
{
	pthread_mutex_lock(&seeker->lock);
	seeker->is_ending = true;
	pthread_cond_signal(&seeker->changed);
	pthread_mutex_unlock(&seeker->lock);
	flusher_stop(&seeker->flusher);
	if (seeker->has_thread)
		pthread_join(seeker->thread, NULL);
	flusher_done(&seeker->flusher);
	pthread_cond_destroy(&seeker->changed);
	pthread_mutex_destroy(&seeker->lock);
}
