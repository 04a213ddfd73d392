/* SPDX-License-Identifier: GPL-3.0-or-later */
#define FUSE_USE_VERSION 318
#include "loop.h"

#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <syslog.h>
#include <unistd.h>

#include "base/cleanup.h"

enum {
	NOTIFY_RESEND = 7, /* FUSE_NOTIFY_RESEND, which headers before Linux 6.9 lack */
};

struct loop;

/* The first is the one that loop_run was called in. */
struct thread {
	struct loop *loop;
	struct attempt *place; /* where its requests lie */
	pthread_t id;
};

struct loop {
	struct fuse_session *session;
	struct shared *shared;
	struct nodes *nodes;
	atomic_int n_idle;
	pthread_mutex_t lock; /* guards what follows */
	int n_threads;
	struct thread threads[ATTEMPT_PLACES];
};

static struct fuse_session *session_to_end;

static void end_session(int number)
{
	(void)number;
	fuse_session_exit(session_to_end);
}

static void *serve(void *argument);

/* Another thread, if none waits for a request and there may be more. */
static void add_thread(struct loop *loop)
{
	sigset_t mask, old_mask;

	/* What ends us is for the first thread, whose read it is to interrupt. */
	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGINT);
	sigaddset(&mask, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &mask, &old_mask);
	pthread_mutex_lock(&loop->lock);
	if (loop->n_threads < ATTEMPT_PLACES) {
		struct thread *thread = &loop->threads[loop->n_threads];

		*thread = (struct thread){
			.loop = loop, .place = &loop->shared->attempts.places[loop->n_threads]
		};
		if (pthread_create(&thread->id, NULL, serve, thread) == 0) {
			loop->n_threads++;
			atomic_fetch_add(&loop->n_idle, 1);
		}
	}
	pthread_mutex_unlock(&loop->lock);
	pthread_sigmask(SIG_SETMASK, &old_mask, NULL);
}

/*
 * Reads the next request into `place`: its size, or 0 at the end.  libfuse's own
 * way would put it in memory that dies with us.
 */
static ssize_t receive(struct fuse_session *session, struct attempt *place)
{
	while (!fuse_session_exited(session)) {
		ssize_t n = read(fuse_session_fd(session), place->request, sizeof(place->request));

		if (n >= 0)
			return n;
		/* ENOENT: the request was taken back while it was read. */
		if (errno == EINTR || errno == EAGAIN || errno == ENOENT)
			continue;
		/* ENODEV: the mount is gone. */
		if (errno != ENODEV)
			syslog(LOG_ERR, "reading a request: %s", strerror(errno));
		break;
	}
	return 0;
}

static void *serve(void *argument)
{
	struct thread *thread = argument;
	struct loop *loop = thread->loop;
	struct attempt *place = thread->place;

	/*
	 * A page that is not there when the kernel copies a request into it, while we are
	 * being killed, would make the kernel fail the request (EIO).
	 */
	madvise(place->request, sizeof(place->request), MADV_POPULATE_WRITE);
	for (;;) {
		struct fuse_buf buf = { .mem = place->request };
		ssize_t n = receive(loop->session, place);

		if (n <= 0)
			break;
		buf.size = (size_t)n;
		if (atomic_fetch_sub(&loop->n_idle, 1) == 1)
			add_thread(loop);
		attempt_start(&loop->shared->attempts, place, loop->nodes);
		fuse_session_process_buf(loop->session, &buf);
		attempt_clear(place);
		atomic_fetch_add_explicit(&loop->shared->n_served, 1, memory_order_relaxed);
		atomic_fetch_add(&loop->n_idle, 1);
	}
	fuse_session_exit(loop->session);
	return NULL;
}

