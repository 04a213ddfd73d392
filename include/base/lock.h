/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A lock of four bytes, for what there are very many of; elsewhere a pthread_mutex_t, which tools
 * know. It makes no system call unless somebody waits, and who waits sleeps.
 *
 * Zeroed memory is a free lock, and a free lock needs no end. It is not for the thread that has it.
 */
#ifndef BASE_LOCK_H
#define BASE_LOCK_H

#include <stdatomic.h>
#include <stdint.h>

struct lock {
	_Atomic uint32_t state;
};

enum { LOCK_FREE = 0, LOCK_TAKEN = 1, LOCK_WANTED = 2 /* taken, and somebody may wait */ };

/* What lock_take and lock_release do where somebody waits. */
void lock_wait(struct lock *lock);
void lock_wake(struct lock *lock);

static inline void lock_take(struct lock *lock)
{
	uint32_t state = LOCK_FREE;

	if (!atomic_compare_exchange_strong_explicit(&lock->state, &state, LOCK_TAKEN,
						     memory_order_acquire, memory_order_relaxed))
		lock_wait(lock);
}

/* By the thread that took it. What it is in may be gone as soon as it is free. */
static inline void lock_release(struct lock *lock)
{
	if (atomic_exchange_explicit(&lock->state, LOCK_FREE, memory_order_release) == LOCK_WANTED)
		lock_wake(lock);
}

#endif
