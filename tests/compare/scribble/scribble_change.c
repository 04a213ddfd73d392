/* SPDX-License-Identifier: GPL-3.0-or-later */
/* scribble: operations that change what the file holds, and the model with it. */
#include "scribble.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/falloc.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"

/* Whole pages, for O_DIRECT. */
static void align(struct worker *w)
{
	w->off &= -PAGE;
	w->len = (w->len + PAGE - 1) & -PAGE;
	current->off = w->off;
	current->len = w->len;
}

static void grow(off_t size)
{
	off_t old = shared->size;

	while (old < size && !atomic_compare_exchange_weak(&shared->size, &old, size)) {
	}
}

void resized(off_t size)
{
	if (size < shared->size)
		memset(shared->data + size, 0, (size_t)(shared->size - size));
	shared->size = size;
}

static void changing(void)
{
	shared->changed = true;
}

static void wrote(off_t off, const unsigned char *p, ssize_t n, size_t len)
{
	if (n != (ssize_t)len)
		fail("wrote %zd of %zu bytes: %s", n, len, strerror(errno));
	memcpy(shared->data + off, p, len);
	grow(off + (off_t)len);
}

/* ---- operations ---- */

/* Whether write(2) beyond the end does not mind mappings: see Limits. */
static bool grows_safely(void)
{
	return settings.strict || settings.plain ||
	       (settings.more_options && strstr(settings.more_options, "writeback=1"));
}

/* What a mapping left in it is not to be written back later, while the file grows. */
static void clean_last_page(struct worker *w)
{
	const unsigned all = SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE |
			     SYNC_FILE_RANGE_WAIT_AFTER;

	if (w->own || grows_safely() || w->off + (off_t)w->len <= w->size)
		return;
	if (sync_file_range(w->fds[WRITE], w->size & -PAGE, PAGE, all) < 0)
		fail("sync_file_range: %s", strerror(errno));
}

void op_write(struct worker *w)
{
	if (w->own && !grows_safely() && !clip(w))
		return;
	changing();
	clean_last_page(w);
	fill(&w->random, w->buffer, w->len);
	wrote(w->off, w->buffer, pwrite(w->fds[WRITE], w->buffer, w->len, w->off), w->len);
}

void op_append(struct worker *w)
{
	w->off = w->size;
	w->len = (size_t)least((off_t)w->len, LIMIT - w->off);
	current->off = w->off;
	changing();
	clean_last_page(w);
	fill(&w->random, w->buffer, w->len);
	wrote(w->off, w->buffer, write(w->fds[APPEND], w->buffer, w->len), w->len);
}

void op_write_map(struct worker *w)
{
	if (!clip(w))
		return;
	changing();
	fill(&w->random, w->buffer, w->len);
	memcpy(w->map + w->off, w->buffer, w->len);
	memcpy(shared->data + w->off, w->buffer, w->len);
}

void op_write_direct(struct worker *w)
{
	align(w);
	if (!settings.has_direct || w->off + (off_t)w->len > LIMIT)
		return;
	changing();
	clean_last_page(w);
	fill(&w->random, w->buffer, w->len);
	wrote(w->off, w->buffer, pwrite(w->fds[DIRECT], w->buffer, w->len, w->off), w->len);
}

void op_truncate(struct worker *w)
{
	off_t size = least(w->off, LIMIT);
	unsigned i = (unsigned)below(&w->random, N_NAMES);
	char path[PATH_MAX];
	int r;

	if (below(&w->random, 6) == 0)
		size = below(&w->random, 3);
	current->off = size;
	current->len = LIMIT;
	changing();
	if (shared->there[i] && below(&w->random, 2))
		r = truncate(path_in(path, "mnt", names[i]), size);
	else
		r = ftruncate(w->fds[WRITE], size);
	if (r < 0)
		fail("to %ld: %s", (long)size, strerror(errno));
	resized(size);
}

/* mode: of fallocate. */
static void allocate(struct worker *w, int mode)
{
	off_t end = w->off + (off_t)w->len;

	if (mode & ~settings.modes)
		return;
	changing();
	if (fallocate(w->fds[WRITE], mode, w->off, (off_t)w->len) < 0)
		fail("fallocate 0x%x: %s", (unsigned)mode, strerror(errno));
	if (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
		memset(shared->data + w->off, 0, w->len);
	if (!(mode & FALLOC_FL_KEEP_SIZE))
		grow(end);
}

void op_allocate(struct worker *w)
{
	allocate(w, below(&w->random, 2) ? FALLOC_FL_KEEP_SIZE : 0);
}

void op_punch(struct worker *w)
{
	allocate(w, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE);
}

void op_zero(struct worker *w)
{
	allocate(w, FALLOC_FL_ZERO_RANGE | (below(&w->random, 2) ? FALLOC_FL_KEEP_SIZE : 0));
}

void op_copy_in(struct worker *w)
{
	off_t from = below(&w->random, SOURCE_SIZE - BUFFER);
	char path[PATH_MAX];
	cleanup_fd int fd = open(path_in(path, "mnt", "source"), O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		fail("%s: %s", path, strerror(errno));
	changing();
	copy_range(fd, from, w->fds[WRITE], w->off, w->len);
	wrote(w->off, shared->source + from, (ssize_t)w->len, w->len);
}

/* To where it does not overlap, which is an error. */
void op_copy_within(struct worker *w)
{
	off_t to = below(&w->random, least(w->size + 20000, LIMIT));

	if (!clip(w))
		return;
	if (to + (off_t)w->len > w->off && to < w->off + (off_t)w->len)
		to = w->off + (off_t)w->len;
	if (to + (off_t)w->len > LIMIT)
		return;
	current->to = to;
	changing();
	copy_range(w->fds[READ], w->off, w->fds[WRITE], to, w->len);
	memcpy(w->buffer, shared->data + w->off, w->len);
	wrote(to, w->buffer, (ssize_t)w->len, w->len);
}
