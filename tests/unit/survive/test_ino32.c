/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Short numbers: one for each long one, kept, given out anew when dropped, and never a wrong one.
 */
#include "survive/ino32.h"

#include <sys/mman.h>

#include "lower/lower.h"
#include "scratch.h"

static int fd = -1;

/* An empty table. */
static struct ino32 *begin(uint32_t max)
{
	struct ino32 *table;

	fd = memfd_create("test", MFD_CLOEXEC);
	assert(fd >= 0);
	assert_eq(ino32_open(fd, max, &table), 0);
	return table;
}

static void end(struct ino32 *table)
{
	ino32_close(table);
	close(fd);
}

/* As the next worker has it. */
static struct ino32 *reopen(struct ino32 *table, uint32_t max)
{
	ino32_close(table);
	assert_eq(ino32_open(fd, max, &table), 0);
	return table;
}

static uint32_t get(struct ino32 *table, uint64_t ino)
{
	uint32_t number;

	assert_eq(ino32_get(table, ino, &number), 0);
	assert(number < UINT32_MAX);
	return number;
}

/* The n-th number of an object born in upper. */
static uint64_t upper(uint64_t n)
{
	return LOWER_INO_END + n;
}

static void test_numbers(void)
{
	struct ino32 *table = begin(INO32_MAX);
	uint32_t a, b;

	assert_eq(get(table, 0), 0);
	assert_eq(get(table, LOWER_ROOT_INO), LOWER_ROOT_INO);
	assert_eq(get(table, INO32_FIRST - 1), INO32_FIRST - 1);
	a = get(table, INO32_FIRST);
	b = get(table, UINT64_MAX);
	assert(a >= INO32_FIRST && b >= INO32_FIRST && a != b);
	assert(get(table, UINT32_MAX) != UINT32_MAX);
	assert_eq(get(table, INO32_FIRST), a);
	assert_eq(get(table, UINT64_MAX), b);
	end(table);
}

static void test_many(void)
{
	enum { N = 100000 };
	static bool is_taken[N];
	struct ino32 *table = begin(INO32_MAX);

	for (int round = 0; round < 2; round++) {
		memset(is_taken, 0, sizeof(is_taken));
		for (uint64_t i = 0; i < N; i++) {
			uint32_t place = get(table, (i % 7) << 52 | (i + INO32_FIRST)) -
					 INO32_FIRST;

			assert(place < N && !is_taken[place]);
			is_taken[place] = true;
		}
	}
	end(table);
}

/* The next worker shows what this one did, and goes on behind. */
static void test_next_worker(void)
{
	enum { N = 10000 };
	static uint32_t numbers[N];
	struct ino32 *table = begin(INO32_MAX);
	uint32_t fresh;

	for (uint32_t i = 0; i < N; i++)
		numbers[i] = get(table, upper(i));
	for (uint32_t i = 0; i < N; i += 3)
		ino32_drop(table, upper(i));
	table = reopen(table, INO32_MAX);
	fresh = get(table, upper(N));
	for (uint32_t i = 0; i < N; i++)
		assert(i % 3 == 0 || (get(table, upper(i)) == numbers[i] && fresh != numbers[i]));
	end(table);
}

/* After a power loss anything may stand in the file: no number is another object's for that. */
static void test_damaged(void)
{
	enum { N = 5000 };
	static bool is_taken[N * 4];
	struct ino32 *table = begin(INO32_MAX);
	uint64_t twice[] = { upper(1), upper(1), 7, UINT64_MAX, upper(N + 5) };

	for (uint64_t i = 0; i < N; i++)
		get(table, upper(i));
	assert(pwrite(fd, twice, sizeof(twice), 800) == sizeof(twice));
	assert(ftruncate(fd, 3 * 8192 + 3) == 0);
	table = reopen(table, INO32_MAX);
	for (uint64_t i = 0; i < 2 * N; i++) {
		uint32_t place = get(table, upper(i)) - INO32_FIRST;

		assert(place < N * 4 && !is_taken[place]);
		is_taken[place] = true;
	}
	end(table);
}

/* A number is given out anew when many were dropped, and not at once. */
static void test_reuse(void)
{
	enum { N = 200000 };
	struct ino32 *table = begin(INO32_MAX);
	uint32_t first = get(table, upper(0)), highest = 0;

	ino32_drop(table, upper(0));
	assert(get(table, upper(1)) != first);
	for (uint32_t round = 0; round < 10; round++) {
		for (uint32_t i = 0; i < N; i++) {
			uint32_t number = get(table, upper(2 + round * N + i));

			highest = number > highest ? number : highest;
		}
		for (uint32_t i = 0; i < N; i++)
			ino32_drop(table, upper(2 + round * N + i));
	}
	assert(highest < INO32_FIRST + 3 * N);
	/* Of lower objects they stay, and of what has none nothing happens. */
	first = get(table, UINT64_C(1) << 52);
	ino32_drop(table, UINT64_C(1) << 52);
	ino32_drop(table, upper(0));
	ino32_drop(NULL, upper(0));
	assert_eq(get(table, UINT64_C(1) << 52), first);
	end(table);
}

static void test_none_left(void)
{
	enum { MAX = 10000 };
	struct ino32 *table = begin(MAX);
	uint32_t number = 7, freed;

	for (uint32_t i = 0; i < MAX; i++)
		assert(get(table, upper(i)) < INO32_FIRST + MAX);
	assert(!ino32_has_room(table, 1));
	assert(ino32_has_room(NULL, 1));
	assert_eq(ino32_get(table, upper(MAX), &number), -EOVERFLOW);
	assert_eq(number, 7);
	assert_eq(get(table, 12), 12);
	freed = get(table, upper(5000));
	ino32_drop(table, upper(5000));
	assert(ino32_has_room(table, 1) && !ino32_has_room(table, 2));
	table = reopen(table, MAX);
	assert_eq(get(table, upper(MAX)), freed);
	assert_eq(ino32_get(table, upper(5000), &number), -EOVERFLOW);
	end(table);
}

int main(void)
{
	scratch_begin();
	test_numbers();
	test_many();
	test_next_worker();
	test_damaged();
	test_reuse();
	test_none_left();
	return 0;
}
