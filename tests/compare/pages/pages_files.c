/* SPDX-License-Identifier: GPL-3.0-or-later */
/* pages: the files, and the ways in which they are changed. */
#include "pages.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

#define N_WRITERS 4
#define FILE_LIMIT (64 << 10)

/* ---- contents ---- */

struct content {
	size_t len;
	unsigned char p[FILE_LIMIT];
};

static void fill(uint64_t *random, struct content *content, size_t from, size_t to)
{
	size_t i;

	for (i = from; i < to; i++)
		content->p[i] = (unsigned char)next_random(random);
	content->len = content->len > to ? content->len : to;
}

static size_t usual_length(uint64_t *random)
{
	return 10240 + below(random, 13 << 10);
}

static char *path_of(char *path, const char *dir, unsigned i)
{
	snprintf(path, PATH_MAX, "%s/file-%u", dir, i);
	return path;
}

/* In pieces, as programs write. */
static void write_content(uint64_t *random, int fd, const struct content *content, size_t from,
			  size_t to)
{
	size_t len;

	for (; from < to; from += len) {
		len = below(random, 2) ? PAGE : 1 + below(random, 9000);
		len = len < to - from ? len : to - from;
		write_at(fd, content->p + from, len, (off_t)from);
	}
}

static void read_content(const char *path, struct content *content)
{
	cleanup_fd int fd = open_or_fail(path, O_RDONLY);
	ssize_t n = read(fd, content->p, FILE_LIMIT);

	if (n < 0)
		fail("%s: %s", path, strerror(errno));
	content->len = (size_t)n;
}

static void check_fd(const char *path, const char *through, int fd, const struct content *want)
{
	struct content got;
	struct stat st;
	ssize_t n = pread(fd, got.p, FILE_LIMIT, 0);
	size_t i;

	if (n != (ssize_t)want->len || fstat(fd, &st) < 0 || st.st_size != n)
		fail("%s, %s: %zd bytes, not %zu", path, through, n, want->len);
	for (i = 0; i < want->len; i++)
		if (got.p[i] != want->p[i])
			fail("%s, %s: byte %zu of %zu is 0x%02x, not 0x%02x", path, through, i,
			     want->len, got.p[i], want->p[i]);
}

static void check_path(const char *path, const struct content *want)
{
	cleanup_fd int fd = open_or_fail(path, O_RDONLY);
	const unsigned char *map;

	check_fd(path, "a new descriptor", fd, want);
	if (want->len == 0)
		return;
	map = map_or_fail(fd, want->len, PROT_READ);
	if (memcmp(map, want->p, want->len))
		fail("%s: a mapping differs", path);
	munmap((void *)map, want->len);
}

void files_make(char **args)
{
	unsigned i, n = (unsigned)strtoul(args[1], NULL, 10);
	uint64_t random = strtoull(args[2], NULL, 10);
	struct content content;
	char path[PATH_MAX];

	for (i = 0; i < n; i++) {
		cleanup_fd int fd = open_or_fail(path_of(path, args[0], i),
						 O_WRONLY | O_CREAT | O_EXCL);

		content.len = 0;
		fill(&random, &content, 0, usual_length(&random));
		write_content(&random, fd, &content, 0, content.len);
	}
}

/* ---- how they are changed ---- */

/* Each changes the file and what it should hold. */

static void change_truncated(uint64_t *random, const char *path, struct content *content)
{
	cleanup_fd int fd = open_or_fail(path, O_WRONLY | O_TRUNC);

	content->len = 0;
	fill(random, content, 0, usual_length(random));
	write_content(random, fd, content, 0, content->len);
}

/* What was longer keeps its end. */
static void change_in_place(uint64_t *random, const char *path, struct content *content)
{
	cleanup_fd int fd = open_or_fail(path, O_RDWR);
	size_t to = usual_length(random);

	fill(random, content, 0, to);
	write_content(random, fd, content, 0, to);
}

static void change_replaced(uint64_t *random, const char *path, struct content *content)
{
	char temporary[PATH_MAX];
	cleanup_fd int fd = -1;

	snprintf(temporary, sizeof(temporary), "%.4000s.tmp", path);
	fd = open_or_fail(temporary, O_WRONLY | O_CREAT | O_EXCL);
	content->len = 0;
	fill(random, content, 0, usual_length(random));
	write_content(random, fd, content, 0, content->len);
	if (below(random, 4) == 0 && fsync(fd) < 0)
		fail("fsync: %s", strerror(errno));
	if (rename(temporary, path) < 0)
		fail("rename to %s: %s", path, strerror(errno));
}

