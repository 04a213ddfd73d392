/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The writable branch on disk: its directories, and what its filesystem can do.
 *
 * Everything in this room works on open directories and names. It knows neither nodes nor
 * requests, and of lower only what marks say of it.
 */
#ifndef UPPER_UPPER_H
#define UPPER_UPPER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "upper/fs_config.h"
#include "upper/probe.h"
#include "upper/settle.h"
#include "upper/stack_id.h"

enum { ORPHAN_LOCKS = 16 };

struct upper {
	const struct fs_config *config;
	uid_t uid; /* who we are, for as long as the mount lives */
	gid_t gid;
	struct caps caps; /* constant once the mount is open */
	enum settling settling; /* constant */
	struct stack_id stack_id; /* constant; part of an origin mark */
	/* Directories in the work directory; -1 without a top branch. */
	int staging; /* for what is being made (staging.h) */
	int groups; /* for notes of names that are being copied up (copyup/group.h) */
	int orphans; /* for what is removed and still in use, by number (orphan.h) */
	/*
	 * Held while a name among the orphans comes or goes (orphan_lock()): the last node that
	 * one was kept for may go while another of the same number is made. Several, so that a
	 * file that is freed keeps none waiting that loses its name.
	 */
	pthread_mutex_t orphan_locks[ORPHAN_LOCKS];
	atomic_ulong n_staged; /* names given out in the staging directory */
};

/* With no directories open yet. `config` must outlive it. */
void upper_init(struct upper *upper, const struct fs_config *config);

/*
 * Opens the directories in the work directory, or makes them; what was being made is removed, and
 * what was in use too unless this is a restart. 0; -EPERM: one of them is another user's, who could
 * change what is made there; or another negative errno. upper_done in any case.
 */
int upper_open_work(struct upper *upper);

/*
 * Removes what nobody needs when the mount is over. Notes of groups that are left are for the next
 * mount.
 */
void upper_clear_work(struct upper *upper);

/* Closes the directories; on disk all stays as it is. */
void upper_done(struct upper *upper);

#endif
