/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What an archive is, by the names in it: doc/archives.md lists the forms. */
#ifndef ARCHIVE_FORM_H
#define ARCHIVE_FORM_H

#include "archive/bundle.h"

enum form {
	FORM_NONE = 0, /* no image archive: a root filesystem, for one */
	FORM_DOCKER, /* manifest.json, an array */
	FORM_OCI, /* index.json and blobs */
	FORM_DIR, /* a manifest and its blobs, side by side: skopeo's dir: */
	FORM_FOREIGN, /* an image of a form that is known, but not read */
};

/*
 * The form of a bundle, which enters the directory that has it, if the bundle has all it holds in
 * one.  `*ret_words`, of FORM_FOREIGN: what it is, and what can be done.  Or negative errno.
 */
int form_of(struct bundle *bundle, const char **ret_words);

#endif
