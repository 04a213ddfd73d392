/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The worker: opens the branches as one tree, and answers requests.
 *
 * The processes that call these have one thread.
 */
#ifndef DAEMON_WORKER_H
#define DAEMON_WORKER_H

#include "daemon/daemon.h"
#include "request/supervised.h"

/* Serves; an enum worker_exit. What it fails for it has said. */
int worker_serve(struct daemon *daemon, const struct supervised *supervised);

#endif
