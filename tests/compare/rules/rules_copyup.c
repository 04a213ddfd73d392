/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Copy-up: what a file has, it has after its first change too. */
#include "rules.h"

#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/xattr.h>

static void make_socket(const char *path)
{
	cleanup_fd int fd = ok(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	ok(bind(fd, (struct sockaddr *)&address, sizeof(address)));
}

static void every_type_is_copied_up(void)
{
	const struct {
		const char *name;
		mode_t type;
		dev_t device;
	} kinds[] = { { "file", S_IFREG, 0 },
		      { "dir", S_IFDIR, 0 },
		      { "link", S_IFLNK, 0 },
		      { "fifo", S_IFIFO, 0 },
		      { "socket", S_IFSOCK, 0 },
		      { "char", S_IFCHR, makedev(1, 3) },
		      { "block", S_IFBLK, makedev(7, 200) } };

	branch(2);
	file("file", "content");
	dir("dir");
	ok(symlink("a target", "link"));
	ok(mkfifo("fifo", 0640));
	make_socket("socket");
	ok(mknod("char", S_IFCHR | 0640, makedev(1, 3)));
	ok(mknod("block", S_IFBLK | 0640, makedev(7, 200)));
	start();
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		set_owner(kinds[i].name, 12, 34);
		set_times(kinds[i].name, 1000, 5);
		check_owner(kinds[i].name, 12, 34, mode_of(kinds[i].name));
		check_mode(st(kinds[i].name).st_mode & S_IFMT, kinds[i].type);
		check_eq(st(kinds[i].name).st_rdev, kinds[i].device);
		check_eq(st(kinds[i].name).st_mtim.tv_nsec, 5);
		check(!on_mount() || there(path_in("top/upper", kinds[i].name)));
	}
	check_text(text("file"), "content");
	check_text(target("link"), "a target");
	check_mode(mode_of("fifo"), 0640);
	remount();
	check_owner("link", 12, 34, 0777);
	check_text(names("."), "block char dir fifo file link socket");
}

/* One block in the middle of 8 MiB: where the data is, and what it occupies. */
static void holes_are_kept(void)
{
	branch(3);
	file("sparse", "");
	ok(truncate("sparse", 8 * MIB));
	write_at("sparse", 4 * MIB, "data");
	start();
	set_mode("sparse", 0600);
	write_at("sparse", 6 * MIB, "more");
	cleanup_fd int fd = open_as("sparse", O_RDONLY);
	check_eq(lseek(fd, 0, SEEK_DATA), 4 * MIB);
	check(lseek(fd, 4 * MIB, SEEK_HOLE) <= 4 * MIB + 65536);
	check_eq(lseek(fd, 5 * MIB, SEEK_DATA), 6 * MIB);
	check_eq(st("sparse").st_size, 8 * MIB);
	check(st("sparse").st_blocks <= 2 * 128);
}

static void attributes_are_kept(void)
{
	branch(1);
	file("f", "content");
	set_owner("f", 1234, 56789);
	set_mode("f", 06751);
	set_times("f", 1234567890, 123456789);
	start();
	struct stat before = st("f");
	set_xattr("f", "user.one", "1");
	struct stat after = st("f");
	check_mode(after.st_mode, before.st_mode);
	check_mode(after.st_mode, S_IFREG | 06751);
	check_owner("f", 1234, 56789, 06751);
	check(same_time(before.st_mtim, after.st_mtim));
	check_eq(after.st_mtim.tv_nsec, 123456789);
	check_eq(after.st_atim.tv_nsec, 123456789);
	check_eq(after.st_size, before.st_size);
	check_eq(after.st_nlink, before.st_nlink);
	check_eq(after.st_ino, before.st_ino);
	check_eq(after.st_dev, before.st_dev);
	check(!same_time(before.st_ctim, after.st_ctim));
}

/* An ACL of u::rw- u:1000:r-- g::r-- m::r-- o::--- */
static const unsigned char acl[] = { 2,	  0,   0,   0,	 1,   0,    6,	0,   255, 255, 255,
				     255, 2,   0,   4,	 0,   0xe8, 3,	0,   0,	  4,   0,
				     4,	  0,   255, 255, 255, 255,  16, 0,   4,	  0,   255,
				     255, 255, 255, 32,	 0,   0,    0,	255, 255, 255, 255 };
/* cap_net_raw=ep, as setcap writes it */
static const unsigned char capability[] = { 1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0,
					    0, 0, 0, 0, 0, 0,	 0, 0, 0, 0 };

