/* SPDX-License-Identifier: GPL-3.0-or-later */
#define FUSE_USE_VERSION 318
#include "request/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <linux/fuse.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/uio.h>
#include <syslog.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "request/talk.h"

enum {
	NOTIFY_RESEND = 7, /* FUSE_NOTIFY_RESEND, which headers before Linux 6.9 lack */
	REST_SECONDS = 5,
	THREADS = 17, /* as many as are of use; more if these wait for something */
	FEW_THREADS = 2, /* that are kept, with a megabyte each */
	PATIENCE_MS = 100,
	REST_MS = 3000, /* in which a thread was not needed that then goes */
};

struct loop;

struct thread {
	struct loop *loop;
	struct attempt *place; /* where its requests lie */
	pthread_t id;
	atomic_bool is_receiving;
	/* With the loop's lock held. One that has ended by itself is still to be joined. */
	enum { NO_THREAD = 0, THREAD_RUNS, THREAD_ENDED } state;
};

struct loop {
	struct fuse_session *session;
	struct shared *shared;
	struct nodes *nodes;
	atomic_int n_idle; /* threads that receive, or are about to */
	atomic_int least_idle; /* of that number, since it was last looked at */
	atomic_int n_spare; /* threads that may end, each when it has answered something */
	atomic_bool is_ending;
	int over; /* an eventfd: a thread has found the mount gone */
	int watched; /* an eventfd: all threads have something to do, or are more than a few */
	atomic_bool is_crowded; /* that has been said */
	pthread_mutex_t lock; /* guards what follows */
	int n_threads; /* that run */
	int n_ended; /* that are still to be joined */
	struct thread threads[ATTEMPT_PLACES];
};

static void *serve(void *argument);

static void say(int eventfd)
{
	uint64_t one = 1;

	if (write(eventfd, &one, sizeof(one)) < 0)
		syslog(LOG_ERR, "eventfd: %s", strerror(errno));
}

/* The memory for requests of a thread that there is not. */
static void give_back(struct attempt *place)
{
	madvise(place->request, sizeof(place->request), MADV_REMOVE);
}

/* With the lock held: a thread that has ended, and what it had. */
static void bury(struct thread *thread)
{
	if (thread->state != THREAD_ENDED)
		return;
	pthread_join(thread->id, NULL);
	thread->state = NO_THREAD;
	thread->loop->n_ended--;
	give_back(thread->place);
}

/* With the lock held: where there is room for one more. */
static struct thread *free_thread(struct loop *loop)
{
	for (int i = 0; i < ATTEMPT_PLACES; i++) {
		struct thread *thread = &loop->threads[i];

		bury(thread);
		if (thread->state == NO_THREAD) {
			thread->place = &loop->shared->attempts.places[i];
			return thread;
		}
	}
	return NULL;
}

/* With the lock held. The signals that end us are for the thread that called loop_run. */
static int create_thread(struct loop *loop)
{
	struct thread *thread = free_thread(loop);
	sigset_t all, old_mask;
	int r;

	if (!thread)
		return -EAGAIN;
	thread->loop = loop;
	sigfillset(&all);
	sigdelset(&all, SIGUSR1);
	pthread_sigmask(SIG_SETMASK, &all, &old_mask);
	/* Before it is there: what it receives is counted off. */
	atomic_fetch_add(&loop->n_idle, 1);
	r = pthread_create(&thread->id, NULL, serve, thread);
	if (r == 0) {
		thread->state = THREAD_RUNS;
		loop->n_threads++;
	} else {
		atomic_fetch_sub(&loop->n_idle, 1);
	}
	if (r == 0 && loop->n_threads == FEW_THREADS + 1)
		say(loop->watched);
	pthread_sigmask(SIG_SETMASK, &old_mask, NULL);
	return -r;
}

/*
 * Another thread, if there may be so many; if there is no room for one, those that are there must
 * do.
 */
static void add_thread(struct loop *loop, int max)
{
	pthread_mutex_lock(&loop->lock);
	if (loop->n_threads < max && !atomic_load(&loop->is_ending))
		create_thread(loop);
	pthread_mutex_unlock(&loop->lock);
}

/* The last thread that was idle is not any more. */
static void add_idle_thread(struct loop *loop)
{
	add_thread(loop, THREADS);
	if (atomic_load(&loop->n_idle) == 0 && !atomic_exchange(&loop->is_crowded, true))
		say(loop->watched);
}

