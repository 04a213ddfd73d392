/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/idmap.h"

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

uint32_t idmap_show(const struct idmap *map, uint32_t stored)
{
	if (map->is_squashed)
		return map->squashed;
	for (size_t i = 0; i < map->n_ranges; i++) {
		const struct id_range *range = &map->ranges[i];

		if (stored >= range->stored && stored - range->stored < range->size)
			return range->shown + (stored - range->stored);
	}
	return map->n_ranges ? IDMAP_NOBODY : stored;
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
