/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * idmapped STORED:SHOWN:SIZE DIR POINT: mounts DIR at POINT, its user and group ids mapped, as
 * engines do (mount(8) can from util-linux 2.39 on). 77: the filesystem or the kernel cannot.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef OPEN_TREE_CLONE
#define OPEN_TREE_CLONE 1
#endif

static int fail(const char *what)
{
	int code = errno;

	fprintf(stderr, "idmapped: %s: %s\n", what, strerror(code));
	return code == EINVAL || code == ENOSYS || code == EPERM ? 77 : 1;
}

static int write_map(pid_t pid, const char *file, const char *text)
{
	char path[64];
	int fd, r;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	r = fd < 0 || write(fd, text, strlen(text)) < 0 ? -1 : 0;
	if (fd >= 0)
		close(fd);
	return r;
}

/* A user namespace with this map, as a descriptor; -1: none. */
static int user_namespace(const char *map)
{
	char path[64], byte;
	int ready[2], done[2], fd = -1;
	pid_t pid;

	if (pipe(ready) < 0 || pipe(done) < 0)
		return -1;
	pid = fork();
	if (pid == 0) {
		close(done[1]);
		if (unshare(CLONE_NEWUSER) == 0 && write(ready[1], "x", 1) == 1)
			_exit(read(done[0], &byte, 1) < 0);
		_exit(1);
	}
	close(ready[1]);
	snprintf(path, sizeof(path), "/proc/%d/ns/user", (int)pid);
	if (pid > 0 && read(ready[0], &byte, 1) == 1 && write_map(pid, "uid_map", map) == 0 &&
	    write_map(pid, "gid_map", map) == 0)
		fd = open(path, O_RDONLY | O_CLOEXEC);
	close(done[1]);
	waitpid(pid, NULL, 0);
	return fd;
}

int main(int argc, char *argv[])
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_IDMAP };
	unsigned int stored, shown, size;
	char map[64];
	int tree, ns;

	if (argc != 4 || sscanf(argv[1], "%u:%u:%u", &stored, &shown, &size) != 3) {
		fprintf(stderr, "idmapped STORED:SHOWN:SIZE DIR POINT\n");
		return 2;
	}
	snprintf(map, sizeof(map), "%u %u %u\n", stored, shown, size);
	ns = user_namespace(map);
	if (ns < 0)
		return fail("user namespace");
	tree = (int)syscall(SYS_open_tree, AT_FDCWD, argv[2], OPEN_TREE_CLONE);
	if (tree < 0)
		return fail(argv[2]);
	attr.userns_fd = (unsigned int)ns;
	if (syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0)
		return fail("mount_setattr");
	if (syscall(SYS_move_mount, tree, "", AT_FDCWD, argv[3], MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return fail(argv[3]);
	return 0;
}
