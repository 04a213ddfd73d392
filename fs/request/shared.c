/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "request/shared.h"

#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

static int map(int fd, struct shared **ret)
{
	struct shared *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd,
				     0);

	if (shared == MAP_FAILED)
		return -errno;
	*ret = shared;
	return 0;
}

int shared_make(int *ret_fd, struct shared **ret)
{
	cleanup_fd int fd = memfd_create(MOUNT_NOTE_NAME, MFD_CLOEXEC);
	int r;

	if (fd < 0 || ftruncate(fd, sizeof(struct shared)) < 0)
		return -errno;
	r = map(fd, ret);
	if (r < 0)
		return r;
	(*ret)->note = (struct mount_note){ .magic = MOUNT_NOTE_MAGIC,
					    .version = SHARED_VERSION,
					    .size = sizeof(struct shared) };
	*ret_fd = take_fd(&fd);
	return 0;
}

int shared_map(int fd, struct shared **ret, char **error)
{
	struct mount_note note = { 0 };
	struct stat st;

	if (fstat(fd, &st) < 0 || pread(fd, &note, sizeof(note), 0) < 0)
		return -errno;
	if (note.magic == MOUNT_NOTE_MAGIC && note.version == SHARED_VERSION &&
	    note.size == sizeof(struct shared) && (uint64_t)st.st_size == sizeof(struct shared))
		return map(fd, ret);
	if (asprintf(error,
		     "the mount's state is of version %u (%llu bytes), the program's of version "
		     "%d (%zu bytes)",
		     note.version, (unsigned long long)note.size, SHARED_VERSION,
		     sizeof(struct shared)) < 0)
		*error = NULL;
	return -EPROTO;
}

void shared_unmap(struct shared *shared)
{
	if (shared)
		munmap(shared, sizeof(*shared));
}

void shared_note_over(struct shared *shared)
{
	__atomic_store_n(&shared->note.magic, 0, __ATOMIC_RELEASE);
}

void shared_note_upgrade(struct shared *shared, const char *why)
{
	struct mount_note *note = &shared->note;

	snprintf(note->outcome, sizeof(note->outcome), "%s", why);
	__atomic_store_n(&note->n_upgrades, note->n_upgrades + 1, __ATOMIC_RELEASE);
}
