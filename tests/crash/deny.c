/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * deny: preloaded into the daemon, makes it think that it is on another system:
 * the calls that $DENY names, separated by commas, fail as they do there.  Most
 * are refused by a seccomp filter, which no way of making the call gets around;
 * where what matters is behind a pointer, the libc function is replaced.
 *
 * All processes that the daemon starts are in the same position.
 */
#undef _FILE_OFFSET_BITS
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

/* What an argument must be for a call to be refused: these bits of it equal to that, or not so. */
struct condition {
	unsigned int argument;
	unsigned int mask, value;
	bool differs;
};

struct rule {
	const char *name;
	int number, error;
	unsigned int n_conditions;
	struct condition conditions[2];
};

#define FLAG(argument, flag)                                                                       \
	1,                                                                                         \
	{                                                                                          \
		{                                                                                  \
			argument, flag, flag, false                                                \
		}                                                                                  \
	}

static const struct rule rules[] = {
	{ "openat2", SYS_openat2, ENOSYS },
	{ "whiteout-device",
	  SYS_mknodat,
	  EPERM,
	  2,
	  { { 2, S_IFMT, S_IFCHR, false }, { 3, ~0u, 0, false } } },
	{ "copy_file_range", SYS_copy_file_range, EOPNOTSUPP },
	{ "copy_file_range-across", SYS_copy_file_range, EXDEV },
	{ "clone", SYS_ioctl, EOPNOTSUPP, 1, { { 1, ~0u, FICLONE, false } } },
	{ "tmpfile", SYS_openat, EOPNOTSUPP, FLAG(2, O_TMPFILE) },
	{ "tmpfile", SYS_open, EOPNOTSUPP, FLAG(1, O_TMPFILE) },
	{ "xattrs", SYS_setxattr, EOPNOTSUPP },
	{ "xattrs", SYS_lsetxattr, EOPNOTSUPP },
	{ "xattrs", SYS_fsetxattr, EOPNOTSUPP },
	{ "xattrs", SYS_getxattr, EOPNOTSUPP },
	{ "xattrs", SYS_lgetxattr, EOPNOTSUPP },
	{ "xattrs", SYS_fgetxattr, EOPNOTSUPP },
	{ "xattrs", SYS_listxattr, EOPNOTSUPP },
	{ "xattrs", SYS_llistxattr, EOPNOTSUPP },
	{ "xattrs", SYS_flistxattr, EOPNOTSUPP },
	{ "xattrs", SYS_removexattr, EOPNOTSUPP },
	{ "xattrs", SYS_lremovexattr, EOPNOTSUPP },
	{ "xattrs", SYS_fremovexattr, EOPNOTSUPP },
	{ "rename-flags", SYS_renameat2, EINVAL, 1, { { 4, ~0u, 0, true } } },
	{ "rename-whiteout", SYS_renameat2, EINVAL, FLAG(4, 4) },
	{ "link-descriptor", SYS_linkat, ENOENT, FLAG(4, AT_EMPTY_PATH) },
	{ "times-descriptor", SYS_utimensat, EINVAL, FLAG(3, AT_EMPTY_PATH) },
	{ "close_range", SYS_close_range, ENOSYS },
	{ "fallocate", SYS_fallocate, EOPNOTSUPP },
	{ "pidfd", SYS_pidfd_open, ENOSYS },
};

static bool is_denied(const char *name)
{
	const char *list = getenv("DENY");
	size_t n = strlen(name);

	for (; list; list = strchr(list, ',')) {
		list += *list == ',';
		if (strncmp(list, name, n) == 0 && (list[n] == ',' || list[n] == '\0'))
			return true;
	}
	return false;
}

/* --- the filter --- */

enum { MAX_LENGTH = 256 };

struct program {
	struct sock_filter code[MAX_LENGTH];
	unsigned short length;
};

static void add(struct program *program, struct sock_filter instruction)
{
	if (program->length < MAX_LENGTH)
		program->code[program->length++] = instruction;
}

static void add_load(struct program *program, size_t offset)
{
	add(program, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (unsigned int)offset));
}

/* Skips `n` instructions unless the value loaded is (or, `differs`, is not) this one. */
static void add_unless(struct program *program, unsigned int value, unsigned int n, bool differs)
{
	unsigned char skip = (unsigned char)n;

	add(program, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value,
						  differs ? skip : 0, differs ? 0 : skip));
}

static void add_rule(struct program *program, const struct rule *rule)
{
	unsigned int left = 3 * rule->n_conditions + 1;

	add_load(program, offsetof(struct seccomp_data, nr));
	add_unless(program, (unsigned int)rule->number, left, false);
	for (unsigned int i = 0; i < rule->n_conditions; i++) {
		const struct condition *condition = &rule->conditions[i];

		left -= 3;
		add_load(program,
			 offsetof(struct seccomp_data, args) + condition->argument * sizeof(__u64));
		add(program,
		    (struct sock_filter)BPF_STMT(BPF_ALU | BPF_AND | BPF_K, condition->mask));
		add_unless(program, condition->value, left, condition->differs);
	}
	add(program, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K,
						  SECCOMP_RET_ERRNO | (unsigned int)rule->error));
}

static __attribute__((constructor)) void install(void)
{
	struct program program = { .length = 0 };
	struct sock_fprog filter = { .filter = program.code };

	for (size_t i = 0; i < sizeof(rules) / sizeof(*rules); i++) {
		if (is_denied(rules[i].name))
			add_rule(&program, &rules[i]);
	}
	if (!program.length)
		return;
	add(&program, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
	filter.len = program.length;
	/* Without the right to install a filter as it is: one that no privileges can be got past.
	 */
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) < 0 &&
	    (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	     prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) < 0)) {
		perror("deny: seccomp");
		_exit(99);
	}
}

/* --- what a filter cannot see --- */

/* STATX_MNT_ID_UNIQUE, which headers before Linux 6.8 lack. */
enum { MNT_ID_UNIQUE = 0x4000 };

static bool is_trusted(const char *name)
{
	return strncmp(name, "trusted.", 8) == 0 && is_denied("trusted");
}

int setxattr(const char *path, const char *name, const void *value, size_t size, int flags)
{
	if (is_trusted(name))
		return errno = EPERM, -1;
	return (int)syscall(SYS_setxattr, path, name, value, size, flags);
}

int fsetxattr(int fd, const char *name, const void *value, size_t size, int flags)
{
	if (is_trusted(name))
		return errno = EPERM, -1;
	return (int)syscall(SYS_fsetxattr, fd, name, value, size, flags);
}

/* As on filesystems that do not know when a file was born; and before Linux 5.8. */
int statx(int fd, const char *path, int flags, unsigned int mask, struct statx *st)
{
	int r = (int)syscall(SYS_statx, fd, path, flags, mask, st);

	if (r == 0 && is_denied("birth"))
		st->stx_mask &= ~(unsigned int)STATX_BTIME;
	if (r == 0 && is_denied("mount-id")) {
		st->stx_mask &= ~(unsigned int)(STATX_MNT_ID | MNT_ID_UNIQUE);
		st->stx_mnt_id = 0;
	}
	return r;
}
