/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Records of the store: JSON objects in LMDB. */
#ifndef STORE_RECORD_H
#define STORE_RECORD_H

#include <stdbool.h>

#include "store/store.h"
#include "value/json.h"

/* False: absent, or no digest. */
bool record_digest(const json_t *json, const char *key, struct digest *ret);

/* Allocated, or left alone when the member is absent. 0 or -ENOMEM. */
int record_string(const json_t *json, const char *key, char **ret);

/* The digest that a key or a value is. */
bool record_key(struct index_value key, struct digest *ret);

/* Writes `json` (NULL: out of memory) under `key`. 0 or -ENOMEM. */
int record_put(struct index_txn *txn, enum store_table table, const char *key, json_t *json);

#endif
