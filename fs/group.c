/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fd.h"
#include "names.h"
#include "upper.h"

int group_begin(struct fs *fs, uint64_t ino, struct staged *staged)
{
	return staged_publish(staged, fs->groups, orphan_name(ino).s, 0);
}

int group_resume(struct fs *fs, uint64_t ino, ino_t *ret)
{
	cleanup_fd int fd = fd_open(fs->groups, orphan_name(ino).s, O_PATH, 0);
	struct stat st;
	int r = fd < 0 ? fd : fd_stat(fd, NULL, &st);

	if (r < 0)
		return r;
	if (state_find(fs->state, st.st_ino) != ino && upper_own_number(fs, fd, &st) != ino)
		return -ENOENT; /* a note of an older version */
	*ret = st.st_ino;
	return take_fd(&fd);
}

void group_end(struct fs *fs, uint64_t ino)
{
	unlinkat(fs->groups, orphan_name(ino).s, 0);
}

/* A lookup of a name that was left behind gives it the copy. */
static int look_up(void *context, struct node *dir, const char *name)
{
	cleanup_entry struct entry entry = { 0 };
	int r = fs_lookup(context, dir, name, &entry);

	return r < 0 ? r : 0;
}

static int complete(struct fs *fs, uint64_t ino)
{
	cleanup_lower_obj struct lower_obj *lower = NULL;
	int r = find_lower_object(fs, ino, &lower);

	if (r == LOWER_FOUND && !S_ISDIR(lower->type))
		r = names_visible(fs, lower, look_up, fs);
	return r < 0 ? r : 0;
}

int groups_complete(struct fs *fs)
{
	cleanup_dir DIR *stream = NULL;
	struct dirent *entry;
	int r = fd_opendir(fs->groups, &stream);

	while (r == 0 && (errno = 0, entry = readdir(stream))) {
		char *end;
		uint64_t ino = strtoull(entry->d_name, &end, 16);

		if (*end || !ino)
			continue;
		r = complete(fs, ino);
		if (r == 0)
			group_end(fs, ino);
		/* What cannot be done now, on a full disk say, is when a name of it is looked up.
		 */
		else if (r != -ENOMEM)
			r = 0;
	}
	return r < 0 ? r : -errno;
}
