/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "host/boot.h"

#include <string.h>

#include "base/fd.h"

struct boot_id boot_id(void)
{
	struct boot_id id;

	fd_read_text("/proc/sys/kernel/random/boot_id", id.s, sizeof(id.s));
	id.s[strcspn(id.s, "\n")] = '\0';
	return id;
}
