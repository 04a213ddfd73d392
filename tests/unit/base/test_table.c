/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The hash table: growth, equal hashes, removal. */
#include "base/table.h"

#include "scratch.h"

struct object {
	int padding;
	struct table_link link;
	unsigned int number;
};

enum { N = 20000 };
static struct object objects[N];

static struct object *find(const struct table *table, uint64_t hash, unsigned int number)
{
	for (struct table_link *link = table_find(table, hash); link; link = table_next(link)) {
		struct object *object = TABLE_OBJECT(link, struct object, link);

		assert_eq(link->hash, hash);
		if (object->number == number)
			return object;
	}
	return NULL;
}

static void test_empty(void)
{
	struct table table = { 0 };

	assert(!table_find(&table, 1));
	assert(!table_pop(&table));
	table_done(&table);
}

static void test_add_find_remove(void)
{
	struct table table = { 0 };

	for (unsigned int i = 0; i < N; i++) {
		objects[i].number = i;
		assert_eq(table_add(&table, &objects[i].link, table_hash_u64(i)), 0);
	}
	assert_eq(table.count, N);
	for (unsigned int i = 0; i < N; i++)
		assert(find(&table, table_hash_u64(i), i) == &objects[i]);
	assert(!find(&table, table_hash_u64(N), N));
	for (unsigned int i = 0; i < N; i += 2)
		table_remove(&table, &objects[i].link);
	for (unsigned int i = 0; i < N; i++)
		assert(find(&table, table_hash_u64(i), i) == (i % 2 ? &objects[i] : NULL));
	assert_eq(table.count, N / 2);
	for (unsigned int i = 0; i < N / 2; i++)
		assert(TABLE_OBJECT(table_pop(&table), struct object, link)->number % 2);
	assert(!table_pop(&table));
	table_done(&table);
}

static void test_equal_hashes(void)
{
	struct table table = { 0 };

	for (unsigned int i = 0; i < 100; i++) {
		objects[i].number = i;
		assert_eq(table_add(&table, &objects[i].link, i % 3), 0);
	}
	for (unsigned int i = 0; i < 100; i++)
		assert(find(&table, i % 3, i) == &objects[i]);
	table_remove(&table, &objects[50].link);
	assert(!find(&table, 50 % 3, 50));
	for (unsigned int i = 0; i < 100; i++)
		assert(i == 50 || find(&table, i % 3, i) == &objects[i]);
	while (table_pop(&table))
		;
	table_done(&table);
}

static void test_hashes(void)
{
	unsigned int buckets[256] = { 0 };

	/* Numbers that are close together, or multiples, are spread. */
	for (uint64_t i = 0; i < 256 * 16; i++)
		buckets[table_hash_u64(i * 4096) % 256]++;
	for (size_t i = 0; i < 256; i++)
		assert(buckets[i] > 0 && buckets[i] < 64);
	assert(table_hash_bytes("a", 1) != table_hash_bytes("b", 1));
	assert_eq(table_hash_bytes("name", 4), table_hash_bytes("name", 4));
}

int main(void)
{
	test_empty();
	test_add_find_remove();
	test_equal_hashes();
	test_hashes();
	return 0;
}
