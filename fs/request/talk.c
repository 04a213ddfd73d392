/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "request/talk.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

void talk_say(int talk, enum talk what)
{
	char byte = (char)what;

	send(talk, &byte, 1, MSG_NOSIGNAL);
}

ssize_t talk_hear(int talk, int ms, char *text, size_t size)
{
	struct pollfd word = { .fd = talk, .events = POLLIN };
	ssize_t n;
	int r;

	do {
		r = poll(&word, 1, ms);
	} while (r < 0 && errno == EINTR);
	if (r <= 0)
		return r < 0 ? -errno : -ETIMEDOUT;
	n = recv(talk, text, size - 1, 0);
	/* One that ended without having read all that was said to it gives ECONNRESET. */
	n = n < 0 ? 0 : n;
	text[n] = '\0';
	return n;
}
