/* SPDX-License-Identifier: GPL-3.0-or-later */
#undef NDEBUG
#include <assert.h>
#include <errno.h>

#include "branch/idmap.h"

static void test_nothing_is_itself(void)
{
	struct idmap map = { 0 };
	uint32_t id;

	assert(idmap_show(&map, 0) == 0);
	assert(idmap_show(&map, UINT32_MAX) == UINT32_MAX);
	assert(idmap_store(&map, 1234, &id) && id == 1234);
}

/* As podman writes it for --userns=keep-id, with a colon in front. */
static void test_ranges(void)
{
	struct idmap map = { 0 };
	uint32_t id;

	assert(idmap_parse(":0:1:1001:1001:0:1:1002:1002:64535", &map) == 0);
	assert(map.n_ranges == 3);
	assert(idmap_show(&map, 0) == 1);
	assert(idmap_show(&map, 1000) == 1001);
	assert(idmap_show(&map, 1001) == 0);
	assert(idmap_show(&map, 65536) == 65536);
	assert(idmap_show(&map, 65537) == IDMAP_NOBODY);
	assert(idmap_store(&map, 0, &id) && id == 1001);
	assert(idmap_store(&map, 1, &id) && id == 0);
	assert(!idmap_store(&map, 70000, &id));
	idmap_done(&map);
}

/* A range may end at the last id there is. */
static void test_last_id(void)
{
	struct idmap map = { 0 };

	assert(idmap_parse("0:4294967295:1:10:4294967290:5", &map) == 0);
	assert(idmap_show(&map, 0) == UINT32_MAX);
	assert(idmap_show(&map, 14) == 4294967294);
	assert(idmap_show(&map, 15) == IDMAP_NOBODY);
	idmap_done(&map);
}

static void test_squash(void)
{
	struct idmap map = { .is_squashed = true, .squashed = 7 };
	uint32_t id;

	assert(idmap_show(&map, 0) == 7);
	assert(idmap_store(&map, 12, &id) && id == 12);
}

static void test_owners_seen_mapped(void)
{
	struct idmaps maps = { 0 };
	struct stat st = { .st_uid = 1003, .st_gid = IDMAP_NOBODY };

	idmaps_store_owner(&maps, &st);
	assert(!idmaps_map(&maps) && st.st_uid == 1003 && st.st_gid == IDMAP_NOBODY);
	assert(idmap_parse("0:1000:10", &maps.uids) == 0);
	assert(idmap_parse("0:1000:10", &maps.gids) == 0);
	idmaps_store_owner(&maps, &st);
	assert(idmaps_map(&maps) && st.st_uid == 3 && st.st_gid == IDMAP_NONE);
	assert(idmap_show(&maps.gids, st.st_gid) == IDMAP_NOBODY);
	idmap_done(&maps.uids);
	idmap_done(&maps.gids);
}

static void test_what_is_no_map(void)
{
	static const char *const bad[] = { "0",	      "0:1",	"a:b:c",
					   "0:1:2:3", "-1:0:1", "0:0:4294967296",
					   "0:1:2x" };

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct idmap map = { 0 };

		assert(idmap_parse(bad[i], &map) == -EINVAL);
		idmap_done(&map);
	}
}

int main(void)
{
	test_nothing_is_itself();
	test_ranges();
	test_last_id();
	test_squash();
	test_owners_seen_mapped();
	test_what_is_no_map();
	return 0;
}
