/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * deep VERB DIR COUNT [ARGUMENT]: what can be done COUNT directories "d" below DIR, where no path
 * is short enough for one call.
 *
 *   make     makes the directories, and in each a file "z"; in the last one it has another name,
 * "l" append   appends a byte to "z" in the last one read     tells how long "z", or the file
 * ARGUMENT, in the last one is, how many links it has and its first byte list     tells how many
 * names there are, going down and coming up again handle   gets a handle of the last one, and opens
 * it again when the kernel has forgotten all kill     goes down, kills the process ARGUMENT, and
 * makes a file "k" there and removes it remove   removes "z" and "l" in the last one
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

__attribute__((noreturn)) static void die(const char *what, unsigned long depth)
{
	fprintf(stderr, "deep: %s at depth %lu: %s\n", what, depth, strerror(errno));
	exit(1);
}

static int step(int at, const char *name, unsigned long depth)
{
	int next = openat(at, name, O_RDONLY | O_DIRECTORY);

	if (next < 0)
		die(name, depth);
	close(at);
	return next;
}

static void make(int at, unsigned long count)
{
	for (unsigned long i = 1; i <= count; i++) {
		int fd;

		if (mkdirat(at, "d", 0755) < 0)
			die("mkdir", i);
		at = step(at, "d", i);
		fd = openat(at, "z", O_WRONLY | O_CREAT, 0644);
		if (fd < 0 || write(fd, "z", 1) != 1 || close(fd) < 0)
			die("z", i);
		if (i == count && linkat(at, "z", at, "l", 0) < 0)
			die("link", i);
	}
}

static unsigned long count_names(int at, unsigned long depth)
{
	int fd = openat(at, ".", O_RDONLY | O_DIRECTORY);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	unsigned long n = 0;

	if (!dir)
		die("opendir", depth);
	while ((errno = 0, entry = readdir(dir))) {
		struct stat st;

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (fstatat(at, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			die(entry->d_name, depth);
		if (st.st_ino != entry->d_ino)
			die("another number in the listing", depth);
		n++;
	}
	if (errno)
		die("readdir", depth);
	closedir(dir);
	return n;
}

/* Twice each, so that what was let go of on the way down is wanted on the way up. */
static void list(int at, unsigned long count)
{
	unsigned long n = 0, again = 0;

	for (unsigned long i = 0; i <= count; i++) {
		at = i ? step(at, "d", i) : at;
		n += count_names(at, i);
	}
	for (unsigned long i = count + 1; i-- > 0;) {
		again += count_names(at, i);
		at = i ? step(at, "..", i) : at;
	}
	printf("%lu %lu\n", n, again);
}

static int down(int at, unsigned long count)
{
	for (unsigned long i = 1; i <= count; i++)
		at = step(at, "d", i);
	return at;
}

static void append(int at, unsigned long depth)
{
	int fd = openat(at, "z", O_WRONLY | O_APPEND);

	if (fd < 0 || write(fd, "a", 1) != 1 || close(fd) < 0)
		die("append", depth);
}

static void tell(int at, const char *name, unsigned long depth)
{
	int fd = openat(at, name, O_RDONLY);
	struct stat st;
	char first;

	if (fd < 0 || fstat(fd, &st) < 0 || read(fd, &first, 1) != 1)
		die("read", depth);
	printf("%lld %lu %c\n", (long long)st.st_size, (unsigned long)st.st_nlink, first);
}

static void kill_and_go_on(int at, pid_t pid, unsigned long depth)
{
	int fd;

	if (kill(pid, SIGKILL) < 0)
		die("kill", depth);
	fd = openat(at, "k", O_WRONLY | O_CREAT | O_EXCL, 0600);
	if (fd < 0 || close(fd) < 0 || unlinkat(at, "k", 0) < 0)
		die("make a file", depth);
}

static void forget_all(void)
{
	int fd;

	sync();
	fd = open("/proc/sys/vm/drop_caches", O_WRONLY);
	if (fd < 0 || write(fd, "2", 1) != 1)
		die("drop_caches", 0);
	close(fd);
}

static void reopen(int top, int at, unsigned long depth)
{
	union {
		struct file_handle handle;
		char room[sizeof(struct file_handle) + MAX_HANDLE_SZ];
	} u = { .handle.handle_bytes = MAX_HANDLE_SZ };
	struct stat before, after;
	int id, fd;

	if (name_to_handle_at(at, "z", &u.handle, &id, 0) < 0 || fstatat(at, "z", &before, 0) < 0)
		die("name_to_handle_at", depth);
	close(at);
	forget_all();
	fd = open_by_handle_at(top, &u.handle, O_RDONLY);
	if (fd < 0 || fstat(fd, &after) < 0)
		die("open_by_handle_at", depth);
	if (before.st_ino != after.st_ino)
		die("another file", depth);
}

/* What is done at the bottom. */
static void act(const char *verb, const char *argument, int top, int at, unsigned long depth)
{
	if (strcmp(verb, "append") == 0)
		append(at, depth);
	else if (strcmp(verb, "read") == 0)
		tell(at, argument ? argument : "z", depth);
	else if (strcmp(verb, "handle") == 0)
		reopen(top, at, depth);
	else if (strcmp(verb, "kill") == 0 && argument)
		kill_and_go_on(at, atoi(argument), depth);
	else if (strcmp(verb, "remove") != 0 || unlinkat(at, "z", 0) < 0 ||
		 unlinkat(at, "l", 0) < 0)
		die(verb, depth);
}

int main(int argc, char *argv[])
{
	unsigned long depth = argc >= 4 ? strtoul(argv[3], NULL, 10) : 0;
	int top = argc >= 4 ? open(argv[2], O_RDONLY | O_DIRECTORY) : -1;
	int at = top < 0 ? -1 : dup(top);

	if (at < 0) {
		fprintf(stderr, "deep: VERB DIR COUNT [ARGUMENT]\n");
		return 2;
	}
	if (strcmp(argv[1], "make") == 0)
		make(at, depth);
	else if (strcmp(argv[1], "list") == 0)
		list(at, depth);
	else
		act(argv[1], argv[4], top, down(at, depth), depth);
	return fflush(stdout) != 0;
}
