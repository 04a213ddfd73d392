/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * powerloss: what a mount shows after the power failed under load.
 *
 * Upper and work are on an ext4 or xfs in an image.  While several processes
 * change files and directories, the image is cloned (FICLONE) at random
 * instants: the clone is what a disk holds when the power fails, as all that
 * is only in the page cache is not in it.  Each clone is then mounted, which
 * replays its journal, cairnfs is mounted on it again, and everything compared
 * with what may be there.  The clone holds everything that the disk was given
 * before the instant; a disk that loses what it was not told to flush is the
 * disk filesystem's matter, not ours.
 *
 * Each process has slots of its own: a file or a directory that may have up to
 * three names, in three directories.  What was done with a slot is a list of
 * events in shared memory.  A clock counts them: an event has the time before
 * its system call, and the time after the fsync that made it durable.  The
 * instant of a loss is also two times, before and after the clone was made.
 * So for each list there is a first event that may be the last on disk, the
 * last one that was durable before the instant, and a last one, begun before
 * the instant's end.  What is found must be the state after one of these.
 *
 * Of a file whose data were changed in place and not yet synced, each byte must
 * be one of those that were there in between, or, beyond the size that was
 * synced, zero: more is not promised by the disk filesystems either.  --plain
 * does the same in a plain directory on such an image, which proves that.  --clones
 * has the lower branch on the image too, so that what is copied up shares its extents
 * where the filesystem can.
 *
 *   powerloss.c             options, the loop
 *   powerloss_disk.c        images, mounting, the instant
 *   powerloss_log.c         the clock, events, contents, reports
 *   powerloss_layout.c      the slots, their names, the lower branch
 *   powerloss_work.c        one process; what it does with files
 *   powerloss_work_dirs.c   what it does with directories; writing back
 *   powerloss_check.c       after the loss: everything, names, directories
 *   powerloss_check_file.c  after the loss: one file
 */
#ifndef POWERLOSS_H
#define POWERLOSS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/types.h>

enum {
	N_NAMES = 3,
	N_SLOTS = 12, /* of a process */
	MAX_PROCESSES = 8,
	MAX_EVENTS = 40, /* of one list */
	MAX_LIVES = 24, /* objects that a slot has had */
	MAX_LOSSES = 16, /* of one session */
	N_LOWER_CHILDREN = 4,
	SUB = 4, /* a directory in a directory */
	SUB_CHILD = 5, /* the file in it */
	FIRST_NEW_CHILD = 6,
	N_CHILDREN = 14,
	N_OLD = 25, /* files in upper that are removed first, so that their inodes are used again */
	PATH_SIZE = 96,
};

struct settings {
	const char *cairnfs, *dir, *filesystem, *options;
	bool plain, clones, lazy, keep, verbose;
	unsigned n_processes, n_losses, pause;
	uint64_t seed;
};
extern struct settings settings;

/* ---- what happened (powerloss_log.c) ---- */

/* Times; 0: never. */
struct when {
	_Atomic uint64_t begun, durable;
};

/* Which life each name has; NO_LIFE: there is no such name. */
enum { NO_LIFE = -1 };
struct names_event {
	struct when when;
	int8_t life[N_NAMES];
};

struct attr_event {
	struct when when;
	mode_t mode;
	uid_t uid;
	gid_t gid;
	int tag; /* in an xattr; NO_TAG: it has none */
};
enum { NO_TAG = -1 };

/* All data events but WHOLE may be found half done. */
enum data_kind { WHOLE, WRITE, REWRITE };
struct data_event {
	struct when when;
	enum data_kind kind;
	uint32_t version; /* says what bytes */
	off_t offset, length, size; /* the file's size afterwards */
};

struct mask_event {
	struct when when;
	uint32_t mask; /* the children there are */
};

/* One object. */
struct life {
	bool is_lower;
	ino_t ino; /* of a lower object */
	struct timespec mtime; /* of a lower file */
	unsigned n_attrs, n_datas, n_masks;
	struct attr_event attrs[MAX_EVENTS];
	struct data_event datas[MAX_EVENTS]; /* of a file */
	struct mask_event masks[MAX_EVENTS]; /* of a directory */
};

struct child {
	ino_t ino;
	int life;
	_Atomic uint64_t durable; /* the content of a new one */
};

struct slot {
	unsigned process, number;
	bool is_dir;
	unsigned n_names, n_lives;
	uint32_t version; /* the last one used */
	unsigned unsynced_dirs; /* a bit for each name */
	struct names_event names[MAX_EVENTS];
	struct life lives[MAX_LIVES];
	struct child children[N_CHILDREN];
};

