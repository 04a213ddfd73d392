/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * rules: one named test for each rule of how files behave.  A test makes the
 * branches, starts the world and goes on in it as a program would; it runs
 * twice, first in a plain directory that holds the merged tree and then on a
 * mount.  The first run proves that the test is right, the second that the
 * daemon is.  Paths are relative: the current directory is the tree's root.
 *
 *   rules.c            options, and one run after the other
 *   rules_world.c      branches, mounts, and the plain directory in their place
 *   rules_tools.c      short ways to make files, and to look at them
 *   rules_NOUN.c       the tests, with their table at the end
 */
#ifndef RULES_H
#define RULES_H

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/types.h>
#include <unistd.h>

#include "base/cleanup.h"

struct rule {
	const char *name;
	void (*run)(void);
	const char *says;
	bool mount_only; /* a plain directory has no such thing: it is its own oracle */
};

/* The test's function gives it its name. */
#define RULE(test, text)                                                                           \
	{                                                                                          \
		.name = #test, .run = (test), .says = (text)                                       \
	}
#define MOUNT_RULE(test, text)                                                                     \
	{                                                                                          \
		.name = #test, .run = (test), .says = (text), .mount_only = true                   \
	}

/* Each ends with an entry without a name. */
extern const struct rule rules_copyup[];
extern const struct rule rules_privileges[];
extern const struct rule rules_data[];
extern const struct rule rules_full[];
extern const struct rule rules_special[];
extern const struct rule rules_mapping[];
extern const struct rule rules_locks[];
extern const struct rule rules_files[];
extern const struct rule rules_links[];
extern const struct rule rules_rename[];
extern const struct rule rules_dirs[];
extern const struct rule rules_list[];
extern const struct rule rules_owners[];
extern const struct rule rules_xattrs[];
extern const struct rule rules_names[];
extern const struct rule rules_symlinks[];
extern const struct rule rules_identity[];
extern const struct rule rules_mount[];
extern const struct rule rules_formats[];

/* ---- outcomes (rules_world.c) ---- */

