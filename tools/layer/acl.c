/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The kernel wants the entries in one order (owner, users by number, group,
 * groups by number, mask, others), little-endian (linux/posix_acl_xattr.h).
 */
#include "layer/acl.h"

#include <archive.h>
#include <archive_entry.h>
#include <endian.h>
#include <errno.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

/* One entry as it is gathered; its name follows. */
struct gathered {
	uint16_t tag, permissions;
	uint32_t id;
	uint32_t name_size; /* with its NUL; 0: it has a number, or needs none */
};

static uint16_t tag_of(int tag)
{
	switch (tag) {
	case ARCHIVE_ENTRY_ACL_USER_OBJ:
		return ACL_USER_OBJ;
	case ARCHIVE_ENTRY_ACL_USER:
		return ACL_USER;
	case ARCHIVE_ENTRY_ACL_GROUP_OBJ:
		return ACL_GROUP_OBJ;
	case ARCHIVE_ENTRY_ACL_GROUP:
		return ACL_GROUP;
	case ARCHIVE_ENTRY_ACL_MASK:
		return ACL_MASK;
	default:
		return ACL_OTHER;
	}
}

/* Adds an entry to a block that has `room` bytes. */
static int add(struct acl *acl, size_t *room, struct gathered item, const char *name)
{
	size_t size = acl->size + sizeof(item) + item.name_size;

	if (size > *room) {
		void *more = realloc(acl->data, 2 * size);

		if (!more)
			return -ENOMEM;
		acl->data = more;
		*room = 2 * size;
	}
	memcpy((char *)acl->data + acl->size, &item, sizeof(item));
	if (item.name_size > 0)
		memcpy((char *)acl->data + acl->size + sizeof(item), name, item.name_size);
	acl->size = size;
	return 0;
}

int acl_gather(struct archive_entry *entry, int type, struct acl *ret)
{
	int count = archive_entry_acl_reset(entry, type);
	int found_type, permset, tag, qual, r = 0;
	struct acl acl = { 0 };
	size_t room = 0;
	const char *name;

	for (int n = 0; r == 0 && n < count; n++) {
		struct gathered item = { 0 };

		if (archive_entry_acl_next(entry, type, &found_type, &permset, &tag, &qual,
					   &name) != ARCHIVE_OK)
			break;
		item.tag = tag_of(tag);
		item.permissions = (uint16_t)(permset & 7);
		item.id = ACL_UNDEFINED_ID;
		if (item.tag == ACL_USER || item.tag == ACL_GROUP) {
			if (qual < 0 && (!name || !*name))
				continue;
			item.id = (uint32_t)qual;
			item.name_size = qual < 0 ? (uint32_t)strlen(name) + 1 : 0;
			acl.has_names |= qual < 0;
		}
		r = add(&acl, &room, item, name);
	}
	if (r < 0)
		free(acl.data);
	else
		*ret = acl;
	return r;
}

static int compare(const void *a, const void *b)
{
	const struct posix_acl_xattr_entry *x = a, *y = b;
	unsigned int tag_x = le16toh(x->e_tag), tag_y = le16toh(y->e_tag);

	if (tag_x != tag_y)
		return tag_x < tag_y ? -1 : 1;
	return le32toh(x->e_id) < le32toh(y->e_id) ? -1 : le32toh(x->e_id) > le32toh(y->e_id);
}

int acl_encode(const void *data, size_t size, const struct accounts *users,
	       const struct accounts *groups, void **ret, size_t *ret_size)
{
	const char *at = data, *end = at + size;
	struct posix_acl_xattr_header *value = malloc(sizeof(*value) +
						      size / sizeof(struct gathered) *
							      sizeof(struct posix_acl_xattr_entry));
	struct posix_acl_xattr_entry *entries = (void *)(value + 1);
	struct gathered item;
	size_t n = 0;

	if (!value)
		return -ENOMEM;
	value->a_version = htole32(POSIX_ACL_XATTR_VERSION);
	for (; at < end; at += sizeof(item) + item.name_size) {
		memcpy(&item, at, sizeof(item));
		if (item.name_size > 0) {
			const struct accounts *known = item.tag == ACL_USER ? users : groups;
			int64_t id = known ? accounts_find(known, at + sizeof(item)) : -1;

			if (id < 0)
				continue;
			item.id = (uint32_t)id;
		}
		entries[n++] = (struct posix_acl_xattr_entry){
			.e_tag = htole16(item.tag),
			.e_perm = htole16(item.permissions),
			.e_id = htole32(item.id),
		};
	}
	qsort(entries, n, sizeof(*entries), compare);
	*ret = value;
	*ret_size = sizeof(*value) + n * sizeof(*entries);
	return 0;
}

/* The permissions of the entry with that tag, or -1. */
static int permissions_of(const void *value, size_t size, unsigned int tag)
{
	struct posix_acl_xattr_entry entry;

	for (size_t at = sizeof(struct posix_acl_xattr_header); at + sizeof(entry) <= size;
	     at += sizeof(entry)) {
		memcpy(&entry, (const char *)value + at, sizeof(entry));
		if (le16toh(entry.e_tag) == tag)
			return le16toh(entry.e_perm) & 7;
	}
	return -1;
}

int acl_group_permissions(const void *value, size_t size)
{
	int group = permissions_of(value, size, ACL_GROUP_OBJ);
	int mask = permissions_of(value, size, ACL_MASK);

	return group >= 0 && mask >= 0 ? group & mask : group;
}

int acl_shown_permissions(const void *value, size_t size)
{
	int mask = permissions_of(value, size, ACL_MASK);

	return mask >= 0 ? mask : permissions_of(value, size, ACL_GROUP_OBJ);
}
