/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "branch/override.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "base/xattr.h"

static const char *const security_names[] = { "security.fuseoverlayfs.override_stat", NULL };
static const char *const user_names[] = { "user.containers.override_stat",
					  "user.fuseoverlayfs.override_stat", NULL };

const char *override_name(enum override kind, size_t i)
{
	switch (kind) {
	case OVERRIDE_SECURITY:
		return security_names[i];
	case OVERRIDE_USER:
		return user_names[i];
	case OVERRIDE_NONE:
		break;
	}
	return NULL;
}

bool override_is_name(const char *name)
{
	for (size_t i = 0; security_names[i]; i++) {
		if (strcmp(name, security_names[i]) == 0)
			return true;
	}
	for (size_t i = 0; user_names[i]; i++) {
		if (strcmp(name, user_names[i]) == 0)
			return true;
	}
	return false;
}

/* A number up to the end or one of the separators; moves *text behind both. */
static bool number(const char **text, int base, unsigned long max, const char *separators,
		   unsigned long *ret)
{
	char *end;

	if (**text < '0' || **text > '9')
		return false;
	errno = 0;
	*ret = strtoul(*text, &end, base);
	if (errno || *ret > max || (*end && !strchr(separators, *end)))
		return false;
	*text = *end ? end + 1 : end;
	return true;
}

/* The type of a stand-in; 0 where the text names none that counts. */
static mode_t stands_for(const char *text, dev_t *rdev)
{
	unsigned long numbers[2];
	bool is_char = strncmp(text, "char", 4) == 0;

	if (strcmp(text, "pipe") == 0)
		return S_IFIFO;
	if (strcmp(text, "socket") == 0)
		return S_IFSOCK;
	if (!is_char && strncmp(text, "block", 5) != 0)
		return 0;
	text += is_char ? 4 : 5;
	if (*text != '-' && *text != ':')
		return 0;
	text++;
	if (!number(&text, 10, UINT32_MAX, "-:", &numbers[0]) ||
	    !number(&text, 10, UINT32_MAX, "", &numbers[1]))
		return 0;
	*rdev = makedev(numbers[0], numbers[1]);
	return is_char ? S_IFCHR : S_IFBLK;
}

bool override_parse(const char *text, struct stat *st)
{
	unsigned long uid, gid, mode;
	mode_t type = st->st_mode & S_IFMT, other;

	if (!number(&text, 10, UINT32_MAX, ":", &uid) ||
	    !number(&text, 10, UINT32_MAX, ":", &gid) || !number(&text, 8, 0177777, ":", &mode))
		return false;
	other = S_ISREG(type) ? stands_for(text, &st->st_rdev) : 0;
	st->st_uid = (uid_t)uid;
	st->st_gid = (gid_t)gid;
	st->st_mode = (other ? other : type) | (mode & 07777);
	return true;
}

size_t override_format(const struct stat *st, char text[OVERRIDE_MAX])
{
	char type[48] = "file";

	if (S_ISDIR(st->st_mode))
		strcpy(type, "dir");
	else if (S_ISFIFO(st->st_mode))
		strcpy(type, "pipe");
	else if (S_ISSOCK(st->st_mode))
		strcpy(type, "socket");
	else if (S_ISLNK(st->st_mode))
		strcpy(type, "symlink");
	else if (S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode))
		snprintf(type, sizeof(type), "%s-%u-%u", S_ISCHR(st->st_mode) ? "char" : "block",
			 major(st->st_rdev), minor(st->st_rdev));
	return (size_t)snprintf(text, OVERRIDE_MAX, "%u:%u:0%o:%s", st->st_uid, st->st_gid,
				st->st_mode & 07777, type);
}

int override_read(enum override kind, int fd, struct stat *st)
{
	const char *name;

	for (size_t i = 0; (name = override_name(kind, i)); i++) {
		char text[OVERRIDE_MAX];
		ssize_t n = xattr_get(fd, name, text, sizeof(text) - 1);

		if (n >= 0) {
			text[n] = '\0';
			return override_parse(text, st);
		}
		/* What is too long to be one is none. */
		if (n != -ENODATA && n != -EOPNOTSUPP && n != -ERANGE && n != -EPERM)
			return (int)n;
	}
	return 0;
}

int override_write(enum override kind, int fd, const struct stat *st)
{
	char text[OVERRIDE_MAX];
	size_t size = override_format(st, text);

	return xattr_set(fd, override_name(kind, 0), text, size, 0);
}
