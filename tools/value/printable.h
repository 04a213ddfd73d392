/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Text that comes from an image, a path or a user, as it may be shown on a terminal: what could be
 * taken for a command to it is written as \xNN.
 */
#ifndef VALUE_PRINTABLE_H
#define VALUE_PRINTABLE_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Writes `text` to `to`, which has room for `room` bytes, more than 0, as far as it fits, and a
 * NUL; the number of bytes before that. Shown as they are: ASCII but control characters, and UTF-8
 * but those of Unicode (U+0080 to U+009F).
 */
size_t printable(char *to, size_t room, const char *text);

/* The same, allocated; NULL: out of memory. */
char *printable_copy(const char *text);

/* Whether `text` is a date and time as RFC 3339 has it, as image configs are to have. */
bool printable_is_date(const char *text);

#endif
