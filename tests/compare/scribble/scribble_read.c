/* SPDX-License-Identifier: GPL-3.0-or-later */
/* scribble: operations that look at the file, and do not change what it holds. */
#include "scribble.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

void op_read(struct worker *w)
{
	read_and_check(w, "a descriptor", w->fds[below(&w->random, 2) ? READ : WRITE]);
}

void op_read_before(struct worker *w)
{
	read_and_check(w, "a descriptor of before", before.fd);
}

void op_read_map(struct worker *w)
{
	bool private = below(&w->random, 3) == 0;

	if (!clip(w))
		return;
	check(private ? "a private mapping" : "a mapping", w->off,
	      (private ? w->private_map : w->map) + w->off, w->len);
}

void op_read_map_before(struct worker *w)
{
	bool private = below(&w->random, 3) == 0;

	if (!clip(w))
		return;
	check(private ? "a private mapping of before" : "a mapping of before", w->off,
	      (private ? before.private_map : before.map) + w->off, w->len);
}

/* The pages of the range are read whole; what of them is compared is the range. */
void op_read_direct(struct worker *w)
{
	off_t start = w->off & -PAGE, skipped = w->off - start;
	size_t len = ((size_t)skipped + w->len + PAGE - 1) & -PAGE;
	ssize_t n;

	if (!settings.has_direct || len > BUFFER || !clip(w))
		return;
	n = pread(w->fds[DIRECT], w->buffer, len, start);
	if (n < skipped + (ssize_t)w->len)
		fail("O_DIRECT: read %zd of %zu bytes at %ld: %s", n, w->len, (long)start,
		     strerror(errno));
	check("O_DIRECT", w->off, w->buffer + skipped, w->len);
}

void op_seek(struct worker *w)
{
	off_t limit = w->own ? least(w->end, w->size) : w->size;
	int fd = w->fds[READ];
	off_t data = lseek(fd, w->off, SEEK_DATA), i;
	int data_errno = errno;
	off_t hole = lseek(fd, w->off, SEEK_HOLE);

	if (w->off >= w->size) {
		if (!w->own && (data >= 0 || hole >= 0))
			fail("SEEK at %ld, beyond the end: data %ld, hole %ld", (long)w->off,
			     (long)data, (long)hole);
		return;
	}
	if (data < 0 && data_errno == ENXIO)
		data = w->size;
	if (data < w->off || hole < w->off || (!w->own && hole > w->size))
		fail("SEEK at %ld: data %ld, hole %ld: %s", (long)w->off, (long)data, (long)hole,
		     strerror(errno));
	for (i = w->off; i < least(data, limit); i++)
		if (shared->data[i])
			fail_at(i, "SEEK_DATA at %ld is %ld: but offset %ld is 0x%02x",
				(long)w->off, (long)data, (long)i, shared->data[i]);
}

void op_stat(struct worker *w)
{
	nlink_t n_links = 0;
	struct stat st;
	unsigned i;

	if (fstat(w->fds[READ], &st) < 0)
		fail("%s", strerror(errno));
	for (i = 0; i < N_NAMES; i++)
		n_links += shared->there[i];
	if (st.st_nlink != n_links)
		fail("%lu links, not %lu", st.st_nlink, n_links);
	if (st.st_size < w->size || (!w->own && st.st_size != w->size))
		fail("st_size is %ld", (long)st.st_size);
}

/* What is written to a private mapping is seen there and in no file. */
void op_write_private(struct worker *w)
{
	off_t start = w->off & -PAGE;
	unsigned char *map;
	size_t map_len;

	if (!clip(w))
		return;
	map_len = w->len + (size_t)(w->off - start);
	map = mmap(NULL, map_len, PROT_READ | PROT_WRITE, MAP_PRIVATE, w->fds[READ], start);
	if (map == MAP_FAILED)
		fail("%s", strerror(errno));
	fill(&w->random, w->buffer, w->len);
	memcpy(map + (w->off - start), w->buffer, w->len);
	compare("a private mapping", w->off, map + (w->off - start), w->len, w->buffer);
	munmap(map, map_len);
	read_and_check(w, "a descriptor, after a private write", w->fds[READ]);
}

/* Copies `len` bytes; the kernel may do it in pieces. */
void copy_range(int in, off_t from, int out, off_t to, size_t len)
{
	ssize_t n;

	for (; len; len -= (size_t)n) {
		n = copy_file_range(in, &from, out, &to, len, 0);
		if (n <= 0)
			fail("copied %zd, %zu bytes before the end: %s", n, len, strerror(errno));
	}
}

void op_copy_out(struct worker *w)
{
	ssize_t n;

	if (!clip(w))
		return;
	if (ftruncate(w->out, 0) < 0)
		fail("%s", strerror(errno));
	copy_range(w->fds[READ], w->off, w->out, 0, w->len);
	n = pread(w->out, w->buffer, BUFFER, 0);
	if (n != (ssize_t)w->len)
		fail("a copy has %zd of %zu bytes", n, w->len);
	check("a copy", w->off, w->buffer, w->len);
}
