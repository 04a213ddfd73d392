/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * POSIX ACLs of archive entries in the form the kernel takes.
 *
 * An archive may name a user or group without a number. Whose number it is can be told when the
 * layer's etc/passwd and etc/group are there, so an ACL is first gathered, as a block of bytes that
 * can wait in a file, and then encoded.
 */
#ifndef LAYER_ACL_H
#define LAYER_ACL_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "layer/accounts.h"

struct archive_entry;

struct acl {
	void *data; /* allocated; NULL: none */
	size_t size;
	bool has_names; /* entries with a name and no number */
};

/*
 * Gathers the entry's ACL of `type` (ARCHIVE_ENTRY_ACL_TYPE_ACCESS or _DEFAULT); nothing when it
 * has none beyond its mode. 0 or -ENOMEM; the data are the caller's to free.
 */
int acl_gather(struct archive_entry *entry, int type, struct acl *ret);

/*
 * The value of system.posix_acl_access or _default for what was gathered, allocated. Names are
 * looked up in `users` and `groups`, which may be NULL; an entry whose name is not there is left
 * out. 0 or -ENOMEM.
 */
int acl_encode(const void *data, size_t size, const struct accounts *users,
	       const struct accounts *groups, void **ret, size_t *ret_size);

/* Of a value as the kernel takes it: what the owning group may do, by its own entry and the mask;
 * -1: it does not say. */
int acl_group_permissions(const void *value, size_t size);

/* What stands in the group's place in the mode of an object with that ACL; -1: it does not say. */
int acl_shown_permissions(const void *value, size_t size);

#endif
