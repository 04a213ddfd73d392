/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A disk that is full: who is told, when, and what is left. */
#include "rules.h"

#include <linux/btrfs.h>
#include <linux/btrfs_tree.h>
#include <linux/quota.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/quota.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>

static bool has_room(void)
{
	struct statvfs fs;

	ok(statvfs(".", &fs));
	return fs.f_bavail > 10;
}

static void full_disk_at_write(void)
{
	static char block[65536];
	off_t written = 0;
	ssize_t n;

	small_top("size=1m");
	start();
	int fd = open_as("f", O_CREAT | O_WRONLY);
	memset(block, 'x', sizeof(block));
	while ((n = write(fd, block, sizeof(block))) > 0 && written < 4 * MIB)
		written += n;
	check_eq(n, -1);
	check_eq(errno, ENOSPC);
	check(written >= 512 * 1024);
	ok(fsync(fd));
	ok(close(fd));
	check_eq(st("f").st_size, written);
	ok(unlink("f"));
	if (accepted("late-room"))
		wait_until(has_room());
	file("f", "there is room again");
	check_text(text("f"), "there is room again");
}

/* ---- copy-up that fails ---- */

static void check_untouched(const char *path, off_t size, struct stat before)
{
	struct stat after = st(path);

	check(is_big_file(path, size));
	check_eq(after.st_ino, before.st_ino);
	check_eq(after.st_nlink, before.st_nlink);
	check_mode(after.st_mode, before.st_mode);
	check(same_time(after.st_mtim, before.st_mtim));
	check(same_time(after.st_ctim, before.st_ctim));
}

/* At open or at the first write, and not later. */
static void fails_to_write(const char *path, int error)
{
	cleanup_fd int fd = open(path, O_RDWR | O_CLOEXEC);

	if (fd >= 0)
		fails(pwrite(fd, "x", 1, 0), error);
	else
		check_eq(errno, error);
}

static void full_disk_in_copy_up(void)
{
	small_top("size=2m");
	branch(1);
	big_file("big", 8 * MIB);
	ok(link("big", "twin"));
	file("small", "small");
	start();
	struct stat before = st("big");
	fails_to_write("big", ENOSPC);
	fails(chmod("big", 0600), ENOSPC);
	fails(truncate("big", 7 * MIB), ENOSPC);
	fails(rename("big", "moved"), ENOSPC);
	fails(link("twin", "third"), ENOSPC);
	check_text(names("."), "big small twin");
	check_untouched("big", 8 * MIB, before);
	check(!there(path_in("top/upper", "big")));
	/* What was half done is gone again, and there is room for what fits. */
	append("small", "er");
	check_text(text("small"), "smaller");
	ok(unlink("big"));
	check_eq(st("twin").st_nlink, 1);
	check_text(names("."), "small twin");
}

/* ---- quotas ---- */

#define QUOTA_GROUP 777

/* An image of that size below the world's directory, made and mounted over `where`. */
static bool mount_image(const char *size, const char *mkfs, const char *where)
{
	char command[PATH_MAX * 3];

	snprintf(command, sizeof(command),
		 "cd '%s' && { rm -f image; truncate -s %s image && %s image && mount -o loop "
		 "image '%s'; } >mkfs 2>&1",
		 world.dir, size, mkfs, where);
	return system(command) == 0;
}

/* ext4 with a hard limit of 2 MiB for the group of the file that is to come up. */
static bool ext4_with_quota(const char *where)
{
	struct dqblk limit = { .dqb_bhardlimit = 2048,
			       .dqb_bsoftlimit = 2048,
			       .dqb_valid = QIF_BLIMITS };

	if (!mount_image("32M", "mkfs.ext4 -q -O quota -E quotatype=grpquota", where))
		return false;
	cleanup_fd int at = open_as(where, O_RDONLY | O_DIRECTORY);
	ok(syscall(443 /* quotactl_fd */, at, QCMD(Q_SETQUOTA, GRPQUOTA), QUOTA_GROUP, &limit));
	return true;
}

