/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The locks of an open file are in the fdinfo of each descriptor that stands for it, in whatever
 * process, see proc_pid_fdinfo(5). In /proc/locks is only who took them, which may have handed
 * them on and ended.
 *
 * Who uses the directory could not lock it either while another has it locked, but has it open, and
 * has a lock on something else: its claim of a work directory.
 */
#include "host/holder.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "host/process.h"

DEFINE_CLEANUP(FILE *, file, fclose)

/* An object as it is known without asking for it: what others have open may not answer. */
static bool identify(int dirfd, const char *name, struct statx *ret)
{
	return statx(dirfd, name,
		     AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT | (*name ? 0 : AT_EMPTY_PATH), 0,
		     ret) == 0;
}

static bool is_same(const struct statx *a, const struct statx *b)
{
	return a->stx_dev_major == b->stx_dev_major && a->stx_dev_minor == b->stx_dev_minor &&
	       a->stx_ino == b->stx_ino;
}

static bool is_locked(pid_t pid, const char *number)
{
	CLEANUP(cleanup_file) FILE *file = NULL;
	char path[300], line[256];

	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%s", (int)pid, number);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file)) {
		if (strncmp(line, "lock:", 5) == 0 && strstr(line, "FLOCK"))
			return true;
	}
	return false;
}

/* What a process has of the directory. */
struct use {
	bool is_open, is_locked; /* the directory */
	bool has_lock; /* on anything */
};

static void look_at_fd(pid_t pid, int fds, const char *number, const struct statx *dir,
		       struct use *use)
{
	struct statx st;
	bool is_dir = identify(fds, number, &st) && is_same(&st, dir);
	bool is_locked_here = is_locked(pid, number);

	use->is_open |= is_dir;
	use->is_locked |= is_dir && is_locked_here;
	use->has_lock |= is_locked_here;
}

static struct use look_at_process(pid_t pid, const struct statx *dir)
{
	cleanup_dir DIR *fds = NULL;
	struct use use = { 0 };
	struct dirent *entry;
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	fds = opendir(path);
	while (fds && (entry = readdir(fds))) {
		if (entry->d_name[0] != '.')
			look_at_fd(pid, dirfd(fds), entry->d_name, dir, &use);
	}
	return use;
}

static bool may_write(pid_t pid, uid_t owner)
{
	return process_is_of(pid, 0) || process_is_of(pid, owner) ||
	       process_is_of(pid, geteuid()) || process_maps(pid, owner);
}

bool holder_is_outsider(int dirfd)
{
	cleanup_dir DIR *proc = opendir("/proc");
	bool is_outsiders = false;
	struct dirent *entry;
	struct statx dir;
	struct stat st;

	if (!proc || !identify(dirfd, "", &dir) || fstat(dirfd, &st) < 0 ||
	    st.st_mode & (S_IWGRP | S_IWOTH))
		return false;
	while ((entry = readdir(proc))) {
		pid_t pid = atoi(entry->d_name);
		struct use use;

		if (pid <= 0 || pid == getpid())
			continue;
		use = look_at_process(pid, &dir);
		if (use.is_open && use.has_lock && may_write(pid, st.st_uid))
			return false;
		is_outsiders |= use.is_locked;
	}
	return is_outsiders;
}
