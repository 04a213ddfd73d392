/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Copies of content, attributes and xattrs. */
#include "base/copy.h"

#include "scratch.h"

static int open_new(const char *name)
{
	int fd = openat(scratch, name, O_CREAT | O_TRUNC | O_RDWR | O_CLOEXEC, 0600);

	assert(fd >= 0);
	return fd;
}

static void expect_equal(int a, int b, off_t size)
{
	enum { STEP = 1 << 16 };
	static char x[STEP], y[STEP];

	assert_eq(stat_of(scratch, "dst").st_size, size);
	for (off_t at = 0; at < size; at += STEP) {
		ssize_t n = fd_pread_all(a, x, STEP, at);

		assert_eq(fd_pread_all(b, y, STEP, at), n);
		assert(memcmp(x, y, (size_t)n) == 0);
	}
}

static void test_content(void)
{
	static const off_t sizes[] = { 0, 1, 4095, 4096, 4097, 3000001 };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		cleanup_fd int src = open_new("src");
		cleanup_fd int dst = open_new("dst");

		for (off_t at = 0; at < sizes[i]; at += 1000) {
			char text[1000];
			off_t n = sizes[i] - at < 1000 ? sizes[i] - at : 1000;

			memset(text, (int)('a' + at / 1000 % 26), sizeof(text));
			assert_eq(fd_pwrite_all(src, text, (size_t)n, at), n);
		}
		assert(copy_data(src, dst, sizes[i]) >= 0);
		expect_equal(src, dst, sizes[i]);
	}
}

/* Holes at the beginning, between data, and at the end. */
static void test_holes_stay(void)
{
	const off_t size = (off_t)1 << 30;
	cleanup_fd int src = open_new("src");
	cleanup_fd int dst = open_new("dst");
	struct stat st;

	assert_eq(fd_pwrite_all(src, "one", 3, 1 << 20), 3);
	assert_eq(fd_pwrite_all(src, "two", 3, 700 << 20), 3);
	assert(ftruncate(src, size) == 0);
	assert(copy_data(src, dst, size) >= 0);
	st = stat_of(scratch, "dst");
	assert_eq(st.st_size, size);
	assert(st.st_blocks * 512 < 1 << 20);
	assert_eq(lseek(dst, 0, SEEK_DATA), lseek(src, 0, SEEK_DATA));
	{
		char text[4] = "";

		assert_eq(fd_pread_all(dst, text, 3, 700 << 20), 3);
		assert_streq(text, "two");
	}
}

static void test_nothing_but_a_hole(void)
{
	cleanup_fd int src = open_new("src");
	cleanup_fd int dst = open_new("dst");

	assert(ftruncate(src, 10 << 20) == 0);
	assert(copy_data(src, dst, 10 << 20) >= 0);
	assert_eq(stat_of(scratch, "dst").st_size, 10 << 20);
	assert_eq(stat_of(scratch, "dst").st_blocks, 0);
}

/* The copy is as long as was asked for, whatever became of the source: no endless loop. */
static void test_source_of_another_size(void)
{
	cleanup_fd int src = open_new("src");
	cleanup_fd int dst = open_new("dst");
	char text[8] = "";

	assert_eq(fd_pwrite_all(src, "0123", 4, 0), 4);
	assert(copy_data(src, dst, 1 << 20) >= 0);
	assert_eq(stat_of(scratch, "dst").st_size, 1 << 20);
	assert_eq(fd_pread_all(dst, text, 5, 0), 5);
	assert_streq(text, "0123");
	/* only the beginning of it */
	assert(ftruncate(dst, 0) == 0);
	assert(copy_data(src, dst, 2) >= 0);
	assert_eq(stat_of(scratch, "dst").st_size, 2);
	assert_eq(fd_pread_all(dst, text, 5, 0), 2);
	assert(ftruncate(dst, 0) == 0);
	assert(copy_data(src, dst, 0) >= 0);
	assert_eq(stat_of(scratch, "dst").st_size, 0);
}

