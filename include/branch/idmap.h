/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * User or group ids: as they are stored, and as the mount shows them.
 *
 * Engines write a mapping as `container:host:size` triples, one after the
 * other and all parted by colons.  What is stored are the container's ids;
 * what the mount shows, and is told, are the host's.
 *
 * A branch may also be seen through an id-mapped mount, which shows the host's
 * ids of what has the container's: they are turned back where the branch is read,
 * so that all the rest has to do with the stored ones only.
 *
 * All functions may be called from any thread.
 */
#ifndef BRANCH_IDMAP_H
#define BRANCH_IDMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

struct id_range {
	uint32_t stored, shown, size;
};

/* Zeroed memory maps every id to itself. */
struct idmap {
	struct id_range *ranges;
	size_t n_ranges;
	bool is_squashed; /* every owner is shown as `squashed` */
	uint32_t squashed;
};

/* Those of a mount. */
struct idmaps {
	struct idmap uids, gids;
};

enum {
	/* What an id without a mapping is shown as: the kernel's overflow id. */
	IDMAP_NOBODY = 65534,
};

/* What stands for the stored id of what an id-mapped mount shows as nobody's. */
#define IDMAP_NONE UINT32_MAX

/* Adds what `text` says; empty parts are passed over. 0, -EINVAL or -ENOMEM. */
int idmap_parse(const char *text, struct idmap *map);
void idmap_done(struct idmap *map);

/* An owner as it is shown. */
uint32_t idmap_show(const struct idmap *map, uint32_t stored);

/* Where an id that is no owner's is shown, which is never squashed; false: it is in no range. */
bool idmap_find_shown(const struct idmap *map, uint32_t stored, uint32_t *ret);

/* An id without a mapping cannot be stored: false. */
bool idmap_store(const struct idmap *map, uint32_t shown, uint32_t *ret);

/* Whether there are ranges: not all ids are stored as they are shown. */
static inline bool idmaps_map(const struct idmaps *maps)
{
	return maps->uids.n_ranges || maps->gids.n_ranges;
}

/* Puts stored ids in place of those that an id-mapped mount shows; IDMAP_NONE where there are none.
 */
void idmaps_store_owner(const struct idmaps *maps, struct stat *st);

#endif
