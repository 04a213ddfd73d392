/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * pages: the ways of writing under which other union filesystems are said to
 * have spoiled files, each byte checked.
 *
 * A database: a big file of pages that is rewritten page by page, in random
 * order, with a journal beside it, while others read it by descriptors and
 * mappings from before and after its copy-up.  A page's bytes follow from its
 * number and version.  A reader accepts a version that was complete when it
 * began, one that was begun before it ended, and, if these differ, words of
 * both, for no filesystem makes reading a page atomic.
 *
 * Files: many small ones, overwritten by shorter and longer contents as
 * programs do it, and read back by several processes.
 *
 * What a file should hold is kept outside of the mount, so that it can be
 * verified again after a new mount: for the database in a file of versions, for
 * the files in a plain directory.  The caller mounts.
 *
 *   pages.c            commands; what both parts need
 *   pages_database.c   the database
 *   pages_files.c      the files
 */
#ifndef PAGES_H
#define PAGES_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#define PAGE 4096

/* Each ends the process, with one line that says why, when something is wrong. */
_Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
int open_or_fail(const char *path, int flags);
void *map_or_fail(int fd, size_t len, int protection);
void write_at(int fd, const void *p, size_t len, off_t off);

uint64_t mix(uint64_t z); /* a hash of one word */
uint64_t next_random(uint64_t *state);
size_t below(uint64_t *state, size_t n); /* 0 to n - 1 */

pid_t begin(void); /* a fork */
void await(const char *what, pid_t pid);

/* Commands, with their arguments in order. */

/* FILE STATE N: the file, all pages of version 0. */
void database_make(char **args);
/* FILE STATE SEED: rewrites each page, while others read. */
void database_rewrite(char **args);
/* FILE STATE: the file has exactly the pages that it should have, read and mapped. */
void database_verify(char **args);
/* DIR N SEED */
void files_make(char **args);
/* DIR REFERENCE N SEED: changes all, then verifies. */
void files_rewrite(char **args);
/* DIR REFERENCE N: several processes read all files, each from another on. */
void files_verify(char **args);

#endif
