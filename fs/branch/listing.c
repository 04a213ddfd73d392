/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "branch/listing.h"

#include <dirent.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

#include "base/table.h"
#include "branch/whiteout.h"

enum {
	COLLISION_BITS = 7,
	HASH_SHIFT = 64 - (LISTING_COOKIE_BITS - COLLISION_BITS),
	CHUNK_SIZE = 16 * 1024,
};

/* Names are kept in chunks, because entries point at them while the rest grows. */
struct chunk {
	struct chunk *next;
	size_t used, size;
	char bytes[];
};

struct name_slot {
	struct listing_entry entry;
	uint64_t hash;
	bool is_hidden;
};

struct listing {
	atomic_uint refs;
	uint64_t seed;
	struct name_slot *slots;
	size_t n_slots, room;
	uint32_t *set; /* slot number + 1 by hash while filling: open addressing */
	size_t set_size;
	struct chunk *chunks;
	uint32_t n_subdirs;
};

struct listing *listing_new(uint64_t seed)
{
	struct listing *listing = calloc(1, sizeof(*listing));

	if (listing)
		*listing = (struct listing){ .refs = 1, .seed = seed };
	return listing;
}

struct listing *listing_ref(struct listing *listing)
{
	atomic_fetch_add_explicit(&listing->refs, 1, memory_order_relaxed);
	return listing;
}

void listing_unref(struct listing *listing)
{
	if (!listing || atomic_fetch_sub_explicit(&listing->refs, 1, memory_order_acq_rel) > 1)
		return;
	while (listing->chunks) {
		struct chunk *next = listing->chunks->next;

		free(listing->chunks);
		listing->chunks = next;
	}
	free(listing->set);
	free(listing->slots);
	free(listing);
}

static const char *keep_name(struct listing *listing, const char *name)
{
	size_t size = strlen(name) + 1;
	struct chunk *chunk = listing->chunks;
	char *kept;

	if (!chunk || chunk->size - chunk->used < size) {
		/* Small directories are the rule: the first chunk is small too. */
		size_t room = chunk ? CHUNK_SIZE : 1024;

		chunk = malloc(sizeof(*chunk) + room);
		if (!chunk)
			return NULL;
		*chunk = (struct chunk){ .next = listing->chunks, .size = room };
		listing->chunks = chunk;
	}
	kept = chunk->bytes + chunk->used;
	memcpy(kept, name, size);
	chunk->used += size;
	return kept;
}

/* Where in the set `name` is, or the free place where it would be. */
static uint32_t *place_of(const struct listing *listing, uint64_t hash, const char *name)
{
	size_t mask = listing->set_size - 1;
	size_t at = hash & mask;

	while (listing->set[at]) {
		const struct name_slot *slot = &listing->slots[listing->set[at] - 1];

		if (slot->hash == hash && strcmp(slot->entry.name, name) == 0)
			break;
		at = (at + 1) & mask;
	}
	return &listing->set[at];
}

