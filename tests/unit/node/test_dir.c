/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Merged listings: what they show, when they change, and positions in them. */
#include <dirent.h>

#include "union.h"

static void test_merged(void)
{
	union_make(2);
	make_dir(branches[0], "d", 0755);
	make_dir(branches[1], "d", 0755);
	make_file(branches[0], "d/a", "a");
	make_file(branches[1], "d/b", "b");
	make_file(branches[1], "d/hidden", "h");
	make_file(branches[1], "d/covered", "c");
	make_dir(branches[1], "d/dir", 0755);
	union_open();
	assert_streq(list_at("d"), "a b covered dir hidden ");
	assert_eq(do_unlink("d/hidden"), 0);
	assert_streq(list_at("d"), "a b covered dir ");
	write_new("d/new", "n");
	assert_eq(do_unlink("d/covered"), 0);
	assert_eq(do_mkdir("d/covered", 0755), 0);
	assert_eq(do_symlink("x", "d/link"), 0);
	assert_streq(list_at("d"), "a b covered dir link new ");
	assert_eq(stat_at("d").st_nlink, 4);
	union_reopen();
	assert_streq(list_at("d"), "a b covered dir link new ");
	union_end();
}

/* Marks that other programs left in upper, all formats at once. */
static void test_foreign_marks_in_upper(void)
{
	union_make(1);
	make_file(branches[0], "one", "1");
	make_file(branches[0], "two", "2");
	make_file(branches[0], "three", "3");
	make_dir(branches[0], "d", 0755);
	make_file(branches[0], "d/old", "old");
	make_dir(branches[0], "e", 0755);
	make_file(branches[0], "e/old", "old");
	make_whiteout(upper, "one");
	make_file(upper, ".wh.two", "");
	make_dir(upper, "d", 0755);
	make_file(upper, "d/.wh..wh..opq", "");
	make_file(upper, "d/new", "new");
	make_dir(upper, "e", 0755);
	make_file(upper, ".wh.e", ""); /* beside it: opaque */
	union_open();
	assert_streq(list_at(""), "d e three ");
	assert_streq(list_at("d"), "new ");
	assert_streq(list_at("e"), "");
	write_new("one", "new");
	write_new("two", "new");
	assert_streq(read_at("two"), "new");
	assert_eq(do_unlink("d/new"), 0);
	assert_eq(do_rmdir("d"), 0);
	assert_eq(do_rmdir("e"), 0);
	assert_streq(list_at(""), "one three two ");
	assert_eq(do_unlink("two"), 0);
	union_reopen();
	assert_streq(list_at(""), "one three ");
	union_end();
}

/* Whiteouts by xattr: listings leave them out below an `x` only, as those of branches do. */
static void test_xattr_marks_in_upper(void)
{
	const char *space = is_root() ? "trusted" : "user";
	char whiteout[64], opaque[64];

	snprintf(whiteout, sizeof(whiteout), "%s.overlay.whiteout", space);
	snprintf(opaque, sizeof(opaque), "%s.overlay.opaque", space);
	union_make(1);
	make_dir(branches[0], "d", 0755);
	make_file(branches[0], "d/one", "1");
	make_file(branches[0], "d/two", "2");
	make_dir(branches[0], "d/sub", 0755);
	make_file(branches[0], "d/sub/deep", "deep");
	make_dir(upper, "d", 0755);
	make_file(upper, "d/one", "");
	make_file(upper, "d/sub", "");
	make_file(upper, "d/empty", "");
	make_dir(upper, "e", 0755); /* lower has lost its own */
	make_file(upper, "e/gone", "");
	if (!try_xattr(upper, "d/one", whiteout, "y") || !try_xattr(upper, "d/sub", whiteout, "") ||
	    !try_xattr(upper, "e/gone", whiteout, "") || !try_xattr(upper, "d", opaque, "x") ||
	    !try_xattr(upper, "e", opaque, "x")) {
		skipped("whiteouts by xattr", "no xattrs here");
		return;
	}
	union_open();
	assert_streq(list_at("d"), "empty two ");
	assert_streq(list_at("e"), "");
	assert(!is_there("d/one"));
	assert(!is_there("d/sub"));
	write_new("d/one", "new");
	assert_streq(read_at("d/one"), "new");
	assert_eq(do_mkdir("d/sub", 0755), 0);
	assert_streq(list_at("d/sub"), "");
	assert_eq(do_rename("d/two", "d/three", 0), 0);
	assert_eq(do_rename("d/three", "d/two", 0), 0);
	assert_streq(read_at("d/two"), "2");
	/* Comes to stand where lower has a directory; what it hid there is nothing here. */
	assert_eq(do_unlink("d/one"), 0);
	assert_eq(do_unlink("d/two"), 0);
	assert_eq(do_unlink("d/empty"), 0);
	assert_eq(do_rmdir("d/sub"), 0);
	assert_eq(do_rmdir("d"), 0);
	assert_eq(do_rename("e", "d", 0), 0);
	assert_streq(list_at("d"), "");
	union_reopen();
	assert_streq(list_at(""), "d ");
	assert_streq(list_at("d"), "");
	assert(!is_there("d/gone"));
	assert_eq(do_rmdir("d"), 0);
	assert_streq(list_at(""), "");
	union_end();
}

