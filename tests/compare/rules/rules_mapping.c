/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Mapped files agree with read and write, before, over and after copy-up. */
#include "rules.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define SIZE 65536

static void with_file(void)
{
	branch(2);
	big_file("f", SIZE);
	start();
}

static char *map(const char *path, int flags, int protection)
{
	cleanup_fd int fd = open_as(path, flags);
	char *p = mmap(NULL, SIZE, protection, MAP_SHARED, fd, 0);

	check(p != MAP_FAILED);
	return p;
}

static char *map_private(const char *path)
{
	cleanup_fd int fd = open_as(path, O_RDONLY);
	char *p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);

	check(p != MAP_FAILED);
	return p;
}

static void mapping_sees_writes(void)
{
	with_file();
	char *p = map("f", O_RDONLY, PROT_READ);
	check(memcmp(p + 8192, "hello", 5) != 0);
	write_at("f", 8192, "hello");
	check(!memcmp(p + 8192, "hello", 5));
	write_at("f", 100, "again");
	check(!memcmp(p + 100, "again", 5));
	char *q = map("f", O_RDONLY, PROT_READ);
	check(!memcmp(p, q, SIZE));
}

static void reads_see_mapped_writes(void)
{
	with_file();
	cleanup_fd int reader = open_as("f", O_RDONLY);
	char *p = map("f", O_RDWR, PROT_READ | PROT_WRITE);
	memcpy(p, "mapped", 7);
	check_text(fd_text(reader), "mapped");
	check_text(text("f"), "mapped");
	write_at("f", 0, "file");
	check_text(p, "fileed");
	ok(msync(p, SIZE, MS_SYNC));
	munmap(p, SIZE);
	check_text(text("f"), "fileed");
	close(take_fd(&reader));
	remount();
	check_text(text("f"), "fileed");
}

/* Mapped before the copy-up and written to after it. */
static void mapping_of_before_copy_up(void)
{
	with_file();
	char *p = map("f", O_RDWR, PROT_READ | PROT_WRITE), first = p[0];
	char *reader = map("f", O_RDONLY, PROT_READ);
	check_eq(reader[0], first);
	set_mode("f", 0600);
	memcpy(p + 4096, "mapped", 7);
	check_text(reader + 4096, "mapped");
	ok(msync(p, SIZE, MS_SYNC));
	cleanup_fd int fd = open_as("f", O_RDONLY | O_DIRECT);
	static char page[4096] __attribute__((aligned(4096)));
	check_eq(pread(fd, page, sizeof(page), 4096), sizeof(page));
	check_text(page, "mapped");
}

static void private_mapping_keeps_its_own(void)
{
	with_file();
	char *p = map_private("f");
	memcpy(p, "private", 8);
	write_at("f", 0, "public");
	check_text(p, "private");
	write_at("f", 8192, "public");
	check(!memcmp(p + 8192, "public", 6));
	cleanup_fd int fd = open_as("f", O_RDONLY);
	char start_of[7] = "";
	check_eq(pread(fd, start_of, 6, 0), 6);
	check_text(start_of, "public");
	check_eq(st("f").st_size, SIZE);
}

static void mapping_outlives_the_name(void)
{
	with_file();
	char *p = map("f", O_RDWR, PROT_READ | PROT_WRITE);
	ok(unlink("f"));
	memcpy(p, "gone", 5);
	ok(msync(p, SIZE, MS_SYNC));
	check_text(p, "gone");
	file("f", "another");
	check_text(p, "gone");
	check_text(text("f"), "another");
}

/* The bytes of the last page that are beyond the end are zero, and stay out of the file. */
static void mapping_beyond_the_end(void)
{
	with_file();
	ok(truncate("f", 100));
	char *p = map("f", O_RDWR, PROT_READ | PROT_WRITE);
	check_eq(p[100], 0);
	p[99] = 'x';
	p[200] = 'y';
	ok(msync(p, 4096, MS_SYNC));
	check_eq(st("f").st_size, 100);
	ok(truncate("f", 300));
	cleanup_fd int fd = open_as("f", O_RDONLY);
	char got[2] = "?";
	check_eq(pread(fd, got, 1, 200), 1);
	check_eq(got[0], 0);
	/* A page behind the end is answered with a signal. */
	pid_t pid = ok(fork());
	if (pid == 0) {
		signal(SIGBUS, SIG_DFL); /* sanitizers have one of their own */
		_exit(*(volatile char *)(p + 8192));
	}
	int status;
	ok(waitpid(pid, &status, 0));
	check(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
}

static void mapping_between_processes(void)
{
	with_file();
	char *p = map("f", O_RDWR, PROT_READ | PROT_WRITE);
	IN_CHILD
	{
		char *q = map("f", O_RDWR, PROT_READ | PROT_WRITE);

		memcpy(q + 4096, "child", 6);
		check(!memcmp(p + 4096, "child", 6));
	}
	check_text(p + 4096, "child");
}

static void mapping_moves_mtime(void)
{
	with_file();
	set_times("f", 1000, 0);
	char *p = map("f", O_RDWR, PROT_READ | PROT_WRITE);
	p[0] = 'x';
	ok(msync(p, SIZE, MS_SYNC));
	check(st("f").st_mtim.tv_sec > 1000);
}

static void mapping_needs_rights(void)
{
	with_file();
	cleanup_fd int reader = open_as("f", O_RDONLY);
	check(mmap(NULL, SIZE, PROT_WRITE, MAP_SHARED, reader, 0) == MAP_FAILED);
	check_eq(errno, EACCES);
	cleanup_fd int d = open_as(".", O_RDONLY);
	check(mmap(NULL, SIZE, PROT_READ, MAP_SHARED, d, 0) == MAP_FAILED);
	check_eq(errno, ENODEV);
}

/*
 * exec closes the pipe when it cannot fail any more.  To try whether the program is busy
 * yet would be wrong: one that somebody has open for writing cannot be run.
 */
static void program_is_busy(void)
{
	char byte;
	int ends[2];

	ok(system("cp /bin/sleep s"));
	ok(pipe2(ends, O_CLOEXEC));
	pid_t pid = ok(fork());
	if (pid == 0) {
		execl("./s", "./s", "60", NULL);
		_exit(write(ends[1], "x", 1) != 1);
	}
	close(ends[1]);
	check_eq(read(ends[0], &byte, 1), 0);
	close(ends[0]);
	fails(open("s", O_WRONLY), ETXTBSY);
	ok(kill(pid, SIGKILL));
	ok(waitpid(pid, NULL, 0));
}

static void executables_run(void)
{
	branch(3);
	ok(system("cp /bin/true t"));
	start();
	check_eq(system("./t"), 0);
	set_mode("t", 0755);
	check_eq(system("./t"), 0);
	program_is_busy();
}

const struct rule rules_mapping[] = {
	RULE(mapping_sees_writes, "a shared mapping sees what is written"),
	RULE(reads_see_mapped_writes, "reads see what a shared mapping wrote"),
	RULE(mapping_of_before_copy_up, "a mapping made before copy-up writes to the copy"),
	RULE(private_mapping_keeps_its_own, "a private mapping's writes stay in it"),
	RULE(mapping_outlives_the_name, "a mapping can be used after unlink"),
	RULE(mapping_beyond_the_end, "zeros after the end, and SIGBUS a page later"),
	RULE(mapping_between_processes, "mappings of two processes are one"),
	RULE(mapping_moves_mtime, "a write to a mapping moves mtime"),
	RULE(mapping_needs_rights, "what cannot be mapped"),
	RULE(executables_run, "programs run, and are busy meanwhile"),
	{ 0 },
};