/* btrfs with a limit of 2 MiB for all of it. */
static bool btrfs_with_quota(const char *where)
{
	struct btrfs_ioctl_quota_ctl_args enable = { .cmd = BTRFS_QUOTA_CTL_ENABLE };
	struct btrfs_ioctl_qgroup_limit_args limit = {
		.qgroupid = BTRFS_FS_TREE_OBJECTID,
		.lim = { .flags = BTRFS_QGROUP_LIMIT_MAX_RFER, .max_rfer = 2 * MIB },
	};

	if (!mount_image("512M", "mkfs.btrfs -q", where))
		return false;
	cleanup_fd int at = open_as(where, O_RDONLY | O_DIRECTORY);
	ok(ioctl(at, BTRFS_IOC_QUOTA_CTL, &enable));
	ok(ioctl(at, BTRFS_IOC_QGROUP_LIMIT, &limit));
	return true;
}

/* A root that quotas hold for. */
static void without_sys_resource(void)
{
	prctl(PR_CAPBSET_DROP, 24 /* CAP_SYS_RESOURCE */, 0, 0, 0);
}

static void quota_in_copy_up(void)
{
	const char *top = path_in("top", "");

	if (!ext4_with_quota(top) && !btrfs_with_quota(top))
		skip("no loop device, or neither ext4 nor btrfs with quotas here");
	ok(mkdir(path_in("top", "upper"), 0755));
	ok(mkdir(path_in("top", "work"), 0755));
	branch(1);
	big_file("big", 8 * MIB);
	set_owner("big", 0, QUOTA_GROUP);
	file("small", "small");
	world.before_daemon = without_sys_resource;
	start();
	struct stat before = st("big");
	fails(chmod("big", 0600), EDQUOT);
	fails_to_write("big", EDQUOT);
	check_untouched("big", 8 * MIB, before);
	check(!there(path_in("top/upper", "big")));
	append("small", "er");
	check_text(text("small"), "smaller");
	ok(unlink("big"));
	check_text(names("."), "small");
}

/* ---- no more inodes ---- */

/* Whether it went well, or the disk had no room; anything else is wrong. */
static bool has_gone_well(int r)
{
	if (r < 0 && errno != ENOSPC)
		failed(__FILE__, __LINE__, "%s on a full disk", strerror(errno));
	return r >= 0;
}

/* What succeeds has happened, what fails has not, and in the end all can be removed. */
static void no_inodes_left(void)
{
	char name[16];
	int n = 0;

	small_top("nr_inodes=40");
	branch(2);
	dir("d");
	file("d/f", "low");
	file("f", "low");
	file("g", "low");
	ok(symlink("f", "link"));
	start();
	do
		snprintf(name, sizeof(name), "new%d", n++);
	while (n < 100 && has_gone_well(mkfifo(name, 0600)));
	check(n > 5 && n < 100);
	check(!there(name));
	if (!has_gone_well(chmod("f", 0600)))
		check_mode(mode_of("f"), 0644);
	check_eq(has_gone_well(rename("g", "h")), there("h"));
	check_eq(there("h"), !there("g"));
	check_eq(has_gone_well(link("f", "f2")), there("f2"));
	check_eq(has_gone_well(unlink("d/f")), !there("d/f"));
	check_eq(has_gone_well(mkdir("new.d", 0755)), there("new.d"));
	check_eq(has_gone_well(symlink("x", "new.l")), there("new.l"));
	check_eq(has_gone_well(unlink("link")), !there("link"));
	check_text(text("f"), "low");
	for (int i = 0; i < n - 1; i++) {
		snprintf(name, sizeof(name), "new%d", i);
		ok(unlink(name));
	}
	if (accepted("late-room"))
		wait_until(chmod("f", 0600) == 0);
	set_mode("f", 0600);
	check_eq(system("rm -rf *"), 0);
	check_text(names("."), "");
}

const struct rule rules_full[] = {
	RULE(full_disk_at_write, "ENOSPC comes at write, not first at close"),
	MOUNT_RULE(full_disk_in_copy_up, "ENOSPC in copy-up leaves the lower file as it was"),
	MOUNT_RULE(quota_in_copy_up, "EDQUOT in copy-up leaves the lower file as it was"),
	RULE(no_inodes_left, "calls fail whole when there are no inodes"),
	{ 0 },
};
