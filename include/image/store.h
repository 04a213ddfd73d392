/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The store: images unpacked into branches, and containers made of them
 * (doc/store.md).
 *
 * store.mdb says what is in the store; a directory that it does not mention is
 * not, and is removed.  Directories are published by renaming them into place
 * inside the write transaction that then mentions them, and given up by a
 * transaction before they are removed; so a process killed at any instant
 * leaves the store as before or as after.  As LMDB admits one writer at a
 * time, whoever holds a write transaction also holds the directories still.
 */
#ifndef IMAGE_STORE_H
#define IMAGE_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/index.h"
#include "image/digest.h"
#include "image/error.h"

struct store {
	char *path; /* absolute */
	int root, layers, chains, blobs, containers, tmp;
	struct index *index;
};

enum store_table {
	STORE_META, /* "format" -> version */
	STORE_IMAGES, /* image id -> struct image */
	STORE_TAGS, /* "NAME:TAG" -> image id */
	STORE_LAYERS, /* branch id -> size of its files */
	STORE_CONTAINERS, /* container id -> struct container */
};

/*
 * Opens the store at `path`, made with its parents if it is missing, and
 * removes what a command that was cut short left behind.  Not to be carried
 * over a fork.  -EPROTONOSUPPORT: of another format; -EUCLEAN: damaged.
 */
int store_open(const char *path, struct error *error, struct store **ret);

/*
 * The same to look at its records only, also on a read-only disk: nothing is made, removed or
 * waited for but a commit of another command's. There are no directories open but the root.
 */
int store_open_to_read(const char *path, struct error *error, struct store **ret);
void store_free(struct store *store); /* accepts NULL */

/* index_begin, with `error` set on failure. */
int store_begin(struct store *store, bool write, struct error *error, struct index_txn *ret);
int store_commit(struct index_txn *txn, struct error *error);

/* The branch `id` of a layer, open; negative errno. */
int store_open_layer(struct store *store, const struct digest *id);

/* 1 and its size if the store has the branch, 0, or negative errno. */
int store_has_layer(struct index_txn *txn, const struct digest *id, uint64_t *ret_size);
void store_put_layer(struct index_txn *txn, const struct digest *id, uint64_t size);

/* A directory of one command's own in tmp/, locked as long as the command lives. */
struct staging {
	struct store *store;
	int fd; /* -1: none */
	char name[32];
};
int staging_begin(struct store *store, struct error *error, struct staging *ret);
/* Removes it with all that is in it; harmless when there is none. */
void staging_end(struct staging *staging);

/* Gives `name` of `staging` up to `dirfd` as `to`; what is there by that name is moved away. */
int staging_publish(struct staging *staging, const char *name, int dirfd, const char *to);

/*
 * Moves every layer, chain, blob and container directory that the committed
 * state does not mention into `staging`.  Begins and ends a write transaction.
 */
int store_collect(struct store *store, struct staging *staging, struct error *error);

#endif