/* Receives INIT, keeps it for workers to come, and answers it. */
static int first_init(struct fuse_session *session, struct shared *shared)
{
	struct attempt *place = &shared->attempts.places[0];
	ssize_t n = receive(session, place);

	if (n > 0 && (size_t)n <= sizeof(shared->init)) {
		struct fuse_buf buf = { .mem = shared->init, .size = (size_t)n };

		memcpy(shared->init, place->request, (size_t)n);
		shared->init_size = (uint32_t)n;
		fuse_session_process_buf(session, &buf);
	}
	attempt_clear(place);
	return shared->init_size ? 0 : -EIO;
}

/*
 * Answers the INIT of an earlier worker with the descriptor pointing at
 * nothing, so that the kernel, which has its answer, sees no second one; then
 * asks for everything that worker had taken and not answered.
 */
static int repeat_init(struct fuse_session *session, struct shared *shared)
{
	struct fuse_out_header resend = { .len = sizeof(resend), .error = NOTIFY_RESEND };
	struct fuse_buf buf = { .mem = shared->init, .size = shared->init_size };
	int fd = fuse_session_fd(session);
	cleanup_fd int device = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	cleanup_fd int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (device < 0 || nothing < 0 || dup3(nothing, fd, O_CLOEXEC) < 0)
		return -errno;
	fuse_session_process_buf(session, &buf);
	if (dup3(device, fd, O_CLOEXEC) < 0)
		return -errno;
	/* What the kernel holds by name, it is to look up again: we know none of it yet.  (Before
	 * Linux 6.16 that is not to be had, and such names answer ESTALE.) */
	fuse_lowlevel_notify_increment_epoch(session);
	/* A kernel without the message (before 6.9) lets what was in flight wait for ever. */
	return write(fd, &resend, sizeof(resend)) < 0 ? -errno : 0;
}

static void wake(int number)
{
	(void)number;
}

/* Ends every thread: those that wait for a request are interrupted until they have seen it. */
static void join_all(struct loop *loop)
{
	for (int i = 1; i < loop->n_threads; i++) {
		struct timespec until;

		do {
			pthread_kill(loop->threads[i].id, SIGUSR1);
			clock_gettime(CLOCK_REALTIME, &until);
			until.tv_nsec += 20000000;
			if (until.tv_nsec >= 1000000000) {
				until.tv_nsec -= 1000000000;
				until.tv_sec++;
			}
		} while (pthread_timedjoin_np(loop->threads[i].id, NULL, &until) == ETIMEDOUT);
	}
}

static void handle_signals(struct fuse_session *session, bool is_alone)
{
	struct sigaction action = { .sa_handler = end_session };

	session_to_end = session;
	sigaction(SIGTERM, &action, NULL);
	action.sa_handler = wake;
	sigaction(SIGUSR1, &action, NULL);
	/* A terminal's ^C is for the supervisor, if there is one. */
	action.sa_handler = is_alone ? end_session : SIG_IGN;
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	/* Limits and pipes of ours are nobody's death. */
	action.sa_handler = SIG_IGN;
	sigaction(SIGPIPE, &action, NULL);
	sigaction(SIGXFSZ, &action, NULL);
}

int loop_run(struct fuse_session *session, const struct supervised *supervised, struct nodes *nodes)
{
	struct shared *shared = supervised->shared;
	struct loop loop = {
		.session = session, .shared = shared, .nodes = nodes, .n_idle = 1, .n_threads = 1
	};
	int r = shared->init_size ? repeat_init(session, shared) : first_init(session, shared);

	if (r < 0)
		return r;
	handle_signals(session, supervised->is_alone);
	supervised->ready(supervised->ready_context);
	pthread_mutex_init(&loop.lock, NULL);
	loop.threads[0] = (struct thread){ .loop = &loop, .place = &shared->attempts.places[0] };
	serve(&loop.threads[0]);
	/* No thread is added any more: add_thread is called by threads that serve. */
	pthread_mutex_lock(&loop.lock);
	pthread_mutex_unlock(&loop.lock);
	join_all(&loop);
	pthread_mutex_destroy(&loop.lock);
	return 0;
}
