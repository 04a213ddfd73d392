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
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "index/index.h"
#include "value/digest.h"
#include "value/error.h"

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

/* Closes it: what is locked is free then. */
void store_free(struct store *store); /* accepts NULL */

/* index_begin, with `error` set on failure. */
int store_begin(struct store *store, bool write, struct error *error, struct index_txn *ret);
int store_commit(struct index_txn *txn, struct error *error);

/* -EUCLEAN, with `error` saying that store.mdb is damaged, and how it is mended. */
int store_refuse_damaged(struct store *store, struct error *error);

/* The branch `id` of a layer, open; negative errno. */
int store_open_layer(struct store *store, const struct digest *id);

/* 1 and its size if the store has the branch, 0, or negative errno. */
int store_has_layer(struct index_txn *txn, const struct digest *id, uint64_t *ret_size);
void store_put_layer(struct index_txn *txn, const struct digest *id, uint64_t size);

#endif
