/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "value/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "value/printable.h"

/* Appends `text` at `at`, made printable, as far as there is room; the new end. */
static size_t append(struct error *error, size_t at, const char *text)
{
	return at + printable(error->text + at, sizeof(error->text) - at, text);
}

/*
 * `text` and then the reason, which stays however long the text is: a name from an archive can be
 * as long as it likes.  It has a third of the room, as others may be put around it.
 */
static void put(struct error *error, const char *text, const char *reason)
{
	size_t at = printable(error->text, sizeof(error->text) / 3, text);

	if (at < strlen(text))
		at = append(error, at, "...");
	at = append(error, at, ": ");
	append(error, at, reason);
}

int error_set(struct error *error, int r, const char *format, ...)
{
	char text[sizeof(error->text)];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	append(error, 0, text);
	return r;
}

int error_errno(struct error *error, int r, const char *format, ...)
{
	char text[sizeof(error->text)];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	put(error, text, strerror(-r));
	return r;
}

int error_within(struct error *error, int r, const char *format, ...)
{
	char text[sizeof(error->text)], inner[sizeof(error->text)];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	memcpy(inner, error->text, sizeof(inner));
	put(error, text, inner);
	return r;
}
