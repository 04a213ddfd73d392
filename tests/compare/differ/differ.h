/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * differ: the oracle.  From a seed it makes a stack of branches and a program
 * of file operations, runs the program on a mount of that stack and on a plain
 * directory that holds the merged tree, and compares every answer and the trees.
 *
 *   differ_stack.c     branches as data; onto the disk
 *   differ_merge.c     what a union of the branches shows
 *   differ_op.c        operations as data; as text and back
 *   differ_generate.c  stack and program from a seed; also differ_generate_*.c
 *   differ_perform.c   carries one operation out, and puts the answer in words; by kind:
 *   differ_{answer,file,name,xattr,list,lock,direct,watch,handle,deep}.c
 *   differ_redirect.c  redirect_dir=off on the plain side
 *   differ_tree.c      reads whole trees and compares them
 *   differ_mount.c     mounts and unmounts; kernel overlayfs
 *   differ_full.c      a small filesystem for upper
 *   differ_userns.c    a user namespace for all of it
 *   differ_worker.c    the process that runs a program on one side
 *   differ_run.c       one program: workers, comparison, remounts
 *   differ_kill.c      kills the daemon's worker; differ_growth.c: what the supervisor holds
 *   differ_stuck.c     where all stand when an operation hangs
 *   differ_shared*.c   several workers on the same names; differ_invariant.c: what then holds
 *   differ_shrink.c    the shortest program that still fails
 *   differ_accept.c    the differences that are documented
 *   differ.c           options and the loop over seeds
 *
 * Nothing here knows how cairnfs works: the model is of plain directories.
 */
#ifndef DIFFER_H
#define DIFFER_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>

#define MAX_BRANCHES 16
#define MAX_THREADS 16
#define MAX_SLOTS 16

/* ---- text and random numbers (differ_op.c) ---- */

struct text {
	char *s;
	size_t len, size;
};

