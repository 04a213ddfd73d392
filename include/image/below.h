/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the layers below one that is being unpacked show, for the rare entry that refers to it. */
#ifndef IMAGE_BELOW_H
#define IMAGE_BELOW_H

#include <stddef.h>

enum below { BELOW_ABSENT = 0, BELOW_FOUND = 1 };

/*
 * Looks a clean path up in the merged view of `layers` (open directories,
 * topmost first).  BELOW_FOUND with an O_PATH descriptor that becomes the
 * caller's, BELOW_ABSENT, or negative errno.  No symbolic link is followed.
 */
int below_find(const int layers[], size_t n_layers, const char *path, int *ret);

#endif
