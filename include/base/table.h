/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A hash table of objects that embed a table_link, keyed by a 64-bit hash.
 * Objects with equal hashes may coexist; the caller compares.  The table does
 * no locking and owns nothing.
 *
 * An object is for one thread at a time.
 */
#ifndef BASE_TABLE_H
#define BASE_TABLE_H

#include <stddef.h>
#include <stdint.h>

struct table_link {
	struct table_link *next;
	uint64_t hash;
};

struct table {
	struct table_link **buckets;
	size_t n_buckets; /* a power of two, or 0 */
	size_t count;
	size_t first; /* no bucket before this one holds anything */
};

/* Zeroed memory is an empty table. The buckets go; the objects are the caller's. */
void table_done(struct table *table);

/* The first object whose hash is `hash`, or NULL; table_next gives the others. */
struct table_link *table_find(const struct table *table, uint64_t hash);
struct table_link *table_next(const struct table_link *link);

/* 0 or -ENOMEM. */
int table_add(struct table *table, struct table_link *link, uint64_t hash);
void table_remove(struct table *table, struct table_link *link);

/* Takes out some object, or returns NULL when the table is empty. Emptying it is linear. */
struct table_link *table_pop(struct table *table);

/* Spreads numbers that are close together. */
uint64_t table_hash_u64(uint64_t n);
uint64_t table_hash_bytes(const void *data, size_t size);
/* Of names that others choose: who does not know the seed cannot make many that hash alike. */
uint64_t table_hash_name(const char *name, uint64_t seed);

#define TABLE_OBJECT(link, type, member) ((type *)((char *)(link)-offsetof(type, member)))

#endif
