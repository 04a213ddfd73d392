/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The process that outlives workers: it holds /dev/fuse, the saved INIT
 * request and the state that workers share, starts a worker, and starts
 * another when that one dies or, on SIGUSR2, from the program that is installed
 * now.  It looks into no request and no file.
 *
 * The processes that call these have one thread.
 */
#ifndef DAEMON_SUPERVISOR_H
#define DAEMON_SUPERVISOR_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "request/supervised.h"

/* The functions are called with `context`. */
struct supervisor {
	sigset_t old_mask; /* as supervisor_block gave it: workers get it back */
	int fuse_fd, helper_fd; /* as of struct supervised; the caller's to close */
	/* In a child process: serves until the mount is gone; an enum worker_exit. */
	int (*work)(void *context, const struct supervised *supervised);
	/*
	 * In a child process: executes the program `program_fd`, or, if that is -1, the one
	 * that is installed now, which is to serve in the same way.  It returns only when it
	 * failed, having said why on supervised->talk.
	 */
	void (*execute)(void *context, const struct supervised *supervised, int program_fd);
	/*
	 * The first worker answers requests: the mount's st_dev goes to *dev, which others see,
	 * before anybody is told.
	 */
	void (*ready)(void *context, uint64_t *dev);
	/*
	 * Ends the mount.  It may wait for answers of the worker's, unless `is_dead`: then all
	 * who wait for one are told that none will come.
	 */
	void (*unmount)(void *context, bool is_dead);
	/* The mount is gone: closes what could keep somebody from unmounting its branches. */
	void (*let_go)(void *context);
	void *context;
};

/*
 * Serves a mount until it is gone: 0.  SUPERVISE_SAID: the first worker could
 * not serve, and has said why.  Else a negative errno: -EIO when the mount had to
 * be given up, others when it never came up.
 */
enum { SUPERVISE_SAID = 1 };
int supervise(const struct supervisor *supervisor);

/* Serves as supervise() does, by one process: when it dies, the mount does. */
int serve_alone(const struct supervisor *supervisor);

/*
 * Blocks the signals that supervise() waits for.  To be called before there is
 * a mount: one that came between would end the process and leave it behind.
 */
void supervisor_block(sigset_t *old_mask);

#endif
