/* SPDX-License-Identifier: GPL-3.0-or-later */
/* An operation on directories so deep that no path leads there, only steps. */
#include "differ_perform.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"

#define STEP 250 /* bytes of a name, so that some 17 steps are more than PATH_MAX */

static void step_name(char name[static STEP + 1], size_t i)
{
	memset(name, 'a' + i % 26, STEP);
	name[STEP] = '\0';
}

/* Goes down from `dirfd`, making what is missing; the descriptor it came to. */
static int go_down(int dirfd, size_t n, struct text *text)
{
	char name[STEP + 1];
	int fd = dup(dirfd), next;
	size_t i;

	for (i = 0; i < n && fd >= 0; i++) {
		step_name(name, i);
		if (mkdirat(fd, name, 0755) < 0 && errno != EEXIST)
			text_add(text, " mkdir(%zu)=%s", i, strerrorname_np(errno));
		next = openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (next < 0)
			text_add(text, " open(%zu)=%s", i, strerrorname_np(errno));
		close(fd);
		fd = next;
	}
	return fd;
}

/* Up again by "..", removing the directories come from as far as they are empty. */
static void go_up(int fd, size_t n, struct text *text)
{
	char name[STEP + 1];
	int at = dup(fd), next;
	size_t i;

	for (i = n; i-- > 0 && at >= 0;) {
		next = openat(at, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		step_name(name, i);
		if (next < 0 || unlinkat(next, name, AT_REMOVEDIR) < 0)
			text_add(text, " rmdir(%zu)=%s", i, strerrorname_np(errno));
		close(at);
		at = next;
	}
	if (at >= 0)
		close(at);
}

static void use_bottom(struct performer *p, const struct op *op, int fd, struct text *text)
{
	cleanup_fd int file = openat(fd, "bottom", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	char buf[100];
	struct stat st;

	data_fill(buf, sizeof(buf), op->seed, 0);
	if (!answer_say(text, file < 0 ? -1 : pwrite(file, buf, sizeof(buf), 0)))
		return;
	answer_say(text, renameat(fd, "bottom", fd, "top"));
	answer_say(text, symlinkat("top", fd, "link"));
	answer_say(text, linkat(fd, "top", fd, "bottom", 0));
	if (fstatat(fd, "link", &st, 0) == 0)
		say_stat(p, text, &st);
	list_perform(p, op, fd, text);
	answer_say(text, unlinkat(fd, "top", 0));
	answer_say(text, unlinkat(fd, "link", 0));
}

void op_deep(struct performer *p, const struct op *op, struct text *text)
{
	cleanup_fd int top = openat(at_fd(p, op->at), op->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	size_t n = 1 + op->len % 30;
	cleanup_fd int bottom = top < 0 ? -1 : go_down(top, n, text);

	if (bottom < 0) {
		answer_say(text, -1);
		return;
	}
	use_bottom(p, op, bottom, text);
	if (op->seed % 4 == 0)
		return; /* it stays */
	answer_say(text, unlinkat(bottom, "bottom", 0));
	go_up(bottom, n, text);
}
