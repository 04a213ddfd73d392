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
#include <stdbool.h>
#include <stdlib.h>

#include "base/cleanup.h"

static unsigned int tag_of(int tag)
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

static int compare(const void *a, const void *b)
{
	const struct posix_acl_xattr_entry *x = a, *y = b;
	unsigned int tag_x = le16toh(x->e_tag), tag_y = le16toh(y->e_tag);

	if (tag_x != tag_y)
		return tag_x < tag_y ? -1 : 1;
	return le32toh(x->e_id) < le32toh(y->e_id) ? -1 : le32toh(x->e_id) > le32toh(y->e_id);
}

int acl_encode(struct archive_entry *entry, int type, void **ret, size_t *ret_size)
{
	int count = archive_entry_acl_reset(entry, type);
	cleanup_free struct posix_acl_xattr_header *value = NULL;
	struct posix_acl_xattr_entry *entries;
	int found_type, permset, tag, qual, n = 0;
	const char *name;

	*ret = NULL;
	*ret_size = 0;
	if (count <= 0)
		return 0;
	value = malloc(sizeof(*value) + (size_t)count * sizeof(*entries));
	if (!value)
		return -ENOMEM;
	value->a_version = htole32(POSIX_ACL_XATTR_VERSION);
	entries = (void *)(value + 1);
	while (n < count && archive_entry_acl_next(entry, type, &found_type, &permset, &tag, &qual,
						   &name) == ARCHIVE_OK) {
		bool has_id = tag == ARCHIVE_ENTRY_ACL_USER || tag == ARCHIVE_ENTRY_ACL_GROUP;

		if (has_id && qual < 0)
			continue;
		entries[n++] = (struct posix_acl_xattr_entry){
			.e_tag = htole16((uint16_t)tag_of(tag)),
			.e_perm = htole16((uint16_t)(permset & 7)),
			.e_id = htole32(has_id ? (uint32_t)qual : ACL_UNDEFINED_ID),
		};
	}
	qsort(entries, (size_t)n, sizeof(*entries), compare);
	*ret_size = sizeof(*value) + (size_t)n * sizeof(*entries);
	*ret = take_ptr(value);
	return 0;
}
