/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A store is opened, made, or refused. */
#ifndef STORE_OPENING_H
#define STORE_OPENING_H

#include "store/store.h"

/*
 * Opens the store at `path`, made with its parents if it is missing, and
 * removes what a command that was cut short left behind.  Not to be carried
 * over a fork.  -EPROTONOSUPPORT: of another format; -EUCLEAN: damaged.
 */
int store_open(const char *path, struct error *error, struct store **ret);

/*
 * Opens the store to look at its records only, also on a read-only disk: nothing is made, removed
 * or waited for but a commit of another command's. There are no directories open but the root.
 */
int store_open_to_read(const char *path, struct error *error, struct store **ret);

#endif
