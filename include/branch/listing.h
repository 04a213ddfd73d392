/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The names of one directory, merged and in an order that does not depend on
 * what else is there.
 *
 * An entry's cookie is made from its name alone (a 44-bit hash, and 7 bits
 * that tell apart names whose hashes are equal), and a listing is sorted by
 * it.  So a position in a directory stays good while other names come and go,
 * after a daemon's restart, and needs no state for each open directory.
 *
 * A listing is filled by one thread, then sealed, and constant from then on:
 * it may be shared by any number of threads, by reference.
 */
#ifndef BRANCH_LISTING_H
#define BRANCH_LISTING_H

#include <dirent.h>
#include <stdint.h>

#include "base/cleanup.h"

struct listing;

struct listing_entry {
	const char *name;
	uint64_t cookie; /* above LISTING_DOTDOT */
	uint64_t ino;
	uint32_t source; /* which of the merged directories it came from; its filler's */
	unsigned char type; /* DT_ of readdir(3) */
};

/* Cookies are below 1 << LISTING_COOKIE_BITS. */
enum { LISTING_COOKIE_BITS = 51 };

/* Positions after the two entries that every directory begins with. */
enum { LISTING_DOT = 1, LISTING_DOTDOT = 2 };

/*
 * Holds one reference. NULL when out of memory. The order of names, and their cookies, depend on
 * `seed`, which is one and the same for all workers of a mount, and which nobody else knows: names
 * that hash alike cannot be chosen.
 */
struct listing *listing_new(uint64_t seed);
struct listing *listing_ref(struct listing *listing);
/* Accepts NULL. */
void listing_unref(struct listing *listing);
DEFINE_CLEANUP(struct listing *, listing_at, listing_unref)
#define cleanup_listing CLEANUP(cleanup_listing_at)

/*
 * Adds a name (copied) unless it is there or hidden.  LISTING_ADDED,
 * LISTING_TAKEN, or -ENOMEM.
 */
enum { LISTING_TAKEN = 0, LISTING_ADDED = 1 };
int listing_add(struct listing *listing, const char *name, unsigned char type, uint64_t ino,
		uint32_t source);

/* Hides a name from what is added afterwards; one that is there stays. 0 or -ENOMEM. */
int listing_hide(struct listing *listing, const char *name);

/*
 * Hides what the `.wh.NAME` files of a directory hide; its stream is gone
 * through once more.  After all its own names were added: a mark speaks of
 * what lies below.  0 or negative errno.
 */
int listing_hide_marked(struct listing *listing, DIR *stream);

/* Whether the name has been added or hidden already. Before sealing only. */
int listing_has(const struct listing *listing, const char *name);

/* Sorts and sets the cookies. Nothing may be added afterwards. */
void listing_seal(struct listing *listing);

/* Of a sealed listing: entries, in order of cookie. */
size_t listing_count(const struct listing *listing);
const struct listing_entry *listing_at(const struct listing *listing, size_t i);

/* The first entry whose cookie is above `cookie`: its number, or the count. */
size_t listing_after(const struct listing *listing, uint64_t cookie);

/* NULL when there is no such name. */
const struct listing_entry *listing_find(const struct listing *listing, const char *name);

/* How many entries are directories. */
uint32_t listing_subdirs(const struct listing *listing);

#endif
