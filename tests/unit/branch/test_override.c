/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "branch/override.h"

#include <sys/sysmacros.h>

#include "scratch.h"

static bool parse(const char *text, mode_t type, struct stat *st)
{
	*st = (struct stat){ .st_mode = type | 0600, .st_uid = 5, .st_gid = 6 };
	return override_parse(text, st);
}

static void test_parse(void)
{
	struct stat st;

	assert(parse("1:2:0755", S_IFREG, &st));
	assert_eq(st.st_uid, 1);
	assert_eq(st.st_gid, 2);
	assert_eq(st.st_mode, S_IFREG | 0755);
	assert(parse("0:4294967295:4711:file", S_IFREG, &st));
	assert_eq(st.st_gid, 4294967295U);
	assert_eq(st.st_mode, S_IFREG | 04711);
	/* What fuse-overlayfs writes has the type in the mode. */
	assert(parse("1:2:100644", S_IFREG, &st));
	assert_eq(st.st_mode, S_IFREG | 0644);
	assert(parse("1:2:755:dir", S_IFDIR, &st));
	assert_eq(st.st_mode, S_IFDIR | 0755);
	assert(parse("1:2:666:char-1-3", S_IFREG, &st));
	assert_eq(st.st_mode, S_IFCHR | 0666);
	assert_eq(st.st_rdev, makedev(1, 3));
	assert(parse("1:2:666:block:8:16", S_IFREG, &st));
	assert_eq(st.st_mode, S_IFBLK | 0666);
	assert_eq(st.st_rdev, makedev(8, 16));
	assert(parse("1:2:600:pipe", S_IFREG, &st) && S_ISFIFO(st.st_mode));
	assert(parse("1:2:600:socket", S_IFREG, &st) && S_ISSOCK(st.st_mode));
	/* Only a file can stand for something else, and not for a directory or a link. */
	assert(parse("1:2:600:pipe", S_IFDIR, &st) && S_ISDIR(st.st_mode));
	assert(parse("1:2:600:dir", S_IFREG, &st) && S_ISREG(st.st_mode));
	assert(parse("1:2:600:symlink", S_IFREG, &st) && S_ISREG(st.st_mode));
	assert(parse("1:2:600:char-1", S_IFREG, &st) && S_ISREG(st.st_mode));
}

static void test_garbage(void)
{
	static const char *const garbage[] = { "",	     "1",	 "1:2",
					       "1:2:",	     ":1:2:3",	 "-1:2:755",
					       "1:2:8",	     "1:2:755x", "4294967296:0:755",
					       "1-2-755",    " 1:2:755", "1:2:99999999999999999999",
					       "a:b:c:file", "1:2:0x1ff" };

	for (size_t i = 0; i < sizeof(garbage) / sizeof(*garbage); i++) {
		struct stat st;

		assert(!parse(garbage[i], S_IFREG, &st));
		assert_eq(st.st_uid, 5);
		assert_eq(st.st_mode, S_IFREG | 0600);
	}
}

static void test_round_trip(void)
{
	static const mode_t modes[] = { S_IFREG | 0644,	 S_IFDIR | 02755, S_IFIFO | 0600,
					S_IFSOCK | 0777, S_IFCHR | 0666,  S_IFBLK | 04660 };

	for (size_t i = 0; i < sizeof(modes) / sizeof(*modes); i++) {
		struct stat st = { .st_mode = modes[i], .st_uid = 1000, .st_gid = 4294967295U };
		char text[OVERRIDE_MAX];
		struct stat back;

		if (S_ISCHR(modes[i]) || S_ISBLK(modes[i]))
			st.st_rdev = makedev(4095, 1048575);
		assert_eq(override_format(&st, text), strlen(text));
		assert(parse(text, S_ISDIR(modes[i]) ? S_IFDIR : S_IFREG, &back));
		assert_eq(back.st_mode, st.st_mode);
		assert_eq(back.st_uid, st.st_uid);
		assert_eq(back.st_gid, st.st_gid);
		assert_eq(back.st_rdev, st.st_rdev);
	}
}

static void test_names(void)
{
	assert(!override_name(OVERRIDE_NONE, 0));
	assert_streq(override_name(OVERRIDE_USER, 0), "user.containers.override_stat");
	assert(override_is_name("user.containers.override_stat"));
	assert(override_is_name("user.fuseoverlayfs.override_stat"));
	assert(override_is_name("security.fuseoverlayfs.override_stat"));
	assert(!override_is_name("user.containers.override"));
}

static void test_object(void)
{
	struct stat st = { .st_mode = S_IFREG | 0600 }, back = st;
	cleanup_fd int fd = -1;

	make_file(scratch, "f", "");
	fd = open_path(scratch, "f");
	assert_eq(override_read(OVERRIDE_USER, fd, &back), 0);
	if (!try_xattr(scratch, "f", "user.fuseoverlayfs.override_stat", "3:4:0711")) {
		skipped("overrides", "no user xattrs here");
		return;
	}
	assert_eq(override_read(OVERRIDE_USER, fd, &back), 1);
	assert_eq(back.st_uid, 3);
	st.st_uid = 7;
	assert_eq(override_write(OVERRIDE_USER, fd, &st), 0);
	assert_eq(override_read(OVERRIDE_USER, fd, &back), 1);
	assert_eq(back.st_uid, 7);
	assert_eq(override_read(OVERRIDE_NONE, fd, &back), 0);
}

int main(void)
{
	scratch_begin();
	test_parse();
	test_garbage();
	test_round_trip();
	test_names();
	test_object();
	return 0;
}
