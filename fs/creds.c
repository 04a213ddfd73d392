/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * setfsuid and setfsgid act on the calling thread alone.  The process has
 * SECBIT_NO_SETUID_FIXUP set (fs/main.c), so it keeps its capabilities
 * meanwhile: the kernel has already checked the caller's rights on the union.
 */
#include <sys/syscall.h>
#include <unistd.h>

#include "upper.h"

void creds_assume(const struct caller *caller)
{
	syscall(SYS_setfsgid, caller->gid);
	syscall(SYS_setfsuid, caller->uid);
}

void creds_drop(void)
{
	syscall(SYS_setfsuid, geteuid());
	syscall(SYS_setfsgid, getegid());
}
