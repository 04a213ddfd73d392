/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "copyup/group.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "upper/orphan.h"

int group_begin(struct fs *fs, uint64_t ino, struct staged *staged)
{
	return staged_publish(staged, fs->upper.groups, orphan_name(ino).s, 0);
}

int group_resume(struct fs *fs, uint64_t ino, ino_t *ret)
{
	cleanup_fd int fd = fd_open(fs->upper.groups, orphan_name(ino).s, O_PATH, 0);
	struct stat st;
	int r = fd < 0 ? fd : fd_stat(fd, NULL, &st);

	if (r < 0)
		return r;
	if (numbers_noted(&fs->numbers, st.st_ino) != ino &&
	    numbers_own(&fs->numbers, fd, &st) != ino)
		return -ENOENT; /* a note of an older version */
	*ret = st.st_ino;
	return take_fd(&fd);
}

void group_end(struct fs *fs, uint64_t ino)
{
	unlinkat(fs->upper.groups, orphan_name(ino).s, 0);
}
