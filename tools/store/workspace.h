/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A directory of one command's own in tmp/ of the store, locked as long as the command lives. */
#ifndef STORE_WORKSPACE_H
#define STORE_WORKSPACE_H

#include "store/store.h"

struct workspace {
	struct store *store;
	int fd; /* -1: none */
	char name[32];
};
int workspace_begin(struct store *store, struct error *error, struct workspace *ret);
/* Removes it with all that is in it; harmless when there is none. */
void workspace_end(struct workspace *workspace);

/* Gives `name` of the workspace up to `dirfd` as `to`; what is there by that name is moved away. */
int workspace_publish(struct workspace *workspace, const char *name, int dirfd, const char *to);

#endif
