/* SPDX-License-Identifier: GPL-3.0-or-later */
#undef NDEBUG
#include "value/entry_name.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void cleans(const char *raw, const char *expected)
{
	char *path;

	assert(entry_name_clean(raw, &path) == 0);
	assert(strcmp(path, expected) == 0);
	free(path);
}

static void refuses(const char *raw, int error)
{
	char *path = NULL;

	assert(entry_name_clean(raw, &path) == error);
	assert(!path);
}

static void test_clean(void)
{
	cleans("a", "a");
	cleans("./a/b/", "a/b");
	cleans("/etc//passwd", "etc/passwd");
	cleans("a/./b/.", "a/b");
	cleans("", "");
	cleans("./", "");
	cleans("///", "");
	cleans("...", "...");
	cleans("a/..b", "a/..b");
	cleans("\xff\n\\", "\xff\n\\");
}

static void test_dots_stay_inside(void)
{
	cleans("a/..", "");
	cleans("a/../b", "b");
	cleans("a/b/../../c/./d/..", "c");
	refuses("..", -EXDEV);
	refuses("a/../..", -EXDEV);
	refuses("a/../../b", -EXDEV);
	refuses("/../b", -EXDEV);
}

static void test_length(void)
{
	char name[300];

	memset(name, 'n', sizeof(name));
	name[255] = '\0';
	cleans(name, name);
	name[255] = 'n';
	name[256] = '\0';
	refuses(name, -ENAMETOOLONG);
}

static void follows(const char *path, const char *target, const char *expected)
{
	char *found;

	assert(entry_name_follow(path, target, &found) == 0);
	assert(strcmp(found, expected) == 0);
	free(found);
}

static void test_follow(void)
{
	char *found;

	follows("a/b/link", "c", "a/b/c");
	follows("a/b/link", "../c", "a/c");
	follows("a/b/link", "../../c", "c");
	follows("link", "c/d", "c/d");
	follows("a/link", "/c", "c");
	follows("a/link", "..", "");
	assert(entry_name_follow("a/link", "../..", &found) == -EXDEV);
	assert(entry_name_follow("link", "../c", &found) == -EXDEV);
}

static void leads(const char *path, size_t length, const char *target, const char *expected)
{
	char *found;

	assert(entry_name_lead(path, length, target, &found) == 0);
	assert(strcmp(found, expected) == 0);
	free(found);
}

static void test_lead(void)
{
	char target[5000], *found;

	leads("a/link", 6, "c", "a/c");
	leads("a/link/x/y", 6, "b", "a/b/x/y");
	leads("a/link/x", 6, "/b/", "b/x");
	leads("a/link/x", 6, "/", "x");
	leads("a/link/x", 6, "..", "x");
	leads("a/link/x", 6, "../../../c", "c/x");
	leads("link", 4, "/..", "");
	memset(target, '/', sizeof(target));
	target[4090] = '\0';
	leads("link", 4, target, "");
	target[4090] = '/';
	target[4999] = '\0';
	assert(entry_name_lead("link", 4, target, &found) == -ENAMETOOLONG);
}

int main(void)
{
	test_clean();
	test_dots_stay_inside();
	test_length();
	test_follow();
	test_lead();
	assert(strcmp(entry_name_last("a/b"), "b") == 0);
	assert(strcmp(entry_name_last("a"), "a") == 0);
	return 0;
}
