/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

#include "base/cleanup.h"

enum {
	MAX_IDLE_DEATHS = 10, /* without a request served: then the mount is given up */
	FIRST_PAUSE_MS = 10,
};

struct worker {
	pid_t pid;
	int ready_fd; /* the reading end; -1 once it has spoken */
	unsigned long served_before; /* requests, by all workers before it */
};

static void say_ready(void *context)
{
	int *fd = context;

	if (write(*fd, "r", 1) == 1)
		close(*fd);
}

static int start(const struct supervisor *supervisor, struct shared *shared, bool is_restart,
		 const sigset_t *old_mask, struct worker *ret)
{
	int ends[2];
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	if (pid < 0) {
		int r = -errno;

		close(ends[0]);
		close(ends[1]);
		return r;
	}
	if (pid == 0) {
		struct supervised supervised = { .fuse_fd = supervisor->fuse_fd,
						 .shared = shared,
						 .ledger_fd = supervisor->ledger_fd,
						 .ready = say_ready,
						 .ready_context = &ends[1],
						 .is_restart = is_restart };

		sigprocmask(SIG_SETMASK, old_mask, NULL);
		close(ends[0]);
		exit(supervisor->work(supervisor->context, &supervised));
	}
	close(ends[1]);
	*ret = (struct worker){ .pid = pid,
				.ready_fd = ends[0],
				.served_before = atomic_load(&shared->n_served) };
	return 0;
}

/* Waits for a signal or for the worker's word; the signal's number, or 0 for the word. */
static int wait_for_news(int signal_fd, struct worker *worker, const struct supervisor *supervisor,
			 bool *is_up)
{
	struct pollfd fds[2] = { { .fd = signal_fd, .events = POLLIN },
				 { .fd = worker->ready_fd, .events = POLLIN } };
	struct signalfd_siginfo info;
	char byte;

	if (poll(fds, 2, -1) < 0)
		return 0;
	if (fds[1].revents) {
		bool is_word = read(worker->ready_fd, &byte, 1) == 1;

		close(worker->ready_fd);
		worker->ready_fd = -1;
		if (is_word && !*is_up) {
			*is_up = true;
			supervisor->ready(supervisor->context);
		}
	}
	if (!fds[0].revents || read(signal_fd, &info, sizeof(info)) != sizeof(info))
		return 0;
	return (int)info.ssi_signo;
}

static void log_death(int status)
{
	if (WIFSIGNALED(status))
		syslog(LOG_ERR, "worker was killed by signal %d (%s); starting another",
		       WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		syslog(LOG_ERR, "worker exited with status %d; starting another",
		       WEXITSTATUS(status));
}

/* Serves until a worker is done or the mount is given up. */
static int run(const struct supervisor *supervisor, struct shared *shared, int signal_fd,
	       const sigset_t *old_mask)
{
	bool is_up = false, is_ending = false;
	unsigned int idle_deaths = 0;
	struct worker worker;
	int r = start(supervisor, shared, false, old_mask, &worker);

	while (r == 0) {
		int status, number = wait_for_news(signal_fd, &worker, supervisor, &is_up);

		if (number == SIGTERM || number == SIGINT || number == SIGHUP) {
			is_ending = true;
			supervisor->unmount(supervisor->context);
			kill(worker.pid, SIGTERM);
		}
		if (waitpid(worker.pid, &status, WNOHANG) != worker.pid)
			continue;
		if (worker.ready_fd >= 0)
			close(worker.ready_fd);
		if (is_ending || (WIFEXITED(status) && WEXITSTATUS(status) == WORKER_DONE))
			return is_up ? 0 : -EIO;
		if (!is_up)
			return -EIO; /* it has said why */
		log_death(status);
		idle_deaths = atomic_load(&shared->n_served) == worker.served_before
				      ? idle_deaths + 1
				      : 0;
		if (idle_deaths >= MAX_IDLE_DEATHS) {
			syslog(LOG_ERR, "%d workers died without serving a request: giving up",
			       MAX_IDLE_DEATHS);
			return -EIO;
		}
		if (idle_deaths > 1)
			usleep((1000 * FIRST_PAUSE_MS) << idle_deaths);
		r = start(supervisor, shared, true, old_mask, &worker);
	}
	return r;
}

static void fill_mask(sigset_t *mask)
{
	sigemptyset(mask);
	sigaddset(mask, SIGCHLD);
	sigaddset(mask, SIGTERM);
	sigaddset(mask, SIGINT);
	sigaddset(mask, SIGHUP);
}

void supervisor_block(sigset_t *old_mask)
{
	sigset_t mask;

	fill_mask(&mask);
	sigprocmask(SIG_BLOCK, &mask, old_mask);
}

int serve_alone(const struct supervisor *supervisor)
{
	struct shared *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
				     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct supervised supervised = { .fuse_fd = supervisor->fuse_fd,
					 .shared = shared,
					 .ready = supervisor->ready,
					 .ready_context = supervisor->context,
					 .is_alone = true };
	int r;

	if (shared == MAP_FAILED)
		return -errno;
	sigprocmask(SIG_SETMASK, &supervisor->old_mask, NULL);
	r = supervisor->work(supervisor->context, &supervised);
	munmap(shared, sizeof(*shared));
	return r == WORKER_DONE ? 0 : -EIO;
}

int supervise(struct supervisor *supervisor)
{
	struct shared *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
				     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	cleanup_fd int ledger_fd = memfd_create("cairnfs ledger", MFD_CLOEXEC);
	cleanup_fd int signal_fd = -1;
	sigset_t mask;
	int r;

	if (shared == MAP_FAILED || ledger_fd < 0)
		return -errno;
	supervisor->ledger_fd = ledger_fd;
	fill_mask(&mask);
	signal_fd = signalfd(-1, &mask, SFD_CLOEXEC);
	r = signal_fd < 0 ? -errno : run(supervisor, shared, signal_fd, &supervisor->old_mask);
	if (r < 0)
		supervisor->unmount(supervisor->context);
	munmap(shared, sizeof(*shared));
	return r;
}