/*
 * Reads the next request into `place`: its size, or 0 at the end.  libfuse's own
 * way would put it in memory that dies with us.
 */
static ssize_t receive(struct fuse_session *session, struct attempt *place,
		       const atomic_bool *is_ending)
{
	const struct timespec pause = { .tv_nsec = 100000000 };

	while (!atomic_load(is_ending)) {
		ssize_t n = read(fuse_session_fd(session), place->request, sizeof(place->request));

		if (n >= 0)
			return n;
		/* ENOENT: the request was taken back while it was read. */
		if (errno == EINTR || errno == EAGAIN || errno == ENOENT)
			continue;
		/* The mount is gone. */
		if (errno == ENODEV || errno == ECONNABORTED)
			break;
		/* The mount lives on, and is not ours to end. */
		syslog(LOG_ERR, "reading a request: %s", strerror(errno));
		nanosleep(&pause, NULL);
	}
	return 0;
}

/* Answers the request of `n` bytes in `place`. */
static void answer(struct loop *loop, struct attempt *place, size_t n)
{
	const struct fuse_in_header *header = (const void *)place->request;
	struct fuse_buf buf = { .mem = place->request, .size = n };

	answer_for(header->pid);
	/* FORGETs are never lost for want of memory: libfuse has no part in them. */
	if (!attempt_start(&loop->shared->attempts, place, loop->nodes)) {
		fuse_session_process_buf(loop->session, &buf);
		atomic_fetch_add_explicit(&loop->shared->n_served, 1, memory_order_relaxed);
	}
	attempt_end(place, loop->nodes);
}

/* A request less can be received at a time: the number that is left. */
static int count_off(struct loop *loop)
{
	int left = atomic_fetch_sub(&loop->n_idle, 1) - 1;
	int least = atomic_load(&loop->least_idle);

	while (left < least && !atomic_compare_exchange_weak(&loop->least_idle, &least, left))
		;
	return left;
}

/*
 * Whether the thread, which has answered a request and waits for none yet, ends: it is not needed,
 * and others wait for requests. It is asked for only now, as a signal for one that waits could
 * reach it when it does something else.
 */
static bool retires(struct thread *thread)
{
	struct loop *loop = thread->loop;
	bool retires;

	if (atomic_load(&loop->n_spare) <= 0)
		return false;
	pthread_mutex_lock(&loop->lock);
	retires = loop->n_threads > FEW_THREADS && atomic_load(&loop->n_idle) > 0 &&
		  !atomic_load(&loop->is_ending) && atomic_load(&loop->n_spare) > 0;
	if (retires) {
		atomic_fetch_sub(&loop->n_spare, 1);
		loop->n_threads--;
		loop->n_ended++;
		thread->state = THREAD_ENDED;
	}
	pthread_mutex_unlock(&loop->lock);
	return retires;
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
		ssize_t n;

		atomic_store(&thread->is_receiving, true);
		n = receive(loop->session, place, &loop->is_ending);
		atomic_store(&thread->is_receiving, false);
		if (n <= 0)
			break;
		if (count_off(loop) == 0)
			add_idle_thread(loop);
		answer(loop, place, (size_t)n);
		if (retires(thread))
			return NULL;
		atomic_fetch_add(&loop->n_idle, 1);
	}
	say(loop->over);
	return NULL;
}

/* Receives INIT, keeps it for workers to come, and answers it. */
static int first_init(struct fuse_session *session, struct shared *shared)
{
	struct attempt *place = &shared->attempts.places[0];
	const atomic_bool is_ending = false;
	ssize_t n = receive(session, place, &is_ending);

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
	/* A kernel without the message (before 6.9) lets what was in flight wait for ever. */
	return write(fd, &resend, sizeof(resend)) < 0 ? -errno : 0;
}

/* --- the end --- */

static void wake(int number)
{
	(void)number;
}

/*
 * Ends every thread when it has answered what it has.  Those that wait for a
 * request are interrupted until they have seen it; a signal for one that does
 * something else could make a system call of its fail.
 */
