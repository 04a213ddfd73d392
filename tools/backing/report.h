/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is said on standard error, which is the journal's. From any thread. */
#ifndef BACKING_REPORT_H
#define BACKING_REPORT_H

#include <sys/types.h>

/*
 * Says that something of a peer's was refused, and why; no more than some in a minute, after which
 * it is said how many were left out. `why` is text of ours.
 */
void report_refusal(uid_t uid, pid_t pid, const char *why);

#endif
