/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * User or group ids: as they are stored, and as the mount shows them.
 *
 * Engines write a mapping as `container:host:size` triples, one after the
 * other and all parted by colons.  What is stored are the container's ids;
 * what the mount shows, and is told, are the host's.
 */
#ifndef CORE_IDMAP_H
#define CORE_IDMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct id_range {
	uint32_t stored, shown, size;
};

/* Zeroed memory maps every id to itself. */
struct idmap {
	struct id_range *ranges;
	size_t n_ranges;
	bool is_squashed; /* every id is shown as `squashed` */
	uint32_t squashed;
};

/* What an id without a mapping is shown as: the kernel's overflow id. */
enum { IDMAP_NOBODY = 65534 };

/* Adds what `text` says; empty parts are passed over. 0, -EINVAL or -ENOMEM. */
int idmap_parse(const char *text, struct idmap *map);
void idmap_done(struct idmap *map);

uint32_t idmap_show(const struct idmap *map, uint32_t stored);

/* An id without a mapping cannot be stored: false. */
bool idmap_store(const struct idmap *map, uint32_t shown, uint32_t *ret);

#endif
