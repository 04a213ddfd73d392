/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Whether LMDB can trust an index. It maps its file and follows what stands there, so that one
 * wrong byte can be a read or write anywhere, an endless loop or abort(3). This looks at all of it
 * first, by system calls: each page, each key and each value is where its tree says, once, and
 * within the file.
 *
 * What it cannot tell is another byte within a value: that is for who reads it.  Private to
 * fs/index/.
 *
 * All functions may be called from any thread.
 */
#ifndef INDEX_INDEX_CHECK_H
#define INDEX_INDEX_CHECK_H

enum { INDEX_CHECK_BAD = 1 };

/* 0, INDEX_CHECK_BAD, or negative errno. Takes time and memory as the file is large. */
int index_check(int fd);

#endif
