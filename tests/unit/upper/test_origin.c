/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Origin marks: whose copy a file in upper is, and when the mark means nothing. */
#include "union.h"
#include "upper/origin.h"
#include "upper/orphan.h"

/* Those numbers of earlier versions that were made in the order in which objects were met. */
static void test_old_marks(void)
{
	static const uint64_t counted[] = { (UINT64_C(1) << 61) + 5, (UINT64_C(1) << 52) + 5 };
	cleanup_fd int fd = -1;
	struct stat st;
	uint64_t stack_id;

	union_make(1);
	make_file(upper, "f", "f");
	union_open();
	fd = open_path(upper, "f");
	st = stat_of(upper, "f");
	stack_id = fs->upper.stack_id.now;
	assert(stack_id);
	for (size_t i = 0; fs->upper.caps.origin_xattr && i < 2; i++) {
		fs->upper.stack_id = (struct stack_id){ .now = stack_id };
		assert(origin_set(&fs->upper, fd, st.st_ino, counted[i]));
		assert_eq(origin_get(&fs->upper, fd, st.st_ino), counted[i]);
		fs->upper.stack_id = (struct stack_id){ .now = stack_id + 1, .before = stack_id };
		assert_eq(origin_get(&fs->upper, fd, st.st_ino), 0);
	}
	/* Branches that cannot be known again: no mark is made. */
	fs->upper.stack_id = (struct stack_id){ 0 };
	assert(!origin_set(&fs->upper, fd, st.st_ino, 77));
	union_end();
}

static void test_marks(void)
{
	cleanup_fd int fd = -1;
	struct stat st;

	union_make(1);
	make_file(upper, "f", "f");
	union_open();
	fd = open_path(upper, "f");
	st = stat_of(upper, "f");
	assert_eq(origin_get(&fs->upper, fd, st.st_ino), 0);
	if (!fs->upper.caps.origin_xattr) {
		skipped("origin marks", "no xattrs here");
		union_end();
		return;
	}
	origin_set(&fs->upper, fd, st.st_ino, 77);
	assert_eq(origin_get(&fs->upper, fd, st.st_ino), 77);
	/* A copy of the file made behind our back has the mark, but is another inode. */
	assert_eq(origin_get(&fs->upper, fd, st.st_ino + 1), 0);
	/* Other branches: their numbers mean other things. */
	fs->upper.stack_id.now++;
	fs->upper.stack_id.before = 0;
	assert_eq(origin_get(&fs->upper, fd, st.st_ino), 0);
	/* As an earlier version knew them, they are the same. */
	fs->upper.stack_id.before = fs->upper.stack_id.now - 1;
	assert_eq(origin_get(&fs->upper, fd, st.st_ino), 77);
	fs->upper.stack_id.now--;
	fs->upper.stack_id.before = 0;
	/* A number that the next mount may not find is not marked. */
	assert(!origin_set(&fs->upper, fd, st.st_ino, (UINT64_C(3) << 60) + 5));
	assert_eq(origin_get(&fs->upper, fd, st.st_ino), 77);
	assert_eq(xattr_set(fd, fs->upper.caps.origin_xattr, "short", 5, 0), 0);
	assert_eq(origin_get(&fs->upper, fd, st.st_ino), 0);
	assert_eq(xattr_set(fd, fs->upper.caps.origin_xattr, "", 0, 0), 0);
	assert_eq(origin_get(&fs->upper, fd, st.st_ino), 0);
	union_end();
}

/* `cp -a` of upper while it is not mounted: two files with one mark are two objects all the same.
 */
static void test_copied_upper(void)
{
	char value[64];
	uint64_t ino;
	ssize_t n;

	union_make(1);
	make_file(branches[0], "f", "f");
	union_open();
	if (!fs->upper.caps.origin_xattr) {
		union_end();
		return;
	}
	ino = stat_at("f").st_ino;
	assert_eq(do_write("f", "F", 0), 0);
	{
		cleanup_fd int from = open_path(upper, "f");
		cleanup_fd int to = -1;

		make_file(upper, "copy", "F");
		to = open_path(upper, "copy");
		n = xattr_get(from, fs->upper.caps.origin_xattr, value, sizeof(value));
		assert(n > 0);
		assert_eq(xattr_set(to, fs->upper.caps.origin_xattr, value, (size_t)n, 0), 0);
	}
	union_reopen();
	assert_eq(stat_at("f").st_ino, ino);
	assert(stat_at("copy").st_ino != ino);
	union_end();
}

/* With other branches the copy is an object of its own, and no number is used twice. */
static void test_other_branches(void)
{
	int other[1];

	union_make(1);
	for (int i = 0; i < 20; i++) {
		char name[16];

		snprintf(name, sizeof(name), "f%d", i);
		make_file(branches[0], name, "f");
	}
	union_open();
	for (int i = 0; i < 20; i++) {
		char name[16];

		snprintf(name, sizeof(name), "f%d", i);
		assert_eq(do_write(name, "F", 0), 0);
	}
	union_close();
	make_dir(scratch, "other", 0755);
	other[0] = open_dir(scratch, "other");
	make_file(other[0], "g", "g");
	config.branches = other;
	union_open();
	assert(stat_at("f0").st_ino >= LOWER_INO_END);
	assert(stat_at("f0").st_ino != stat_at("g").st_ino);
	assert_streq(read_at("f7"), "F");
	union_end();
	close(other[0]);
}

static void tests(void)
{
	test_marks();
	test_old_marks();
	test_copied_upper();
	test_other_branches();
}

int main(void)
{
	scratch_begin();
	union_each_style(tests);
	return 0;
}
