/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Objects in upper, and what the verbs share in handling them.  For
 * the files of the verbs alone; FUSE handlers do not include it.
 */
#ifndef FS_UPPER_H
#define FS_UPPER_H

#include <fcntl.h>
#include <stdio.h>

#include "fs.h"

/*
 * The object of a node in upper, as an O_PATH descriptor; NULL with *error
 * set, -ESTALE when it is not where it was left.
 */
struct fd_ref *upper_open(struct fs *fs, struct node *node, int *error);

/* The same after copying the object up, if it has to be. */
struct fd_ref *upper_open_copied(struct fs *fs, struct node *node, int *error);

/* What upper says of a name. */
enum upper_verdict {
	UPPER_NOTHING, /* not there: lower decides */
	UPPER_WHITEOUT, /* hidden by what is in its place: a device, or a file that says so */
	UPPER_HIDDEN, /* hidden by a `.wh.` file beside it, its place is free */
	UPPER_OBJECT,
};
/* An upper_verdict, with *st set for UPPER_OBJECT and UPPER_WHITEOUT; or negative errno. */
int upper_probe(int dirfd, const char *name, struct stat *st);

/* The number of an object in upper that has no lower part; 0: out of memory. */
uint64_t upper_number(struct fs *fs, int dirfd, const char *name, const struct stat *st);
/* The same for one of which nothing is noted (state_find): what it has of its own, or a new one. */
uint64_t upper_give_number(struct fs *fs, int dirfd, const char *name, const struct stat *st);
/* What it has of its own: its mark, or an older note that fits it; 0: nothing. */
uint64_t upper_own_number(struct fs *fs, int fd, const struct stat *st);

/*
 * The lower directory that the directory `name` of `dirfd`, an upper
 * directory, merges with: *ret is a reference, or NULL if there is none.
 * `lower` is the lower part of the parent, or NULL.
 */
int upper_merges_with(struct fs *fs, int dirfd, const char *name, struct lower_obj *lower,
		      struct lower_obj **ret);

/* Whether a name can be made through the mount: 0, -EINVAL, -ENAMETOOLONG. */
int upper_check_name(const char *name);

/* The name of a node's object in the orphan directory. */
struct orphan_name {
	char s[24];
};
struct orphan_name orphan_name(uint64_t ino);

/* Removes an orphan that nobody knows any more. */
void orphan_remove(struct fs *fs, uint64_t ino);

/* Whether the object of that inode in upper has a name among the orphans; with orphans_lock held.
 */
bool orphan_is_kept(struct fs *fs, uint64_t ino, ino_t real);

/*
 * A file that had lost its names that were known turns out to have another.
 * Its name among the orphans stays until it is forgotten: to
 * take it away now could meet with a removal of the new name.
 */
void node_named_again(struct node *node);

/* The lower object of a number, wherever it is: LOWER_FOUND with a reference, LOWER_ABSENT
 * (find.c). */
int find_lower_object(struct fs *fs, uint64_t ino, struct lower_obj **ret);

/*
 * --- groups of names that are being copied up (group.c) ---
 * The copy has a name in the work directory, by the file's number, from before
 * its first name is in upper until all are; what a crash has left is completed
 * when the next worker begins.
 */
struct staged;
/* Gives a staged copy that name. */
int group_begin(struct fs *fs, uint64_t ino, struct staged *staged);
/* A copy that was begun, as an O_PATH descriptor, and its inode in *ret; -ENOENT: there is none. */
int group_resume(struct fs *fs, uint64_t ino, ino_t *ret);
void group_end(struct fs *fs, uint64_t ino);
int groups_complete(struct fs *fs);

/* As fs_lookup, without asking for attributes. */
int upper_step(struct fs *fs, struct node *dir, const char *name, struct node **ret);

/* --- staging (staging.c): new things are made in the work directory, then published --- */

struct staged {
	struct fs *fs;
	int dirfd; /* where it is: the staging directory or one in it */
	int inherit; /* a directory made for it to inherit from, owned; -1: none */
	bool is_published; /* and gone from here */
	char name[24];
};

/* A name that is free. What has been made under it is removed by staged_done. */
void staged_init(struct fs *fs, struct staged *ret);
/*
 * The same, in a directory that passes on what `dirfd` would: its group if it
 * is setgid, its default ACL.
 */
int staged_init_like(struct fs *fs, int dirfd, struct staged *ret);
void staged_done(struct staged *staged);
#define cleanup_staged CLEANUP(staged_done)

/*
 * Moves it to its place in one step. flags: 0 (replaces what is no directory),
 * RENAME_NOREPLACE, or RENAME_EXCHANGE (what was there is then what is staged).
 */
int staged_publish(struct staged *staged, int dirfd, const char *name, unsigned int flags);

/* --- whiteouts in upper (hide.c), with the names of `dirfd` held --- */

/* Puts one at a name that is free; -EEXIST if a mark of it is there. */
int hide_free(struct fs *fs, int dirfd, const char *name);

/*
 * Where whiteouts take the place of names: puts one there in one step. flags as of staged_publish;
 * what was there is gone.
 */
int hide_place(struct fs *fs, int dirfd, const char *name, unsigned int flags);

/* The same, and what was there, of that type, is among the orphans as `ino`; orphans_lock is held.
 */
int hide_orphaned(struct fs *fs, int dirfd, const char *name, mode_t type, uint64_t ino);

/* --- who creates (creds.c) --- */

/*
 * The calling thread creates files as `caller` from here to creds_drop: the
 * filesystem then sets owner and group itself, in one step with the name.
 */
void creds_assume(const struct fs *fs, const struct caller *caller);
void creds_drop(void);

/* --- owners (owner.c) --- */

/* Whether an object of such a mode has its owner, mode and type written beside it. */
bool owner_is_written(struct fs *fs, mode_t mode);

/* What such an object is on disk. */
mode_t owner_real_mode(mode_t mode);

/* As fd_stat, with the owner, mode and type that count; owner_complete has asked already. */
int owner_stat(struct fs *fs, int dirfd, const char *name, struct stat *ret);
int owner_complete(struct fs *fs, int dirfd, const char *name, struct stat *st);

/* Writes owner, mode and type beside the object, which owner_is_written said yes of. */
int owner_write(struct fs *fs, int fd, const struct stat *st);

/* As fd_chown and fd_chmod. */
int owner_set(struct fs *fs, int fd, uid_t uid, gid_t gid);
int owner_set_mode(struct fs *fs, int fd, mode_t mode);

/* Gives a copy the owner, mode and times of the original. */
int owner_copy(struct fs *fs, int fd, const struct stat *st);

/*
 * --- what a write of ours takes from a file although nobody meant it to (data.c) ---
 * setuid, setgid and capabilities, to be given back afterwards.
 */
struct privileges {
	mode_t mode;
	ssize_t size; /* of the capability; none if not above 0 */
	char capability[64];
};
int privileges_get(int fd, struct privileges *ret);
int privileges_restore(int fd, const struct privileges *privileges);

/* --- origin marks (origin.c): which lower object a file in upper was copied from --- */

/* Marks `fd` as number `ino`; false where no mark can be written. */
bool origin_set(struct fs *fs, int fd, ino_t real, uint64_t ino);
/* The number, or 0 when there is no mark or it was not made for this file and these branches. */
uint64_t origin_get(struct fs *fs, int fd, ino_t real);

#endif
