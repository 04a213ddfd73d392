/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A user namespace with as many ids as /etc/subuid usually gives: everything, mounts
 * included, runs in a child that is root of it and nobody outside.  We write its map.
 */
#include "differ.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"

#define FIRST_ID 100000
#define N_IDS 65536

static int write_map(pid_t pid, const char *name)
{
	cleanup_free char *path = xformat("/proc/%d/%s", (int)pid, name);
	cleanup_fd int fd = open(path, O_WRONLY | O_CLOEXEC);

	return fd < 0 || dprintf(fd, "0 %d %d\n", FIRST_ID, N_IDS) < 0 ? -errno : 0;
}

/* Waits until the other end says so, or has died. */
static bool wait_for(int fd)
{
	char byte;

	return read(fd, &byte, 1) == 1;
}

/*
 * A namespace without the mounts of other tests: they would live on in it, and their
 * daemons, when those tests have unmounted them.  In that of a user namespace they
 * could not be unmounted any more.
 */
static int leave_mounts(void)
{
	cleanup_free char *line = NULL;
	size_t room = 0;
	FILE *file;

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return -errno;
	file = fopen("/proc/self/mounts", "re");
	while (file && getline(&line, &room, file) > 0) {
		char *rest = line, *point;

		strsep(&rest, " ");
		point = strsep(&rest, " ");
		if (rest && strncmp(rest, "fuse.cairnfs ", 13) == 0)
			umount2(point, MNT_DETACH);
	}
	if (file)
		fclose(file);
	return 0;
}

/* The child: 0 when it is root of its namespace. */
static int enter(int from_parent, int to_parent, const char *device)
{
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (leave_mounts() < 0)
		return -EPERM;
	if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0 || write(to_parent, "x", 1) != 1 ||
	    !wait_for(from_parent))
		return -EPERM;
	if (setresgid(0, 0, 0) < 0 || setgroups(0, NULL) < 0 || setresuid(0, 0, 0) < 0)
		return -errno;
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount(device, "/dev/fuse", NULL, MS_BIND, NULL) < 0)
		return -errno;
	return 0;
}

/* The parent: what the child ended with. */
static int follow(pid_t pid, int from_child, int to_child, const char *dir)
{
	int status = 0;

	if (wait_for(from_child) && write_map(pid, "uid_map") == 0 &&
	    write_map(pid, "gid_map") == 0)
		(void)!write(to_child, "x", 1);
	close(to_child);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		kill(pid, SIGTERM);
	fd_remove_tree(AT_FDCWD, dir);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

int userns_enter(struct options *options, int *ret_status)
{
	char *dir = xformat("%s/userns.XXXXXX", options->dir);
	cleanup_free char *device = NULL;
	int r, down[2], up[2];
	pid_t pid;

	/* Not everywhere may everybody open /dev/fuse. */
	if (!mkdtemp(dir) || chown(dir, FIRST_ID, FIRST_ID) < 0 || pipe2(down, O_CLOEXEC) < 0 ||
	    pipe2(up, O_CLOEXEC) < 0)
		return -errno;
	device = xformat("%s/fuse", dir);
	if (mknod(device, S_IFCHR, makedev(10, 229)) < 0 || chmod(device, 0666) < 0)
		return -errno;
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid > 0) {
		close(down[0]);
		close(up[1]);
		*ret_status = follow(pid, up[0], down[1], dir);
		free(dir);
		return 0;
	}
	close(down[1]);
	close(up[0]);
	free((char *)options->dir);
	options->dir = dir;
	r = enter(down[0], up[1], device);
	return r < 0 ? r : 1;
}
