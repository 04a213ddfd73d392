/* SPDX-License-Identifier: GPL-3.0-or-later */
#undef NDEBUG
#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>

#include "branch/idxattr.h"

static const char access_acl[] = "system.posix_acl_access";
static const char capability[] = "security.capability";

struct acl {
	uint32_t version;
	struct {
		uint16_t tag, perm;
		uint32_t id;
	} entries[6];
};
enum { USER_OBJ = 1, USER = 2, GROUP_OBJ = 4, GROUP = 8, MASK = 16, OTHER = 32, NO_ID = -1 };

static struct acl acl_of(uint32_t user, uint32_t group)
{
	const struct acl acl = { htole32(2),
				 { { htole16(USER_OBJ), htole16(6), (uint32_t)NO_ID },
				   { htole16(USER), htole16(4), htole32(user) },
				   { htole16(GROUP_OBJ), htole16(4), (uint32_t)NO_ID },
				   { htole16(GROUP), htole16(6), htole32(group) },
				   { htole16(MASK), htole16(6), (uint32_t)NO_ID },
				   { htole16(OTHER), 0, (uint32_t)NO_ID } } };

	return acl;
}

static struct idmaps maps_of(const char *uids, const char *gids)
{
	struct idmaps maps = { 0 };

	assert(idmap_parse(uids, &maps.uids) == 0 && idmap_parse(gids, &maps.gids) == 0);
	return maps;
}

static void maps_done(struct idmaps *maps)
{
	idmap_done(&maps->uids);
	idmap_done(&maps->gids);
}

static void test_acl_both_ways(void)
{
	struct idmaps maps = maps_of("0:1000:10", "0:2000:10");
	struct acl acl = acl_of(3, 4), shown = acl_of(1003, 2004), stored = acl;

	assert(idxattr_show(&maps, access_acl, &acl, sizeof(acl)) == sizeof(acl));
	assert(memcmp(&acl, &shown, sizeof(acl)) == 0);
	assert(idxattr_store(&maps, access_acl, &acl, sizeof(acl)) == sizeof(acl));
	assert(memcmp(&acl, &stored, sizeof(acl)) == 0);
	maps_done(&maps);
}

static void test_entries_without_place(void)
{
	struct idmaps maps = maps_of("0:1000:10", "0:2000:10");
	struct acl acl = acl_of(3, 10), unknown = acl_of(IDMAP_NONE, 10), outside = acl_of(1003, 7);

	assert(idxattr_show(&maps, access_acl, &acl, sizeof(acl)) == sizeof(acl) - 8);
	assert(le16toh(acl.entries[3].tag) == MASK && le16toh(acl.entries[4].tag) == OTHER);
	assert(idxattr_show(&maps, access_acl, &unknown, sizeof(acl)) == sizeof(acl) - 16);
	assert(idxattr_store(&maps, access_acl, &outside, sizeof(acl)) == -EINVAL);
	outside = acl_of(1003, 7);
	assert(idxattr_store_any(&maps, access_acl, &outside, sizeof(acl)) == sizeof(acl));
	assert(le32toh(outside.entries[1].id) == 3);
	assert(outside.entries[3].id == IDMAP_NONE);
	assert(!idxattr_is_whole(access_acl, &outside, sizeof(acl)));
	acl = acl_of(3, 4);
	assert(idxattr_is_whole(access_acl, &acl, sizeof(acl)));
	maps_done(&maps);
}

static void test_squashing_is_about_owners(void)
{
	struct idmaps maps = { .uids = { .is_squashed = true }, .gids = { .is_squashed = true } };
	struct acl acl = acl_of(3, 4), same = acl;

	assert(idxattr_show(&maps, access_acl, &acl, sizeof(acl)) == sizeof(acl));
	assert(memcmp(&acl, &same, sizeof(acl)) == 0);
}

static struct vfs_ns_cap_data caps_of(uint32_t revision, uint32_t root)
{
	return (struct vfs_ns_cap_data){ .magic_etc = htole32(revision | VFS_CAP_FLAGS_EFFECTIVE),
					 .data[0].permitted = htole32(0x2000),
					 .rootid = htole32(root) };
}

static void test_capabilities(void)
{
	struct idmaps maps = maps_of("0:1000:10", "0:2000:10");
	struct vfs_ns_cap_data caps = caps_of(VFS_CAP_REVISION_2, 0), stored = caps;
	struct vfs_ns_cap_data shown = caps_of(VFS_CAP_REVISION_3, 1000);

	assert(idxattr_show(&maps, capability, &caps, XATTR_CAPS_SZ_2) == XATTR_CAPS_SZ_3);
	assert(memcmp(&caps, &shown, sizeof(caps)) == 0);
	assert(idxattr_store(&maps, capability, &caps, XATTR_CAPS_SZ_3) == XATTR_CAPS_SZ_2);
	assert(memcmp(&caps, &stored, XATTR_CAPS_SZ_2) == 0);
	assert(idxattr_store(&maps, capability, &caps, XATTR_CAPS_SZ_2) == -EINVAL);
	caps = caps_of(VFS_CAP_REVISION_3, 10);
	assert(idxattr_show(&maps, capability, &caps, XATTR_CAPS_SZ_3) == -ENODATA);
	maps_done(&maps);
}

/* Of any length and content: nothing is read or written beyond it, and it stays. */
static void test_other_values(void)
{
	struct idmaps maps = maps_of("0:1000:10", "0:2000:10");
	char *bytes = malloc(64);

	for (size_t size = 0; size <= 64; size++) {
		char *value = realloc(bytes, size + IDXATTR_GROWTH);

		assert(value);
		bytes = value;
		memset(bytes, 0x41, size);
		assert(idxattr_show(&maps, access_acl, bytes, size) == (ssize_t)size);
		assert(idxattr_store(&maps, capability, bytes, size) == (ssize_t)size);
		assert(idxattr_is_whole(access_acl, bytes, size));
		for (size_t i = 0; i < size; i++)
			assert(bytes[i] == 0x41);
	}
	free(bytes);
	assert(!idxattr_has_ids("user.x") && !idxattr_has_ids("system.posix_acl"));
	maps_done(&maps);
}

int main(void)
{
	test_acl_both_ways();
	test_entries_without_place();
	test_squashing_is_about_owners();
	test_capabilities();
	test_other_values();
	return 0;
}
