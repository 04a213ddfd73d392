/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Operations that watch a directory by inotify.  What only looks makes no event here:
 * the comparison of the trees looks too, each in its own order.
 */
#include "differ_perform.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#define WATCHED                                                                                    \
	(IN_ATTRIB | IN_MODIFY | IN_CLOSE_WRITE | IN_CREATE | IN_DELETE | IN_MOVED_FROM |          \
	 IN_MOVED_TO | IN_MOVE_SELF)

static const struct {
	uint32_t mask;
	const char *name;
} events[] = {
	{ IN_ATTRIB, "attrib" },   { IN_MODIFY, "modify" },	  { IN_CLOSE_WRITE, "close" },
	{ IN_CREATE, "create" },   { IN_DELETE, "delete" },	  { IN_MOVED_FROM, "from" },
	{ IN_MOVED_TO, "to" },	   { IN_MOVE_SELF, "moved" },	  { IN_DELETE_SELF, "gone" },
	{ IN_IGNORED, "ignored" }, { IN_Q_OVERFLOW, "overflow" }, { IN_ISDIR, "dir" },
};

void op_watch(struct performer *p, const struct op *op, struct text *text)
{
	if (p->watch >= 0)
		close(p->watch);
	p->watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	answer_say(text,
		   inotify_add_watch(p->watch, op->path, WATCHED | IN_ONLYDIR | IN_DONT_FOLLOW) < 0
			   ? -1
			   : 0);
}

static void say_event(const struct inotify_event *event, struct text *text)
{
	size_t i;

	text_add(text, " ");
	for (i = 0; i < sizeof(events) / sizeof(*events); i++)
		if (event->mask & events[i].mask)
			text_add(text, "%s,", events[i].name);
	/* What O_TMPFILE makes has a number of its filesystem for a name, or "/" with FUSE. */
	if (event->len && (*event->name == '#' || *event->name == '/')) {
		text_add(text, ":unnamed");
	} else if (event->len) {
		text_add(text, ":");
		text_add_word(text, event->name);
	}
}

/* Two in a row that are the same are one, as in the kernel, which tells numbers apart. */
static void say_once(const struct inotify_event *event, struct text *last, struct text *text)
{
	cleanup_text struct text word = { 0 };

	say_event(event, &word);
	if (last->s && !strcmp(last->s, word.s))
		return;
	text_add(text, "%s", word.s);
	text_clear(last);
	text_add(last, "%s", word.s);
}

void op_events(struct performer *p, const struct op *op, struct text *text)
{
	char buf[8192] __attribute__((aligned(8)));
	cleanup_text struct text last = { 0 };
	ssize_t n, at;

	(void)op;
	text_add(text, "events");
	while (p->watch >= 0 && (n = read(p->watch, buf, sizeof(buf))) > 0)
		for (at = 0; at < n;) {
			const struct inotify_event *event = (void *)(buf + at);

			say_once(event, &last, text);
			at += (ssize_t)sizeof(*event) + event->len;
		}
}
