/* SPDX-License-Identifier: GPL-3.0-or-later */
#undef NDEBUG
#include "value/error.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

int main(void)
{
	struct error error;
	char large[3000];

	assert(error_set(&error, -EINVAL, "'%s': %d", "a\nb\x7f", 5) == -EINVAL);
	assert(strcmp(error.text, "'a\\x0ab\\x7f': 5") == 0);
	assert(error_errno(&error, -ENOENT, "%s", "file") == -ENOENT);
	assert(strcmp(error.text, "file: No such file or directory") == 0);
	assert(error_within(&error, -ENOENT, "layer %d", 2) == -ENOENT);
	assert(strcmp(error.text, "layer 2: file: No such file or directory") == 0);

	/* Too long is cut, whole escapes included. */
	memset(large, '\1', sizeof(large) - 1);
	large[sizeof(large) - 1] = '\0';
	error_set(&error, -EINVAL, "%s", large);
	assert(strlen(error.text) < sizeof(error.text));
	error_within(&error, -EINVAL, "%s", large);
	assert(strlen(error.text) < sizeof(error.text));

	/* What comes after a name that is too long is the reason, and stays. */
	memset(large, 'n', sizeof(large) - 1);
	error_errno(&error, -ENOENT, "'%s'", large);
	assert(strstr(error.text, "nnn...: No such file or directory"));
	error_within(&error, -ENOENT, "'%s'", large);
	error_within(&error, -ENOENT, "layer %d ('%064d')", 12, 0);
	assert(strstr(error.text, "nnn...: No such file or directory"));
	error_set(&error, -EINVAL, "refused");
	error_within(&error, -EINVAL, "'%s'", large);
	assert(strstr(error.text, "nnn...: refused"));
	return 0;
}
