/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What else can be asked of one file: ioctls, statx, statfs, times. */
#include "rules.h"

#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <time.h>

static void with_file(void)
{
	branch(2);
	dir("d");
	file("f", "content");
	set_times("f", 1000000000, 5);
	start();
}

static void inode_flags(void)
{
	int flags, set;

	with_file();
	cleanup_fd int fd = open_as("f", O_RDONLY);
	if (ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0)
		skip("no inode flags here");
	set = flags | FS_NODUMP_FL | FS_NOATIME_FL;
	ok(ioctl(fd, FS_IOC_SETFLAGS, &set));
	ok(ioctl(fd, FS_IOC_GETFLAGS, &flags));
	check_mode(flags & (FS_NODUMP_FL | FS_NOATIME_FL), FS_NODUMP_FL | FS_NOATIME_FL);
	cleanup_fd int again = open_as("f", O_RDONLY);
	ok(ioctl(again, FS_IOC_GETFLAGS, &flags));
	check_mode(flags & (FS_NODUMP_FL | FS_NOATIME_FL), FS_NODUMP_FL | FS_NOATIME_FL);
	check_text(text("f"), "content");
	set = flags & ~(FS_NODUMP_FL | FS_NOATIME_FL);
	ok(ioctl(fd, FS_IOC_SETFLAGS, &set));
	ok(ioctl(again, FS_IOC_GETFLAGS, &flags));
	check_mode(flags & (FS_NODUMP_FL | FS_NOATIME_FL), 0);
	AS_USER(1000, 1000)
	{
		cleanup_fd int reader = open_as("f", O_RDONLY);

		set = flags | FS_NODUMP_FL;
		check(ioctl(reader, FS_IOC_SETFLAGS, &set) < 0);
		check(errno == EPERM || errno == EACCES);
	}
}

/* A file that can be only appended to, or not changed at all, once it is in the top branch. */
static void immutable_and_append_only(void)
{
	int flags, set;

	with_file();
	file("mine", "mine");
	cleanup_fd int fd = open_as("mine", O_RDONLY);
	if (ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0)
		skip("no inode flags here");
	set = flags | FS_APPEND_FL;
	ok(ioctl(fd, FS_IOC_SETFLAGS, &set));
	check(open("mine", O_WRONLY | O_TRUNC) < 0 || ftruncate(fd, 0) < 0);
	append("mine", "+");
	check(unlink("mine") < 0 && errno == EPERM);
	set = flags | FS_IMMUTABLE_FL;
	ok(ioctl(fd, FS_IOC_SETFLAGS, &set));
	bool refused = chmod("mine", 0600) < 0 && rename("mine", "other") < 0 && unlink("mine") < 0;
	/* Before anything else, so that the file can be removed. */
	ok(ioctl(fd, FS_IOC_SETFLAGS, &flags));
	check(refused);
	check_text(text("mine"), "mine+");
	ok(unlink("mine"));
}

static void extended_flags(void)
{
	struct fsxattr got = { 0 };

	with_file();
	cleanup_fd int fd = open_as("f", O_RDONLY);
	if (ioctl(fd, FS_IOC_FSGETXATTR, &got) < 0)
		skip("no FSGETXATTR here");
	got.fsx_xflags |= FS_XFLAG_NODUMP;
	ok(ioctl(fd, FS_IOC_FSSETXATTR, &got));
	memset(&got, 0, sizeof(got));
	ok(ioctl(fd, FS_IOC_FSGETXATTR, &got));
	check(got.fsx_xflags & FS_XFLAG_NODUMP);
	cleanup_fd int d = open_as("d", O_RDONLY);
	ok(ioctl(d, FS_IOC_FSGETXATTR, &got));
}

