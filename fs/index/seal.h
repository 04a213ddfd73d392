/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The seal at the end of a file: 16 bytes that say what file it is, and the XXH3-128 (canonical
 * form) of everything before them.  Damage anywhere is seen by it before LMDB, which maps its files
 * and trusts its pointers, opens the file.
 *
 * All functions may be called from any thread.
 */
#ifndef INDEX_SEAL_H
#define INDEX_SEAL_H

enum { SEAL_MAGIC_SIZE = 16, SEAL_SIZE = 32 };

/* Appends the seal and makes the file durable. */
int seal_put(int fd, const char magic[SEAL_MAGIC_SIZE]);

/* 0, SEAL_BAD, or negative errno. */
enum { SEAL_BAD = 1 };
int seal_check(int fd, const char magic[SEAL_MAGIC_SIZE]);

#endif