static void change_appended(uint64_t *random, const char *path, struct content *content)
{
	cleanup_fd int fd = open_or_fail(path, O_WRONLY | O_APPEND);
	size_t from = content->len, n = 1 + below(random, 5000);

	if (from + n > FILE_LIMIT)
		return;
	fill(random, content, from, from + n);
	if (write(fd, content->p + from, n) != (ssize_t)n)
		fail("append to %s: %s", path, strerror(errno));
}

/* Cut, and written to at a place that may be beyond the end: there is a hole then. */
static void change_cut(uint64_t *random, const char *path, struct content *content)
{
	cleanup_fd int fd = open_or_fail(path, O_RDWR);
	size_t cut = below(random, content->len + 1), from = below(random, 20000);
	size_t to = from + 1 + below(random, 3000);

	if (ftruncate(fd, (off_t)cut) < 0)
		fail("truncate %s: %s", path, strerror(errno));
	content->len = cut;
	if (from > cut)
		memset(content->p + cut, 0, from - cut);
	fill(random, content, from, to);
	write_content(random, fd, content, from, to);
}

typedef void change_fn(uint64_t *random, const char *path, struct content *content);

static change_fn *const changes[] = { change_truncated, change_in_place, change_replaced,
				      change_appended, change_cut };
#define N_CHANGES (sizeof(changes) / sizeof(*changes))

/* Two or three changes; a descriptor of before each sees it, unless the file was replaced. */
static void change_file(uint64_t *random, const char *path, struct content *content)
{
	size_t i, kind, n = 2 + below(random, 2);

	check_path(path, content);
	for (i = 0; i < n; i++) {
		cleanup_fd int before = open_or_fail(path, O_RDONLY);
		struct content old = *content;

		kind = below(random, N_CHANGES);
		changes[kind](random, path, content);
		check_fd(path, "a descriptor of before", before,
			 changes[kind] == change_replaced ? &old : content);
		check_path(path, content);
	}
}

/* What it holds then is noted in the reference. */
static void change_files(const char *dir, const char *reference, unsigned n, unsigned first,
			 uint64_t seed)
{
	uint64_t random = seed * 100 + first;
	char path[PATH_MAX], wanted[PATH_MAX];
	struct content content;
	unsigned i;

	for (i = first; i < n; i += N_WRITERS) {
		cleanup_fd int fd = -1;

		read_content(path_of(wanted, reference, i), &content);
		change_file(&random, path_of(path, dir, i), &content);
		fd = open_or_fail(wanted, O_WRONLY | O_TRUNC);
		write_at(fd, content.p, content.len, 0);
	}
}

static void check_files(const char *dir, const char *reference, unsigned n, unsigned first)
{
	char path[PATH_MAX], wanted[PATH_MAX];
	struct content content;
	unsigned i;

	for (i = 0; i < n; i++) {
		read_content(path_of(wanted, reference, (i + first) % n), &content);
		check_path(path_of(path, dir, (i + first) % n), &content);
	}
}

void files_verify(char **args)
{
	unsigned i, n = (unsigned)strtoul(args[2], NULL, 10);
	pid_t pids[N_WRITERS];

	for (i = 0; i < N_WRITERS; i++) {
		pids[i] = begin();
		if (pids[i] == 0) {
			check_files(args[0], args[1], n, i * n / N_WRITERS);
			_exit(0);
		}
	}
	for (i = 0; i < N_WRITERS; i++)
		await("a reader of files", pids[i]);
}

void files_rewrite(char **args)
{
	unsigned i, n = (unsigned)strtoul(args[2], NULL, 10);
	pid_t pids[N_WRITERS];

	for (i = 0; i < N_WRITERS; i++) {
		pids[i] = begin();
		if (pids[i] == 0) {
			change_files(args[0], args[1], n, i, strtoull(args[3], NULL, 10));
			_exit(0);
		}
	}
	for (i = 0; i < N_WRITERS; i++)
		await("a writer of files", pids[i]);
	files_verify(args);
}
