/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "survive/ledger.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/table.h"

enum {
	CHUNK_ENTRIES = 1 << 12,
	MAX_CHUNKS = 1 << 16, /* for 2^28 nodes */
};
#define CHUNK_SIZE (CHUNK_ENTRIES * sizeof(struct ledger_entry))

/* An entry that an earlier worker wrote and that nobody has asked for yet. */
struct unclaimed {
	struct table_link link;
	struct ledger_entry *entry;
};

struct ledger {
	int fd;
	unsigned int n_chunks;
	struct ledger_entry *chunks[MAX_CHUNKS];
	size_t n_used; /* entries from here on have not been touched yet */
	struct ledger_entry **free; /* stack of those that were and are free */
	size_t n_free, room;
	struct table unclaimed;
};

static int keep_free(struct ledger *ledger, struct ledger_entry *entry)
{
	if (ledger->n_free == ledger->room) {
		size_t room = ledger->room ? ledger->room * 2 : CHUNK_ENTRIES;
		struct ledger_entry **larger = realloc(ledger->free, room * sizeof(*larger));

		if (!larger)
			return -ENOMEM;
		ledger->free = larger;
		ledger->room = room;
	}
	ledger->free[ledger->n_free++] = entry;
	return 0;
}

static int keep_unclaimed(struct ledger *ledger, struct ledger_entry *entry)
{
	struct unclaimed *unclaimed = malloc(sizeof(*unclaimed));

	if (!unclaimed)
		return -ENOMEM;
	unclaimed->entry = entry;
	if (table_add(&ledger->unclaimed, &unclaimed->link, table_hash_u64(entry->ino)) < 0) {
		free(unclaimed);
		return -ENOMEM;
	}
	return 0;
}

/* Maps the next chunk of the file, which is long enough. */
static int map_chunk(struct ledger *ledger)
{
	off_t offset = (off_t)(ledger->n_chunks * CHUNK_SIZE);
	struct ledger_entry *chunk;

	if (ledger->n_chunks == MAX_CHUNKS)
		return -ENOMEM;
	chunk = mmap(NULL, CHUNK_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, ledger->fd, offset);
	if (chunk == MAP_FAILED)
		return -errno;
	ledger->chunks[ledger->n_chunks++] = chunk;
	return 0;
}

static struct ledger_entry *entry_at(struct ledger *ledger, size_t i)
{
	return &ledger->chunks[i / CHUNK_ENTRIES][i % CHUNK_ENTRIES];
}

/* Maps and sorts what an earlier worker left. */
static int take_over(struct ledger *ledger, off_t size)
{
	int r = 0;

	while (r == 0 && (off_t)(ledger->n_chunks * CHUNK_SIZE) < size)
		r = map_chunk(ledger);
	for (; r == 0 && ledger->n_used < ledger->n_chunks * CHUNK_ENTRIES; ledger->n_used++) {
		struct ledger_entry *entry = entry_at(ledger, ledger->n_used);

		if (entry->ino && entry->n_lookups == 0)
			entry->ino = 0;
		r = entry->ino ? keep_unclaimed(ledger, entry) : keep_free(ledger, entry);
	}
	return r;
}

int ledger_open(int fd, struct ledger **ret)
{
	struct ledger *ledger = calloc(1, sizeof(*ledger));
	struct stat st;
	int r;

	if (!ledger)
		return -ENOMEM;
	ledger->fd = fd;
	r = fstat(fd, &st) < 0 ? -errno : take_over(ledger, st.st_size);
	if (r < 0) {
		ledger_close(ledger);
		return r;
	}
	*ret = ledger;
	return 0;
}

void ledger_close(struct ledger *ledger)
{
	struct table_link *link;

	if (!ledger)
		return;
	while ((link = table_pop(&ledger->unclaimed)))
		free(TABLE_OBJECT(link, struct unclaimed, link));
	table_done(&ledger->unclaimed);
	for (unsigned int i = 0; i < ledger->n_chunks; i++)
		munmap(ledger->chunks[i], CHUNK_SIZE);
	free(ledger->free);
	free(ledger);
}

static int grow(struct ledger *ledger)
{
	if (ftruncate(ledger->fd, (off_t)((ledger->n_chunks + 1) * CHUNK_SIZE)) < 0)
		return -errno;
	return map_chunk(ledger);
}

struct ledger_entry *ledger_add(struct ledger *ledger, uint64_t ino, uint64_t n_lookups,
				uint64_t parent)
{
	struct ledger_entry *entry;

	if (ledger->n_free > 0) {
		entry = ledger->free[--ledger->n_free];
	} else {
		if (ledger->n_used == ledger->n_chunks * CHUNK_ENTRIES && grow(ledger) < 0)
			return NULL;
		entry = entry_at(ledger, ledger->n_used++);
	}
	__atomic_store_n(&entry->n_lookups, n_lookups, __ATOMIC_RELAXED);
	__atomic_store_n(&entry->parent, parent, __ATOMIC_RELAXED);
	/* Last: only now there is an entry. */
	__atomic_store_n(&entry->ino, ino, __ATOMIC_RELEASE);
	return entry;
}

static struct unclaimed *find_unclaimed(struct ledger *ledger, uint64_t ino)
{
	struct table_link *link = table_find(&ledger->unclaimed, table_hash_u64(ino));

	while (link && TABLE_OBJECT(link, struct unclaimed, link)->entry->ino != ino)
		link = table_next(link);
	return link ? TABLE_OBJECT(link, struct unclaimed, link) : NULL;
}

struct ledger_entry *ledger_find(struct ledger *ledger, uint64_t ino)
{
	struct unclaimed *unclaimed = find_unclaimed(ledger, ino);

	return unclaimed ? unclaimed->entry : NULL;
}

struct ledger_entry *ledger_claim(struct ledger *ledger, uint64_t ino)
{
	struct unclaimed *unclaimed = find_unclaimed(ledger, ino);
	struct ledger_entry *entry;

	if (!unclaimed)
		return NULL;
	entry = unclaimed->entry;
	table_remove(&ledger->unclaimed, &unclaimed->link);
	free(unclaimed);
	return entry;
}

void ledger_remove(struct ledger *ledger, struct ledger_entry *entry)
{
	uint64_t ino = entry->ino;
	struct unclaimed *unclaimed = find_unclaimed(ledger, ino);

	if (unclaimed && unclaimed->entry == entry)
		ledger_claim(ledger, ino);
	__atomic_store_n(&entry->ino, 0, __ATOMIC_RELEASE);
	/* Without memory to remember it by, it stays unused until the next worker. */
	keep_free(ledger, entry);
}