static void join_all(struct loop *loop)
{
	pthread_mutex_lock(&loop->lock);
	atomic_store(&loop->is_ending, true);
	pthread_mutex_unlock(&loop->lock);
	/* None begins any more, nor retires. */
	for (int i = 0; i < ATTEMPT_PLACES; i++) {
		struct thread *thread = &loop->threads[i];
		struct timespec until;

		if (thread->state == NO_THREAD)
			continue;
		do {
			if (atomic_load(&thread->is_receiving))
				pthread_kill(thread->id, SIGUSR1);
			clock_gettime(CLOCK_REALTIME, &until);
			until.tv_nsec += 10000000;
			if (until.tv_nsec >= 1000000000) {
				until.tv_nsec -= 1000000000;
				until.tv_sec++;
			}
		} while (pthread_timedjoin_np(thread->id, NULL, &until) == ETIMEDOUT);
	}
}

/*
 * Answers what is still there: an unmount that leaves users behind starts to write
 * back what they have mapped, and does not wait for it.  Each answer makes the
 * kernel send more, before it is given, until there is no more; or, if somebody goes
 * on asking, until the time is up.
 */
static void answer_rest(struct loop *loop)
{
	struct attempt *place = &loop->shared->attempts.places[0];
	struct pollfd device = { .fd = fuse_session_fd(loop->session), .events = POLLIN };
	const atomic_bool is_ending = false;
	struct timespec end, now;

	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += REST_SECONDS;
	while (poll(&device, 1, 0) == 1 && device.revents == POLLIN) {
		ssize_t n = receive(loop->session, place, &is_ending);

		clock_gettime(CLOCK_MONOTONIC, &now);
		if (n <= 0 || now.tv_sec > end.tv_sec)
			break;
		answer(loop, place, (size_t)n);
	}
}

/* If there is a supervisor, it is the one to end us; limits and pipes of ours are nobody's end. */
static void handle_signals(bool is_supervised)
{
	const int ignored[] = { SIGPIPE, SIGXFSZ, SIGTERM, SIGINT, SIGHUP, SIGUSR2 };
	const struct sigaction waking = { .sa_handler = wake };

	for (size_t i = 0; i < (is_supervised ? sizeof(ignored) / sizeof(*ignored) : 2); i++)
		signal(ignored[i], SIG_IGN);
	sigaction(SIGUSR1, &waking, NULL);
}

/*
 * While all threads are at work, in every PATIENCE_MS: if they have done nothing meanwhile, they
 * wait, for a branch that does not answer or while much is copied, and others' requests are to be
 * served. True: it is to be called again then.
 */
static bool relieve(struct loop *loop, unsigned long *n_served)
{
	unsigned long n = atomic_load(&loop->shared->n_served);
	uint64_t said;

	if (read(loop->watched, &said, sizeof(said)) < 0 && n == *n_served)
		add_thread(loop, ATTEMPT_PLACES);
	*n_served = n;
	atomic_store(&loop->is_crowded, false);
	if (atomic_load(&loop->n_idle) > 0)
		return false;
	atomic_store(&loop->is_crowded, true);
	return true;
}

/*
 * In every REST_MS in which nothing else was to be done: of the threads that wait for requests,
 * those that nobody has needed since the last time may end.
 */
static void thin_out(struct loop *loop)
{
	pthread_mutex_lock(&loop->lock);
	for (int i = 0; i < ATTEMPT_PLACES; i++)
		bury(&loop->threads[i]);
	atomic_store(&loop->n_spare,
		     atomic_exchange(&loop->least_idle, atomic_load(&loop->n_idle)) - 1);
	pthread_mutex_unlock(&loop->lock);
}

/* Whether there is anything to thin out. */
static bool are_many(struct loop *loop)
{
	bool many;

	pthread_mutex_lock(&loop->lock);
	many = loop->n_threads > FEW_THREADS || loop->n_ended > 0;
	pthread_mutex_unlock(&loop->lock);
	return many;
}

