/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "image/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "image/printable.h"

/* Appends `text` at `at`, made printable, as far as there is room; the new end. */
static size_t append(struct error *error, size_t at, const char *text)
{
	return at + printable(error->text + at, sizeof(error->text) - at, text);
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
	size_t at;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	at = append(error, 0, text);
	at = append(error, at, ": ");
	append(error, at, strerror(-r));
	return r;
}

int error_within(struct error *error, int r, const char *format, ...)
{
	char text[sizeof(error->text)], inner[sizeof(error->text)];
	va_list args;
	size_t at;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	memcpy(inner, error->text, sizeof(inner));
	at = append(error, 0, text);
	at = append(error, at, ": ");
	append(error, at, inner);
	return r;
}
