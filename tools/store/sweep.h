/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef STORE_SWEEP_H
#define STORE_SWEEP_H

#include "store/store.h"

/*
 * Removes the staging directories of commands that no longer run and, if there
 * were any, what those had published without mentioning it.
 */
int store_sweep(struct store *store, struct error *error);

#endif
