/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "daemon/console.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "base/cleanup.h"

void console_complain(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fputs("cairnfs: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
}

void console_leave(void)
{
	cleanup_fd int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (int fd = 0; nothing >= 0 && fd <= 2; fd++)
		dup2(nothing, fd);
}
