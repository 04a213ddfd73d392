/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "quiet.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "upper.h"

struct quiet_note *quiet_begin(struct fs *fs, uint64_t ino, const struct timespec times[2],
			       mode_t mode)
{
	for (size_t i = 0; fs->config->kept && i < QUIET_NOTES; i++) {
		struct quiet_note *note = &fs->config->kept->quiet[i];
		uint64_t none = 0;

		/* All of it is there before the number is: until then it says nothing. */
		if (!__atomic_compare_exchange_n(&note->ino, &none, UINT64_MAX, false,
						 __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
			continue;
		note->mode = mode;
		if (!mode)
			memcpy(note->times, times, sizeof(note->times));
		__atomic_store_n(&note->ino, ino, __ATOMIC_RELEASE);
		return note;
	}
	return NULL;
}

void quiet_end(struct quiet_note *note)
{
	if (note)
		__atomic_store_n(&note->ino, 0, __ATOMIC_RELEASE);
}

static int put_back(struct fs *fs, const struct quiet_note *note)
{
	cleanup_fd_ref struct fd_ref *ref = NULL;
	cleanup_node struct node *node = NULL;
	int r = fs_find(fs, note->ino, &node);

	if (r == -ENOMEM)
		return r;
	if (node && node_has_upper(node))
		ref = upper_open(fs, node, &r);
	if (ref && note->mode)
		fd_chmod(ref->fd, note->mode & 07777);
	else if (ref)
		fd_utimens(ref->fd, note->times);
	return 0;
}

int quiet_take_over(struct fs *fs)
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

/* With node->names held, so that the mode is nobody else's to change. */
static int open_by_mode(struct fs *fs, struct node *node, int path, int flags)
{
	struct quiet_note *note;
	struct stat st;
	int fd, r = fd_stat(path, NULL, &st);

	if (r < 0)
		return r;
	if (st.st_uid != geteuid())
		return -EACCES;
	note = quiet_begin(fs, node->ino, NULL, st.st_mode);
	r = fd_chmod(path, (st.st_mode & 07777) | 0600);
	fd = r < 0 ? r : fd_reopen(path, flags);
	r = fd_chmod(path, st.st_mode & 07777);
	quiet_end(note);
	if (r < 0 && fd >= 0) {
		close(fd);
		return r;
	}
	return fd;
}

int quiet_open(struct fs *fs, struct node *node, int path, int flags)
{
	int fd = fd_reopen(path, flags);

	if (fd != -EACCES)
		return fd;
	pthread_mutex_lock(&node->names);
	fd = open_by_mode(fs, node, path, flags);
	pthread_mutex_unlock(&node->names);
	return fd;
}