void text_add(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* One word: bytes that could end it, and %, become %XX. */
void text_add_word(struct text *text, const char *word);
void text_clear(struct text *text);
void text_done(struct text *text);
#define cleanup_text __attribute__((cleanup(text_done)))

/* These never return NULL: the program ends when memory does. */
char *xstrdup(const char *s);
char *xformat(const char *format, ...) __attribute__((format(printf, 1, 2)));
void *xrealloc(void *p, size_t count, size_t size);

struct rng {
	uint64_t state;
};
uint64_t rng_next(struct rng *rng);
/* 0 to n - 1 */
uint64_t rng_below(struct rng *rng, uint64_t n);
bool rng_percent(struct rng *rng, unsigned int percent);

/* `len` bytes of the endless file number `seed` from `offset` on. */
void data_fill(void *buf, size_t len, uint64_t seed, uint64_t offset);

/* ---- the stack ---- */

enum entry_type {
	ENTRY_DIR,
	ENTRY_FILE,
	ENTRY_SYMLINK,
	ENTRY_FIFO,
	ENTRY_SOCKET,
	ENTRY_CHAR,
	ENTRY_BLOCK,
	ENTRY_WHITEOUT,
};

enum mark {
	MARK_NONE,
	WHITEOUT_CHAR, /* character device 0:0 */
	WHITEOUT_WH, /* .wh.NAME; of any other object than a whiteout: beside it */
	WHITEOUT_ATTR, /* empty file with trusted.overlay.whiteout, parent marked x */
	WHITEOUT_ATTR_USER, /* the same with user.overlay.* */
	OPAQUE_TRUSTED, /* trusted.overlay.opaque */
	OPAQUE_USER, /* user.overlay.opaque */
	OPAQUE_FUSE, /* user.fuseoverlayfs.opaque */
	OPAQUE_WH, /* .wh..wh..opq */
};

/* One object of one branch. Entries of a branch with the same group are one inode. */
struct entry {
	int64_t branch; /* 0 is upper, 1 the topmost lower branch */
	int64_t type, mark;
	int64_t mode, uid, gid, sec, nsec, size, sparse, seed, rdev, xattrs, group;
	char *path; /* "." is the branch's root */
	char *target;
	char *redirect; /* where branches below have this directory: /PATH, or a name beside it */
	bool has_lower; /* after stack_merge: a lower branch has a part in it */
};

/* Bits of entry.xattrs. */
enum {
	XATTR_ONE = 1,
	XATTR_TWO = 2,
	XATTR_TRUSTED = 4,
	XATTR_CAPABILITY = 8,
	XATTR_DEFAULT_ACL = 16,
	XATTR_REDIRECT_USER = 32, /* the redirect is of user.*, not trusted.* */
};

struct stack {
	int64_t n_branches; /* upper included */
	struct entry *entries;
	size_t count;
};

void stack_add(struct stack *stack, struct entry entry); /* takes its strings */
void stack_remove(struct stack *stack, size_t i);
void stack_done(struct stack *stack);
void stack_copy(const struct stack *from, struct stack *to);
struct entry *stack_find(const struct stack *stack, int64_t branch, const char *path);
/* Whether `path` is `top` or below it. */
bool path_is_below(const char *path, const char *top);

struct entry entry_copy(const struct entry *from);

/*
 * What a union of the branches from `first` on shows, as a stack of the one branch 0.
 * False if redirects make something show in two places; then it is not complete.
 */
bool stack_merge(const struct stack *stack, int64_t first, struct stack *ret);

/* Writes one branch into the existing directory `dirfd`. 0 or -errno, with a message. */
int stack_materialise(const struct stack *stack, int64_t branch, int dirfd);

/*
 * An ACL, access or default alike, made from `seed`; its length. Without `named` its named
 * entries are for 0, for in a small user namespace there are no other ids.
 */
size_t acl_make(uint64_t seed, bool named, char value[static 64]);

/* ---- programs ---- */

enum op_kind {
#define OP(kind, name, flags) OP_##kind,
#include "differ_ops.inc"
#undef OP
	N_OP_KINDS
};

/* Numbers that are 0 are not printed. */
struct op {
	enum op_kind kind;
	int64_t thread, cred, check;
	int64_t slot, slot2; /* descriptors, 1 to MAX_SLOTS - 1 */
	int64_t at, at2; /* the slot of the directory that path, path2 begin at; 0: the root */
	int64_t flags, mode, off, off2, len, seed, uid, gid, sec, nsec, rdev;
	char *path, *path2;
};

struct program {
	uint64_t seed;
	struct stack stack;
	struct op *ops;
	size_t count;
	int64_t n_threads;
	bool kernel; /* only marks that kernel overlayfs reads */
};

void program_add(struct program *program, struct op op); /* takes its strings */
void program_done(struct program *program);
void program_copy(const struct program *from, struct program *to);
void op_print(const struct op *op, struct text *text);
void entry_print(const struct entry *entry, struct text *text);
void program_print(const struct program *program, FILE *out);
/* 0, or -EINVAL with a message. */
int program_parse(struct program *program, FILE *in, const char *name);
int op_kind_of(const char *name); /* -1: none */
/* Whether all threads wait there for the trees to be compared. */
bool op_is_barrier(const struct op *op);

/* ---- generation ---- */

struct options {
	const char *cairnfs, *mount_options, *dir, *profile, *replay, *save;
	uint64_t first_seed, last_seed;
	size_t n_ops;
	int64_t n_threads;
	unsigned int seconds;
	unsigned int kills; /* of the daemon's worker, each second; 0: none */
	bool keep, shrink, verbose;
	bool shared; /* all of them on the same names */
	bool processes; /* in place of threads */
	bool userns; /* all of it in a user namespace */
	bool redirect_off; /* the mount has redirect_dir=off */
	bool writeback; /* the mount has writeback=1 */
	bool passthrough; /* the mount has io=passthrough */
	const char *full; /* upper is on a small filesystem of this type that runs full, or NULL */
	bool is_root; /* may make devices and trusted.* */
	bool has_ids; /* may be other users */
	bool disabled[N_OP_KINDS];
	bool is_nested; /* all of it lies in a union mount */
	bool no_long_names; /* for which there are no `.wh.` files */
};

/* 0 or -errno. Needs to chroot; works below options->dir. */
int program_generate(struct program *program, uint64_t seed, const struct options *options);

/* The stack alone, for workers that share it. */
void program_generate_stack(struct program *program, uint64_t seed, const struct options *options);

/* ---- one operation ---- */

/* Directories of a plain tree that have a part in a lower branch (differ_redirect.c). */
struct lowers;
struct lowers *lowers_read(const struct stack *merged, int rootfd);
void lowers_free(struct lowers *lowers);

/* What all threads of one side have in common. */
struct side {
	int root; /* its root, as is the current directory */
	int proc; /* /proc, which is not below it */
	time_t start; /* times from then on print as "now" */
	bool has_threads;
	const struct options *options;
	const struct lowers *lowers; /* those that must not be renamed, or NULL */
};

/* Makes `dir` the root directory of this process. 0 or -errno. */
int side_enter(struct side *side, const char *dir);

/* What one thread of one side has between operations. */
struct performer {
	const struct side *side;
	int slots[MAX_SLOTS];
	int watch; /* inotify, or -1 */
	int64_t cred;
	ino_t shared; /* the directory that several threads share, or 0 */
};

void performer_init(struct performer *performer, const struct side *side);
void performer_done(struct performer *performer);
/* The plain side's part in an operation that has to fail on the mount. */
void op_refuse(struct performer *performer, const struct op *op, struct text *ret);
void op_perform(struct performer *performer, const struct op *op, struct text *ret);

/* For the parts of op_perform: "r=..." or "r=-1 ERRNO"; whether it is the former. */
bool answer_say(struct text *text, ssize_t r);
/* Whether `st` is of the directory that several threads share. */
bool performer_is_shared(const struct performer *performer, const struct stat *st);
/* Lists the open directory `fd` for `op`, and checks the listing. */
void list_perform(const struct performer *performer, const struct op *op, int fd,
		  struct text *text);

/* ---- killing the daemon's worker (differ_kill.c) ---- */

/* Before anything is forked. 0 or -errno. */
int kill_prepare(void);
/* Starts the killer, which does no more than watch until kill_begin and from kill_halt on. */
int kill_start(pid_t daemon, unsigned int rate);
void kill_begin(void);
void kill_halt(void);
void kill_stop(void);
/* Whether this is the worker that was killed last. */
bool kill_was_last(pid_t worker);
/* Whether the daemon was ended because an operation hung; once for each time. */
bool kill_saw_hang(void);
/* Around an operation on the mount: kill_note(kill_count() from before, when it began). */
unsigned long kill_count(void);
void kill_note(unsigned long before, int64_t began);
int64_t now_us(void);
void kill_report(void);
void kill_filter_log(char *log);

/* ---- what the supervisor holds (differ_growth.c) ---- */

struct session;
/* Around the kills. False, with a message in `why`, if it has grown, or cannot be measured. */
bool growth_begin(const struct session *session, struct text *why);
bool growth_end(const struct session *session, struct text *why);
void growth_report(void);

/* ---- what hangs (differ_stuck.c) ---- */

/* Where each thread of `top` and of all processes below it stands, on stderr. Allocates nothing. */
void stuck_report(pid_t top);

/* ---- documented differences ---- */

/* The entry that says that `op` has to fail on the mount and is not tried on the plain side. */
const char *accept_must_fail(const struct op *op);
/* Whether `op` is left out on both sides. */
bool accept_skips(const struct op *op);
void accept_print(FILE *out);

/* ---- trees ---- */

struct node {
	char *path;
	struct stat st;
	struct timespec btime;
	uint64_t hash; /* content */
	char *target, *xattrs;
	char *problems; /* what is wrong with it in itself */
	const char *twin; /* the first path with the same inode number */
};

struct tree {
	struct node *nodes;
	size_t count;
};

/*
 * 0 or -errno. Nothing is followed, no mount point is crossed. With `kernel`, names that
 * are listed but not there are passed over: overlayfs lists whiteouts where it merges nothing.
 */
int tree_read(int rootfd, bool kernel, struct tree *ret);
void tree_done(struct tree *tree);

enum { COMPARE_LINKS = 1, COMPARE_SPARSE = 2 };
/* Whether they are the same; otherwise the first difference and a word for its kind. */
bool tree_equal(const struct tree *want, const struct tree *got, time_t start, int what,
		struct text *difference, struct text *signature);

/* Which object of the plain side had which inode number on the mount, as long as it exists. */
struct identities;
void identities_free(struct identities *identities);
/* False, with the difference, if an object changed its number since it was last seen. */
bool identities_check(struct identities **identities, const struct tree *want,
		      const struct tree *got, struct text *difference);

/* ---- mounts ---- */

struct session {
	const struct options *options;
	char *dir, *branches[MAX_BRANCHES], *work, *ref, *mnt, *log;
	char *small; /* with options->full: the filesystem of upper and work */
	struct lowers *lowers; /* of ref, if those cannot be renamed */
	bool has_redirects;
	int64_t n_branches;
	pid_t daemon;
	bool mounted;
};

int session_open(struct session *session, const struct options *options,
		 const struct program *program);
void session_close(struct session *session);
/* 0, or -errno, with a message in `why`. */
int session_mount(struct session *session, struct text *why);
int session_unmount(struct session *session, struct text *why);
/* Mounts upper and the lower branches, read-only, with the kernel's overlayfs on session->mnt. */
int session_mount_kernel(struct session *session);
void session_unmount_kernel(struct session *session);
/* What the daemon has said since the mount, allocated, or NULL. */
char *session_log(const struct session *session);

extern volatile sig_atomic_t stop_asked;

/* ---- a small filesystem (differ_full.c) ---- */

int full_mount(struct session *session);
void full_unmount(struct session *session);
/* Leaves so many bytes, or all if it is negative. */
int full_fill(const struct session *session, int64_t leave);
bool full_is_reached(const struct session *session);
/* After an operation that failed for want of space: the plain side takes over what times moved. */
void full_settle(const struct session *session, time_t start);

/* ---- workers ---- */

struct job {
	const struct program *program;
	const struct options *options;
	size_t from;
	bool is_plain;
	const char *dir; /* the side's root */
	time_t start;
	const struct lowers *lowers;
};

struct worker {
	pid_t pid;
	int socket;
};

/* 0 or -errno. Runs the operations from job->from to the next remount or the end. */
int worker_start(struct worker *worker, const struct job *job);
void worker_end(struct worker *worker, bool kill_it);
/* What it says next, allocated; NULL when it has died (-EPIPE) or hangs (-EAGAIN). */
char *worker_hear(const struct worker *worker, int *error);
int worker_tell(const struct worker *worker, const char *s);

/* ---- user namespaces ---- */

/*
 * Goes on in a child that is root of a user namespace with 65536 ids, in a directory of
 * its own in options->dir: 1 there.  0 in the parent when the child has ended, with its
 * exit status.  Or -errno.
 */
int userns_enter(struct options *options, int *ret_status);

/* ---- running and shrinking ---- */

struct outcome {
	bool differs;
	size_t op; /* index, or the program's count: after its end */
	uint64_t n_done;
	struct text message, signature;
};

/* 0, or -errno when it could not be run at all. */
int program_run(const struct program *program, const struct options *options, struct outcome *ret);
void outcome_done(struct outcome *outcome);
/* The same for several workers on the same names, who have no program. */
int shared_run(uint64_t seed, const struct options *options, struct outcome *ret);

/* Takes out of `program` what is not needed for the difference `outcome`, which it updates. */
void program_shrink(struct program *program, const struct options *options,
		    struct outcome *outcome);

#endif
