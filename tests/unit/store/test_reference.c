/* SPDX-License-Identifier: GPL-3.0-or-later */
#undef NDEBUG
#include "store/reference.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void completes(const char *text, const char *expected)
{
	char *whole;

	assert(reference_complete(text, &whole) == 0);
	assert(strcmp(whole, expected) == 0);
	free(whole);
}

static void refuses(const char *text)
{
	char *whole;

	assert(reference_complete(text, &whole) == -EINVAL);
}

static void test_complete(void)
{
	char name[400];

	completes("debian", "debian:latest");
	completes("debian:12", "debian:12");
	completes("docker.io/library/debian:12", "docker.io/library/debian:12");
	completes("localhost:5000/a/b", "localhost:5000/a/b:latest");
	completes("localhost:5000/a/b:_1.0-x", "localhost:5000/a/b:_1.0-x");
	refuses("");
	refuses(":1");
	refuses("a:");
	refuses("a:b:c");
	refuses("a b");
	refuses("/a");
	refuses("a/");
	refuses("a//b");
	refuses("-a");
	refuses(".a");
	refuses("../a");
	refuses("a:.b");
	refuses("a/b:5000/c");
	refuses("a\n");
	memset(name, 'a', sizeof(name));
	name[255] = '\0';
	strcat(name, ":1");
	assert(strlen(name) == 257);
	char *whole;
	assert(reference_complete(name, &whole) == 0);
	free(whole);
	memset(name, 'a', sizeof(name));
	name[256] = '\0';
	refuses(name);
}

static void file_gives(const char *path, const char *expected)
{
	char *name = reference_of_file(path);

	assert(expected ? name && strcmp(name, expected) == 0 : !name);
	free(name);
}

static void test_of_file(void)
{
	file_gives("/x/app.tar", "app");
	file_gives("app.tar.zst", "app");
	file_gives("app.oci.tar.xz", "app.oci");
	file_gives("app.tgz", "app");
	file_gives("app", "app");
	file_gives("a.target.tar.gz", "a.target");
	file_gives("root.fs.tar.gz", "root.fs");
	file_gives("my app.tar", NULL);
	file_gives(".tar", NULL);
	file_gives("x/..", NULL);
}

int main(void)
{
	test_complete();
	test_of_file();
	assert(reference_is_tag("1") && reference_is_tag("_x") && !reference_is_tag("a:b"));
	assert(!reference_is_tag("") && !reference_is_tag("a/b"));
	return 0;
}