static void other_ioctls_are_refused(void)
{
	int value = 0;

	with_file();
	cleanup_fd int fd = open_as("f", O_RDWR);
	fails(ioctl(fd, TCGETS, &value), ENOTTY);
	fails(ioctl(fd, _IOR('?', 77, int), &value), ENOTTY);
	/* What every file has, the kernel answers. */
	ok(ioctl(fd, FIONREAD, &value));
	check_eq(value, 7);
}

static struct statx statx_of(const char *path)
{
	struct statx ret = { 0 };

	ok(statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS | STATX_BTIME, &ret));
	return ret;
}

static void birth_times(void)
{
	with_file();
	struct statx before = statx_of("f");
	if (!(before.stx_mask & STATX_BTIME))
		skip("no birth times here");
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	check(llabs(before.stx_btime.tv_sec - now.tv_sec) < 60);
	usleep(20000);
	file("new", "");
	struct statx new = statx_of("new");
	check(new.stx_mask &STATX_BTIME);
	check(new.stx_btime.tv_sec > before.stx_btime.tv_sec ||
	      (new.stx_btime.tv_sec ==
	       before.stx_btime.tv_sec &&new.stx_btime.tv_nsec > before.stx_btime.tv_nsec));
	set_times("new", 5, 5);
	check_eq(statx_of("new").stx_btime.tv_sec, new.stx_btime.tv_sec);
}

static void statx_agrees_with_stat(void)
{
	with_file();
	struct statx x = statx_of("f");
	struct stat s = st("f");
	check_eq(x.stx_ino, s.st_ino);
	check_eq(x.stx_size, s.st_size);
	check_eq(x.stx_blocks, s.st_blocks);
	check_eq(x.stx_nlink, s.st_nlink);
	check_eq(x.stx_mtime.tv_sec, 1000000000);
	check_eq(x.stx_mtime.tv_nsec, 5);
	check_eq(x.stx_uid, s.st_uid);
	check_mode(x.stx_mode, s.st_mode);
	check_eq(makedev(x.stx_dev_major, x.stx_dev_minor), s.st_dev);
	check((x.stx_mask & STATX_BASIC_STATS) == STATX_BASIC_STATS);
}

static void statfs_is_that_of_the_disk(void)
{
	struct statvfs here, disk;

	with_file();
	ok(statvfs(".", &here));
	ok(statvfs(path_in(on_mount() ? "top/upper" : "plain", ""), &disk));
	check_eq(here.f_namemax, 255);
	check_eq(here.f_blocks, disk.f_blocks);
	check_eq(here.f_bsize, disk.f_bsize);
	check_eq(here.f_frsize, disk.f_frsize);
	check_eq(here.f_files, disk.f_files);
	/* Others use the disk meanwhile. */
	check(llabs((long long)here.f_bavail - (long long)disk.f_bavail) < 100000);
	cleanup_fd int fd = open_as("f", O_RDONLY);
	ok(fstatvfs(fd, &here));
	check_eq(here.f_blocks, disk.f_blocks);
}

/* ---- times ---- */

static void times_beyond_2038(void)
{
	static const int64_t seconds[] = { 0x80000000,	0xffffffff, 0x100000000,
					   0x37ffffffe, -1,	    -0x7fffffffLL };

	with_file();
	for (size_t i = 0; i < sizeof(seconds) / sizeof(*seconds); i++) {
		set_times("f", seconds[i], 999999999);
		check_eq(st("f").st_mtim.tv_sec, seconds[i]);
		check_eq(st("f").st_mtim.tv_nsec, 999999999);
		check_eq(st("f").st_atim.tv_sec, seconds[i]);
		set_times("d", seconds[i], 1);
		remount();
		check_eq(st("f").st_mtim.tv_sec, seconds[i]);
		check_eq(st("d").st_mtim.tv_sec, seconds[i]);
		check_eq(st("d").st_mtim.tv_nsec, 1);
	}
}