/* Waits until something can be read from `fd`: false; or the mount is over: true. */
static bool wait_over(struct loop *loop, int fd)
{
	bool is_crowded = false;
	unsigned long n_served = 0;

	for (;;) {
		/* Where no thread looks at the device, which wakes whoever polls it at each
		 * request. */
		int device = is_crowded ? fuse_session_fd(loop->session) : -1;
		struct pollfd fds[4] = { { .fd = loop->over, .events = POLLIN },
					 { .fd = fd, .events = POLLIN },
					 { .fd = loop->watched, .events = POLLIN },
					 { .fd = device } };
		int ms = is_crowded ? PATIENCE_MS : are_many(loop) ? REST_MS : -1;
		int n = poll(fds, 4, ms);

		if (n > 0 && (fds[0].revents || fds[3].revents))
			return true;
		if (n > 0 && fds[1].revents)
			return false;
		if (n == 0 && !is_crowded)
			thin_out(loop);
		else if (n >= 0)
			is_crowded = relieve(loop, &n_served);
	}
}

/* Waits for what ends us alone: a signal, or the end of the mount. */
static enum loop_end wait_alone(struct loop *loop)
{
	cleanup_fd int signals = -1;
	struct signalfd_siginfo info;
	sigset_t mask;

	supervised_signals(&mask);
	signals = signalfd(-1, &mask, SFD_CLOEXEC);
	while (!wait_over(loop, signals)) {
		/* Of the other two, one tells of a flusher and one asks for what cannot be. */
		if (read(signals, &info, sizeof(info)) == sizeof(info) &&
		    info.ssi_signo != SIGCHLD && info.ssi_signo != SIGUSR2)
			return LOOP_ASKED;
	}
	return LOOP_OVER;
}

/* Waits for the supervisor's word, or the end of the mount. */
static enum loop_end wait_supervised(struct loop *loop, int talk)
{
	while (!wait_over(loop, talk)) {
		char text[2];

		/* Without a supervisor we serve on, as well as we can. */
		if (talk_hear(talk, 0, text, sizeof(text)) == 0)
			talk = -1;
		else if (*text == TALK_END)
			return LOOP_ASKED;
		else if (*text == TALK_HAND_OVER)
			return LOOP_HAND_OVER;
	}
	if (talk >= 0)
		talk_say(talk, TALK_OVER);
	return LOOP_OVER;
}

static void say_ready(const struct supervised *supervised)
{
	uint64_t dev; /* nobody asks for it where there is no supervisor */

	if (supervised->talk >= 0)
		talk_say(supervised->talk, TALK_READY);
	else
		supervised->ready(supervised->context, &dev);
}

/*
 * The first thread. Where there is no room for it, a mount that is used already waits until there
 * is; one that nobody has seen yet fails.
 */
static int add_first_thread(struct loop *loop, bool is_restart)
{
	const struct timespec pause = { .tv_nsec = 20000000 };
	int r;

	do {
		pthread_mutex_lock(&loop->lock);
		r = create_thread(loop);
		pthread_mutex_unlock(&loop->lock);
	} while (r < 0 && is_restart && nanosleep(&pause, NULL) == 0);
	return r;
}

int loop_run(struct fuse_session *session, const struct supervised *supervised, struct nodes *nodes,
	     void (*begun)(void))
{
	struct shared *shared = supervised->shared;
	struct loop loop = { .session = session, .shared = shared, .nodes = nodes };
	int r = supervised->is_restart ? repeat_init(session, shared) : first_init(session, shared);

	if (r < 0)
		return r;
	loop.over = eventfd(0, EFD_CLOEXEC);
	loop.watched = loop.over < 0 ? -1 : eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (loop.watched < 0)
		return -errno;
	handle_signals(supervised->talk >= 0);
	/* What an earlier worker's threads had is worked off. */
	for (int i = FEW_THREADS; supervised->is_restart && i < ATTEMPT_PLACES; i++)
		give_back(&shared->attempts.places[i]);
	pthread_mutex_init(&loop.lock, NULL);
	r = add_first_thread(&loop, supervised->is_restart);
	if (r < 0) {
		pthread_mutex_destroy(&loop.lock);
		close(loop.watched);
		close(loop.over);
		return r;
	}
	if (begun)
		begun();
	say_ready(supervised);
	r = (int)(supervised->talk < 0 ? wait_alone(&loop)
				       : wait_supervised(&loop, supervised->talk));
	/* What is mounted is used until it is not: an unmount waits for answers of ours. */
	if (r == LOOP_ASKED && supervised->talk < 0)
		supervised->unmount(supervised->context, false);
	join_all(&loop);
	if (r == LOOP_ASKED)
		answer_rest(&loop);
	pthread_mutex_destroy(&loop.lock);
	close(loop.watched);
	close(loop.over);
	return r;
}
