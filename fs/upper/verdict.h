/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What upper says of one name in one of its directories.
 *
 * All functions may be called from any thread.
 */
#ifndef UPPER_VERDICT_H
#define UPPER_VERDICT_H

#include <sys/stat.h>

enum upper_verdict {
	UPPER_NOTHING, /* not there: lower decides */
	UPPER_WHITEOUT, /* hidden by what is in its place: a device, or a file that says so */
	UPPER_HIDDEN, /* hidden by a `.wh.` file beside it, its place is free */
	UPPER_OBJECT,
};

/* An upper_verdict, with *st set for UPPER_OBJECT and UPPER_WHITEOUT; or negative errno. */
int verdict_on(int dirfd, const char *name, struct stat *st);

/* Whether a name can be made through the mount: 0, -EINVAL (a mark's name), -ENAMETOOLONG. */
int verdict_on_new(const char *name);

#endif
