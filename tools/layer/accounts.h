/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The numbers of users, or of groups, by their names: a file such as etc/passwd or etc/group. */
#ifndef LAYER_ACCOUNTS_H
#define LAYER_ACCOUNTS_H

#include <stddef.h>
#include <stdint.h>

struct account {
	const char *name;
	uint32_t id;
};

struct accounts {
	char *text; /* the names are in it */
	struct account *items; /* in the order of their names */
	size_t n;
};

/*
 * Reads the file that the O_PATH descriptor `fd` refers to. What is no line of such a file is left
 * out, as is all behind its first 16 MiB, and all that is no regular file. 0 or negative errno;
 * accounts_done in any case.
 */
int accounts_read(struct accounts *accounts, int fd);
void accounts_done(struct accounts *accounts); /* harmless for one that is zeroed */

/* The number of the first of that name, or -1. */
int64_t accounts_find(const struct accounts *accounts, const char *name);

#endif
