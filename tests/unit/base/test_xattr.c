/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Extended attributes of open files and of O_PATH descriptors, of any type of object. */
#include <sys/xattr.h>

#include "scratch.h"

static bool begins_with_u(const char *name)
{
	return *name == 'u';
}

static void test_values(void)
{
	char value[16];
	char *all;
	int fd;

	make_file(scratch, "f", "f");
	fd = open_path(scratch, "f");
	assert_eq(xattr_set(fd, "user.a", "value", 5, XATTR_CREATE), 0);
	assert_eq(xattr_set(fd, "user.a", "v", 1, XATTR_CREATE), -EEXIST);
	assert_eq(xattr_set(fd, "user.b", "v", 1, XATTR_REPLACE), -ENODATA);
	assert_eq(xattr_set(fd, "user.nul", "\0x\0", 3, 0), 0);
	assert_eq(xattr_set(fd, "user.empty", "", 0, 0), 0);
	assert_eq(xattr_get(fd, "user.a", NULL, 0), 5);
	assert_eq(xattr_get(fd, "user.a", value, sizeof(value)), 5);
	assert_eq(xattr_get(fd, "user.a", value, 4), -ERANGE);
	assert_eq(xattr_get(fd, "user.none", value, 4), -ENODATA);
	assert_eq(xattr_get_all(fd, "user.nul", &all), 3);
	assert(memcmp(all, "\0x\0", 4) == 0);
	free(all);
	assert_eq(xattr_get_all(fd, "user.empty", &all), 0);
	assert_streq(all, "");
	free(all);
	assert_eq(xattr_get_all(fd, "user.none", &all), -ENODATA);
	assert_eq(xattr_remove(fd, "user.a"), 0);
	assert_eq(xattr_remove(fd, "user.a"), -ENODATA);
	assert_eq(xattr_set(fd, "user.letter", "y", 1, 0), 0);
	assert(xattr_is_letter(fd, "user.letter", 'y'));
	assert(!xattr_is_letter(fd, "user.letter", 'n'));
	assert(!xattr_is_letter(fd, "user.nul", '\0'));
	assert(!xattr_is_letter(fd, "user.none", 'y'));
	close(fd);
}

static void test_lists(void)
{
	cleanup_fd int fd = -1;
	char *names;
	ssize_t n;

	make_file(scratch, "g", "g");
	fd = open_path(scratch, "g");
	n = xattr_list(fd, &names);
	assert(n >= 0);
	n = (ssize_t)xattr_list_filter(names, (size_t)n, begins_with_u);
	free(names);
	for (int i = 0; i < 30; i++) {
		char name[32];

		snprintf(name, sizeof(name), "user.name-%d", i);
		assert_eq(xattr_set(fd, name, "", 0, 0), 0);
	}
	n = xattr_list(fd, &names);
	assert(n >= 30 * 12);
	assert_eq(xattr_list_filter(names, (size_t)n, begins_with_u), n - (10 * 12 + 20 * 13));
	free(names);
}

static void test_filter(void)
{
	char names[] = "user.a\0trusted.b\0user.c\0security.d";

	assert_eq(xattr_list_filter(names, sizeof(names), begins_with_u), 10 + 11);
	assert(memcmp(names, "trusted.b\0security.d", 21) == 0);
	assert_eq(xattr_list_filter(names, 0, begins_with_u), 0);
}

/* Of the link and not of what it names; of a FIFO without opening it. */
static void test_special_objects(void)
{
	cleanup_fd int link = -1;
	cleanup_fd int fifo = -1;
	char *names;
	ssize_t n;

	make_file(scratch, "target", "t");
	assert(try_xattr(scratch, "target", "user.of-target", "t"));
	make_symlink(scratch, "target", "link");
	assert(mkfifoat(scratch, "fifo", 0600) == 0);
	link = open_path(scratch, "link");
	fifo = open_path(scratch, "fifo");
	assert_eq(xattr_get(link, "user.of-target", NULL, 0) < 0, true);
	n = xattr_list(link, &names);
	assert(n >= 0);
	free(names);
	assert(xattr_set(link, "user.x", "x", 1, 0) < 0); /* no user attributes on links */
	assert(!has_xattr(scratch, "target", "user.x"));
	n = xattr_list(fifo, &names);
	assert(n >= 0);
	free(names);
	if (is_root()) {
		assert_eq(xattr_set(link, "trusted.x", "x", 1, 0), 0);
		assert_eq(xattr_get(link, "trusted.x", NULL, 0), 1);
		assert(!has_xattr(scratch, "target", "trusted.x"));
	}
}

static void test_may_be_refused(void)
{
	assert(xattr_may_be_refused("trusted.x", -EPERM));
	assert(xattr_may_be_refused("security.selinux", -EOPNOTSUPP));
	assert(!xattr_may_be_refused("trusted.x", -ENOSPC));
	assert(!xattr_may_be_refused("user.x", -EPERM));
	assert(xattr_may_be_refused("user.x", -EOPNOTSUPP));
	assert(!xattr_may_be_refused("system.posix_acl_access", -EOPNOTSUPP));
}

int main(void)
{
	scratch_begin();
	test_filter();
	test_may_be_refused();
	make_file(scratch, "probe", "");
	if (!try_xattr(scratch, "probe", "user.probe", "")) {
		skipped("values and lists", "no xattrs on this filesystem");
		return 0;
	}
	test_values();
	test_lists();
	test_special_objects();
	return 0;
}
