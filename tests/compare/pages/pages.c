/* SPDX-License-Identifier: GPL-3.0-or-later */
/* pages: its commands, and what they share. What it does: pages.h. */
#include "pages.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define HUNG_SECONDS 120

void fail(const char *format, ...)
{
	va_list ap;

	fprintf(stderr, "pages: ");
	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	fputc('\n', stderr);
	_exit(1);
}

uint64_t mix(uint64_t z)
{
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

uint64_t next_random(uint64_t *state)
{
	return mix(*state += 0x9e3779b97f4a7c15);
}

size_t below(uint64_t *state, size_t n)
{
	return next_random(state) % n;
}

int open_or_fail(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC, 0644);

	if (fd < 0)
		fail("open %s: %s", path, strerror(errno));
	return fd;
}

void *map_or_fail(int fd, size_t len, int protection)
{
	void *map = mmap(NULL, len, protection, MAP_SHARED, fd, 0);

	if (map == MAP_FAILED)
		fail("mmap: %s", strerror(errno));
	return map;
}

void write_at(int fd, const void *p, size_t len, off_t off)
{
	if (pwrite(fd, p, len, off) != (ssize_t)len)
		fail("writing %zu bytes at %ld: %s", len, (long)off, strerror(errno));
}

/* ---- processes ---- */

/* A process that hangs is ended by the alarm, one whose mapping fails by SIGBUS; await says so. */
pid_t begin(void)
{
	pid_t pid = fork();

	if (pid < 0)
		fail("fork: %s", strerror(errno));
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		alarm(HUNG_SECONDS);
	}
	return pid;
}

void await(const char *what, pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) < 0)
		fail("%s: %s", what, strerror(errno));
	if (WIFSIGNALED(status))
		fail("%s: ended by signal %d", what, WTERMSIG(status));
	if (WEXITSTATUS(status))
		fail("%s failed", what);
}

/* ---- main ---- */

static const struct command {
	const char *name, *arguments;
	int n_arguments;
	void (*run)(char **args);
} commands[] = {
	{ "database-make", "FILE STATE PAGES", 3, database_make },
	{ "database-rewrite", "FILE STATE SEED", 3, database_rewrite },
	{ "database-verify", "FILE STATE", 2, database_verify },
	{ "files-make", "DIR N SEED", 3, files_make },
	{ "files-rewrite", "DIR REFERENCE N SEED", 4, files_rewrite },
	{ "files-verify", "DIR REFERENCE N", 3, files_verify },
};
#define N_COMMANDS (sizeof(commands) / sizeof(*commands))

int main(int argc, char **argv)
{
	size_t i;

	for (i = 0; i < N_COMMANDS && argc > 1; i++) {
		if (strcmp(argv[1], commands[i].name) || argc != commands[i].n_arguments + 2)
			continue;
		commands[i].run(argv + 2);
		return 0;
	}
	for (i = 0; i < N_COMMANDS; i++)
		fprintf(stderr, "Usage: pages %s %s\n", commands[i].name, commands[i].arguments);
	return 2;
}
