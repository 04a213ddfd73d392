/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is in the store's directories but in no record. */
#ifndef STORE_COLLECT_H
#define STORE_COLLECT_H

#include "store/workspace.h"

/*
 * Moves every layer, chain, blob and container directory that the committed
 * state does not mention into `workspace`.  Begins and ends a write transaction.
 */
int store_collect(struct store *store, struct workspace *workspace, struct error *error);

#endif
