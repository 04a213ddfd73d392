/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The small lock: one at a time, nobody forgotten, and nothing asked of the kernel for nothing. */
#include "base/lock.h"

#include <pthread.h>
#include <sys/resource.h>
#include <time.h>

#include "scratch.h"

enum { N_THREADS = 6, N_ROUNDS = 100000, N_SLEEPS = 20 };

static struct {
	char before;
	struct lock lock;
	unsigned int n; /* guarded by lock */
	unsigned int n_inside;
} shared;

static void *count(void *context)
{
	(void)context;
	for (int i = 0; i < N_ROUNDS; i++) {
		lock_take(&shared.lock);
		assert_eq(shared.n_inside++, 0);
		shared.n++;
		shared.n_inside--;
		lock_release(&shared.lock);
	}
	return NULL;
}

static void *sleep_inside(void *context)
{
	const struct timespec a_moment = { .tv_nsec = 1000000 };

	(void)context;
	for (int i = 0; i < N_SLEEPS; i++) {
		lock_take(&shared.lock);
		assert_eq(shared.n_inside++, 0);
		nanosleep(&a_moment, NULL);
		shared.n++;
		shared.n_inside--;
		lock_release(&shared.lock);
	}
	return NULL;
}

static void run(void *(*what)(void *context))
{
	pthread_t threads[N_THREADS];

	shared.n = 0;
	for (int i = 0; i < N_THREADS; i++)
		assert(pthread_create(&threads[i], NULL, what, NULL) == 0);
	for (int i = 0; i < N_THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_eq(shared.lock.state, LOCK_FREE);
}

static void test_one_at_a_time(void)
{
	run(count);
	assert_eq(shared.n, N_THREADS * N_ROUNDS);
}

static double cpu_time(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
	       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/* Five wait for 120 milliseconds: who went round meanwhile would have used the processors. */
static void test_who_waits_sleeps(void)
{
	double before = cpu_time();

	run(sleep_inside);
	assert_eq(shared.n, N_THREADS * N_SLEEPS);
	assert(cpu_time() - before < 0.06);
}

static void test_state(void)
{
	assert_eq(sizeof(struct lock), 4);
	lock_take(&shared.lock);
	assert_eq(shared.lock.state, LOCK_TAKEN);
	lock_release(&shared.lock);
	assert_eq(shared.lock.state, LOCK_FREE);
}

int main(void)
{
	scratch_begin();
	test_state();
	test_one_at_a_time();
	test_who_waits_sleeps();
	return 0;
}
