/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The table is an array of long numbers: the place of one is its short number.
 * So it is whole after every store of 64 bits, whenever a worker dies.  Lists by
 * hash, in memory of our own, find the place of a number.
 *
 * Places that were dropped are used again by going round through the array, as
 * filesystems do with their inodes, but not before many have gathered: a number
 * is not soon seen again, and going round costs few steps for each one found.
 *
 * A table in a file of the work directory is there for the next mount as it is for the next worker,
 * with nothing to be done at the end. After a power loss it may be an older one, or in part:
 * whatever stands in it, no two numbers are shown alike.
 */
#include "survive/ino32.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/table.h"
#include "lower/lower.h"

enum {
	FIRST_ROOM = 1 << 12, /* places that the table begins with */
	MIN_REUSED = 1 << 16, /* free places for which going round is worth while */
};

struct ino32 {
	int fd;
	uint32_t max;
	pthread_mutex_t lock; /* guards what follows */
	uint64_t *longs; /* mapped, `room` of them are there; 0: free */
	uint32_t room;
	uint32_t n_used; /* places from here on have not been used yet */
	uint32_t n_free; /* of those before */
	uint32_t cursor; /* where a free place is next looked for */
	uint32_t *buckets, *next; /* `room` of both: a place + 1, or 0 at the end */
};

/* --- the lists --- */

/* The link that leads to the place of `ino`, or the 0 that ends its list. */
static uint32_t *find_link(struct ino32 *table, uint64_t ino)
{
	uint32_t *at = &table->buckets[table_hash_u64(ino) % table->room];

	while (*at && table->longs[*at - 1] != ino)
		at = &table->next[*at - 1];
	return at;
}

static void add_link(struct ino32 *table, uint32_t place)
{
	uint32_t *bucket = &table->buckets[table_hash_u64(table->longs[place]) % table->room];

	table->next[place] = *bucket;
	*bucket = place + 1;
}

/* Makes room for so many places, no fewer than there are, and the lists anew. */
static int resize(struct ino32 *table, uint32_t room)
{
	uint32_t *next = realloc(table->next, room * sizeof(*next)), *buckets;

	if (!next)
		return -ENOMEM;
	table->next = next;
	buckets = calloc(room, sizeof(*buckets));
	if (!buckets)
		return -ENOMEM;
	/* Memory that turned out not to be there when it is touched would be our end. */
	if (posix_fallocate(table->fd, 0, (off_t)(room * sizeof(*table->longs))) != 0) {
		free(buckets);
		return -ENOMEM;
	}
	free(table->buckets);
	table->buckets = buckets;
	table->room = room;
	for (uint32_t i = 0; i < table->n_used; i++) {
		if (table->longs[i])
			add_link(table, i);
	}
	return 0;
}

static int grow(struct ino32 *table)
{
	return resize(table, table->room > table->max / 2 ? table->max : table->room * 2);
}

/* --- opening --- */

/* Sees which of the first `n` places are used. */
static void count(struct ino32 *table, uint32_t n)
{
	while (n > 0 && !table->longs[n - 1])
		n--;
	table->n_used = table->cursor = n;
	table->n_free = 0;
	for (uint32_t i = 0; i < n; i++)
		table->n_free += !table->longs[i];
}

static int map(struct ino32 *table)
{
	struct stat st;
	uint32_t n;

	/* All that there may ever be, of which only what is there takes memory. */
	table->longs = mmap(NULL, table->max * sizeof(*table->longs), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_NORESERVE, table->fd, 0);
	if (table->longs == MAP_FAILED) {
		table->longs = NULL;
		return -errno;
	}
	if (fstat(table->fd, &st) < 0)
		return -errno;
	n = (size_t)st.st_size / sizeof(*table->longs) < table->max
		    ? (uint32_t)((size_t)st.st_size / sizeof(*table->longs))
		    : table->max;
	count(table, n);
	if (n < FIRST_ROOM)
		n = FIRST_ROOM;
	return resize(table, n < table->max ? n : table->max);
}

int ino32_open(int fd, uint32_t max, struct ino32 **ret)
{
	struct ino32 *table = calloc(1, sizeof(*table));
	int r;

	if (!table)
		return -ENOMEM;
	table->fd = fd;
	table->max = max;
	pthread_mutex_init(&table->lock, NULL);
	r = map(table);
	if (r < 0) {
		ino32_close(table);
		return r;
	}
	*ret = table;
	return 0;
}

void ino32_close(struct ino32 *table)
{
	if (!table)
		return;
	if (table->longs)
		munmap(table->longs, table->max * sizeof(*table->longs));
	pthread_mutex_destroy(&table->lock);
	free(table->buckets);
	free(table->next);
	free(table);
}

/* --- numbers --- */

/* Goes on to the next free place among those that were used; false at their end. */
static bool find_free(struct ino32 *table)
{
	while (table->cursor < table->n_used && table->longs[table->cursor])
		table->cursor++;
	return table->cursor < table->n_used;
}

/* A place for one more. */
static int take_place(struct ino32 *table, uint32_t *ret)
{
	bool has_gathered = table->n_free > MIN_REUSED && table->n_free > table->n_used / 2;
	bool is_full = table->n_used == table->max;

	if (!find_free(table) && table->n_free > 0 && (has_gathered || is_full)) {
		table->cursor = 0;
		find_free(table);
	}
	if (table->cursor < table->n_used) {
		table->n_free--;
	} else {
		int r = is_full ? -EOVERFLOW : table->n_used == table->room ? grow(table) : 0;

		if (r < 0)
			return r;
		table->n_used++;
	}
	*ret = table->cursor++;
	return 0;
}

static int add(struct ino32 *table, uint64_t ino, uint32_t *ret)
{
	uint32_t place;
	int r = take_place(table, &place);

	if (r < 0)
		return r;
	__atomic_store_n(&table->longs[place], ino, __ATOMIC_RELEASE);
	add_link(table, place);
	*ret = INO32_FIRST + place;
	return 0;
}

int ino32_get(struct ino32 *table, uint64_t ino, uint32_t *ret)
{
	uint32_t link;
	int r = 0;

	if (ino < INO32_FIRST) {
		*ret = (uint32_t)ino;
		return 0;
	}
	pthread_mutex_lock(&table->lock);
	link = *find_link(table, ino);
	if (link)
		*ret = INO32_FIRST + link - 1;
	else
		r = add(table, ino, ret);
	pthread_mutex_unlock(&table->lock);
	return r;
}

bool ino32_has_room(struct ino32 *table, uint32_t n)
{
	bool has_room;

	if (!table)
		return true;
	pthread_mutex_lock(&table->lock);
	has_room = table->max - table->n_used + table->n_free >= n;
	pthread_mutex_unlock(&table->lock);
	return has_room;
}

void ino32_drop(struct ino32 *table, uint64_t ino)
{
	uint32_t *link, place;

	if (!table || ino < LOWER_INO_END)
		return;
	pthread_mutex_lock(&table->lock);
	link = find_link(table, ino);
	if (*link) {
		place = *link - 1;
		*link = table->next[place];
		__atomic_store_n(&table->longs[place], 0, __ATOMIC_RELEASE);
		table->n_free++;
	}
	pthread_mutex_unlock(&table->lock);
}
