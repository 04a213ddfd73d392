/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/process.h"

#include <stdio.h>

#include "base/cleanup.h"

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
