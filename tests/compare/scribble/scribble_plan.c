/* SPDX-License-Identifier: GPL-3.0-or-later */
/* scribble: what a seed means; the file as it begins, and as it is in the end. */
#include "scribble.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"

struct plan plan;
struct before before;
const char *const names[N_NAMES] = { "file", "second", "third" };
static const char *const start_names[] = { "lower", "lower, two names", "upper", "new" };

void plan_show(FILE *f)
{
	fprintf(f, "seed %lu (%s, %ld bytes%s, %s%s)", plan.seed, start_names[plan.start],
		(long)plan.size, plan.holes ? " with holes" : "",
		plan.together ? "together" : "locked", plan.unlinked ? ", removed" : "");
	if (plan.together)
		fprintf(f, ", blocks of %ld", (long)plan.block);
}

void plan_choose(uint64_t seed)
{
	uint64_t random = seed;

	plan = (struct plan){ .seed = seed };
	plan.together = below(&random, 2);
	plan.start = (enum start)below(&random, 4);
	switch (below(&random, 6)) {
	case 0:
		plan.size = below(&random, 2);
		break;
	case 1:
		plan.size = PAGE * (1 + below(&random, 4)) + below(&random, 3) - 1;
		break;
	case 2:
	case 3:
		plan.size = 10240 + below(&random, 13 << 10);
		break;
	default:
		plan.size = (1 << 20) + below(&random, 5000);
		plan.holes = below(&random, 2);
	}
	plan.unlinked = below(&random, 5) == 0;
	plan.block = 700 + below(&random, 4000);
}

/* The file as it begins, written to an empty one. */
static void write_first(int fd)
{
	const off_t step = plan.holes ? 10 * PAGE : BUFFER;
	uint64_t random = plan.seed;
	off_t off, len;

	for (off = 0; off < plan.size; off += step) {
		len = least(plan.size - off, plan.holes ? 3 * PAGE : BUFFER);
		fill(&random, shared->data + off, (size_t)len);
		if (pwrite(fd, shared->data + off, (size_t)len, off) != len)
			fail("%s", strerror(errno));
	}
	if (ftruncate(fd, plan.size) < 0)
		fail("%s", strerror(errno));
	memcpy(shared->first, shared->data, LIMIT);
	shared->size = shared->first_size = plan.size;
	shared->there[0] = true;
}

static int open_in(const char *dir, const char *name, int flags)
{
	char path[PATH_MAX];

	return open(path_in(path, dir, name), flags | O_CLOEXEC, 0644);
}

static void make_first(const char *dir)
{
	cleanup_fd int fd = open_in(dir, names[0], O_RDWR | O_CREAT | O_EXCL);
	char a[PATH_MAX], b[PATH_MAX];

	if (fd < 0)
		fail("cannot make the file: %s", strerror(errno));
	write_first(fd);
	if (plan.start == LINKED) {
		if (link(path_in(a, dir, names[0]), path_in(b, dir, names[1])) < 0)
			fail("link: %s", strerror(errno));
		shared->there[1] = true;
	}
}

static bool begins_in_lower(void)
{
	return !settings.plain && (plan.start == LOWER || plan.start == LINKED);
}

static void lower_stat(unsigned i, struct stat *st)
{
	char path[PATH_MAX];

	if (stat(path_in(path, "lower", names[i]), st) < 0)
		fail("%s: %s", path, strerror(errno));
}

void make_branches(void)
{
	static const char *const dirs[] = { "lower", "upper", "work", "mnt" };
	uint64_t random = ~plan.seed;
	cleanup_fd int fd = -1;
	char path[PATH_MAX];
	unsigned i;

	for (i = 0; i < 4; i++) {
		snprintf(path, sizeof(path), "%s/%s", scratch, dirs[i]);
		if (mkdir(path, 0755) < 0)
			fail("%s: %s", path, strerror(errno));
	}
	fill(&random, shared->source, SOURCE_SIZE);
	fd = open_in(settings.plain ? "mnt" : "lower", "source", O_WRONLY | O_CREAT);
	if (fd < 0 || write(fd, shared->source, SOURCE_SIZE) != SOURCE_SIZE)
		fail("source: %s", strerror(errno));
	if (settings.plain || plan.start == BORN)
		return;
	make_first(plan.start == UPPER ? "upper" : "lower");
	for (i = 0; i < N_NAMES && begins_in_lower(); i++)
		if (shared->there[i])
			lower_stat(i, &shared->stats[i]);
}

/* Where the kernel reads files itself, readers from before the copy-up keep the lower file. */
static void copy_up(void)
{
	for (unsigned i = 0; i < N_NAMES; i++) {
		cleanup_fd int fd = shared->there[i] ? open_in("mnt", names[i], O_RDWR) : -1;

		if (shared->there[i] && fd < 0)
			fail("%s: %s", names[i], strerror(errno));
	}
}

