/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Unpacks one layer, a tar stream of unknown origin, into a branch: a plain
 * directory with overlay marks.
 *
 * The archive's whiteouts (`.wh.NAME`, `.wh..wh..opq`) become marks of the
 * store's style.  They speak of lower layers only, so a name that stands
 * beside its own whiteout stays, and as a directory becomes opaque.  A later
 * entry of the same name replaces an earlier one.  A symbolic link that the
 * layer itself has made is followed where it is the parent of an entry, or of
 * a hard link's target, with the branch for root: nothing is ever made, opened
 * or linked outside the branch.
 */
#ifndef LAYER_LAYER_H
#define LAYER_LAYER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "archive/stream.h"
#include "branch/whiteout.h"
#include "layer/loss.h"
#include "value/error.h"

/*
 * Paths of entries that are longer are refused.  Other tools end at PATH_MAX, 4,096; what a
 * container can make may be deeper, and takes memory and time by its length.
 */
enum { LAYER_MAX_PATH = 65535 };

/* What the place where layers are made allows; the same for a whole store. */
struct layer_site {
	struct whiteout_style style;
	/* Owners and device nodes can be set: a failure to do so is a failure. */
	bool privileged;
	/* These are the caller's to set. */
	bool lossy; /* a filesystem without attributes is no failure, whatever they say */
	struct loss *loss; /* notes attributes that could not be kept; NULL: nobody asks */
};

/* Finds out by trying, in the scratch directory `dirfd`; not lossy. */
int layer_probe(int dirfd, struct layer_site *ret);

struct layer_summary {
	uint64_t n_entries;
	uint64_t size; /* of the regular files, in bytes */
	/*
	 * A hard link named a file of a lower layer, which was copied up: the
	 * branch is then right above these lower layers only.
	 */
	bool borrowed;
};

/*
 * Fills the empty directory `dirfd` from `stream`, which is left at the end of
 * the archive proper (stream_finish reads the rest).  `below` are the image's
 * lower layers, topmost first.  On failure `error` names the entry, and what
 * was made so far is the caller's to remove.
 */
int layer_unpack(struct stream *stream, int dirfd, const struct layer_site *site, const int below[],
		 size_t n_below, struct error *error, struct layer_summary *ret);

#endif
