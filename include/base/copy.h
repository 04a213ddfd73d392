/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Copies of what a file is made of. All return 0 or a negative errno, unless said.
 *
 * All functions may be called from any thread.
 */
#ifndef BASE_COPY_H
#define BASE_COPY_H

#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>

/*
 * Copies the content of `src`, `size` bytes long, into the empty file `dst`:
 * by a shared extent (FICLONE) where the filesystem can, else by
 * copy_file_range, else by reading and writing.  Holes stay holes.  `dst` is
 * `size` bytes long afterwards even if `src` shrank meanwhile. COPY_WRITTEN; COPY_CLONED if all of
 * it shares its extents; or a negative errno.
 */
enum { COPY_WRITTEN = 0, COPY_CLONED = 1 };
int copy_data(int src, int dst, off_t size);

/*
 * Copies every extended attribute of `src` to `dst` for which want() is true
 * (all, if want is NULL).  One that the target filesystem or the caller's
 * rights do not allow is passed over if it is of the trusted or security
 * namespace and the caller is not fully privileged; any other failure is
 * returned.
 */
int copy_xattrs(int src, int dst, bool (*want)(const char *name));

/* Gives `dst` the owner, then the mode, then the times in `st`. */
int copy_stat(int dst, const struct stat *st);

#endif
