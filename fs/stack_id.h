/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Finds out which branches a mount is of. */
#ifndef FS_STACK_ID_H
#define FS_STACK_ID_H

#include "fs.h"

/* 0 or negative errno. */
int stack_id_get(const struct fs_config *config, enum numbering numbering, struct stack_id *ret);

#endif
