/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/claim.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "core/mounted.h"

static const char note_name[] = "owner";

/* The note: the owner's process, its mount, and where that is. */
struct note {
	long pid;
	uint64_t mount_id; /* 0: there is no note */
	char path[PATH_MAX];
};

static void read_note(int work, struct note *ret)
{
	cleanup_fd int fd = fd_open_own(work, note_name, O_RDONLY, 0);
	char text[PATH_MAX + 64];
	ssize_t n = fd < 0 ? fd : fd_pread_all(fd, text, sizeof(text) - 1, 0);
	int at = 0;

	text[n > 0 ? n : 0] = '\0';
	*ret = (struct note){ 0 };
	if (sscanf(text, "%ld %" SCNu64 " %n", &ret->pid, &ret->mount_id, &at) != 2)
		ret->mount_id = 0;
	snprintf(ret->path, sizeof(ret->path), "%s", text + at);
}

enum owner {
	OWNER_UNKNOWN, /* there is no note: it mounts just now, or with another work directory */
	OWNER_GONE, /* its mount is not there any more: it is closing */
	OWNER_MOUNTED,
};

static enum owner find_owner(int work)
{
	struct note note;
	char path[PATH_MAX + 64];

	read_note(work, &note);
	if (!note.mount_id)
		return OWNER_UNKNOWN;
	/* As the owner sees it: it may have a mount namespace of its own. */
	snprintf(path, sizeof(path), "/proc/%ld/root%s", note.pid, note.path);
	return mounted_id(path, NULL) == note.mount_id ? OWNER_MOUNTED : OWNER_GONE;
}

int claim_take(int dirfd, int work)
{
	static const int patience_ms[] = { [OWNER_UNKNOWN] = 300, [OWNER_GONE] = 10000 };
	const struct timespec pause = { .tv_nsec = 2000000 };
	struct stat st;

	for (int waited_ms = 0; flock(dirfd, LOCK_EX | LOCK_NB) < 0; waited_ms += 2) {
		enum owner owner;

		if (errno != EWOULDBLOCK)
			return -errno;
		owner = find_owner(work);
		if (owner == OWNER_MOUNTED || waited_ms > patience_ms[owner])
			return -EBUSY;
		nanosleep(&pause, NULL);
	}
	if (fstat(dirfd, &st) < 0)
		return -errno;
	return st.st_nlink ? 0 : -ENOENT;
}

void claim_note(int work, const char *mountpoint)
{
	cleanup_fd int fd = fd_open_own(work, note_name, O_CREAT | O_TRUNC | O_WRONLY, 0600);

	if (fd >= 0)
		dprintf(fd, "%ld %" PRIu64 " %s", (long)getpid(), mounted_id(mountpoint, NULL),
			mountpoint);
}

uint64_t claim_mount(int work, char **place)
{
	struct note note;

	read_note(work, &note);
	*place = note.mount_id ? strdup(note.path) : NULL;
	return *place ? note.mount_id : 0;
}