void make_in_mount(void)
{
	if (settings.plain || plan.start == BORN)
		make_first("mnt");
	if (settings.more_options && strstr(settings.more_options, "io=passthrough"))
		copy_up();
}

/* All pages are looked at, so that what the kernel keeps of them could be out of date later. */
static void look_at(const volatile unsigned char *map)
{
	for (off_t off = 0; off < plan.size; off += PAGE)
		(void)map[off];
}

int before_open(void)
{
	before.fd = open_in("mnt", names[0], O_RDONLY);
	if (before.fd < 0)
		return -errno;
	before.map = mmap(NULL, LIMIT, PROT_READ, MAP_SHARED, before.fd, 0);
	before.private_map = mmap(NULL, LIMIT, PROT_READ, MAP_PRIVATE, before.fd, 0);
	if (before.map == MAP_FAILED || before.private_map == MAP_FAILED)
		return -errno;
	look_at(before.map);
	look_at(before.private_map);
	return 0;
}

void before_close(void)
{
	if (before.fd < 0)
		return;
	munmap(before.map, LIMIT);
	munmap(before.private_map, LIMIT);
	close(before.fd);
	before.fd = -1;
}

/* ---- the end ---- */

static void verify_fd(const char *through, int fd)
{
	cleanup_free unsigned char *buffer = malloc(LIMIT);
	off_t size = shared->size, done = 0;
	struct stat st;
	unsigned char *map;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st) < 0 || !buffer)
		fail("%s: %s", through, strerror(errno));
	if (st.st_size != size)
		fail("%s: its size is %ld", through, (long)st.st_size);
	while ((n = pread(fd, buffer + done, (size_t)(LIMIT - done), done)) > 0)
		done += n;
	if (n < 0 || done != size)
		fail("%s: %ld bytes can be read: %s", through, (long)done, strerror(errno));
	check(through, 0, buffer, (size_t)size);
	map = mmap(NULL, LIMIT, PROT_READ, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		fail("%s: mmap: %s", through, strerror(errno));
	check("a new mapping", 0, map, (size_t)size);
	munmap(map, LIMIT);
}

/* The names that are there, and no others, are the file. */
static void verify_names(const char *dir, const char *through)
{
	unsigned i;

	for (i = 0; i < N_NAMES; i++) {
		cleanup_fd int fd = open_in(dir, names[i], O_RDONLY);

		if (shared->there[i])
			verify_fd(through, fd);
		else if (fd >= 0)
			fail("%s: %s is there", through, names[i]);
	}
}

void verify_open(void)
{
	verify_fd("a descriptor of before", before.fd);
	check("a mapping of before", 0, before.map, (size_t)shared->size);
	check("a private mapping of before", 0, before.private_map, (size_t)shared->size);
	verify_names("mnt", "the mount");
}

/* A file that no one changed need not have been copied up; a removed name may have a whiteout. */
void verify_upper(void)
{
	unsigned i;

	for (i = 0; i < N_NAMES && !settings.plain; i++) {
		cleanup_fd int fd = -1;
		char path[PATH_MAX];
		struct stat st;
		bool is_file;

		is_file = lstat(path_in(path, "upper", names[i]), &st) == 0 && S_ISREG(st.st_mode);
		if (!shared->there[i] && is_file && st.st_size)
			fail("upper still has %s", names[i]);
		if (!shared->there[i] || (!is_file && !shared->changed && begins_in_lower()))
			continue;
		fd = open(path, O_RDONLY | O_CLOEXEC);
		verify_fd("the top branch", fd);
	}
}

void verify_lower(void)
{
	unsigned i;

	for (i = 0; i < N_NAMES && begins_in_lower(); i++) {
		cleanup_fd int fd = open_in("lower", names[i], O_RDONLY);
		const struct stat *old = &shared->stats[i];
		struct stat st;

		if ((fd >= 0) != (old->st_nlink > 0))
			fail("names changed in lower: %s", names[i]);
		if (fd < 0)
			continue;
		lower_stat(i, &st);
		if (st.st_ino != old->st_ino || st.st_nlink != old->st_nlink ||
		    st.st_mode != old->st_mode || st.st_mtim.tv_sec != old->st_mtim.tv_sec ||
		    st.st_mtim.tv_nsec != old->st_mtim.tv_nsec)
			fail("lower's %s is not the same file, or has other attributes", names[i]);
		memcpy(shared->data, shared->first, LIMIT);
		resized(shared->first_size);
		verify_fd("the lower branch", fd);
	}
}

void verify_mount(void)
{
	verify_names("mnt", "a new mount");
}
