/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Where everybody stands when an operation hangs: each thread's name, state and stack in
 * the kernel, for the differ and all processes below it, which are its workers, the daemon
 * and the daemon's worker.  No allocator and no streams: the killer calls it too, and a
 * process that hangs may hold their locks.
 */
#include "differ.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_PROCESSES = 256, STACK_BYTES = 8192 };

struct family {
	pid_t pids[MAX_PROCESSES];
	int count;
};

/* The beginning of a file of a thread, as a string; empty if it cannot be read. */
static void read_of(pid_t pid, const char *thread, const char *name, char *buf, size_t size)
{
	char path[128];
	ssize_t n = 0;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/task/%s/%s", pid, thread, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		n = read(fd, buf, size - 1);
		close(fd);
	}
	buf[n > 0 ? n : 0] = '\0';
}

static void say(const char *s)
{
	(void)!write(STDERR_FILENO, s, strlen(s));
}

static void say_thread(pid_t pid, const char *thread)
{
	char comm[64], stat[512], call[256], stack[STACK_BYTES], line[1024];
	const char *state;

	read_of(pid, thread, "comm", comm, sizeof(comm));
	read_of(pid, thread, "stat", stat, sizeof(stat));
	read_of(pid, thread, "syscall", call, sizeof(call));
	read_of(pid, thread, "stack", stack, sizeof(stack));
	comm[strcspn(comm, "\n")] = '\0';
	call[strcspn(call, "\n")] = '\0';
	state = strrchr(stat, ')');
	snprintf(line, sizeof(line), "differ: process %d, thread %s (%s), state %.1s, in %s\n", pid,
		 thread, comm, state && state[1] ? state + 2 : "?", *call ? call : "?");
	say(line);
	say(stack);
}

static void add_children(struct family *family, pid_t pid, const char *thread)
{
	char buf[4096], *rest = buf, *word;

	read_of(pid, thread, "children", buf, sizeof(buf));
	while ((word = strsep(&rest, " ")))
		if (*word && family->count < MAX_PROCESSES)
			family->pids[family->count++] = atoi(word);
}

static void say_process(struct family *family, pid_t pid)
{
	char path[64], entries[8192] __attribute__((aligned(8)));
	ssize_t n, at;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	while (fd >= 0 && (n = getdents64(fd, entries, sizeof(entries))) > 0)
		for (at = 0; at < n;) {
			const struct dirent64 *entry = (void *)(entries + at);

			at += entry->d_reclen;
			if (*entry->d_name == '.')
				continue;
			say_thread(pid, entry->d_name);
			add_children(family, pid, entry->d_name);
		}
	if (fd >= 0)
		close(fd);
}

void stuck_report(pid_t top)
{
	struct family family = { .pids = { top }, .count = 1 };

	say("differ: an operation hangs; where all threads stand:\n");
	for (int i = 0; i < family.count; i++)
		say_process(&family, family.pids[i]);
}
