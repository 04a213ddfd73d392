/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "host/process.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"

DEFINE_CLEANUP(FILE *, file, fclose)

bool process_is_of(pid_t pid, uid_t uid)
{
	CLEANUP(cleanup_file) FILE *file = NULL;
	char path[32], line[256];
	unsigned int real, effective, saved;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	file = fopen(path, "re");
	/* The name of the program, which may be anything, is escaped and comes in one line. */
	while (file && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "Uid: %u %u %u", &real, &effective, &saved) == 3)
			return real == uid && effective == uid && saved == uid;
	}
	return false;
}

static bool is_in_our_namespace(pid_t pid)
{
	cleanup_free char *ours = NULL, *its = NULL;
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/ns/user", (int)pid);
	return fd_readlink(AT_FDCWD, "/proc/self/ns/user", &ours) == 0 &&
	       fd_readlink(AT_FDCWD, path, &its) == 0 && strcmp(ours, its) == 0;
}

bool process_maps(pid_t pid, uid_t uid)
{
	CLEANUP(cleanup_file) FILE *file = NULL;
	char path[32], line[256];
	unsigned int inside, outside, n;

	if (is_in_our_namespace(pid))
		return false;
	snprintf(path, sizeof(path), "/proc/%d/uid_map", (int)pid);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%u %u %u", &inside, &outside, &n) == 3 && uid >= outside &&
		    uid - outside < n)
			return true;
	}
	return false;
}

bool process_is_privileged(void)
{
	const ino_t initial = 0xEFFFFFFDU; /* USER_NS_INIT_INO (Linux include/uapi/linux/nsfs.h) */
	struct stat st;

	return geteuid() == 0 && stat("/proc/self/ns/user", &st) == 0 && st.st_ino == initial;
}