/* An opaque upper root hides all that is below. */
static void test_opaque_upper_root(void)
{
	union_make(1);
	make_file(branches[0], "lower", "l");
	make_file(upper, "upper", "u");
	make_file(upper, ".wh..wh..opq", "");
	union_open();
	assert_streq(list_at(""), "upper ");
	assert(!is_there("lower"));
	write_new("lower", "new");
	assert_eq(do_unlink("lower"), 0);
	assert_eq(upper_at("lower"), UPPER_FREE);
	union_end();
}

/* A listing that a reader is in the middle of goes on; a fresh one shows the change. */
static void test_fresh(void)
{
	cleanup_node struct node *dir = NULL;
	cleanup_listing struct listing *one = NULL;
	cleanup_listing struct listing *two = NULL;
	cleanup_listing struct listing *three = NULL;

	union_make(1);
	make_dir(branches[0], "d", 0755);
	make_file(branches[0], "d/a", "a");
	make_file(branches[0], "d/b", "b");
	union_open();
	dir = node_of("d");
	assert_eq(dir_list(fs, dir, true, &one), 0);
	assert_eq(do_unlink("d/a"), 0);
	assert_eq(dir_list(fs, dir, false, &two), 0);
	assert_eq(listing_count(one), 2);
	assert_eq(listing_count(two), 2);
	assert_eq(dir_list(fs, dir, true, &three), 0);
	assert_eq(listing_count(three), 1);
	assert_eq(listing_at(three, 0)->cookie, listing_find(one, "b")->cookie);
	listing_unref(take_ptr(one));
	listing_unref(take_ptr(two));
	listing_unref(take_ptr(three));
	node_unref(take_ptr(dir));
	union_end();
}

/* rm -r of a directory by pages: every name is met once, though names go all the time. */
static void test_reading_while_removing(void)
{
	enum { N = 300, PAGE = 7 };
	cleanup_node struct node *dir = NULL;
	uint64_t position = 0;
	int removed = 0;

	union_make(1);
	make_dir(branches[0], "d", 0755);
	for (int i = 0; i < N; i++) {
		char name[32];

		snprintf(name, sizeof(name), "d/n%d", i);
		if (i % 2)
			make_file(branches[0], name, "");
	}
	union_open();
	for (int i = 0; i < N; i += 2) {
		char name[32];

		snprintf(name, sizeof(name), "d/n%d", i);
		write_new(name, "");
	}
	dir = node_of("d");
	for (;;) {
		cleanup_listing struct listing *listing = NULL;
		size_t i;
		int page = 0;

		assert_eq(dir_list(fs, dir, true, &listing), 0);
		i = listing_after(listing, position);
		if (i == listing_count(listing))
			break;
		for (; i < listing_count(listing) && page < PAGE; i++, page++) {
			position = listing_at(listing, i)->cookie;
			assert_eq(fs_unlink(fs, dir, listing_at(listing, i)->name), 0);
			removed++;
		}
	}
	assert_eq(removed, N);
	assert_streq(list_at("d"), "");
	assert_eq(do_rmdir("d"), 0);
	node_unref(take_ptr(dir));
	union_end();
}

/* What a reading of before a change gave the kernel is not to be shown to one begun after it. */
static void test_readings(void)
{
	cleanup_node struct node *dir = NULL;
	unsigned int before, also_before, after, last;

	union_make(1);
	make_dir(branches[0], "d", 0755);
	make_file(branches[0], "d/a", "a");
	union_open();
	dir = node_of("d");
	/* All still: readings share a number, and what they gave may stay. */
	assert(!dir_reading_begin(dir, &before));
	assert(!dir_reading_end(dir, before));
	assert(!dir_reading_begin(dir, &also_before));
	assert_eq(also_before, before);
	/* One that a change has overtaken. */
	assert_eq(do_unlink("d/a"), 0);
	assert(dir_reading_end(dir, also_before));
	/* The first one had come to its end: the kernel may hold what it gave. */
	assert(dir_reading_begin(dir, &after));
	assert(after != before);
	assert(!dir_reading_begin(dir, &last));
	assert_eq(last, after);
	assert(dir_reading_end(dir, before));
	assert(!dir_reading_end(dir, after));
	node_unref(take_ptr(dir));
	union_end();
}

static void test_parent(void)
{
	cleanup_node struct node *root = NULL;
	cleanup_node struct node *dir = NULL;
	cleanup_node struct node *sub = NULL;
	cleanup_node struct node *parent = NULL;

	union_make(1);
	make_dir(branches[0], "d", 0755);
	union_open();
	assert_eq(do_mkdir("d/sub", 0755), 0);
	assert_eq(do_mkdir("e", 0755), 0);
	root = node_of("");
	dir = node_of("d");
	sub = node_of("d/sub");
	parent = node_parent(sub);
	assert(parent == dir);
	node_unref(take_ptr(parent));
	parent = node_parent(root);
	assert(parent == root);
	node_unref(take_ptr(parent));
	assert_eq(do_rename("d/sub", "e/sub", 0), 0);
	parent = node_parent(sub);
	assert_eq(parent->ino, stat_at("e").st_ino);
	node_unref(take_ptr(parent));
	node_unref(take_ptr(sub));
	node_unref(take_ptr(dir));
	node_unref(take_ptr(root));
	union_end();
}

static void tests(void)
{
	test_merged();
	test_foreign_marks_in_upper();
	test_xattr_marks_in_upper();
	test_opaque_upper_root();
	test_fresh();
	test_reading_while_removing();
	test_readings();
	test_parent();
}

int main(void)
{
	scratch_begin();
	union_each_style(tests);
	return 0;
}
