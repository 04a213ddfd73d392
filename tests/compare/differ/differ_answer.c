/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Answers in words: what a call gave, attributes, content, lists of names. */
#include "differ_perform.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

/* Whether the call succeeded; says so. */
bool answer_say(struct text *text, ssize_t r)
{
	if (r < 0)
		text_add(text, "r=-1 %s", strerrorname_np(errno));
	else
		text_add(text, "r=%zd", r);
	return r >= 0;
}

void say_time(const struct performer *performer, struct text *text, const char *name,
	      struct timespec t)
{
	if (t.tv_sec >= performer->side->start && t.tv_sec < performer->side->start + 86400)
		text_add(text, " %s=now", name);
	else
		text_add(text, " %s=%jd.%09ld", name, (intmax_t)t.tv_sec, t.tv_nsec);
}

bool performer_is_shared(const struct performer *performer, const struct stat *st)
{
	return performer->shared && st->st_ino == performer->shared;
}

void say_stat(const struct performer *performer, struct text *text, const struct stat *st)
{
	text_add(text, " mode=%o uid=%u gid=%u", st->st_mode, st->st_uid, st->st_gid);
	/* The rest is changed by other threads. */
	if (performer_is_shared(performer, st))
		return;
	text_add(text, " nlink=%ju", (uintmax_t)st->st_nlink);
	if (!S_ISDIR(st->st_mode))
		text_add(text, " size=%jd", (intmax_t)st->st_size);
	if (S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode))
		text_add(text, " rdev=%jx", (uintmax_t)st->st_rdev);
	say_time(performer, text, "mtime", st->st_mtim);
}

void say_bytes(struct text *text, const void *bytes, size_t len)
{
	size_t i;

	text_add(text, " hash=%016jx head=", (uintmax_t)XXH3_64bits(bytes, len));
	for (i = 0; i < len && i < 12; i++)
		text_add(text, "%02x", ((const unsigned char *)bytes)[i]);
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Names in a list of `size` bytes, sorted. */
void say_names(struct text *text, const char *list, size_t size)
{
	const char *names[256];
	size_t i, n = 0, at = 0;

	for (; at < size && n < 256; at += strlen(list + at) + 1)
		names[n++] = list + at;
	qsort(names, n, sizeof(*names), compare_names);
	for (i = 0; i < n; i++) {
		text_add(text, " ");
		text_add_word(text, names[i]);
	}
}
