/* SPDX-License-Identifier: GPL-3.0-or-later */
/* POSIX ACLs of archive entries in the form the kernel takes. */
#ifndef LAYER_ACL_H
#define LAYER_ACL_H

#include <stddef.h>

struct archive_entry;

/*
 * The value of system.posix_acl_access or _default for the entry's ACL of
 * `type` (ARCHIVE_ENTRY_ACL_TYPE_ACCESS or _DEFAULT), allocated; NULL and 0
 * when it has none beyond its mode.  Names of users are not resolved: only
 * entries with a number count.  -ENOMEM.
 */
int acl_encode(struct archive_entry *entry, int type, void **ret, size_t *ret_size);

#endif
