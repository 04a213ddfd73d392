/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Supervisors are found by the memory that their note is in.  A child that is just
 * becoming a worker may have it open too.
 */
#include "serving.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "host/mounted.h"
#include "host/process.h"

static const char link_of_note[] = "/memfd:" MOUNT_NOTE_NAME " (deleted)";

/* False: it is not there any more, or not what it should be. */
static bool read_note(pid_t pid, int fd, struct mount_note *ret)
{
	cleanup_fd int note_fd = -1;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)pid, fd);
	note_fd = open(path, O_RDONLY | O_CLOEXEC);
	return note_fd >= 0 && pread(note_fd, ret, sizeof(*ret), 0) == sizeof(*ret) &&
	       ret->magic == MOUNT_NOTE_MAGIC;
}

/* The number of the descriptor by which a process has a note; -1: it has none. */
static int find_note(pid_t pid)
{
	cleanup_dir DIR *dir = NULL;
	struct dirent *entry;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		char target[sizeof(link_of_note)];
		ssize_t n = readlinkat(dirfd(dir), entry->d_name, target, sizeof(target));

		if (n == sizeof(link_of_note) - 1 && memcmp(target, link_of_note, (size_t)n) == 0)
			return atoi(entry->d_name);
	}
	return -1;
}

/* 0: not known. */
static pid_t parent_of(pid_t pid)
{
	char path[64], text[512];
	const char *end;
	int parent;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd_read_text(path, text, sizeof(text));
	/* The program's name may have anything in it. */
	end = strrchr(text, ')');
	return end && sscanf(end + 1, " %*c %d", &parent) == 1 ? parent : 0;
}

/*
 * Whether the process may speak for a mount: anybody can have a note that names any. Of a mount
 * that is not seen from here nobody else's word is taken for it.
 */
static bool is_owner(pid_t pid, dev_t dev)
{
	uid_t owner;

	return !mounted_owner(dev, &owner) || process_is_of(pid, owner);
}

static int add(struct serving **list, size_t *n, const struct serving *added)
{
	struct serving *larger = realloc(*list, (*n + 1) * sizeof(*larger));

	if (!larger)
		return -ENOMEM;
	*list = larger;
	larger[(*n)++] = *added;
	return 0;
}

int serving_find_all(struct serving **ret, size_t *ret_n)
{
	cleanup_free struct serving *list = NULL;
	cleanup_dir DIR *proc = opendir("/proc");
	struct dirent *entry;
	size_t n = 0;
	int r = 0;

	if (!proc)
		return -errno;
	while (r == 0 && (entry = readdir(proc))) {
		struct serving found = { .pid = atoi(entry->d_name) };
		struct mount_note note;

		found.note_fd = found.pid > 0 ? find_note(found.pid) : -1;
		if (found.note_fd < 0 || find_note(parent_of(found.pid)) >= 0 ||
		    !read_note(found.pid, found.note_fd, &note))
			continue;
		found.dev = note.dev;
		if (!is_owner(found.pid, found.dev))
			continue;
		r = add(&list, &n, &found);
	}
	if (r < 0)
		return r;
	*ret = take_ptr(list);
	*ret_n = n;
	return 0;
}

int serving_upgrade(const struct serving *process, unsigned int max_seconds,
		    char why[MOUNT_NOTE_TEXT])
{
	const struct timespec pause = { .tv_nsec = 5000000 };
	cleanup_fd int pidfd = (int)syscall(SYS_pidfd_open, process->pid, 0);
	struct mount_note before, note;

	/* Its number may be another process's by now: what is looked at is what gets the signal. */
	if (pidfd < 0 || !read_note(process->pid, process->note_fd, &before) ||
	    before.dev != process->dev || !is_owner(process->pid, process->dev))
		return -ESRCH;
	if (syscall(SYS_pidfd_send_signal, pidfd, SIGUSR2, NULL, 0) < 0)
		return -errno;
	for (unsigned int i = 0; i < max_seconds * 200; i++) {
		nanosleep(&pause, NULL);
		if (!read_note(process->pid, process->note_fd, &note))
			return -ESRCH;
		if (note.n_upgrades == before.n_upgrades)
			continue;
		/* Again, as the outcome is written before the number is. */
		if (!read_note(process->pid, process->note_fd, &note))
			return -ESRCH;
		note.outcome[MOUNT_NOTE_TEXT - 1] = '\0';
		memcpy(why, note.outcome, MOUNT_NOTE_TEXT);
		return *why ? SERVING_REFUSED : 0;
	}
	return -ETIMEDOUT;
}
