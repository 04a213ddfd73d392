/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "verb/recover.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "copyup/group.h"
#include "copyup/rejoin.h"
#include "lower/tour.h"
#include "node/names.h"
#include "node/object.h"
#include "node/orphans.h"
#include "verb/verbs.h"

static int put_back(struct fs *fs, const struct quiet_note *note)
{
	cleanup_fd_ref struct fd_ref *ref = NULL;
	cleanup_node struct node *node = NULL;
	int r = fs_find(fs, note->ino, &node);

	if (r == -ENOMEM)
		return r;
	if (node && node_has_upper(node))
		ref = object_open(fs, node, &r);
	if (ref && note->mode)
		fd_chmod(ref->fd, note->mode & 07777);
	else if (ref)
		fd_utimens(ref->fd, note->times);
	return 0;
}

int recover_quiet(struct fs *fs)
{
	for (size_t i = 0; fs->config->kept && i < QUIET_NOTES; i++) {
		struct quiet_note *note = &fs->config->kept->quiet[i];
		int r = note->ino && note->ino != UINT64_MAX ? put_back(fs, note) : 0;

		if (r < 0)
			return r;
		note->ino = 0;
	}
	return 0;
}

/* Gives a name that was left behind the copy. */
static int look_up(void *context, struct node *dir, const char *name)
{
	cleanup_node struct node *node = NULL;
	int r = rejoin_step(context, dir, name, &node);

	return r < 0 ? r : 0;
}

static int complete(struct fs *fs, uint64_t ino)
{
	cleanup_lower_obj struct lower_obj *lower = NULL;
	int r = tour_find(fs->lower, ino, &lower);

	if (r == LOWER_FOUND && !S_ISDIR(lower->type))
		r = names_visible(fs, lower, look_up, fs);
	return r < 0 ? r : 0;
}

int recover_groups(struct fs *fs)
{
	cleanup_dir DIR *stream = NULL;
	struct dirent *entry;
	int r = fd_opendir(fs->upper.groups, &stream);

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
int fs_drop_orphans(struct fs *fs, bool (*is_awaited)(void *context, uint64_t ino), void *context)
{
	cleanup_dir DIR *stream = NULL;
	struct dirent *entry;
	int r = fs->upper.orphans >= 0 ? fd_opendir(fs->upper.orphans, &stream) : 0;

	if (r < 0 || !stream)
		return r;
	while ((errno = 0, entry = readdir(stream))) {
		uint64_t ino = strtoull(entry->d_name, NULL, 16), parent;

		if (ino && !nodes_was_told(&fs->nodes, ino, &parent) && !is_awaited(context, ino))
			orphans_remove(fs, ino);
	}
	return -errno;
}
