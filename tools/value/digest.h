/* SPDX-License-Identifier: GPL-3.0-or-later */
/* SHA-256 digests, and the chain ID of a stack of layers (OCI image spec, config.md). */
#ifndef VALUE_DIGEST_H
#define VALUE_DIGEST_H

#include <stdbool.h>
#include <stddef.h>

/* As 64 lower-case hex digits; the algorithm is always sha256. */
struct digest {
	char hex[65];
};

struct hasher;

/* A hash under way, for hasher_free: 0 or -ENOMEM. */
int hasher_new(struct hasher **ret);
void hasher_free(struct hasher *hasher); /* accepts NULL */
void hasher_update(struct hasher *hasher, const void *data, size_t size);
/* May be called once. -EIO: the library failed on the way. */
int hasher_finish(struct hasher *hasher, struct digest *ret);

/* The SHA-256 of `size` bytes. 0, -ENOMEM, or -EIO as hasher_finish. */
int digest_of(const void *data, size_t size, struct digest *ret);

/* Reads "sha256:HEX" or 64 hex digits alone; false: it is neither. */
bool digest_parse(const char *text, struct digest *ret);

/* Whether two are the same. */
bool digest_equal(const struct digest *a, const struct digest *b);

/* The chain ID of the layer `diff_id` above the chain `below` (NULL: none). */
int digest_chain(const struct digest *below, const struct digest *diff_id, struct digest *ret);

#endif