static void xattrs_are_kept(void)
{
	char value[100];

	branch(2);
	file("f", "content");
	set_xattr("f", "user.one", "1");
	set_xattr("f", "user.empty", "");
	set_xattr("f", "trusted.two", "2");
	ok(setxattr("f", "system.posix_acl_access", acl, sizeof(acl), 0));
	ok(setxattr("f", "security.capability", capability, sizeof(capability), 0));
	dir("d");
	ok(setxattr("d", "system.posix_acl_default", acl, sizeof(acl), 0));
	start();
	set_times("f", 1000, 0);
	set_times("d", 1000, 0);
	check_text(xattr("f", "user.one"), "1");
	check_text(xattr("f", "user.empty"), "");
	check_text(xattr("f", "trusted.two"), "2");
	check_eq(getxattr("f", "system.posix_acl_access", value, sizeof(value)), sizeof(acl));
	check(!memcmp(value, acl, sizeof(acl)));
	check_eq(getxattr("f", "security.capability", value, sizeof(value)), sizeof(capability));
	check(!memcmp(value, capability, sizeof(capability)));
	check_eq(getxattr("d", "system.posix_acl_default", value, sizeof(value)), sizeof(acl));
	check_mode(mode_of("f"), 0640);
	AS_USER(1000, 1000)
	{
		check_text(text("f"), "content");
	}
	AS_USER(1001, 1001)
	{
		fails(open("f", O_RDONLY), EACCES);
	}
}

#define CHATTR_FLAGS (FS_NOATIME_FL | FS_NODUMP_FL | FS_SYNC_FL | FS_DIRSYNC_FL)

static int flags_of(const char *path)
{
	cleanup_fd int fd = open_as(path, O_RDONLY);
	int flags = 0;

	ok(ioctl(fd, FS_IOC_GETFLAGS, &flags));
	return flags & CHATTR_FLAGS;
}

static void set_flags(const char *path, int set)
{
	cleanup_fd int fd = open_as(path, O_RDONLY);
	int flags = 0;

	if (ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0)
		skip("no chattr here");
	flags = (flags & ~CHATTR_FLAGS) | set;
	ok(ioctl(fd, FS_IOC_SETFLAGS, &flags));
}

static void chattr_flags_are_kept(void)
{
	branch(2);
	file("f", "content");
	dir("d");
	set_flags("f", FS_NOATIME_FL | FS_NODUMP_FL | FS_SYNC_FL);
	set_flags("d", FS_DIRSYNC_FL | FS_NODUMP_FL);
	start();
	append("f", "x");
	set_mode("d", 0700);
	check_mode(flags_of("f"), FS_NOATIME_FL | FS_NODUMP_FL | FS_SYNC_FL);
	check_mode(flags_of("d"), FS_DIRSYNC_FL | FS_NODUMP_FL);
	/* And what is set on the mount stays, also on what is not copied up yet. */
	set_flags("f", FS_NODUMP_FL);
	check_mode(flags_of("f"), FS_NODUMP_FL);
}

static const char *const above[] = { ".", "a", "a/b" };

/* Copies up a/b/f, and gives the times of the directories above before it. */
static void change_below(struct stat before[3])
{
	branch(2);
	dir("a");
	dir("a/b");
	file("a/b/f", "content");
	for (int i = 2; i >= 0; i--)
		set_times(above[i], 1000 + i, 10 + i);
	start();
	for (int i = 0; i < 3; i++)
		before[i] = st(above[i]);
	append("a/b/f", "more");
	set_mode("a/b/f", 0600);
}

static void parents_times_stay(void)
{
	struct stat before[3];

	change_below(before);
	for (int i = 0; i < 3; i++) {
		check(same_time(st(above[i]).st_mtim, before[i].st_mtim));
		check(same_time(st(above[i]).st_ctim, before[i].st_ctim));
	}
	check_eq(st("a/b").st_mtim.tv_nsec, 12);
	remount();
	for (int i = 0; i < 3; i++)
		check(same_time(st(above[i]).st_mtim, before[i].st_mtim));
}

/* Not only as long as the kernel has them in its cache. */
static void parents_ctime_stays_for_good(void)
{
	struct stat before[3];

	change_below(before);
	remount();
	for (int i = 0; i < 3; i++)
		if (!same_time(st(above[i]).st_ctim, before[i].st_ctim) && !accepted("ctime-above"))
			failed(__FILE__, __LINE__, "ctime of %s moves", above[i]);
}

const struct rule rules_copyup[] = {
	RULE(every_type_is_copied_up, "files of every type are copied up"),
	RULE(holes_are_kept, "copy-up keeps holes"),
	RULE(attributes_are_kept, "copy-up keeps owner, mode, nanosecond times and numbers"),
	RULE(xattrs_are_kept, "copy-up keeps xattrs, ACLs and capabilities"),
	RULE(chattr_flags_are_kept, "copy-up keeps chattr flags"),
	RULE(parents_times_stay, "copy-up moves no time of the directories above"),
	RULE(parents_ctime_stays_for_good, "nor their ctime, as a remount would show it"),
	{ 0 },
};