/* A directory that is always there. */
enum { N_FIXED_DIRS = 2 * MAX_PROCESSES + 1 };
struct fixed_dir {
	char path[PATH_SIZE];
	ino_t ino;
};

struct shared {
	_Atomic uint64_t clock, n_ops;
	atomic_bool stop, stop_writing_back, failed;
	unsigned n_fixed;
	struct fixed_dir fixed[N_FIXED_DIRS];
	struct slot slots[MAX_PROCESSES][N_SLOTS];
};
extern struct shared *shared;

struct loss {
	uint64_t before, after; /* on the clock */
	unsigned number;
	char image[PATH_SIZE * 2];
};

uint64_t tick(void);
/* Says that what follows it will be done from now on; then, that it is on disk. */
void begin(struct when *when);
/* The events of a list that have happened are durable: n of them, `size` bytes apart. */
void make_durable(struct when *first, unsigned n, size_t size, uint64_t at);
/* The first and the last event that may be the last on disk. */
struct window {
	unsigned first, last;
};
struct window window_of(struct when *first, unsigned n, size_t size, const struct loss *loss);

#define DURABLE(list, n, at) make_durable(&(list)[0].when, n, sizeof((list)[0]), at)
#define WINDOW(list, n, loss) window_of(&(list)[0].when, n, sizeof((list)[0]), loss)

/* The bytes of a version: none is zero. */
void fill(unsigned char *bytes, size_t length, uint64_t key, off_t offset);
uint64_t data_key(const struct slot *slot, uint32_t version);
uint64_t child_key(const struct slot *slot, int life, unsigned child);
size_t child_size(const struct slot *slot, int life, unsigned child);

unsigned chance(unsigned n); /* 0..n-1 */
void chance_seed(uint64_t seed);

/* Something is wrong: one line. */
__attribute__((format(printf, 1, 2))) void wrong(const char *format, ...);
/* The tester itself cannot go on. */
__attribute__((format(printf, 1, 2), noreturn)) void die(const char *format, ...);

/* ---- where it is (powerloss_layout.c) ---- */

void slot_path(const struct slot *slot, unsigned name, char ret[PATH_SIZE]);
void slot_dir(const struct slot *slot, unsigned name, char ret[PATH_SIZE]);
void child_name(unsigned child, char ret[PATH_SIZE]);
void child_path(const char *dir, unsigned child, char ret[PATH_SIZE]);
/* All slots anew; the files and directories of the lower branch in the directory `root`. */
void layout_init(void);
void make_lower(int root);
/* What is made through the mount before the load; then, the numbers and times of what is there. */
void make_early(int root);
void note_numbers(int root);

/* ---- the load (powerloss_work.c, powerloss_work_dirs.c) ---- */

/* Never return. `root` is the mount. */
void work(int root, unsigned process) __attribute__((noreturn));
/* Has the kernel write back pages of the disk filesystem's files, at random. */
void write_back(int disk) __attribute__((noreturn));

void work_failed(const char *what, const char *path);
void work_on_dir(int root, struct slot *slot);
void sync_path(int root, const char *path, bool data_only);
void sync_names(int root, struct slot *slot);
bool names_full(const struct slot *slot);
/* Begins a change of names: a copy of the last event, to be changed; then `names_begin`. */
struct names_event *names_next(struct slot *slot);
void names_begin(struct slot *slot);
struct names_event *names_now(struct slot *slot);
struct attr_event *attr_next(struct life *life);
void attr_begin(struct life *life);
/* A name of the slot that has an object, or has none; N_NAMES: there is none such. */
unsigned used_name(struct slot *slot);
unsigned free_name(struct slot *slot);
void change_attributes(int root, struct slot *slot, struct life *life, const char *path);

/* ---- after the loss (powerloss_check.c, powerloss_check_file.c) ---- */

/* Number of things that are wrong. */
unsigned check_everything(int root, const struct loss *loss);
unsigned remove_everything(int root);

/* False, with the reason in `why`. */
enum { WHY_SIZE = 300 };
bool attributes_match(int root, const char *path, const struct stat *st, struct life *life,
		      const struct loss *loss, char *why);
bool file_matches(int root, const char *path, const struct stat *st, struct slot *slot,
		  struct life *life, const struct loss *loss, char *why);
bool child_matches(int root, const char *path, struct slot *slot, int life, unsigned child,
		   const struct loss *loss, char *why);
/* The whole file, to be freed; NULL: it cannot be read. */
unsigned char *read_file(int root, const char *path, size_t *ret_size);

/* ---- disks (powerloss_disk.c) ---- */

int run(const char *const argv[]);
void disk_init(void);
void disk_done(void);
/* A session: makes the disk, mounts, works, and loses power `n` times. False: it failed. */
bool session(unsigned first, unsigned n);

#endif
