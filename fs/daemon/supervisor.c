/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Nothing here may wait for an answer of the worker's: nobody else would start
 * the one that gives it.  So what touches the mount, or the program that may be
 * on it, is done by children.
 */
#include "daemon/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "daemon/takeover.h"
#include "request/talk.h"

enum {
	MAX_CRASHES = 10, /* in a row, without a request served: then the mount is given up */
	FIRST_PAUSE_MS = 10, /* after the second of them, and twice as long each time */
	MAX_PAUSE_MS = 2000,
	RETRY_MS = 50, /* while there is no room for a process */
};

struct supervision {
	const struct supervisor *supervisor;
	struct shared *shared;
	int shared_fd, ledger_fd, opened_fd, signal_fd;
	struct child worker;
	int program_fd; /* what workers are executed from; -1: they are forked from us */
	pid_t unmounter; /* 0: none */
	bool is_up; /* there was a worker that was ready */
	bool is_ending, is_unmounted;
	bool is_over; /* there is no mount any more, and no other worker */
	unsigned int crashes; /* in a row */
};

/* --- a worker begins --- */

/* What the child is to be. */
struct birth {
	const struct supervision *supervision;
	bool is_executed;
	int program_fd;
};

static int be_worker(void *context, int talk)
{
	const struct birth *birth = context;
	const struct supervision *s = birth->supervision;
	struct supervised supervised = { .fuse_fd = s->supervisor->fuse_fd,
					 .shared = s->shared,
					 .shared_fd = s->shared_fd,
					 .ledger_fd = s->ledger_fd,
					 .opened_fd = s->opened_fd,
					 .helper_fd = s->supervisor->helper_fd,
					 .talk = talk,
					 .is_restart = s->is_up };

	sigprocmask(SIG_SETMASK, &s->supervisor->old_mask, NULL);
	if (!birth->is_executed) {
		/* It may need all that it can have. */
		close(s->signal_fd);
		close(s->shared_fd);
		if (s->program_fd >= 0)
			close(s->program_fd);
		return s->supervisor->work(s->supervisor->context, &supervised);
	}
	s->supervisor->execute(s->supervisor->context, &supervised, birth->program_fd);
	_exit(WORKER_FAILED);
}

static int start(const struct supervision *s, bool is_executed, int program_fd, struct child *ret)
{
	struct birth birth = { s, is_executed, program_fd };
	int r = child_start(be_worker, &birth, ret);

	if (r < 0)
		return r;
	ret->is_executed = is_executed;
	ret->served_before = atomic_load(&s->shared->n_served);
	return 0;
}

/* Starts a worker if there is none; where there is no room for one, that is for the next time. */
static void keep_serving(struct supervision *s)
{
	if (s->worker.pid || start(s, s->program_fd >= 0, s->program_fd, &s->worker) < 0)
		return;
	if (s->worker.is_executed)
		talk_say(s->worker.talk, TALK_GO);
	if (s->is_unmounted)
		talk_say(s->worker.talk, TALK_END);
}

/* --- and ends --- */

