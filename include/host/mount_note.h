/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a mount tells of itself to whoever asks: the tool, which finds the mount's
 * supervisor by it.  It stands at the beginning of a memfd called MOUNT_NOTE_NAME,
 * which the supervisor has open; who may trace it (ptrace(2)) can read it by
 * /proc/PID/fd.
 *
 * The supervisor alone writes it, each field in one piece, `outcome` before
 * `n_upgrades`.
 */
#ifndef HOST_MOUNT_NOTE_H
#define HOST_MOUNT_NOTE_H

#include <stdint.h>

#define MOUNT_NOTE_NAME "cairnfs mount"

enum { MOUNT_NOTE_MAGIC = 0x6e726163, MOUNT_NOTE_TEXT = 256 };

struct mount_note {
	uint32_t magic; /* 0: the mount is gone */
	/*
	 * Of all that workers share: this memory, the ledger, and what is in the work
	 * directory.  A worker of another version does not take over.
	 */
	uint32_t version;
	uint64_t size; /* of this memory; differs if a struct in it does */
	uint64_t dev; /* the mount's st_dev; 0 until it answers requests */
	uint32_t n_upgrades; /* that were asked for (SIGUSR2) and have ended */
	uint32_t unused;
	char outcome[MOUNT_NOTE_TEXT]; /* of the last one: why it was refused; empty: it was not */
};

#endif
