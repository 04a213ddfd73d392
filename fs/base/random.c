/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/random.h"

#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "base/table.h"

uint64_t random_u64(void)
{
	struct timespec now;
	uint64_t n;

	if (getrandom(&n, sizeof(n), GRND_NONBLOCK) == sizeof(n))
		return n;
	clock_gettime(CLOCK_REALTIME, &now);
	return table_hash_u64((uint64_t)now.tv_sec << 30 ^ (uint64_t)now.tv_nsec ^
			      (uint64_t)getpid() << 48);
}
