/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The terminal or pipe of whoever called us.
 *
 * The processes that call these have one thread.
 */
#ifndef DAEMON_CONSOLE_H
#define DAEMON_CONSOLE_H

/* Prints one line on stderr, with the program's name before it. */
void console_complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Points the standard descriptors at nothing: the caller waits for their end. */
void console_leave(void);

#endif
