/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Listings.  Their order and positions are each filesystem's own: the names are
 * compared sorted, and the rest is checked against what this side says itself.
 */
#include "differ_perform.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

struct listing {
	char **names;
	off_t *next;
	unsigned char *types;
	ino_t *inos;
	size_t count;
};

struct dirent_buffer {
	uint64_t ino;
	int64_t next;
	unsigned short len;
	unsigned char type;
	char name[];
};

static void listing_done(struct listing *l)
{
	size_t i;

	for (i = 0; i < l->count; i++)
		free(l->names[i]);
	free(l->names);
	free(l->next);
	free(l->types);
	free(l->inos);
}

static void listing_add(struct listing *l, const struct dirent_buffer *d)
{
	size_t n = l->count++;

	l->names = xrealloc(l->names, l->count, sizeof(*l->names));
	l->next = xrealloc(l->next, l->count, sizeof(*l->next));
	l->types = xrealloc(l->types, l->count, sizeof(*l->types));
	l->inos = xrealloc(l->inos, l->count, sizeof(*l->inos));
	l->names[n] = xstrdup(d->name);
	l->next[n] = d->next;
	l->types[n] = d->type;
	l->inos[n] = d->ino;
}

/* Reads from the position on, `chunk` bytes a call. -1 with errno. */
static int listing_read(struct listing *l, int fd, size_t chunk)
{
	char buf[32768] __attribute__((aligned(8)));
	ssize_t n, at;

	while ((n = syscall(SYS_getdents64, fd, buf, chunk)) > 0)
		for (at = 0; at < n; at += ((struct dirent_buffer *)(buf + at))->len)
			listing_add(l, (struct dirent_buffer *)(buf + at));
	return n;
}

/* d_ino and d_type against lstat. */
static void check_entries(const struct listing *l, int fd, struct text *text)
{
	struct stat st;
	size_t i;

	for (i = 0; i < l->count; i++) {
		if (!strcmp(l->names[i], "..") ||
		    fstatat(fd, l->names[i], &st, AT_SYMLINK_NOFOLLOW))
			continue;
		if (l->types[i] != IFTODT(st.st_mode) && l->types[i] != DT_UNKNOWN)
			text_add(text, " WRONG_TYPE:%s", l->names[i]);
		if (l->inos[i] != st.st_ino)
			text_add(text, " WRONG_INO:%s", l->names[i]);
	}
}

/* Going back to the place behind an entry gives the entries that followed it. */
static void check_seek(const struct listing *l, int fd, size_t from, size_t chunk,
		       struct text *text)
{
	struct listing again = { 0 };
	size_t i;

	if (lseek(fd, l->next[from], SEEK_SET) != l->next[from])
		text_add(text, " SEEK_FAILED");
	if (listing_read(&again, fd, chunk) < 0)
		text_add(text, " REREAD_FAILED");
	if (again.count != l->count - from - 1)
		text_add(text, " SEEK_COUNT");
	for (i = 0; i < again.count && from + 1 + i < l->count; i++)
		if (strcmp(again.names[i], l->names[from + 1 + i]) != 0) {
			text_add(text, " SEEK_ORDER");
			break;
		}
	listing_done(&again);
}

