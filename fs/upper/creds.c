/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * setfsuid and setfsgid act on the calling thread alone.  The process has
 * SECBIT_NO_SETUID_FIXUP set (daemon/worker.c), so it keeps its capabilities
 * meanwhile: the kernel has already checked the caller's rights on the union.
 * Without CAP_SETPCAP, as in some containers, that bit cannot be set: what the change of the id
 * takes from the effective capabilities is raised again, as it is still permitted.
 */
#include "upper/creds.h"

#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

static void raise_permitted(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	if (syscall(SYS_capget, &header, data) < 0)
		return;
	for (size_t i = 0; i < _LINUX_CAPABILITY_U32S_3; i++)
		data[i].effective = data[i].permitted;
	syscall(SYS_capset, &header, data);
}

void creds_assume(const struct upper *upper, const struct caller *caller)
{
	if (caller->gid != upper->gid)
		syscall(SYS_setfsgid, caller->gid);
	if (caller->uid == upper->uid)
		return;
	syscall(SYS_setfsuid, caller->uid);
	if (upper->config->loses_caps && upper->uid == 0)
		raise_permitted();
}

void creds_drop(const struct upper *upper, const struct caller *caller)
{
	if (caller->uid != upper->uid)
		syscall(SYS_setfsuid, upper->uid);
	if (caller->gid != upper->gid)
		syscall(SYS_setfsgid, upper->gid);
}
