/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a layer that is being unpacked shows together with those below it, for the rare entry that
 * refers to it: the tree of lower/lower.h, looked at for a moment.
 */
#ifndef LAYER_BELOW_H
#define LAYER_BELOW_H

#include <stddef.h>

#include "base/cleanup.h"
#include "base/fdcache.h"
#include "lower/lower.h"

enum { BELOW_ABSENT = LOWER_ABSENT, BELOW_FOUND = LOWER_FOUND };

/* A way down, for those who want to know of each directory on it. */
struct below {
	struct fdcache fds;
	struct lower *lower;
	struct lower_obj *at; /* where it has come to, a reference */
};

/*
 * At the root of `layers`, open directories, topmost first. What is made in them until below_done
 * may be seen or not. 0 or negative errno; below_done in any case.
 */
int below_begin(struct below *below, const int layers[], size_t n_layers);

/*
 * Goes on to `name`: BELOW_FOUND with an O_PATH descriptor of the topmost object of that name, the
 * caller's; BELOW_ABSENT: it is hidden, or nowhere; or negative errno. No symbolic link is
 * followed.
 */
int below_step(struct below *below, const char *name, int *ret);

/* Lets go of it; harmless for one that is zeroed. */
void below_done(struct below *below);
#define cleanup_below CLEANUP(below_done)

/* Looks a clean path up from the root, as below_step does names; BELOW_FOUND and so on. */
int below_find(const int layers[], size_t n_layers, const char *path, int *ret);

/* The same, but symbolic links are followed, with the root of the layers for root. -ELOOP. */
int below_follow(const int layers[], size_t n_layers, const char *path, int *ret);

#endif
