/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * zstd undone: frames one after the other, those to be skipped, and zeros behind them.  libarchive
 * reads windows of up to 2^27 bytes only, and takes zeros behind the last frame for damage.
 */
#ifndef ARCHIVE_UNZSTD_H
#define ARCHIVE_UNZSTD_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Where the packed bytes come from: as unzstd_read gives them, any negative result to fail by. */
typedef ssize_t (*unzstd_source)(void *context, const void **ret);

struct unzstd;

/* Whether data that begin so are zstd's; 4 bytes are enough to tell. */
bool unzstd_knows(const void *data, size_t size);

/* 0 or -ENOMEM.  `context` is for `source`. */
int unzstd_new(unzstd_source source, void *context, struct unzstd **ret);
void unzstd_free(struct unzstd *unzstd); /* accepts NULL */

/*
 * The next block of unpacked bytes, good until the next call; its length, 0 at the end, -EBADMSG
 * with the reason in *words, which needs no freeing, or what the source answered.
 */
ssize_t unzstd_read(struct unzstd *unzstd, const void **ret, const char **words);

#endif
