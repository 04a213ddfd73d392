/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "branch/idxattr.h"

#include <endian.h>
#include <errno.h>
#include <linux/capability.h>
#include <string.h>

static bool is_acl(const char *name)
{
	return strcmp(name, "system.posix_acl_access") == 0 ||
	       strcmp(name, "system.posix_acl_default") == 0;
}

bool idxattr_has_ids(const char *name)
{
	return is_acl(name) || strcmp(name, "security.capability") == 0;
}

/* The id that is to stand in the place of another; false: there is none. */
typedef bool mapping(const struct idmap *map, uint32_t id, uint32_t *ret);

static bool find_shown(const struct idmap *map, uint32_t id, uint32_t *ret)
{
	return id != IDMAP_NONE && idmap_find_shown(map, id, ret);
}

static bool store_any(const struct idmap *map, uint32_t id, uint32_t *ret)
{
	if (!idmap_store(map, id, ret))
		*ret = IDMAP_NONE;
	return true;
}

/* --- ACLs --- */

enum { ACL_VERSION = 2, TAG_USER = 0x02, TAG_GROUP = 0x08 };

struct acl_entry {
	uint16_t tag, perm;
	uint32_t id;
};

enum { ACL_HEADER = sizeof(uint32_t) };

static bool is_acl_value(const void *value, size_t size)
{
	uint32_t version;

	if (size < ACL_HEADER || (size - ACL_HEADER) % sizeof(struct acl_entry) != 0)
		return false;
	memcpy(&version, value, sizeof(version));
	return le32toh(version) == ACL_VERSION;
}

/* Whose the id of an entry is, if it has one. */
static const struct idmap *map_of(const struct idmaps *maps, const struct acl_entry *entry)
{
	switch (le16toh(entry->tag)) {
	case TAG_USER:
		return &maps->uids;
	case TAG_GROUP:
		return &maps->gids;
	default:
		return NULL;
	}
}

/* Leaves out the entries whose id has no other, and says in *is_whole whether there were none. */
static size_t map_acl(const struct idmaps *maps, mapping *other, char *value, size_t size,
		      bool *is_whole)
{
	size_t kept = ACL_HEADER;

	*is_whole = true;
	for (size_t at = ACL_HEADER; at < size; at += sizeof(struct acl_entry)) {
		const struct idmap *map;
		struct acl_entry entry;
		uint32_t id;

		memcpy(&entry, value + at, sizeof(entry));
		map = map_of(maps, &entry);
		if (map && !other(map, le32toh(entry.id), &id)) {
			*is_whole = false;
			continue;
		}
		if (map)
			entry.id = htole32(id);
		memcpy(value + kept, &entry, sizeof(entry));
		kept += sizeof(entry);
	}
	return kept;
}

/* --- capabilities --- */

/* The root user that they are for: 0 where the value names none. False: another form. */
static bool get_root(const void *value, size_t size, uint32_t *ret)
{
	struct vfs_ns_cap_data data = { 0 };
	uint32_t revision;

	if (size != XATTR_CAPS_SZ_2 && size != XATTR_CAPS_SZ_3)
		return false;
	memcpy(&data, value, size);
	revision = le32toh(data.magic_etc) & VFS_CAP_REVISION_MASK;
	if (revision != (size == XATTR_CAPS_SZ_2 ? VFS_CAP_REVISION_2 : VFS_CAP_REVISION_3))
		return false;
	*ret = le32toh(data.rootid);
	return true;
}

/* As the kernel has it, root itself is named by naming none. */
static size_t set_root(void *value, size_t size, uint32_t root)
{
	struct vfs_ns_cap_data data = { 0 };
	uint32_t magic;

	memcpy(&data, value, size);
	magic = le32toh(data.magic_etc) & ~(uint32_t)VFS_CAP_REVISION_MASK;
	size = root ? XATTR_CAPS_SZ_3 : XATTR_CAPS_SZ_2;
	data.magic_etc = htole32(magic | (root ? VFS_CAP_REVISION_3 : VFS_CAP_REVISION_2));
	data.rootid = htole32(root);
	memcpy(value, &data, size);
	return size;
}

/* --- both --- */

/* The new length; `refused`: an id has no other. */
static ssize_t translate(const struct idmaps *maps, mapping *other, int refused, const char *name,
			 void *value, size_t size, bool *is_whole)
{
	uint32_t root, mapped;

	*is_whole = true;
	if (is_acl(name) && is_acl_value(value, size))
		return (ssize_t)map_acl(maps, other, value, size, is_whole);
	if (is_acl(name) || !get_root(value, size, &root))
		return (ssize_t)size;
	if (!other(&maps->uids, root, &mapped))
		return refused;
	return mapped == root ? (ssize_t)size : (ssize_t)set_root(value, size, mapped);
}

ssize_t idxattr_show(const struct idmaps *maps, const char *name, void *value, size_t size)
{
	bool is_whole;

	return translate(maps, find_shown, -ENODATA, name, value, size, &is_whole);
}

ssize_t idxattr_store(const struct idmaps *maps, const char *name, void *value, size_t size)
{
	bool is_whole;
	ssize_t n = translate(maps, idmap_store, -EINVAL, name, value, size, &is_whole);

	return is_whole ? n : -EINVAL;
}

ssize_t idxattr_store_any(const struct idmaps *maps, const char *name, void *value, size_t size)
{
	bool is_whole;

	return translate(maps, store_any, 0, name, value, size, &is_whole);
}

bool idxattr_is_whole(const char *name, void *value, size_t size)
{
	static const struct idmaps none = { 0 };

	return !idxattr_has_ids(name) || idxattr_show(&none, name, value, size) == (ssize_t)size;
}
