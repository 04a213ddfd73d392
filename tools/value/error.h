/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What went wrong, in words.  The image library prints nothing: a function
 * that can fail for a reason of the user's takes a `struct error`, and leaves
 * there one line without a newline that names the object and the reason.  The
 * negative errno it returns says what kind of failure it was.
 */
#ifndef VALUE_ERROR_H
#define VALUE_ERROR_H

struct error {
	char text[1024];
};

/*
 * Writes the line; control characters, which a name from an archive may hold,
 * are shown as \xNN.  Returns r, so that a caller can return it in turn.
 */
int error_set(struct error *error, int r, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* The same, followed by ": " and the system's words for the negative errno r. */
int error_errno(struct error *error, int r, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Puts "WORDS: " before what is there: the place where the failure was met. */
int error_within(struct error *error, int r, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