/* In the directory that threads share only the names of our own thread are ours to know. */
static bool is_ours(const struct op *op, const char *name)
{
	char prefix[32];

	snprintf(prefix, sizeof(prefix), "%jd_", (intmax_t)op->thread);
	return !strncmp(name, prefix, strlen(prefix));
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void say_listing(const struct op *op, struct listing *l, bool shared, struct text *text)
{
	size_t i;

	qsort(l->names, l->count, sizeof(*l->names), compare_names);
	for (i = 0; i < l->count; i++) {
		if (shared && !is_ours(op, l->names[i]))
			continue;
		text_add(text, " ");
		text_add_word(text, l->names[i]);
		if (i && !strcmp(l->names[i], l->names[i - 1]))
			text_add(text, "(TWICE)");
	}
}

void list_perform(const struct performer *p, const struct op *op, int fd, struct text *text)
{
	struct stat st;
	bool shared = fstat(fd, &st) == 0 && performer_is_shared(p, &st);
	size_t chunk = 320 + (op->len < 0 ? 0 : op->len % 32000);
	struct listing l = { 0 };

	if (lseek(fd, 0, SEEK_SET) < 0 || listing_read(&l, fd, chunk) < 0) {
		answer_say(text, -1);
	} else {
		answer_say(text, 0);
		if (!shared) {
			check_entries(&l, fd, text);
			if (l.count)
				check_seek(&l, fd, op->seed % l.count, chunk, text);
		}
		say_listing(op, &l, shared, text);
	}
	listing_done(&l);
}

/* ---- positions while names come and go ---- */

#define N_MADE 24

static void make_names(int fd, const char *prefix, int from, int to, struct text *text)
{
	char name[16];
	int i, made;

	for (i = from; i < to; i++) {
		snprintf(name, sizeof(name), "%s%d", prefix, i);
		made = openat(fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		if (made < 0)
			text_add(text, " make(%s)=%s", name, strerrorname_np(errno));
		else
			close(made);
	}
}

static void remove_names(int fd, const char *prefix, int from, int to, int step, struct text *text)
{
	char name[16];
	int i;

	for (i = from; i < to; i += step) {
		snprintf(name, sizeof(name), "%s%d", prefix, i);
		if (unlinkat(fd, name, 0) < 0)
			text_add(text, " remove(%s)=%s", name, strerrorname_np(errno));
	}
}

static size_t times_listed(const struct listing *l, size_t from, size_t to, const char *name)
{
	size_t i, n = 0;

	for (i = from; i < to; i++)
		n += !strcmp(l->names[i], name);
	return n;
}

/* Each name that was there all the time is listed once, half before the changes, half after. */
static void check_stayed(const struct listing *before, const struct listing *all, size_t half,
			 const struct listing *rest, struct text *text)
{
	size_t i, n;
	int number;
	char end;

	for (i = 0; i < before->count; i++) {
		const char *name = before->names[i];

		if (sscanf(name, "p%d%c", &number, &end) == 1 && number % 3 == 0)
			continue;
		n = times_listed(all, 0, half, name) + times_listed(rest, 0, rest->count, name);
		if (n != 1) {
			text_add(text, " LISTED(%zu):", n);
			text_add_word(text, name);
		}
	}
	for (i = 0; i < rest->count; i++)
		if (times_listed(rest, 0, rest->count, rest->names[i]) != 1)
			text_add(text, " TWICE:%s", rest->names[i]);
}

/* Reads half, removes some and makes others, and goes on from the position it had. */
static void change_halfway(const struct op *op, int fd, struct text *text)
{
	struct listing before = { 0 }, all = { 0 }, rest = { 0 };
	size_t chunk = 320 + op->len % 4000, half;

	if (listing_read(&before, fd, chunk) < 0 || lseek(fd, 0, SEEK_SET) < 0 ||
	    listing_read(&all, fd, chunk) < 0 || all.count != before.count || all.count < 2) {
		text_add(text, " UNREADABLE");
	} else {
		half = 1 + op->seed % (all.count - 1);
		if (op->seed & 1)
			lseek(fd, 0, SEEK_SET);
		lseek(fd, all.next[half - 1], SEEK_SET);
		remove_names(fd, "p", 0, N_MADE, 3, text);
		make_names(fd, "q", 0, N_MADE, text);
		if (listing_read(&rest, fd, chunk) < 0)
			text_add(text, " UNREADABLE");
		check_stayed(&before, &all, half, &rest, text);
		make_names(fd, "p", 0, 1, text);
		remove_names(fd, "q", 0, N_MADE, 1, text);
		remove_names(fd, "p", 0, 1, 1, text);
	}
	listing_done(&before);
	listing_done(&all);
	listing_done(&rest);
}

void op_positions(struct performer *p, const struct op *op, struct text *text)
{
	int i, fd = openat(at_fd(p, op->at), op->path,
			   O_RDONLY | O_DIRECTORY | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0 || faccessat(fd, ".", W_OK | X_OK, AT_EACCESS) < 0) {
		answer_say(text, -1);
	} else {
		make_names(fd, "p", 0, N_MADE, text);
		change_halfway(op, fd, text);
		for (i = 1; i < 3; i++)
			remove_names(fd, "p", i, N_MADE, 3, text);
		answer_say(text, 0);
	}
	if (fd >= 0)
		close(fd);
}
