/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

enum { MIN_BUCKETS = 16 };

uint64_t table_hash_u64(uint64_t n)
{
	return XXH3_64bits(&n, sizeof(n));
}

uint64_t table_hash_name(const char *name, uint64_t seed)
{
	return XXH3_64bits_withSeed(name, strlen(name), seed);
}

uint64_t table_hash_bytes(const void *data, size_t size)
{
	return XXH3_64bits(data, size);
}

void table_done(struct table *table)
{
	free(table->buckets);
	*table = (struct table){ 0 };
}

static struct table_link **bucket_of(const struct table *table, uint64_t hash)
{
	return &table->buckets[hash & (table->n_buckets - 1)];
}

struct table_link *table_find(const struct table *table, uint64_t hash)
{
	struct table_link *link;

	if (!table->n_buckets)
		return NULL;
	for (link = *bucket_of(table, hash); link && link->hash != hash; link = link->next)
		;
	return link;
}

struct table_link *table_next(const struct table_link *link)
{
	struct table_link *next;

	for (next = link->next; next && next->hash != link->hash; next = next->next)
		;
	return next;
}

static int grow(struct table *table)
{
	struct table bigger = { .n_buckets = table->n_buckets ? table->n_buckets * 2 : MIN_BUCKETS,
				.count = table->count };

	bigger.buckets = calloc(bigger.n_buckets, sizeof(*bigger.buckets));
	if (!bigger.buckets)
		return -ENOMEM;
	for (size_t i = 0; i < table->n_buckets; i++) {
		struct table_link *next;

		for (struct table_link *link = table->buckets[i]; link; link = next) {
			struct table_link **bucket = bucket_of(&bigger, link->hash);

			next = link->next;
			link->next = *bucket;
			*bucket = link;
		}
	}
	free(table->buckets);
	*table = bigger;
	return 0;
}

int table_add(struct table *table, struct table_link *link, uint64_t hash)
{
	struct table_link **bucket;

	/* A full table that cannot grow still works, more slowly. */
	if (table->count >= table->n_buckets && grow(table) < 0 && !table->n_buckets)
		return -ENOMEM;
	bucket = bucket_of(table, hash);
	*link = (struct table_link){ .next = *bucket, .hash = hash };
	*bucket = link;
	if ((hash & (table->n_buckets - 1)) < table->first)
		table->first = hash & (table->n_buckets - 1);
	table->count++;
	return 0;
}

void table_remove(struct table *table, struct table_link *link)
{
	struct table_link **at = bucket_of(table, link->hash);

	while (*at != link)
		at = &(*at)->next;
	*at = link->next;
	table->count--;
}

struct table_link *table_pop(struct table *table)
{
	struct table_link *link;

	while (table->first < table->n_buckets && !table->buckets[table->first])
		table->first++;
	if (table->first == table->n_buckets)
		return NULL;
	link = table->buckets[table->first];
	table_remove(table, link);
	return link;
}
