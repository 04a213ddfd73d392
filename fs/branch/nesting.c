/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "branch/nesting.h"

#include <stdio.h>
#include <string.h>

static const char escape[] = "overlay.";
static const char *const prefixes[] = { "trusted.overlay.", "user.overlay." };

/* What follows the prefix of overlayfs' xattrs in a name; NULL: it is none of these. */
static const char *after_prefix(const char *name)
{
	for (size_t i = 0; i < sizeof(prefixes) / sizeof(*prefixes); i++) {
		size_t length = strlen(prefixes[i]);

		if (strncmp(name, prefixes[i], length) == 0)
			return name + length;
	}
	return NULL;
}

bool nesting_is_escaped(const char *name)
{
	const char *rest = after_prefix(name);

	return rest && strncmp(rest, escape, strlen(escape)) == 0;
}

const char *nesting_escape(const char *name, char buf[NESTING_NAME_SIZE])
{
	const char *rest = after_prefix(name);
	int n;

	if (!rest)
		return name;
	n = snprintf(buf, NESTING_NAME_SIZE, "%.*s%s%s", (int)(rest - name), name, escape, rest);
	return n < NESTING_NAME_SIZE ? buf : NULL;
}

size_t nesting_unescape_list(char *names, size_t size)
{
	size_t kept = 0;

	for (size_t at = 0; at < size;) {
		const char *name = names + at;
		size_t length = strlen(name) + 1;
		size_t head = nesting_is_escaped(name) ? (size_t)(after_prefix(name) - name) : 0;
		size_t cut = head ? strlen(escape) : 0;

		memmove(names + kept, name, head);
		memmove(names + kept + head, name + head + cut, length - head - cut);
		kept += length - cut;
		at += length;
	}
	return kept;
}
