/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "upper/orphan.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/fd.h"

struct orphan_name orphan_name(uint64_t ino)
{
	struct orphan_name name;

	snprintf(name.s, sizeof(name.s), "%" PRIx64, ino);
	return name;
}

pthread_mutex_t *orphan_lock(struct upper *upper, uint64_t ino)
{
	return &upper->orphan_locks[ino % ORPHAN_LOCKS];
}

bool orphan_is_kept(const struct upper *upper, uint64_t ino, ino_t real)
{
	struct stat st;

	return fd_stat(upper->orphans, orphan_name(ino).s, &st) == 0 && st.st_ino == real;
}
