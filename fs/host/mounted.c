/* SPDX-License-Identifier: GPL-3.0-or-later */
/* /proc/self/mountinfo: see proc_pid_mountinfo(5). */
#include "host/mounted.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"

#ifndef STATX_MNT_ID_UNIQUE
#define STATX_MNT_ID_UNIQUE 0x4000U /* Linux 6.8 */
#endif

DEFINE_CLEANUP(FILE *, file, fclose)

/* Space, tab, newline and backslash are written as three octal digits. */
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

/* A line of mountinfo, in parts that point into it. */
struct mount_line {
	char *line;
	uint64_t id;
	dev_t dev;
	char *point;
	char *flags; /* the first of the mount's own options */
	char *type, *source, *options; /* the filesystem's */
};

static void mount_line_done(struct mount_line *line)
{
	free(line->line);
}
#define cleanup_mount_line CLEANUP(mount_line_done)

static bool split(struct mount_line *ret)
{
	unsigned int major, minor;
	char *rest = ret->line, *field = NULL;

	for (int i = 0; i < 5; i++) {
		field = strsep(&rest, " ");
		if (!field)
			return false;
		if (i == 0)
			ret->id = strtoull(field, NULL, 10);
		if (i == 2 && sscanf(field, "%u:%u", &major, &minor) == 2)
			ret->dev = makedev(major, minor);
	}
	ret->point = field;
	field = ret->flags = strsep(&rest, " ");
	/* Other fields of any number end with a hyphen. */
	while (field && strcmp(field, "-") != 0)
		field = strsep(&rest, " ");
	ret->type = strsep(&rest, " ");
	ret->source = strsep(&rest, " ");
	ret->options = strsep(&rest, " \n");
	if (!ret->type || !ret->source || !ret->options)
		return false;
	unescape(ret->point);
	unescape(ret->source);
	return true;
}

/* The next line, in place of the one before; false at the end. */
static bool next_mount(FILE *file, struct mount_line *ret)
{
	size_t room = 0;

	free(take_ptr(ret->line));
	return file && getline(&ret->line, &room, file) > 0 && split(ret);
}

/* Of an open file; statx(2) does not have it before Linux 5.8. */
static uint64_t noted_id(int fd)
{
	CLEANUP(cleanup_file) FILE *file = NULL;
	char path[64], line[256];
	uint64_t id = 0;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	file = fopen(path, "re");
	while (file && !id && fgets(line, sizeof(line), file))
		sscanf(line, "mnt_id: %" SCNu64, &id);
	return id;
}

uint64_t mounted_short_id(int fd)
{
	struct statx st;

	if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_MNT_ID, &st) == 0 &&
	    (st.stx_mask & STATX_MNT_ID))
		return st.stx_mnt_id;
	return noted_id(fd);
}

static int answer(const struct mount_line *line, char **source)
{
	if (strcmp(line->type, "fuse.cairnfs") != 0)
		return MOUNTED_OTHER;
	if (source)
		*source = strdup(line->source);
	return source && !*source ? -ENOMEM : MOUNTED_CAIRNFS;
}

int mounted_at(const char *path, char **source)
{
	CLEANUP(cleanup_file) FILE *file = fopen("/proc/self/mountinfo", "re");
	cleanup_mount_line struct mount_line line = { 0 };
	cleanup_fd int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	uint64_t id = fd < 0 ? 0 : mounted_short_id(fd);

	if (!file)
		return -errno;
	while (next_mount(file, &line)) {
		/* Of several at one place, that which is seen there. */
		if (strcmp(line.point, path) == 0 && (!id || line.id == id))
			return answer(&line, source);
	}
	return MOUNTED_NOTHING;
}

uint64_t mounted_id(const char *path, uint64_t *dev)
{
	cleanup_fd int fd = open(path, O_PATH | O_CLOEXEC);
	struct statx st;

	if (fd < 0 || statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC,
			    STATX_MNT_ID | STATX_MNT_ID_UNIQUE, &st) < 0)
		return 0;
	if (dev)
		*dev = makedev(st.stx_dev_major, st.stx_dev_minor);
	return st.stx_mask & (STATX_MNT_ID | STATX_MNT_ID_UNIQUE) ? st.stx_mnt_id : noted_id(fd);
}

static bool has_flag(char *flags, const char *wanted)
{
	const char *flag;

	while ((flag = strsep(&flags, ","))) {
		if (strcmp(flag, wanted) == 0)
			return true;
	}
	return false;
}

bool mounted_maps_ids(int fd)
{
	CLEANUP(cleanup_file) FILE *file = NULL;
	cleanup_mount_line struct mount_line line = { 0 };
	uint64_t id = mounted_short_id(fd);

	file = fopen("/proc/self/mountinfo", "re");
	while (next_mount(file, &line)) {
		if (id && line.id == id)
			return has_flag(line.flags, "idmapped");
	}
	return false;
}

char *mounted_where(dev_t dev)
{
	CLEANUP(cleanup_file) FILE *file = fopen("/proc/self/mountinfo", "re");
	cleanup_mount_line struct mount_line line = { 0 };

	while (next_mount(file, &line)) {
		if (line.dev == dev)
			return strdup(line.point);
	}
	return NULL;
}

bool mounted_owner(dev_t dev, uid_t *ret)
{
	CLEANUP(cleanup_file) FILE *file = fopen("/proc/self/mountinfo", "re");
	cleanup_mount_line struct mount_line line = { 0 };
	const char *option;

	while (next_mount(file, &line)) {
		option = line.dev == dev ? strstr(line.options, "user_id=") : NULL;
		if (option && (option == line.options || option[-1] == ',')) {
			*ret = (uid_t)strtoul(option + 8, NULL, 10);
			return true;
		}
	}
	return false;
}
