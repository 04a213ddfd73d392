/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Listings: order, positions that stay good, hidden names, and many of them. */
#include "branch/listing.h"

#include <dirent.h>

#include "scratch.h"

static void add(struct listing *listing, const char *name, uint64_t ino)
{
	assert_eq(listing_add(listing, name, DT_REG, ino, 0), LISTING_ADDED);
}

static void test_empty(void)
{
	struct listing *listing = listing_new(7);

	listing_seal(listing);
	assert_eq(listing_count(listing), 0);
	assert_eq(listing_after(listing, 0), 0);
	assert(!listing_find(listing, "x"));
	assert_eq(listing_subdirs(listing), 0);
	listing_unref(listing);
	listing_unref(NULL);
}

static void test_first_one_counts(void)
{
	struct listing *listing = listing_new(7);

	add(listing, "a", 1);
	assert_eq(listing_add(listing, "a", DT_DIR, 2, 1), LISTING_TAKEN);
	assert(listing_has(listing, "a"));
	assert(!listing_has(listing, "b"));
	assert_eq(listing_add(listing, "d", DT_DIR, 3, 7), LISTING_ADDED);
	listing_seal(listing);
	assert_eq(listing_count(listing), 2);
	assert_eq(listing_find(listing, "a")->ino, 1);
	assert_eq(listing_find(listing, "a")->type, DT_REG);
	assert_eq(listing_find(listing, "d")->source, 7);
	assert_eq(listing_subdirs(listing), 1);
	listing_unref(listing);
}

static void test_hidden(void)
{
	struct listing *listing = listing_new(7);

	add(listing, "stays", 1);
	assert_eq(listing_hide(listing, "stays"), 0); /* it is there: too late */
	assert_eq(listing_hide(listing, "hidden"), 0);
	assert_eq(listing_hide(listing, "hidden"), 0);
	assert(listing_has(listing, "hidden"));
	assert_eq(listing_add(listing, "hidden", DT_DIR, 2, 1), LISTING_TAKEN);
	listing_seal(listing);
	assert_eq(listing_count(listing), 1);
	assert(listing_find(listing, "stays"));
	assert(!listing_find(listing, "hidden"));
	assert_eq(listing_subdirs(listing), 0);
	listing_unref(listing);
}

/* A listing of the names n0 ... without those for which i % gap == 0. */
static struct listing *numbered(int n, int gap)
{
	struct listing *listing = listing_new(7);

	for (int i = 0; i < n; i++) {
		char name[32];

		snprintf(name, sizeof(name), "n%d", i);
		if (!gap || i % gap)
			add(listing, name, (uint64_t)i);
	}
	listing_seal(listing);
	return listing;
}

/* What a reader sees that is in the middle when names go or come. */
static void test_positions_stay_good(void)
{
	struct listing *all = numbered(1000, 0), *fewer = numbered(1000, 3);
	struct listing *more = numbered(2000, 0);

	assert_eq(listing_count(all), 1000);
	for (size_t i = 0; i < 1000; i++) {
		const struct listing_entry *entry = listing_at(all, i);
		const struct listing_entry *same;
		size_t next;

		assert(entry->cookie > LISTING_DOTDOT);
		assert(entry->cookie < 1ULL << LISTING_COOKIE_BITS);
		assert(i == 0 || listing_at(all, i - 1)->cookie < entry->cookie);
		assert_eq(listing_after(all, entry->cookie), i + 1);
		assert_eq(listing_after(all, entry->cookie - 1), i);
		same = listing_find(more, entry->name);
		assert_eq(same->cookie, entry->cookie);
		same = listing_find(fewer, entry->name);
		assert(same ? same->cookie == entry->cookie : true);
		/* what follows is what followed before, as far as it is still there */
		next = listing_after(fewer, entry->cookie);
		if (next < listing_count(fewer))
			assert(listing_at(fewer, next)->cookie > entry->cookie);
	}
	assert_eq(listing_after(all, LISTING_DOTDOT), 0);
	assert_eq(listing_after(all, UINT64_MAX), 1000);
	listing_unref(all);
	listing_unref(fewer);
	listing_unref(more);
}

/* The order of filling means nothing. */
static void test_order(void)
{
	struct listing *forward = numbered(500, 0), *backward = listing_new(7);

	for (int i = 499; i >= 0; i--) {
		char name[32];

		snprintf(name, sizeof(name), "n%d", i);
		add(backward, name, (uint64_t)i);
	}
	listing_seal(backward);
	for (size_t i = 0; i < 500; i++) {
		assert_streq(listing_at(backward, i)->name, listing_at(forward, i)->name);
		assert_eq(listing_at(backward, i)->cookie, listing_at(forward, i)->cookie);
	}
	listing_unref(forward);
	listing_unref(backward);
}

static void test_many(void)
{
	enum { N = 100000 };
	struct listing *listing = numbered(N, 0);
	uint64_t last = LISTING_DOTDOT;
	bool *seen = calloc(N, sizeof(*seen));
	size_t i;

	assert_eq(listing_count(listing), N);
	/* read in pages, by position alone */
	for (i = listing_after(listing, last); i < N; i = listing_after(listing, last)) {
		for (int page = 0; page < 100 && i < N; page++, i++) {
			const struct listing_entry *entry = listing_at(listing, i);

			assert(!seen[entry->ino]);
			seen[entry->ino] = true;
			assert(listing_find(listing, entry->name) == entry);
			last = entry->cookie;
		}
	}
	for (i = 0; i < N; i++)
		assert(seen[i]);
	assert(!listing_find(listing, "n100000"));
	free(seen);
	listing_unref(listing);
}

/* Who does not know the seed does not know what hashes alike. */
static void test_seed(void)
{
	struct listing *listings[2];
	bool is_same = true;

	for (uint64_t seed = 0; seed < 2; seed++) {
		listings[seed] = listing_new(seed);
		for (int i = 0; i < 500; i++) {
			char name[32];

			snprintf(name, sizeof(name), "n%d", i);
			add(listings[seed], name, (uint64_t)i + 1);
		}
		listing_seal(listings[seed]);
	}
	for (size_t i = 0; i < 500; i++) {
		const struct listing_entry *entry = listing_at(listings[0], i);

		is_same &= listing_at(listings[1], i)->ino == entry->ino;
		assert(listing_find(listings[1], entry->name)->cookie != entry->cookie);
	}
	assert(!is_same);
	listing_unref(listings[0]);
	listing_unref(listings[1]);
}

static void test_names_of_any_bytes(void)
{
	struct listing *listing = listing_new(7);
	char name[256];

	memset(name, 0xff, 255);
	name[255] = '\0';
	add(listing, name, 1);
	add(listing, "\n", 2);
	add(listing, "\303\251", 3);
	listing_seal(listing);
	assert_eq(listing_find(listing, name)->ino, 1);
	assert_eq(listing_find(listing, "\n")->ino, 2);
	assert_eq(listing_count(listing), 3);
	listing_unref(listing);
}

static void test_references(void)
{
	struct listing *listing = listing_new(7);

	add(listing, "a", 1);
	listing_seal(listing);
	assert(listing_ref(listing) == listing);
	listing_unref(listing);
	assert_eq(listing_count(listing), 1);
	listing_unref(listing);
}

int main(void)
{
	test_empty();
	test_first_one_counts();
	test_hidden();
	test_positions_stay_good();
	test_order();
	test_many();
	test_seed();
	test_names_of_any_bytes();
	test_references();
	return 0;
}
