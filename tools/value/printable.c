/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "value/printable.h"

#include <stdlib.h>
#include <string.h>

/* Length of the UTF-8 sequence at `text` that is no control character; 0: none. */
static size_t sequence(const unsigned char *text)
{
	size_t n = *text >= 0xf0 && *text < 0xf5 ? 4 : *text >= 0xe0 ? 3 : *text >= 0xc2 ? 2 : 0;

	if (*text < 0x80)
		return *text >= 0x20 && *text != 0x7f;
	if (*text >= 0xf5 || n == 0 || (*text == 0xc2 && text[1] < 0xa0))
		return 0;
	for (size_t i = 1; i < n; i++) {
		if ((text[i] & 0xc0) != 0x80)
			return 0;
	}
	return n;
}

size_t printable(char *to, size_t room, const char *text)
{
	static const char hex[] = "0123456789abcdef";
	size_t at = 0;

	while (*text && at + 5 < room) {
		unsigned char c = (unsigned char)*text;
		size_t n = sequence((const unsigned char *)text);

		if (n) {
			memcpy(to + at, text, n);
			at += n;
			text += n;
			continue;
		}
		to[at++] = '\\';
		to[at++] = 'x';
		to[at++] = hex[c >> 4];
		to[at++] = hex[c & 15];
		text++;
	}
	to[at] = '\0';
	return at;
}

char *printable_copy(const char *text)
{
	size_t room = 4 * strlen(text) + 6;
	char *copy = malloc(room);

	if (copy)
		printable(copy, room, text);
	return copy;
}

/* `0` stands for a digit, any other character for itself; the end of what fits, or NULL. */
static const char *match(const char *text, const char *pattern)
{
	for (; *pattern; pattern++, text++) {
		if (*pattern == '0' ? *text < '0' || *text > '9' : *text != *pattern)
			return NULL;
	}
	return text;
}

bool printable_is_date(const char *text)
{
	const char *at = match(text, "0000-00-00T00:00:00");

	if (at && *at == '.') {
		size_t n = strspn(at + 1, "0123456789");

		at = n ? at + 1 + n : NULL;
	}
	if (!at)
		return false;
	if (strcmp(at, "Z") == 0)
		return true;
	at = *at == '+' || *at == '-' ? match(at + 1, "00:00") : NULL;
	return at && !*at;
}
