/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "host/claim.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/xattr.h"
#include "host/holder.h"
#include "host/mounted.h"

static const char note_name[] = "owner";
static const char mark_name[] = "trusted.overlay.claim";

/* A handle of the file in a work directory that is locked (open_by_handle_at(2)). */
struct claim_mark {
	struct file_handle head;
	unsigned char bytes[MAX_HANDLE_SZ];
};

enum {
	PAUSE_MS = 2,
	PATIENCE_MS = 300, /* for who mounts just now, or ends with another work directory */
	CLOSING_MS = 10000, /* for who is known to end */
};

/* The note: the owner's process, its mount, and where that is. */
struct owner_note {
	long pid;
	uint64_t mount_id; /* 0: there is no note */
	char path[PATH_MAX];
};

/* Of the open file; a descriptor that is none has no note. */
static void read_note(int fd, struct owner_note *ret)
{
	char text[PATH_MAX + 64];
	ssize_t n = fd < 0 ? fd : fd_pread_all(fd, text, sizeof(text) - 1, 0);
	int at = 0;

	text[n > 0 ? n : 0] = '\0';
	*ret = (struct owner_note){ 0 };
	if (sscanf(text, "%ld %" SCNu64 " %n", &ret->pid, &ret->mount_id, &at) != 2)
		ret->mount_id = 0;
	snprintf(ret->path, sizeof(ret->path), "%s", text + at);
}

static void read_note_in(int work, struct owner_note *ret)
{
	cleanup_fd int fd = fd_open_own(work, note_name, O_RDONLY, 0);

	read_note(fd, ret);
}

enum owner {
	OWNER_UNKNOWN, /* there is no note: it mounts just now, or with another work directory */
	OWNER_GONE, /* its mount is not there any more: it is closing */
	OWNER_MOUNTED,
};

static enum owner owner_of(const struct owner_note *note)
{
	char path[PATH_MAX + 64];

	if (!note->mount_id)
		return OWNER_UNKNOWN;
	/* As the owner sees it: it may have a mount namespace of its own. */
	snprintf(path, sizeof(path), "/proc/%ld/root%s", note->pid, note->path);
	return mounted_id(path, NULL) == note->mount_id ? OWNER_MOUNTED : OWNER_GONE;
}

/* The open file is the lock, unless it was removed, or replaced, before it was locked. */
static bool is_in_place(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && st.st_nlink;
}

/* Root may be asked to remove what is another user's. */
static bool is_ours(int fd, int work)
{
	struct stat st, dir;

	return fstat(fd, &st) == 0 && fstat(work, &dir) == 0 && S_ISREG(st.st_mode) &&
	       st.st_nlink <= 1 && (st.st_uid == geteuid() || st.st_uid == dir.st_uid);
}

static int open_note(int work)
{
	const int safely = O_NONBLOCK | O_NOCTTY;
	cleanup_fd int fd = fd_open(work, note_name, O_CREAT | O_RDWR | safely, 0600);

	/* On a disk that has become read-only what was claimed can still be let go. */
	if (fd == -EROFS) {
		fd = fd_open(work, note_name, O_RDONLY | safely, 0);
		if (fd == -ENOENT)
			return -EROFS;
	}
	if (fd == -ELOOP || fd == -ENXIO || fd == -EISDIR)
		return -EPERM;
	if (fd < 0)
		return fd;
	return is_ours(fd, work) ? take_fd(&fd) : -EPERM;
}

int claim_work_now(int work)
{
	for (;;) {
		cleanup_fd int fd = open_note(work);

		if (fd < 0)
			return fd;
		if (flock(fd, LOCK_EX | LOCK_NB) < 0)
			return errno == EWOULDBLOCK ? -EBUSY : -errno;
		if (is_in_place(fd))
			return take_fd(&fd);
	}
}

static int pause_for(int waited_ms, int patience_ms)
{
	const struct timespec pause = { .tv_nsec = PAUSE_MS * 1000000 };

	if (waited_ms > patience_ms)
		return -EBUSY;
	nanosleep(&pause, NULL);
	return 0;
}

/* Waits a little for an owner that may be closing; -EBUSY: it is not, or takes too long. */
static int wait_for_owner(const struct owner_note *note, int waited_ms)
{
	static const int patience_ms[] = {
		[OWNER_UNKNOWN] = PATIENCE_MS, [OWNER_GONE] = CLOSING_MS
	};
	enum owner owner = owner_of(note);

	return owner == OWNER_MOUNTED ? -EBUSY : pause_for(waited_ms, patience_ms[owner]);
}

int claim_work(int work)
{
	int fd;

	for (int waited_ms = 0; (fd = claim_work_now(work)) == -EBUSY; waited_ms += PAUSE_MS) {
		struct owner_note note;

		read_note_in(work, &note);
		if (wait_for_owner(&note, waited_ms) < 0)
			break;
	}
	return fd;
}