static int make_room(struct listing *listing)
{
	struct name_slot *slots;
	uint32_t *set;

	if (listing->n_slots < listing->room)
		return 0;
	listing->room = listing->room ? listing->room * 2 : 32;
	slots = realloc(listing->slots, listing->room * sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	listing->slots = slots;
	set = calloc(listing->room * 2, sizeof(*set));
	if (!set)
		return -ENOMEM;
	free(listing->set);
	listing->set = set;
	listing->set_size = listing->room * 2;
	for (size_t i = 0; i < listing->n_slots; i++)
		*place_of(listing, slots[i].hash, slots[i].entry.name) = (uint32_t)i + 1;
	return 0;
}

static int add(struct listing *listing, const struct listing_entry *entry, bool is_hidden)
{
	uint64_t hash = table_hash_name(entry->name, listing->seed);
	uint32_t *place;
	struct name_slot *slot;

	if (make_room(listing) < 0)
		return -ENOMEM;
	place = place_of(listing, hash, entry->name);
	if (*place)
		return LISTING_TAKEN;
	slot = &listing->slots[listing->n_slots];
	*slot = (struct name_slot){ .entry = *entry, .hash = hash, .is_hidden = is_hidden };
	slot->entry.name = keep_name(listing, entry->name);
	if (!slot->entry.name)
		return -ENOMEM;
	*place = (uint32_t)++listing->n_slots;
	return LISTING_ADDED;
}

int listing_add(struct listing *listing, const char *name, unsigned char type, uint64_t ino,
		uint32_t source)
{
	struct listing_entry entry = { .name = name, .type = type, .ino = ino, .source = source };

	return add(listing, &entry, false);
}

int listing_hide(struct listing *listing, const char *name)
{
	struct listing_entry entry = { .name = name };
	int r = add(listing, &entry, true);

	return r < 0 ? r : 0;
}

int listing_hide_marked(struct listing *listing, DIR *stream)
{
	struct dirent *entry;

	rewinddir(stream);
	while ((errno = 0, entry = readdir(stream))) {
		const char *hidden = whiteout_hidden_name(entry->d_name);
		int r = hidden ? listing_hide(listing, hidden) : 0;

		if (r < 0)
			return r;
	}
	return -errno;
}

int listing_has(const struct listing *listing, const char *name)
{
	return listing->set_size &&
	       *place_of(listing, table_hash_name(name, listing->seed), name) != 0;
}

static int compare(const void *a, const void *b)
{
	const struct name_slot *x = a, *y = b;

	if (x->hash >> HASH_SHIFT != y->hash >> HASH_SHIFT)
		return x->hash >> HASH_SHIFT < y->hash >> HASH_SHIFT ? -1 : 1;
	return strcmp(x->entry.name, y->entry.name);
}

static uint64_t first_cookie(uint64_t hash)
{
	uint64_t h = hash >> HASH_SHIFT;

	return (h ? h : 1) << COLLISION_BITS;
}

/* What was made room for and not used. */
static void give_back(struct listing *listing)
{
	struct name_slot *slots = NULL;

	if (listing->n_slots)
		slots = realloc(listing->slots, listing->n_slots * sizeof(*slots));
	if (slots) {
		listing->slots = slots;
		listing->room = listing->n_slots;
	}
}

void listing_seal(struct listing *listing)
{
	size_t kept = 0;

	free(take_ptr(listing->set));
	listing->set_size = 0;
	for (size_t i = 0; i < listing->n_slots; i++) {
		if (!listing->slots[i].is_hidden)
			listing->slots[kept++] = listing->slots[i];
	}
	listing->n_slots = kept;
	give_back(listing);
	if (kept)
		qsort(listing->slots, kept, sizeof(*listing->slots), compare);
	for (size_t i = 0; i < kept; i++) {
		struct name_slot *slot = &listing->slots[i];
		uint64_t cookie = first_cookie(slot->hash);

		if (i > 0 && slot[-1].entry.cookie >= cookie)
			cookie = slot[-1].entry.cookie + 1;
		slot->entry.cookie = cookie;
		listing->n_subdirs += slot->entry.type == DT_DIR;
	}
}

size_t listing_count(const struct listing *listing)
{
	return listing->n_slots;
}

const struct listing_entry *listing_at(const struct listing *listing, size_t i)
{
	return &listing->slots[i].entry;
}

size_t listing_after(const struct listing *listing, uint64_t cookie)
{
	size_t low = 0, high = listing->n_slots;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (listing->slots[middle].entry.cookie > cookie)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

const struct listing_entry *listing_find(const struct listing *listing, const char *name)
{
	uint64_t hash = table_hash_name(name, listing->seed);
	size_t i = listing_after(listing, first_cookie(hash) - 1);

	/* Many that hash alike have cookies that would be those of the next ones. */
	for (; i < listing->n_slots && listing->slots[i].hash >> HASH_SHIFT <= hash >> HASH_SHIFT;
	     i++) {
		if (strcmp(listing->slots[i].entry.name, name) == 0)
			return &listing->slots[i].entry;
	}
	return NULL;
}

uint32_t listing_subdirs(const struct listing *listing)
{
	return listing->n_subdirs;
}