/* Those a lower file has, and what remains of them after its copy-up. */
static void odd_times_of_lower_files(void)
{
	branch(3);
	file("future", "f");
	file("past", "p");
	set_times("future", 0x37fffff00, 1);
	set_times("past", -1000, 999999999);
	start();
	for (int round = 0; round < 2; round++) {
		check_eq(st("future").st_mtim.tv_sec, 0x37fffff00);
		check_eq(st("past").st_mtim.tv_sec, -1000);
		check_eq(st("past").st_mtim.tv_nsec, 999999999);
		set_mode("future", 0600);
		set_mode("past", 0600);
	}
}

static void times_now_and_omitted(void)
{
	struct timespec omit_atime[2] = { { 0, UTIME_OMIT }, { 77, 7 } };
	struct timespec omit_mtime[2] = { { 88, 8 }, { 0, UTIME_OMIT } };
	struct timespec now[2] = { { 0, UTIME_NOW }, { 0, UTIME_NOW } };
	struct timespec bad[2] = { { 0, 1000000000 }, { 0, 0 } };

	with_file();
	ok(utimensat(AT_FDCWD, "f", omit_atime, 0));
	check_eq(st("f").st_mtim.tv_nsec, 7);
	check_eq(st("f").st_atim.tv_sec, 1000000000);
	ok(utimensat(AT_FDCWD, "f", omit_mtime, 0));
	check_eq(st("f").st_mtim.tv_sec, 77);
	check_eq(st("f").st_atim.tv_nsec, 8);
	fails(utimensat(AT_FDCWD, "f", bad, 0), EINVAL);
	set_mode("f", 0666);
	AS_USER(1000, 1000)
	{
		ok(utimensat(AT_FDCWD, "f", now, 0));
		fails(utimensat(AT_FDCWD, "f", omit_atime, 0), EPERM);
	}
	check(st("f").st_mtim.tv_sec > 1000000000);
	set_mode("f", 0644);
	AS_USER(1000, 1000)
	{
		fails(utimensat(AT_FDCWD, "f", now, 0), EACCES);
	}
}

/* mtime and ctime of file and directory, for what changes them. */
static void changes_move_times(void)
{
	with_file();
	for (int i = 0; i < 2; i++) {
		struct stat f = st("f"), root;

		usleep(10000);
		set_mode("f", 0640 + i);
		check(same_time(st("f").st_mtim, f.st_mtim));
		check(!same_time(st("f").st_ctim, f.st_ctim));
		append("f", "x");
		check(!same_time(st("f").st_mtim, f.st_mtim));
		root = st(".");
		f = st("f");
		usleep(10000);
		ok(rename("f", "g"));
		check(same_time(st("g").st_mtim, f.st_mtim));
		check(!same_time(st("g").st_ctim, f.st_ctim));
		check(!same_time(st(".").st_mtim, root.st_mtim));
		root = st(".");
		usleep(10000);
		ok(link("g", "d/h"));
		check(same_time(st(".").st_mtim, root.st_mtim));
		ok(unlink("d/h"));
		ok(rename("g", "f"));
	}
}

const struct rule rules_files[] = {
	RULE(inode_flags, "FS_IOC_GETFLAGS, SETFLAGS"),
	RULE(immutable_and_append_only, "chattr +a and +i of a file of the top branch"),
	RULE(extended_flags, "FS_IOC_FSGETXATTR, FSSETXATTR"),
	RULE(other_ioctls_are_refused, "an unknown ioctl is ENOTTY"),
	RULE(birth_times, "statx tells when a file was made"),
	RULE(statx_agrees_with_stat, "statx and stat agree"),
	RULE(statfs_is_that_of_the_disk, "statfs is the disk's, with names of 255"),
	RULE(times_beyond_2038, "times after 2038 and before 1970"),
	RULE(odd_times_of_lower_files, "such times of lower files, over copy-up"),
	RULE(times_now_and_omitted, "UTIME_NOW, UTIME_OMIT, and who may"),
	RULE(changes_move_times, "what moves mtime and ctime"),
	{ 0 },
};
