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

DEFINE_CLEANUP(FILE *, file, fclose)

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

/* mountinfo writes space, tab, newline and backslash as three octal digits. */
static void unescape(char *text)
{
	char *to = text;

	for (; *text; text++) {
		if (text[0] == '\\' && strspn(text + 1, "01234567") >= 3) {
			*to++ = (char)((text[1] - '0') << 6 | (text[2] - '0') << 3 |
				       (text[3] - '0'));
			text += 3;
		} else {
			*to++ = *text;
		}
	}
	*to = '\0';
}

/*
 * A line of mountinfo in parts: what is mounted and where.  False at the end.  The
 * line, which *path is part of, is the caller's to free.
 */
static bool next_mount(FILE *file, char **line, dev_t *dev, char **path)
{
	size_t room = 0;
	unsigned int major, minor;
	char *rest, *field = NULL;

	free(take_ptr(*line));
	if (!file || getline(line, &room, file) <= 0)
		return false;
	rest = *line;
	for (int i = 0; i < 5; i++) {
		field = strsep(&rest, " ");
		if (!field)
			return false;
		if (i == 2 && sscanf(field, "%u:%u", &major, &minor) == 2)
			*dev = makedev(major, minor);
	}
	unescape(field);
	*path = field;
	return true;
}

bool mount_point_is_mounted(const char *path)
{
	CLEANUP(cleanup_file) FILE *file = fopen("/proc/self/mountinfo", "re");
	cleanup_free char *line = NULL;
	char *point;
	dev_t dev;

	while (next_mount(file, &line, &dev, &point)) {
		if (strcmp(point, path) == 0)
			return true;
	}
	return false;
}

char *mount_point_of_dev(dev_t wanted)
{
	CLEANUP(cleanup_file) FILE *file = fopen("/proc/self/mountinfo", "re");
	cleanup_free char *line = NULL;
	char *point;
	dev_t dev = 0;

	while (next_mount(file, &line, &dev, &point)) {
		if (dev == wanted)
			return strdup(point);
	}
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

int process_run(char *const argv[])
{
	int status;
	pid_t pid = fork();

	if (pid < 0)
		return 127;
	if (pid == 0) {
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
