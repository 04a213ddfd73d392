/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Marks that hide lower names, in every format found in the wild.
 *
 * Whiteouts (hide one name of lower branches):
 *   a character device 0:0                         kernel overlayfs, fuse-overlayfs
 *   a file `.wh.NAME`                              AUFS, OCI layers, containers/storage
 *   an empty file with an overlay.whiteout xattr   kernel overlayfs (6.7), in a
 *                                                  directory whose opaque mark is `x`
 * The last can be made inside another union mount, which takes the others for marks of its own.
 * Opaque directories (hide all lower names):
 *   trusted.overlay.opaque, user.overlay.opaque or user.fuseoverlayfs.opaque = `y`
 *   a file `.wh..wh..opq` in the directory
 * Redirects (the lower directory has another path): branch/redirect.h
 *
 * A name that stands beside its own `.wh.` mark in one branch is visible, and
 * a directory so marked is opaque: the OCI image spec lets a whiteout speak of
 * lower layers only.  All results are 0 or negative errno unless said.
 *
 * All functions may be called from any thread.
 */
#ifndef BRANCH_WHITEOUT_H
#define BRANCH_WHITEOUT_H

#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>

#define WHITEOUT_PREFIX ".wh."
#define WHITEOUT_OPAQUE_FILE ".wh..wh..opq"

enum whiteout_format {
	WHITEOUT_DEVICE, /* character device 0:0 */
	WHITEOUT_FILE, /* .wh.NAME */
	WHITEOUT_XATTR, /* an empty file that says so in an xattr */
};
/* Sets of formats. */
enum {
	WHITEOUT_AS_DEVICE = 1 << WHITEOUT_DEVICE,
	WHITEOUT_AS_FILE = 1 << WHITEOUT_FILE,
	WHITEOUT_AS_XATTR = 1 << WHITEOUT_XATTR,
	WHITEOUT_AS_ANY = WHITEOUT_AS_DEVICE | WHITEOUT_AS_FILE | WHITEOUT_AS_XATTR,
};

/* How marks are written in one upper or one store; constant once probed. */
struct whiteout_style {
	enum whiteout_format format;
	const char *xattr_prefix; /* "trusted.overlay." or "user.overlay."; NULL: no xattrs */
};

/*
 * Finds out by trying, in the scratch directory `dirfd`, what marks can be written there: the
 * first of `formats` in the order of the enum; xattrs of the user namespace only, if so wanted.
 * -EOPNOTSUPP: none of these formats.
 */
int whiteout_probe(int dirfd, unsigned int formats, bool user_only, struct whiteout_style *ret);

/* Whether whiteouts stand at the name that they hide, and not beside it. */
static inline bool whiteout_takes_place(const struct whiteout_style *style)
{
	return style->format != WHITEOUT_FILE;
}

/* Whether `st` is a whiteout of the device format. */
bool whiteout_is_device(const struct stat *st);

/* Whether empty files in a directory may be whiteouts by xattr: its opaque mark is `x`. */
bool whiteout_may_be_xattr(int dirfd);
/*
 * Whether an object is a whiteout, a device or by xattr, given its attributes: by an O_PATH
 * descriptor, or by its name.  An xattr counts whatever its directory's mark says, which decides
 * what listings show (Linux 6.18).
 */
bool whiteout_is(int fd, const struct stat *st);
bool whiteout_is_at(int dirfd, const char *name, const struct stat *st);

/* The name that `.wh.NAME` hides, or NULL if `name` is no such mark. */
const char *whiteout_hidden_name(const char *name);

/* Whether `name` is a mark and may not be shown: `.wh.NAME` and `.wh..wh..*`. */
bool whiteout_is_mark_name(const char *name);

/* Before whiteouts by xattr are put into `dirfd`: has listings look for them. */
int whiteout_admit(const struct whiteout_style *style, int dirfd);

/*
 * Writes a whiteout for `name` in `dirfd`, replacing nothing: -EEXIST if something is there.  One
 * by xattr is an empty file for a moment, so it is to be made where nobody looks.
 */
int whiteout_create(const struct whiteout_style *style, int dirfd, const char *name);

/* Puts `.wh.NAME` in the place of a whiteout that is a device: `name` is free then, and hidden. */
int whiteout_free_name(int dirfd, const char *name);

/* Whether `.wh.NAME` is there: 1 or 0, or negative errno (-ENAMETOOLONG counts as no). */
int whiteout_has_file(int dirfd, const char *name);

/* Removes `.wh.NAME`; 0 also when there is none. */
int whiteout_remove_file(int dirfd, const char *name);

enum opaque {
	OPAQUE_NO = 0,
	OPAQUE_YES = 1,
};

/* What a directory says of itself; `fd` may be O_PATH. Negative errno on failure. */
int opaque_get(int fd);
/* Whiteouts by xattr in it are removed: they hide nothing any more, and would be listed. */
int opaque_set(const struct whiteout_style *style, int fd);

/*
 * In which namespaces of xattrs a mark counts. Anybody can set one of the user namespace on what
 * he owns, and an image can bring it; one of the trusted namespace is root's word.
 */
enum mark_space {
	MARKS_TRUSTED = 1 << 0,
	MARKS_USER = 1 << 1,
	MARKS_ANY = MARKS_TRUSTED | MARKS_USER,
};

/*
 * Whether a regular file has attributes only, its data being below (overlayfs'
 * metacopy): the mark overlay.metacopy in one of the namespaces `spaces` (bits of enum mark_space).
 */
bool metacopy_get(int fd, unsigned int spaces);
int metacopy_set(const struct whiteout_style *style, int fd);
/* Takes the mark away, and then the redirect, which meant the data. */
int metacopy_remove(int fd);

/*
 * Whether an xattr, by its name on disk, belongs to a union filesystem and is not the user's to
 * see or set. Those of a mount inside, which are escaped (branch/nesting.h), are the user's.
 */
bool whiteout_is_private_xattr(const char *name);

#endif
