/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "timeout.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"

static unsigned int read_seconds(const char *path)
{
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
	char text[16];
	ssize_t n = fd < 0 ? fd : read(fd, text, sizeof(text) - 1);

	if (n <= 0)
		return 0;
	text[n] = '\0';
	return (unsigned int)strtoul(text, NULL, 10);
}

unsigned int timeout_default(void)
{
	return read_seconds("/proc/sys/fs/fuse/default_request_timeout");
}

unsigned int timeout_max(void)
{
	return read_seconds("/proc/sys/fs/fuse/max_request_timeout");
}
