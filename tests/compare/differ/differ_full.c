/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Upper on a small filesystem that runs full.  What fails on the mount for want of space
 * is not done on the plain side, and has to have changed nothing.  A file beside upper,
 * the ballast, takes the space.
 */
#include "differ.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"

#define SMALL_MIB 12
/* A write that was cut short left no more than this. */
#define NEARLY_FULL (256 << 10)

static int run_command(char *command)
{
	int status = system(command);

	free(command);
	return status == 0 ? 0 : -EIO;
}

static int mount_ext4(const char *small)
{
	int r = run_command(xformat("truncate -s %dM %s.image && mkfs.ext4 -q -m 0 -O ^has_journal "
				    "-b 4096 -I 256 %s.image",
				    SMALL_MIB, small, small));

	return r < 0 ? r : run_command(xformat("mount -o loop %s.image %s", small, small));
}

int full_mount(struct session *session)
{
	cleanup_free char *options = xformat("size=%dm,mode=755", SMALL_MIB);
	const char *small = session->small;

	if (mkdir(small, 0755) < 0)
		return -errno;
	if (!strcmp(session->options->full, "ext4"))
		return mount_ext4(small);
	return mount("tmpfs", small, "tmpfs", 0, options) < 0 ? -errno : 0;
}

void full_unmount(struct session *session)
{
	if (umount2(session->small, 0) < 0)
		umount2(session->small, MNT_DETACH);
}

static int64_t space_left(const struct session *session)
{
	struct statvfs st;

	return statvfs(session->small, &st) < 0 ? -1 : (int64_t)(st.f_bavail * st.f_frsize);
}

bool full_is_reached(const struct session *session)
{
	return space_left(session) < NEARLY_FULL;
}

int full_fill(const struct session *session, int64_t leave)
{
	cleanup_free char *path = xformat("%s/ballast", session->small);
	cleanup_fd int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	int64_t size, left;

	if (fd < 0)
		return -errno;
	left = space_left(session);
	/* The filesystem may need some for itself. */
	for (size = left - leave; leave >= 0 && size > 0; size -= 16384)
		if (fallocate(fd, 0, 0, size) == 0)
			break;
	return 0;
}

static bool is_now(const struct stat *st, time_t start)
{
	return st->st_mtim.tv_sec >= start && st->st_mtim.tv_sec < start + 86400;
}

/* The times of what failed, and of the directories it was in, may have moved: they follow. */
static void settle(const struct session *session, time_t start)
{
	cleanup_fd int plain = open(session->ref, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cleanup_fd int mounted = open(session->mnt, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct tree want = { 0 }, got = { 0 };
	size_t i, moved = 0;

	if (tree_read(plain, false, &want) < 0 || tree_read(mounted, false, &got) < 0 ||
	    want.count != got.count)
		want.count = 0;
	for (i = 0; i < want.count && moved < 3; i++) {
		const struct stat *old = &want.nodes[i].st, *now = &got.nodes[i].st;
		struct timespec times[2] = { old->st_atim, now->st_mtim };
		cleanup_fd int fd = -1;

		if (!is_now(now, start) || is_now(old, start) ||
		    strcmp(want.nodes[i].path, got.nodes[i].path) != 0)
			continue;
		moved++;
		fd = fd_open_beneath(plain, want.nodes[i].path, O_PATH | O_NOFOLLOW);
		if (fd >= 0)
			fd_utimens(fd, times);
	}
	tree_done(&want);
	tree_done(&got);
}

/* Twice: of a failed copy_file_range the kernel learns nothing until it looks again. */
void full_settle(const struct session *session, time_t start)
{
	settle(session, start);
	settle(session, start);
}
