/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "branch/idmap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* One number and the colon after it. */
static int parse_number(const char **text, uint32_t *ret)
{
	char *end;
	unsigned long long n;

	if (**text < '0' || **text > '9')
		return -EINVAL;
	n = strtoull(*text, &end, 10);
	if (n > UINT32_MAX || (*end && *end != ':'))
		return -EINVAL;
	*text = end + strspn(end, ":");
	*ret = (uint32_t)n;
	return 0;
}

int idmap_parse(const char *text, struct idmap *map)
{
	text += strspn(text, ":");
	while (*text) {
		struct id_range range, *ranges;

		if (parse_number(&text, &range.stored) < 0 ||
		    parse_number(&text, &range.shown) < 0 || parse_number(&text, &range.size) < 0)
			return -EINVAL;
		ranges = realloc(map->ranges, (map->n_ranges + 1) * sizeof(*ranges));
		if (!ranges)
			return -ENOMEM;
		map->ranges = ranges;
		ranges[map->n_ranges++] = range;
	}
	return 0;
}

void idmap_done(struct idmap *map)
{
	free(map->ranges);
	*map = (struct idmap){ 0 };
}

bool idmap_find_shown(const struct idmap *map, uint32_t stored, uint32_t *ret)
{
	if (!map->n_ranges) {
		*ret = stored;
		return true;
	}
	for (size_t i = 0; i < map->n_ranges; i++) {
		const struct id_range *range = &map->ranges[i];

		if (stored >= range->stored && stored - range->stored < range->size) {
			*ret = range->shown + (stored - range->stored);
			return true;
		}
	}
	return false;
}

uint32_t idmap_show(const struct idmap *map, uint32_t stored)
{
	uint32_t shown;

	if (map->is_squashed)
		return map->squashed;
	return idmap_find_shown(map, stored, &shown) ? shown : IDMAP_NOBODY;
}

bool idmap_store(const struct idmap *map, uint32_t shown, uint32_t *ret)
{
	if (!map->n_ranges) {
		*ret = shown;
		return true;
	}
	for (size_t i = 0; i < map->n_ranges; i++) {
		const struct id_range *range = &map->ranges[i];

		if (shown >= range->shown && shown - range->shown < range->size) {
			*ret = range->stored + (shown - range->shown);
			return true;
		}
	}
	return false;
}

void idmaps_store_owner(const struct idmaps *maps, struct stat *st)
{
	if (!idmap_store(&maps->uids, st->st_uid, &st->st_uid))
		st->st_uid = IDMAP_NONE;
	if (!idmap_store(&maps->gids, st->st_gid, &st->st_gid))
		st->st_gid = IDMAP_NONE;
}
