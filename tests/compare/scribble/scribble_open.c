/* SPDX-License-Identifier: GPL-3.0-or-later */
/* scribble: operations on the descriptors, mappings and names of the file. */
#include "scribble.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const int fd_flags[N_FDS] = {
	[READ] = O_RDONLY,
	[WRITE] = O_RDWR,
	[APPEND] = O_WRONLY | O_APPEND,
	[DIRECT] = O_RDWR | O_DIRECT,
};

/* By a name that it has, or, sometimes or if there is none, by a descriptor of it. */
static int open_somehow(uint64_t *random, int flags)
{
	unsigned i = (unsigned)below(random, N_NAMES), tries = N_NAMES;
	char path[PATH_MAX];
	int fd;

	while (tries && !shared->there[i]) {
		i = (i + 1) % N_NAMES;
		tries--;
	}
	if (!tries || below(random, 4) == 0)
		snprintf(path, sizeof(path), "/proc/self/fd/%d", before.fd);
	else
		path_in(path, "mnt", names[i]);
	fd = open(path, flags | O_CLOEXEC);
	if (fd < 0)
		fail("%s: %s", path, strerror(errno));
	return fd;
}

void open_all(struct worker *w)
{
	unsigned i;

	for (i = 0; i < N_FDS; i++)
		w->fds[i] = i == DIRECT && !settings.has_direct
				    ? -1
				    : open_somehow(&w->random, fd_flags[i]);
	op_remap(w);
}

void op_reopen(struct worker *w)
{
	off_t i = below(&w->random, N_FDS);

	if (i == DIRECT && !settings.has_direct)
		return;
	close(w->fds[i]);
	w->fds[i] = open_somehow(&w->random, fd_flags[i]);
}

void op_open_trunc(struct worker *w)
{
	current->off = 0;
	current->len = LIMIT;
	shared->changed = true;
	close(w->fds[WRITE]);
	w->fds[WRITE] = open_somehow(&w->random, O_RDWR | O_TRUNC);
	resized(0);
}

void op_remap(struct worker *w)
{
	if (w->map)
		munmap(w->map, LIMIT);
	if (w->private_map)
		munmap(w->private_map, LIMIT);
	w->map = mmap(NULL, LIMIT, PROT_READ | PROT_WRITE, MAP_SHARED, w->fds[WRITE], 0);
	w->private_map = mmap(NULL, LIMIT, PROT_READ, MAP_PRIVATE, w->fds[READ], 0);
	if (w->map == MAP_FAILED || w->private_map == MAP_FAILED)
		fail("mmap: %s", strerror(errno));
}

void op_sync(struct worker *w)
{
	int r = 0;

	switch (below(&w->random, 4)) {
	case 0:
		r = fsync(w->fds[below(&w->random, 3)]);
		break;
	case 1:
		r = fdatasync(w->fds[below(&w->random, 3)]);
		break;
	default:
		if (clip(w))
			r = msync(w->map + (w->off & -PAGE), w->len,
				  below(&w->random, 2) ? MS_SYNC : MS_ASYNC);
	}
	if (r < 0)
		fail("%s", strerror(errno));
}

/* What the kernel keeps of the file is dropped, so that the daemon is asked again. */
void op_drop(struct worker *w)
{
	int r = posix_fadvise(w->fds[READ], 0, 0, POSIX_FADV_DONTNEED);

	if (r)
		fail("%s", strerror(r));
}

/* A name more, a name less, or another name. */
void op_name(struct worker *w)
{
	unsigned i = (unsigned)below(&w->random, N_NAMES), j = (i + 1) % N_NAMES;
	char a[PATH_MAX], b[PATH_MAX];
	bool renaming = below(&w->random, 2);
	int r = 0;

	path_in(a, "mnt", names[i]);
	path_in(b, "mnt", names[j]);
	if (shared->there[i] && shared->there[j]) {
		r = renaming ? rename(a, b) : unlink(a);
		shared->there[i] = renaming; /* two names of one file stay */
	} else if (shared->there[i]) {
		r = renaming ? rename(a, b) : link(a, b);
		shared->there[i] = !renaming;
		shared->there[j] = true;
	}
	if (r < 0)
		fail("%s and %s: %s", a, b, strerror(errno));
}

void op_remove_all(struct worker *w)
{
	char path[PATH_MAX];
	unsigned i;

	(void)w;
	for (i = 0; i < N_NAMES; i++) {
		if (shared->there[i] && unlink(path_in(path, "mnt", names[i])) < 0)
			fail("unlink %s: %s", path, strerror(errno));
		shared->there[i] = false;
	}
}