static void log_death(int status)
{
	if (WIFSIGNALED(status))
		syslog(LOG_ERR, "worker was killed by signal %d (%s); starting another",
		       WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		syslog(LOG_ERR, "worker exited with status %d; starting another",
		       WEXITSTATUS(status));
}

/* Who crashes again and again at once would do so for ever. False: give up. */
static bool count_crash(struct supervision *s, bool has_served)
{
	unsigned int ms;

	s->crashes = has_served ? 1 : s->crashes + 1;
	if (s->crashes == MAX_CRASHES) {
		syslog(LOG_ERR, "%d workers crashed without serving a request: giving up",
		       MAX_CRASHES);
		return false;
	}
	ms = FIRST_PAUSE_MS << (s->crashes - 1);
	if (s->crashes > 1)
		poll(NULL, 0, (int)(ms < MAX_PAUSE_MS ? ms : MAX_PAUSE_MS));
	return true;
}

enum { GOES_ON = 2 };

static bool is_exit(int status, enum worker_exit code)
{
	return WIFEXITED(status) && WEXITSTATUS(status) == (int)code;
}

/* The worker has ended: GOES_ON, or what supervise() returns. */
static int outlive(struct supervision *s)
{
	bool has_served = atomic_load(&s->shared->n_served) != s->worker.served_before;
	bool has_failed = s->worker.is_executed && !s->worker.is_ready;
	int status = child_bury(&s->worker, false);

	if (is_exit(status, WORKER_DONE) || s->is_over)
		return s->is_up ? 0 : -EIO;
	if (!s->is_up && WIFEXITED(status))
		return SUPERVISE_SAID;
	log_death(status);
	if (!s->is_up)
		return -ECHILD;
	if (is_exit(status, WORKER_SHORT)) {
		poll(NULL, 0, RETRY_MS);
		return GOES_ON;
	}
	/* Who is killed by others has done nothing wrong. */
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
		return GOES_ON;
	/* A program that does not even begin is not tried again. */
	if (has_failed)
		close(take_fd(&s->program_fd));
	return count_crash(s, has_served) ? GOES_ON : -EIO;
}

/* The kernel has ended the connection, as an unmount does: a worker that serves sees that, and says
 * so. */
static void let_go(struct supervision *s)
{
	s->is_over = true;
	shared_note_over(s->shared);
	s->supervisor->let_go(s->supervisor->context);
}

/* As soon as the unmount has returned, when the worker may not have said it yet. */
static bool is_connected(const struct supervision *s)
{
	struct pollfd device = { .fd = s->supervisor->fuse_fd };

	return poll(&device, 1, 0) == 0;
}

static int hear_worker(struct supervision *s)
{
	char text[MOUNT_NOTE_TEXT];

	if (talk_hear(s->worker.talk, 0, text, sizeof(text)) == 0)
		return outlive(s);
	if (text[0] == TALK_READY && text[1] == '\0') {
		s->worker.is_ready = true;
		if (!s->is_up)
			s->supervisor->ready(s->supervisor->context, &s->shared->note.dev);
		s->is_up = true;
	}
	if (text[0] == TALK_OVER && text[1] == '\0')
		let_go(s);
	return GOES_ON;
}

/* --- the mount ends --- */

static void unmount(struct supervision *s)
{
	s->is_ending = true;
	if (s->unmounter || s->is_unmounted)
		return;
	s->unmounter = fork();
	if (s->unmounter == 0) {
		s->supervisor->unmount(s->supervisor->context, false);
		_exit(0);
	}
	if (s->unmounter < 0)
		s->unmounter = 0; /* no room: later */
}

/* A child has ended: if it was the one that unmounts, the worker can go. */
static void reap_unmounter(struct supervision *s)
{
	if (!s->unmounter || waitpid(s->unmounter, NULL, WNOHANG) != s->unmounter)
		return;
	s->unmounter = 0;
	s->is_unmounted = true;
	if (s->worker.pid)
		talk_say(s->worker.talk, TALK_END);
}

/* --- another program takes over --- */

/* What there is to say of an upgrade, for the log and for who asked. */
static void tell_outcome(struct supervision *s, const char *why)
{
	if (*why)
		syslog(LOG_ERR, "not upgraded: %s", why);
	else
		syslog(LOG_NOTICE, "upgraded");
	shared_note_upgrade(s->shared, why);
}

/* The other program takes over, or *why says why not. */
static void try_upgrade(struct supervision *s, char why[MOUNT_NOTE_TEXT])
{
	struct child next;
	int program_fd, r;
	enum takeover outcome;

	if (s->is_ending || !s->worker.is_ready) {
		snprintf(why, MOUNT_NOTE_TEXT, "the mount is %s",
			 s->is_ending ? "ending" : "not serving");
		return;
	}
	r = start(s, true, -1, &next);
	if (r < 0) {
		snprintf(why, MOUNT_NOTE_TEXT, "%s", strerror(-r));
		return;
	}
	outcome = takeover(&s->worker, &next, &program_fd, why, MOUNT_NOTE_TEXT);
	/* After a failure workers are what they were before. */
	if (outcome == TAKEOVER_DONE) {
		if (s->program_fd >= 0)
			close(s->program_fd);
		s->program_fd = program_fd;
		*why = '\0';
	}
}

static void upgrade(struct supervision *s)
{
	char why[MOUNT_NOTE_TEXT] = "";

	try_upgrade(s, why);
	/* Where there is no mount there is nobody to ask for it. */
	if (*why && (s->is_over || !is_connected(s)))
		let_go(s);
	else
		tell_outcome(s, why);
}

/* --- the supervisor's life --- */

static void hear_signal(struct supervision *s)
{
	struct signalfd_siginfo info;

	if (read(s->signal_fd, &info, sizeof(info)) != sizeof(info))
		return;
	if (info.ssi_signo == SIGUSR2)
		upgrade(s);
	else if (info.ssi_signo == SIGCHLD)
		reap_unmounter(s);
	else
		unmount(s);
}

static int run(struct supervision *s)
{
	int r = start(s, false, -1, &s->worker);

	if (r < 0)
		return r;
	for (;;) {
		/*
		 * Of the device, that it is an error to use it; but as it wakes whoever polls it
		 * at each request, only while no worker is there to say so.
		 */
		bool is_served = s->worker.pid && s->worker.is_ready;
		int device = s->is_up && !s->is_over && !is_served ? s->supervisor->fuse_fd : -1;
		struct pollfd fds[3] = { { .fd = s->signal_fd, .events = POLLIN },
					 { .fd = s->worker.talk, .events = POLLIN },
					 { .fd = device } };
		bool is_waiting = !s->worker.pid || (s->is_ending && !s->is_unmounted);

		poll(fds, 3, is_waiting ? RETRY_MS : -1);
		if (fds[2].revents)
			let_go(s);
		if (fds[0].revents) {
			hear_signal(s);
		} else if (fds[1].revents) {
			r = hear_worker(s);
			if (r != GOES_ON)
				return r;
		} else if (s->is_ending) {
			unmount(s);
		}
		keep_serving(s);
	}
}

void supervisor_block(sigset_t *old_mask)
{
	sigset_t mask;

	supervised_signals(&mask);
	sigprocmask(SIG_BLOCK, &mask, old_mask);
	/* Who called us may have ignored some: then they would not come. */
	for (int number = 1; number < NSIG; number++) {
		if (sigismember(&mask, number) == 1)
			signal(number, SIG_DFL);
	}
}

static void supervision_done(struct supervision *s)
{
	const int fds[] = { s->shared_fd, s->ledger_fd, s->opened_fd, s->signal_fd, s->program_fd };

	for (size_t i = 0; i < sizeof(fds) / sizeof(*fds); i++) {
		if (fds[i] >= 0)
			close(fds[i]);
	}
	shared_unmap(s->shared);
}

/* Nobody answers any more: nobody shall wait for an answer. */
static void give_up(const struct supervisor *supervisor)
{
	cleanup_fd int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (nothing >= 0)
		dup3(nothing, supervisor->fuse_fd, O_CLOEXEC);
	supervisor->unmount(supervisor->context, true);
}

int serve_alone(const struct supervisor *supervisor)
{
	struct supervised supervised = { .fuse_fd = supervisor->fuse_fd,
					 .ledger_fd = -1,
					 .opened_fd = -1,
					 .helper_fd = supervisor->helper_fd,
					 .talk = -1,
					 .ready = supervisor->ready,
					 .unmount = supervisor->unmount,
					 .context = supervisor->context };
	int r = shared_make(&supervised.shared_fd, &supervised.shared);

	if (r == 0) {
		close(take_fd(&supervised.shared_fd));
		r = supervisor->work(supervisor->context, &supervised) == WORKER_DONE
			    ? 0
			    : SUPERVISE_SAID;
	}
	if (r != 0)
		give_up(supervisor);
	shared_unmap(supervised.shared);
	return r;
}

int supervise(const struct supervisor *supervisor)
{
	CLEANUP(supervision_done)
	struct supervision s = { .supervisor = supervisor,
				 .shared_fd = -1,
				 .ledger_fd = -1,
				 .opened_fd = -1,
				 .signal_fd = -1,
				 .worker = { .talk = -1 },
				 .program_fd = -1 };
	sigset_t mask;
	int r = shared_make(&s.shared_fd, &s.shared);

	supervised_signals(&mask);
	s.ledger_fd = memfd_create("cairnfs ledger", MFD_CLOEXEC);
	s.opened_fd = memfd_create("cairnfs opened", MFD_CLOEXEC);
	s.signal_fd = signalfd(-1, &mask, SFD_CLOEXEC);
	if (r == 0 && (s.ledger_fd < 0 || s.opened_fd < 0 || s.signal_fd < 0))
		r = -errno;
	if (r == 0)
		r = run(&s);
	/* It waits for answers, and has the device open. */
	if (r != 0 && s.unmounter)
		kill(s.unmounter, SIGKILL);
	if (r != 0)
		give_up(supervisor);
	if (s.unmounter)
		waitpid(s.unmounter, NULL, 0);
	return r;
}
