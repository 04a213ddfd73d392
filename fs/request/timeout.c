/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "request/timeout.h"

#include <stdlib.h>

#include "base/fd.h"

static unsigned int read_seconds(const char *path)
{
	char text[16];

	return fd_read_text(path, text, sizeof(text)) < 0 ? 0
							  : (unsigned int)strtoul(text, NULL, 10);
}

unsigned int timeout_default(void)
{
	return read_seconds("/proc/sys/fs/fuse/default_request_timeout");
}

unsigned int timeout_max(void)
{
	return read_seconds("/proc/sys/fs/fuse/max_request_timeout");
}
