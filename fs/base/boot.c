/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/boot.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"

struct boot_id boot_id(void)
{
	cleanup_fd int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	struct boot_id id = { "" };

	if (fd >= 0 && read(fd, id.s, sizeof(id.s) - 1) < 0)
		id.s[0] = '\0';
	id.s[strcspn(id.s, "\n")] = '\0';
	return id;
}