/* Each ends the test, from any process of it; the first to say something is heard. */
_Noreturn void failed(const char *file, int line, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
_Noreturn void skip(const char *why);

#define check(condition)                                                                           \
	do {                                                                                       \
		if (!(condition))                                                                  \
			failed(__FILE__, __LINE__, "%s", #condition);                              \
	} while (0)

#define check_eq(got, want)                                                                        \
	do {                                                                                       \
		long long got_ = (long long)(got), want_ = (long long)(want);                      \
		if (got_ != want_)                                                                 \
			failed(__FILE__, __LINE__, "%s is %lld, not %lld", #got, got_, want_);     \
	} while (0)

/* Modes and the like, which are read in octal. */
#define check_mode(got, want)                                                                      \
	do {                                                                                       \
		unsigned int got_ = (got), want_ = (want);                                         \
		if (got_ != want_)                                                                 \
			failed(__FILE__, __LINE__, "%s is %o, not %o", #got, got_, want_);         \
	} while (0)

#define check_text(got, want)                                                                      \
	do {                                                                                       \
		const char *got_ = (got), *want_ = (want);                                         \
		if (strcmp(got_, want_) != 0)                                                      \
			failed(__FILE__, __LINE__, "%s is '%.200s', not '%.200s'", #got, got_,     \
			       want_);                                                             \
	} while (0)

/* The result of a system call that must succeed. */
#define ok(call)                                                                                   \
	({                                                                                         \
		__auto_type ok_ = (call);                                                          \
		if (ok_ < 0)                                                                       \
			failed(__FILE__, __LINE__, "%s: %s", #call, strerror(errno));              \
		ok_;                                                                               \
	})

/* A system call that must fail, and how. */
#define fails(call, error)                                                                         \
	do {                                                                                       \
		errno = 0;                                                                         \
		if ((call) >= 0)                                                                   \
			failed(__FILE__, __LINE__, "%s: no %s", #call, #error);                    \
		if (errno != (error))                                                              \
			failed(__FILE__, __LINE__, "%s: %s, not %s", #call, strerror(errno),       \
			       #error);                                                            \
	} while (0)

/* ---- the world (rules_world.c) ---- */

#define N_BRANCHES 3

/* Of one run; all of it is made before the test's process is. */
struct world {
	const char *cairnfs;
	char dir[PATH_MAX - 64]; /* holds plain, or branch1.., upper, work and mnt */
	bool on_mount;
	const char *options; /* of the mount that stands */
	const char *all_options; /* of every mount */
	pid_t daemon;
	void (*before_daemon)(void); /* in the daemon's process, before it is one */
};
extern struct world world;

/* What a process may tell the runner; shared with all of the test's. */
struct report {
	bool skipped;
	char why[600];
};
extern struct report *report;

/* Whether this is the run on the mount; for what is said of marks and of upper. */
bool on_mount(void);

/* True on the mount: the rule is one that FUSE cannot carry. rules.c has the list. */
bool accepted(const char *name);

/* Below, what is made goes into this branch, 1 the topmost; in the plain run there is one. */
void branch(int n);
/* What a whiteout and an opaque directory say, in the branch that stands. */
void hide(const char *path);
void opaque(const char *path);

/* Puts a tmpfs with these options under the writable part, or under one branch. First of all. */
void small_top(const char *options);
void tmpfs_branch(int n, const char *options);

/* From here on the current directory is the tree. */
void start(void);
void start_with(const char *options);
/* Ends the mount and mounts again; the current directory is the tree's root after it. */
void remount(void);
/* A path below the world's directory, in a buffer of its own for each of the last 4 calls. */
const char *path_in(const char *what, const char *path);

/* For the runner: makes the directories; takes all of them away. The text says what was wrong. */
int world_make(const char *tmp);
const char *world_end(void);

/*
 * The block runs in a child process, as that user and group with no others; the
 * test goes on when it has ended, and fails if it did.
 */
#define IN_CHILD for (; child_begin(); child_end())
#define AS_USER(uid, gid) for (; user_begin(uid, gid); child_end())
bool child_begin(void);
bool user_begin(uid_t uid, gid_t gid);
_Noreturn void child_end(void);

/* ---- tools (rules_tools.c) ---- */

#define MIB ((off_t)1 << 20)

/* Makes a directory of 0755, which may be there. */
void dir(const char *path);
/* Makes a file of 0644, or gives it this content. */
void file(const char *path, const char *content);
/* The same with `size` bytes that differ from block to block, and whether they are there. */
void big_file(const char *path, off_t size);
bool is_big_file(const char *path, off_t size);
void set_mode(const char *path, mode_t mode);
void set_times(const char *path, int64_t seconds, long nanoseconds);
void set_owner(const char *path, uid_t uid, gid_t gid);

/* These open, write and close; they never create. */
void append(const char *path, const char *content);
void write_at(const char *path, off_t offset, const char *content);
int open_as(const char *path, int flags);

struct stat st(const char *path); /* as lstat */
struct stat fd_st(int fd);
mode_t mode_of(const char *path); /* without the type */
bool there(const char *path);
/* Whether ctime, or all that a time's 8 bytes can tell, are equal. */
bool same_time(struct timespec a, struct timespec b);
void check_owner_at(const char *file, int line, const char *path, uid_t uid, gid_t gid,
		    mode_t mode);
#define check_owner(path, uid, gid, mode) check_owner_at(__FILE__, __LINE__, path, uid, gid, mode)

/* In a buffer of its own for each of the last 4 calls: content, names in order, a link's text. */
const char *text(const char *path);
const char *fd_text(int fd); /* from the beginning on */
const char *names(const char *path);
const char *target(const char *path);
/* An xattr's value, not followed; "-" if there is none. */
const char *xattr(const char *path, const char *name);
void set_xattr(const char *path, const char *name, const char *value);
size_t count_names(const char *path);

void remove_all(const char *path);
/* Until `condition` or for two seconds. */
#define wait_until(condition)                                                                      \
	for (int tries_ = 0; !(condition) && tries_ < 200; tries_++)                               \
	usleep(10000)

#endif
