/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Image archives and root filesystem tarballs, brought into the store.
 *
 * The source is read once from front to back if it is compressed or a pipe;
 * then what cannot be used yet waits in the store's tmp/, not in memory.
 * Everything is checked before the one transaction that makes it part of the
 * store; until then nothing has changed.
 */
#ifndef IMPORT_IMPORT_H
#define IMPORT_IMPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "layer/loss.h"
#include "store/store.h"
#include "value/digest.h"
#include "value/error.h"
#include "value/platform.h"

/* Told how far the work is; a result other than 0 stops it with -ECANCELED. */
struct import_watch {
	/* `total` 0: not known.  Both are bytes of the source. */
	int (*step)(void *context, uint64_t done, uint64_t total);
	void *context;
};

struct import_request {
	int fd; /* open for reading: a file, a pipe, or the directory of an archive */
	const char *name; /* that of the file, for an image that has none; NULL: no file */
	const char *tag; /* NAME:TAG to use instead of the archive's own; NULL */
	const struct platform *platform; /* that is asked for; NULL: the machine's */
	const char
		*only; /* the one image of the archive that is wanted, as it calls it; NULL: all */
	bool lossy; /* go on without attributes about rights where there are none */
	const struct import_watch *watch; /* or NULL */
};

struct imported {
	struct digest id;
	char **tags; /* NAME:TAG */
	size_t n_tags;
	size_t n_layers, n_new; /* of them not in the store before */
};

struct import_result {
	struct imported *images;
	size_t n_images;
	char *others; /* what else the archive has, in words; NULL: nothing */
	struct loss loss; /* attributes that could not be kept */
};

/* On failure `error` names the entry, blob or document and the reason. */
int import_run(struct store *store, const struct import_request *request, struct error *error,
	       struct import_result *ret);
void import_result_done(struct import_result *result);

#endif
