/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * denied NAME...: run with deny.c preloaded and these names in $DENY, says which of them
 * are not denied, and which other ones are.  What is called for it could not be done
 * anyway, and would fail with another errno: a filter comes before that.
 */
#undef _FILE_OFFSET_BITS
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

/* System calls with arguments that are no good, and the errno of those that are denied. */
static const struct call {
	const char *name;
	long number, args[5];
	int error;
} calls[] = {
	{ "openat2", SYS_openat2, { -1, (long)"x" }, ENOSYS },
	{ "whiteout-device", SYS_mknodat, { -1, (long)"x", S_IFCHR, 0 }, EPERM },
	{ "copy_file_range", SYS_copy_file_range, { -1, 0, -1, 0, 1 }, EOPNOTSUPP },
	{ "copy_file_range-across", SYS_copy_file_range, { -1, 0, -1, 0, 1 }, EXDEV },
	{ "clone", SYS_ioctl, { -1, FICLONE, -1 }, EOPNOTSUPP },
	{ "tmpfile", SYS_openat, { -1, (long)"x", O_TMPFILE | O_RDWR, 0600 }, EOPNOTSUPP },
	{ "tmpfile", SYS_open, { (long)"/none/x", O_TMPFILE | O_RDWR, 0600 }, EOPNOTSUPP },
	{ "xattrs", SYS_setxattr, { (long)"/none/x", (long)"user.x", 0, 0, 0 }, EOPNOTSUPP },
	{ "xattrs", SYS_lsetxattr, { (long)"/none/x", (long)"user.x", 0, 0, 0 }, EOPNOTSUPP },
	{ "xattrs", SYS_fsetxattr, { -1, (long)"user.x", 0, 0, 0 }, EOPNOTSUPP },
	{ "xattrs", SYS_getxattr, { (long)"/none/x", (long)"user.x", 0, 0 }, EOPNOTSUPP },
	{ "xattrs", SYS_lgetxattr, { (long)"/none/x", (long)"user.x", 0, 0 }, EOPNOTSUPP },
	{ "xattrs", SYS_fgetxattr, { -1, (long)"user.x", 0, 0 }, EOPNOTSUPP },
	{ "xattrs", SYS_listxattr, { (long)"/none/x", 0, 0 }, EOPNOTSUPP },
	{ "xattrs", SYS_llistxattr, { (long)"/none/x", 0, 0 }, EOPNOTSUPP },
	{ "xattrs", SYS_flistxattr, { -1, 0, 0 }, EOPNOTSUPP },
	{ "xattrs", SYS_removexattr, { (long)"/none/x", (long)"user.x" }, EOPNOTSUPP },
	{ "xattrs", SYS_lremovexattr, { (long)"/none/x", (long)"user.x" }, EOPNOTSUPP },
	{ "xattrs", SYS_fremovexattr, { -1, (long)"user.x" }, EOPNOTSUPP },
	{ "rename-flags", SYS_renameat2, { -1, (long)"x", -1, (long)"y", 1 }, EINVAL },
	{ "rename-flags", SYS_renameat2, { -1, (long)"x", -1, (long)"y", 2 }, EINVAL },
	{ "rename-whiteout", SYS_renameat2, { -1, (long)"x", -1, (long)"y", 4 }, EINVAL },
	{ "link-descriptor", SYS_linkat, { -1, (long)"", -1, (long)"y", AT_EMPTY_PATH }, ENOENT },
	{ "times-descriptor", SYS_utimensat, { -1, (long)"", 0, AT_EMPTY_PATH }, EINVAL },
	{ "close_range", SYS_close_range, { 1, 0, 0 }, ENOSYS },
	{ "fallocate", SYS_fallocate, { -1, 0, 0, 1 }, EOPNOTSUPP },
	{ "pidfd", SYS_pidfd_open, { -1, 0 }, ENOSYS },
};

static bool is_among(const char *name, char *const names[])
{
	for (; *names; names++) {
		if (strcmp(*names, name) == 0)
			return true;
	}
	return false;
}

static int complain(const char *name, bool is_denied)
{
	printf("%s: %s\n", name, is_denied ? "denied" : "not denied");
	return 1;
}

static int check_call(const struct call *call, char *const names[])
{
	const long *a = call->args;
	long r = syscall(call->number, a[0], a[1], a[2], a[3], a[4]);
	bool is_denied = r < 0 && errno == call->error;

	/* Two rules for one call: the first that is in force decides. */
	if (strcmp(call->name, "rename-whiteout") == 0 && is_among("rename-flags", names))
		return 0;
	return is_denied == is_among(call->name, names) ? 0 : complain(call->name, is_denied);
}

/* What is denied behind a pointer, by replacing functions. */
static int check_functions(char *const names[])
{
	bool is_trusted_denied, has_birth, has_id;
	struct statx st;
	int bad = 0;

	setxattr("/none/x", "trusted.x", "", 0, 0);
	is_trusted_denied = errno == EPERM;
	if (!is_among("xattrs", names) && is_trusted_denied != is_among("trusted", names))
		bad += complain("trusted", is_trusted_denied);
	if (statx(AT_FDCWD, ".", 0, STATX_BTIME | STATX_MNT_ID, &st) < 0)
		return complain("statx", true);
	has_birth = st.stx_mask & STATX_BTIME;
	has_id = st.stx_mask & STATX_MNT_ID;
	if (is_among("birth", names) && has_birth)
		bad += complain("birth", false);
	if (has_id == is_among("mount-id", names))
		bad += complain("mount-id", !has_id);
	return bad;
}

int main(int argc, char *argv[])
{
	int bad = check_functions(argv + 1);

	(void)argc;
	for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++)
		bad += check_call(&calls[i], argv + 1);
	return bad ? 1 : 0;
}