/* From another filesystem, where nothing can be shared. */
static void test_over_filesystems(void)
{
	char path[] = "/dev/shm/cairn-unit.XXXXXX";
	cleanup_fd int dst = open_new("dst");
	cleanup_fd int src = mkstemp(path);

	if (src < 0) {
		skipped("copies between filesystems", "no /dev/shm");
		return;
	}
	unlink(path);
	assert_eq(fd_pwrite_all(src, "begin", 5, 0), 5);
	assert_eq(fd_pwrite_all(src, "end", 3, (5 << 20) - 3), 3);
	assert(copy_data(src, dst, 5 << 20) >= 0);
	expect_equal(src, dst, 5 << 20);
	assert(stat_of(scratch, "dst").st_blocks * 512 < 1 << 20);
}

static void test_errors_are_told(void)
{
	cleanup_fd int src = open_new("src");
	cleanup_fd int only_read = -1;

	make_file(scratch, "dst", "");
	assert_eq(fd_pwrite_all(src, "data", 4, 0), 4);
	only_read = openat(scratch, "dst", O_RDONLY | O_CLOEXEC);
	assert(copy_data(src, only_read, 4) < 0);
}

static bool is_wanted(const char *name)
{
	return strcmp(name, "user.unwanted") != 0;
}

static void test_xattrs(void)
{
	cleanup_fd int src = -1;
	cleanup_fd int dst = -1;

	make_file(scratch, "a", "");
	make_file(scratch, "b", "");
	if (!try_xattr(scratch, "a", "user.one", "1")) {
		skipped("copies of xattrs", "none here");
		return;
	}
	try_xattr(scratch, "a", "user.empty", "");
	try_xattr(scratch, "a", "user.unwanted", "u");
	src = open_path(scratch, "a");
	dst = open_path(scratch, "b");
	assert_eq(copy_xattrs(src, dst, is_wanted), 0);
	assert_streq(xattr_of(scratch, "b", "user.one"), "1");
	assert_streq(xattr_of(scratch, "b", "user.empty"), "");
	assert(!has_xattr(scratch, "b", "user.unwanted"));
	assert_eq(copy_xattrs(src, dst, NULL), 0);
	assert(has_xattr(scratch, "b", "user.unwanted"));
}

static void test_attributes(void)
{
	static const char *const names[] = { "file", "link", "dir", "fifo" };

	make_file(scratch, "file", "");
	make_symlink(scratch, "x", "link");
	make_dir(scratch, "dir", 0700);
	assert(mkfifoat(scratch, "fifo", 0600) == 0);
	for (size_t i = 0; i < 4; i++) {
		cleanup_fd int fd = open_path(scratch, names[i]);
		struct stat want = stat_of(scratch, names[i]), st;

		want.st_mode = (want.st_mode & S_IFMT) | 06711;
		want.st_atim = (struct timespec){ 1, 2 };
		want.st_mtim = (struct timespec){ -3, 4 };
		if (is_root()) {
			want.st_uid = 12;
			want.st_gid = 34;
		}
		assert_eq(copy_stat(fd, &want), 0);
		st = stat_of(scratch, names[i]);
		assert_eq(st.st_uid, want.st_uid);
		assert_eq(st.st_gid, want.st_gid);
		assert_eq(st.st_mtim.tv_sec, -3);
		assert_eq(st.st_mtim.tv_nsec, 4);
		assert_eq(st.st_atim.tv_nsec, 2);
		if (!S_ISLNK(st.st_mode)) /* a change of owner does not take setuid away */
			assert_eq(st.st_mode & 07777, 06711);
	}
}

int main(void)
{
	scratch_begin();
	test_content();
	test_holes_stay();
	test_nothing_but_a_hole();
	test_source_of_another_size();
	test_over_filesystems();
	test_errors_are_told();
	test_xattrs();
	test_attributes();
	return 0;
}
