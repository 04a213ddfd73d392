/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "node/answer.h"

static _Thread_local uint32_t asking = ANSWERED_MANY;

void answer_for(uint32_t id)
{
	/* Threads of processes that our PID namespace does not have are all 0. */
	asking = id ? id : ANSWERED_MANY;
}

void answer_begin(_Atomic uint32_t *answered)
{
	uint32_t before = atomic_load(answered), now;

	do {
		now = before == ANSWERED_NOBODY || before == asking ? asking : ANSWERED_MANY;
	} while (!atomic_compare_exchange_weak(answered, &before, now));
}

bool answer_is_late(_Atomic uint32_t *answered)
{
	uint32_t before = atomic_load(answered);

	if (before == ANSWERED_NOBODY || (before == asking && asking != ANSWERED_MANY))
		return false;
	/*
	 * What is answered from now on counts anew: before the kernel is told, for who asks between
	 * the two is not known to be early enough.
	 */
	atomic_store(answered, ANSWERED_NOBODY);
	return true;
}
