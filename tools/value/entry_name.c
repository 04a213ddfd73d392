/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "value/entry_name.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

/* Adds one component to the path at `*end`; ".." takes one away, at the root if `stays` none. */
static int add_component(char *path, char **end, const char *name, size_t len, bool stays)
{
	if (len == 0 || (len == 1 && name[0] == '.'))
		return 0;
	if (len > NAME_MAX)
		return -ENAMETOOLONG;
	if (len == 2 && memcmp(name, "..", 2) == 0) {
		if (*end == path)
			return stays ? 0 : -EXDEV;
		while (*end > path && *--*end != '/')
			;
		return 0;
	}
	if (*end > path)
		*(*end)++ = '/';
	memcpy(*end, name, len);
	*end += len;
	return 0;
}

static int add_components(char *path, char **end, const char *raw, bool stays)
{
	while (*raw) {
		size_t len = strcspn(raw, "/");
		int r = add_component(path, end, raw, len, stays);

		if (r < 0)
			return r;
		raw += len + (raw[len] == '/');
	}
	return 0;
}

int entry_name_clean(const char *raw, char **ret)
{
	cleanup_free char *path = malloc(strlen(raw) + 1);
	char *end = path;
	int r = path ? add_components(path, &end, raw, false) : -ENOMEM;

	if (r < 0)
		return r;
	*end = '\0';
	*ret = take_ptr(path);
	return 0;
}

const char *entry_name_last(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static int follow(const char *path, const char *target, bool stays, char **ret)
{
	cleanup_free char *result = malloc(strlen(path) + strlen(target) + 2);
	size_t dir = (size_t)(entry_name_last(path) - path);
	char *end = result;
	int r = 0;

	if (!result)
		return -ENOMEM;
	if (*target != '/' && dir > 0) {
		memcpy(result, path, dir - 1);
		end += dir - 1;
	}
	r = add_components(result, &end, target, stays);
	if (r < 0)
		return r;
	*end = '\0';
	*ret = take_ptr(result);
	return 0;
}

int entry_name_follow(const char *path, const char *target, char **ret)
{
	return follow(path, target, false, ret);
}

int entry_name_lead(const char *path, size_t length, const char *target, char **ret)
{
	cleanup_free char *link = strndup(path, length);
	cleanup_free char *whole = malloc(strlen(target) + strlen(path + length) + 1);

	if (!link || !whole)
		return -ENOMEM;
	strcpy(stpcpy(whole, target), path + length);
	if (strlen(link) + strlen(whole) >= PATH_MAX)
		return -ENAMETOOLONG;
	return follow(link, whole, true, ret);
}
