/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Descriptors kept open: eviction, references that outlive it, and threads. */
#include "base/fdcache.h"

#include <pthread.h>

#include "scratch.h"

static int open_some(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	assert(fd >= 0);
	return fd;
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static void test_get_and_put(void)
{
	struct fd_slot slot = { 0 };
	struct fdcache cache;
	struct fd_ref *a, *b;
	int fd = open_some(), other;

	assert_eq(sizeof(slot), 1); /* millions are empty */
	fdcache_init(&cache, 4);
	assert(!fdcache_get(&cache, &slot));
	a = fdcache_put(&cache, &slot, fd);
	assert_eq(a->fd, fd);
	b = fdcache_get(&cache, &slot);
	assert(a == b);
	fd_ref_put(b);
	/* The slot is occupied: the newcomer is closed. */
	other = open_some();
	b = fdcache_put(&cache, &slot, other);
	assert(a == b);
	assert(!is_open(other));
	fd_ref_put(b);
	fd_ref_put(a);
	assert(is_open(fd));
	fdcache_drop(&cache, &slot);
	assert(!is_open(fd));
	assert(!fdcache_get(&cache, &slot));
	fdcache_drop(&cache, &slot);
	fdcache_done(&cache);
}

static void test_least_recently_used_goes(void)
{
	struct fd_slot slots[4] = { { 0 } };
	struct fdcache cache;
	int fds[4];

	fdcache_init(&cache, 3);
	for (int i = 0; i < 3; i++) {
		fds[i] = open_some();
		fd_ref_put(fdcache_put(&cache, &slots[i], fds[i]));
	}
	fd_ref_put(fdcache_get(&cache, &slots[0])); /* now 1 is the oldest */
	fds[3] = open_some();
	fd_ref_put(fdcache_put(&cache, &slots[3], fds[3]));
	assert(is_open(fds[0]) && !is_open(fds[1]) && is_open(fds[2]) && is_open(fds[3]));
	assert(!fdcache_get(&cache, &slots[1]));
	assert_eq(cache.filled.count, 3);
	for (int i = 0; i < 4; i++)
		fdcache_drop(&cache, &slots[i]);
	assert_eq(cache.filled.count, 0);
	for (int i = 0; i < 4; i++)
		assert(!is_open(fds[i]));
	fdcache_done(&cache);
}

static void test_reference_outlives_drop_and_eviction(void)
{
	struct fd_slot a = { 0 }, b = { 0 };
	struct fdcache cache;
	struct fd_ref *ref, *more;
	int fd = open_some();

	fdcache_init(&cache, 1);
	ref = fdcache_put(&cache, &a, fd);
	more = fd_ref_get(ref);
	fd_ref_put(fdcache_put(&cache, &b, open_some())); /* evicts a */
	assert(!fdcache_get(&cache, &a));
	assert(is_open(fd));
	fd_ref_put(ref);
	assert(is_open(fd));
	fd_ref_put(more);
	assert(!is_open(fd));
	ref = fdcache_get(&cache, &b);
	fdcache_drop(&cache, &b);
	assert(is_open(ref->fd));
	fd_ref_put(ref);
	fd_ref_put(NULL);
	fdcache_done(&cache);
}

static void test_reference_in_no_slot(void)
{
	int fd = open_some();
	struct fd_ref *ref = fd_ref_new(fd);

	assert(is_open(fd));
	fd_ref_put(ref);
	assert(!is_open(fd));
}

/* --- threads --- */

enum { N_SLOTS = 16, N_THREADS = 6, N_ROUNDS = 20000 };
static struct fd_slot shared_slots[N_SLOTS];
static struct fdcache shared_cache;

static void *use(void *context)
{
	unsigned int seed = *(unsigned int *)context;

	for (int i = 0; i < N_ROUNDS; i++) {
		struct fd_slot *slot = &shared_slots[rand_r(&seed) % N_SLOTS];
		struct fd_ref *ref = fdcache_get(&shared_cache, slot);

		if (!ref)
			ref = fdcache_put(&shared_cache, slot, open_some());
		assert(is_open(ref->fd));
		if (rand_r(&seed) % 8 == 0)
			fdcache_drop(&shared_cache, slot);
		assert(is_open(ref->fd));
		fd_ref_put(ref);
	}
	return NULL;
}

static void test_threads(void)
{
	unsigned int seeds[N_THREADS];
	pthread_t threads[N_THREADS];

	fdcache_init(&shared_cache, 8);
	for (unsigned int i = 0; i < N_THREADS; i++) {
		seeds[i] = i;
		assert(pthread_create(&threads[i], NULL, use, &seeds[i]) == 0);
	}
	for (int i = 0; i < N_THREADS; i++)
		pthread_join(threads[i], NULL);
	assert(shared_cache.filled.count <= 8);
	for (int i = 0; i < N_SLOTS; i++)
		fdcache_drop(&shared_cache, &shared_slots[i]);
	assert_eq(shared_cache.filled.count, 0);
	fdcache_done(&shared_cache);
}

int main(void)
{
	test_get_and_put();
	test_least_recently_used_goes();
	test_reference_outlives_drop_and_eviction();
	test_reference_in_no_slot();
	test_threads();
	return 0;
}
