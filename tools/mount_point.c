/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "mount_point.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"

char *mount_point_resolve(const char *path)
{
	cleanup_free char *copy = strdup(path), *parent = NULL;
	char *slash, *whole, *last;

	if (!copy || !*copy)
		return NULL;
	for (size_t len = strlen(copy); len > 1 && copy[len - 1] == '/'; len--)
		copy[len - 1] = '\0';
	slash = strrchr(copy, '/');
	last = slash ? slash + 1 : copy;
	if (!*last || strcmp(last, ".") == 0 || strcmp(last, "..") == 0)
		return realpath(copy, NULL);
	parent = slash ? strndup(copy, slash == copy ? 1 : (size_t)(slash - copy)) : strdup(".");
	whole = parent ? realpath(parent, NULL) : NULL;
	free(parent);
	parent = whole;
	if (!parent)
		return NULL;
	return asprintf(&whole, "%s/%s", strcmp(parent, "/") == 0 ? "" : parent, last) < 0 ? NULL
											   : whole;
}

/* Where one link leads. The name of a directory that something is mounted on is no link. */
static char *follow_once(const char *path)
{
	cleanup_free char *target = NULL;
	char *whole;

	if (fd_readlink(AT_FDCWD, path, &target) < 0)
		return NULL;
	if (*target == '/')
		return mount_point_resolve(target);
	if (asprintf(&whole, "%.*s%s", (int)(strrchr(path, '/') + 1 - path), path, target) < 0)
		return NULL;
	free(target);
	target = whole;
	return mount_point_resolve(target);
}

char *mount_point_follow(const char *path)
{
	enum { MAX_LINKS = 40 };
	char *at = mount_point_resolve(path);

	for (int i = 0; at && i < MAX_LINKS; i++) {
		char *next = follow_once(at);

		if (!next && i > 0)
			return at;
		free(at);
		at = next;
	}
	free(at);
	return NULL;
}

int mount_point_dev(const char *path, dev_t *ret)
{
	struct statx st;

	if (statx(AT_FDCWD, path, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, 0, &st) < 0)
		return -errno;
	*ret = makedev(st.stx_dev_major, st.stx_dev_minor);
	return 0;
}

int process_run(char *const argv[], int input)
{
	int status;
	pid_t pid = fork();

	if (pid < 0)
		return 127;
	if (pid == 0) {
		if (input >= 0 && dup2(input, STDIN_FILENO) < 0)
			_exit(127);
		execvp(argv[0], argv);
		fprintf(stderr, "cairn: cannot run %s: %s\n", argv[0], strerror(errno));
		_exit(127);
	}
	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return 127;
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}
