/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "mount_point.h"

#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

bool mount_point_is_mounted(const char *path)
{
	CLEANUP(cleanup_file) FILE *file = fopen("/proc/self/mountinfo", "re");
	cleanup_free char *line = NULL;
	size_t room = 0;

	while (file && getline(&line, &room, file) > 0) {
		char *rest = line, *field = NULL;

		for (int i = 0; i < 5; i++)
			field = strsep(&rest, " ");
		if (!field)
			continue;
		unescape(field);
		if (strcmp(field, path) == 0)
			return true;
	}
	return false;
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
