/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The process that outlives workers: it holds /dev/fuse, the saved INIT
 * request and the state that workers share, starts a worker, and starts
 * another when that one dies.  It looks into no request and no file.
 */
#ifndef FS_SUPERVISOR_H
#define FS_SUPERVISOR_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "attempt.h"
#include "fs.h"
#include "state.h"

enum { INIT_MAX = 4096 };

/* Memory that all workers of a mount and their supervisor share. */
struct shared {
	atomic_ulong n_served; /* requests; what tells bad luck from a worker that cannot work */
	struct state_journal journal;
	struct quiet_note quiet[QUIET_NOTES];
	uint32_t init_size; /* 0: no INIT request has come yet */
	uint8_t init[INIT_MAX];
	struct attempts attempts;
};

struct supervised {
	int fuse_fd;
	struct shared *shared;
	int ledger_fd; /* of a memfd (ledger.h) */
	void (*ready)(void *context); /* to be called once requests are answered */
	void *ready_context;
	bool is_restart;
	bool is_alone; /* no supervisor: signals are for the worker to see */
};

enum worker_exit {
	WORKER_DONE = 0, /* the mount is gone */
	WORKER_FAILED = 1, /* it cannot serve, and another could not either */
};

/*
 * Serves a mount until it is gone.  `work` is called in a child process and
 * returns an enum worker_exit.  When the first worker is ready, `ready` is
 * called once; `unmount` ends the mount when a signal asks for it or workers
 * keep dying.  0, or -EIO when the mount had to be given up, or another
 * negative errno when it never came up.
 */
struct supervisor {
	sigset_t old_mask; /* as supervisor_block gave it: workers get it back */
	int fuse_fd;
	int ledger_fd; /* set by supervise */
	int (*work)(void *context, const struct supervised *supervised);
	void (*ready)(void *context);
	void (*unmount)(void *context);
	void *context;
};
int supervise(struct supervisor *supervisor);

/* The same by one process: when it dies, the mount does. 0 or negative errno. */
int serve_alone(const struct supervisor *supervisor);

/*
 * Blocks the signals that supervise() waits for.  To be called before there is
 * a mount: one that came between would end the process and leave it behind.
 */
void supervisor_block(sigset_t *old_mask);

#endif