void claim_await(int work)
{
	int r = 0;

	for (int waited_ms = 0; r == 0; waited_ms += PAUSE_MS) {
		cleanup_fd int fd = claim_work_now(work);

		r = fd == -EBUSY ? pause_for(waited_ms, CLOSING_MS) : 1;
	}
}

/*
 * Whether the mount that passed over a lock on upper is still there, and then its note; what
 * `claim` holds is ours.
 */
enum passed { PASSED_NOBODY, PASSED_GONE, PASSED_LIVES };
static enum passed who_passed(int upper, int claim, struct owner_note *note)
{
	struct claim_mark mark;
	struct stat st, own;
	cleanup_fd int fd = -1;

	*note = (struct owner_note){ 0 };
	if (xattr_get(upper, mark_name, &mark, sizeof(mark)) < (ssize_t)sizeof(mark.head) ||
	    mark.head.handle_bytes > sizeof(mark.bytes))
		return PASSED_NOBODY;
	fd = open_by_handle_at(upper, &mark.head, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return PASSED_GONE;
	if (fstat(claim, &own) == 0 && st.st_dev == own.st_dev && st.st_ino == own.st_ino)
		return PASSED_GONE;
	/* Another user's note may say anything. */
	if (st.st_uid == geteuid())
		read_note(fd, note);
	return flock(fd, LOCK_EX | LOCK_NB) < 0 ? PASSED_LIVES : PASSED_GONE;
}

/* Says in upper, where only root can, by what it is claimed that is not locked itself. */
static int pass(int upper, int claim)
{
	struct claim_mark mark = { .head.handle_bytes = sizeof(mark.bytes) };
	int mount_id;

	if (name_to_handle_at(claim, "", &mark.head, &mount_id, AT_EMPTY_PATH) < 0)
		return -errno;
	return xattr_set(upper, mark_name, &mark, sizeof(mark.head) + mark.head.handle_bytes, 0);
}

/*
 * With the lock on upper (`is_ours`), or while another has it: CLAIMED, or -EBUSY as a mount that
 * passed over a lock lives, with its note; NOT_CLAIMED if it is not said by whom upper is used.
 */
enum { NOT_CLAIMED = 0, CLAIMED = 1 };
static int try_claim(int upper, int claim, bool is_ours, bool asks, struct owner_note *note)
{
	enum passed passed = who_passed(upper, claim, note);

	if (passed == PASSED_LIVES)
		return -EBUSY;
	if (is_ours && passed == PASSED_GONE)
		xattr_remove(upper, mark_name);
	if (!is_ours && !(asks && holder_is_outsider(upper) && pass(upper, claim) == 0))
		return NOT_CLAIMED;
	return CLAIMED;
}

int claim_upper(int upper, int claim)
{
	/* For the lock, and for a mount that did without it. */
	int lock_ms = 0, owner_ms = 0;

	for (;;) {
		bool is_ours = flock(upper, LOCK_EX | LOCK_NB) == 0;
		struct owner_note note;
		int r;

		if (!is_ours && errno != EWOULDBLOCK)
			return -errno;
		/* Whose the lock is takes a look at all processes. */
		r = try_claim(upper, claim, is_ours, lock_ms % PATIENCE_MS == 0, &note);
		if (r == CLAIMED)
			return is_in_place(upper) ? 0 : -ENOENT;
		/* Nobody is to wait for us meanwhile. */
		if (is_ours)
			flock(upper, LOCK_UN);
		if (r < 0) {
			r = wait_for_owner(&note, owner_ms);
			owner_ms += PAUSE_MS;
		} else {
			r = pause_for(lock_ms, PATIENCE_MS);
			lock_ms += PAUSE_MS;
		}
		if (r < 0)
			return r;
	}
}

int claim_note(int claim, const char *mountpoint)
{
	char text[PATH_MAX + 64];
	int n = snprintf(text, sizeof(text), "%ld %" PRIu64 " %s", (long)getpid(),
			 mounted_id(mountpoint, NULL), mountpoint);
	ssize_t done = n < (int)sizeof(text) ? fd_pwrite_all(claim, text, (size_t)n + 1, 0) : 0;

	/* Over what is there, which needs no room, with its NUL; half a note is none. */
	if (done == n + 1)
		return 0;
	if (ftruncate(claim, 0) < 0)
		return -errno;
	return done < 0 ? (int)done : -ENOSPC;
}

uint64_t claim_mount(int work, char **place)
{
	struct owner_note note;

	read_note_in(work, &note);
	*place = note.mount_id ? strdup(note.path) : NULL;
	return *place ? note.mount_id : 0;
}
