/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/lock.h"

#include <linux/futex.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Who has waited cannot know that nobody else does, and so leaves it as wanted. */
void lock_wait(struct lock *lock)
{
	while (atomic_exchange_explicit(&lock->state, LOCK_WANTED, memory_order_acquire) !=
	       LOCK_FREE)
		syscall(SYS_futex, &lock->state, FUTEX_WAIT_PRIVATE, LOCK_WANTED, NULL, NULL, 0);
}

/* The lock itself is not looked at: a wakeup that comes to whatever is there now does no harm. */
void lock_wake(struct lock *lock)
{
	syscall(SYS_futex, &lock->state, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}
