/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Removing names: whiteouts where they are needed and nowhere else, and what is still in use. */
#include "union.h"

static void test_unlink_lower(void)
{
	union_make(2);
	make_file(branches[0], "f", "f");
	make_file(branches[1], "f", "f below");
	make_dir(branches[1], "d", 0755);
	make_file(branches[1], "d/g", "g");
	make_symlink(branches[1], "x", "l");
	union_open();
	assert_eq(do_unlink("f"), 0);
	assert_eq(do_unlink("d/g"), 0);
	assert_eq(do_unlink("l"), 0);
	assert(!is_there("f"));
	assert_eq(upper_at("f"), UPPER_HAS_WHITEOUT);
	assert_eq(upper_at("d/g"), UPPER_HAS_WHITEOUT);
	assert_eq(upper_at("l"), UPPER_HAS_WHITEOUT);
	assert_streq(list_at(""), "d ");
	assert_streq(list_at("d"), "");
	assert_eq(do_unlink("f"), -ENOENT);
	union_reopen();
	assert(!is_there("f"));
	assert_streq(list_at(""), "d ");
	assert_streq(list_at("d"), "");
	assert_streq(content_of(branches[0], "f"), "f"); /* branches do not change */
	union_end();
}

/* No whiteout is left for a name that no lower branch has. */
static void test_no_needless_whiteouts(void)
{
	union_make(3);
	make_file(branches[1], "hidden-below", "x");
	make_whiteout(branches[0], "hidden-below");
	make_dir(branches[0], "d", 0755);
	union_open();
	write_new("new", "n");
	assert_eq(do_unlink("new"), 0);
	assert_eq(do_mkdir("newdir", 0755), 0);
	write_new("newdir/f", "f");
	assert_eq(do_unlink("newdir/f"), 0);
	assert_eq(do_rmdir("newdir"), 0);
	write_new("d/new", "n");
	assert_eq(do_rename("d/new", "d/other", 0), 0);
	assert_eq(do_unlink("d/other"), 0);
	write_new("hidden-below", "again");
	assert_eq(do_unlink("hidden-below"), 0);
	assert_eq(upper_at("new"), UPPER_FREE);
	assert_eq(upper_at("newdir"), UPPER_FREE);
	assert_eq(upper_at("d/new"), UPPER_FREE);
	assert_eq(upper_at("d/other"), UPPER_FREE);
	assert_eq(upper_at("hidden-below"), UPPER_FREE);
	assert(!is_there("hidden-below"));
	union_end();
}

static void test_unlink_of_copied_up(void)
{
	union_make(1);
	make_file(branches[0], "f", "f");
	union_open();
	assert_eq(do_write("f", "F", 0), 0);
	assert_eq(do_unlink("f"), 0);
	assert(!is_there("f"));
	assert_eq(upper_at("f"), UPPER_HAS_WHITEOUT);
	union_reopen();
	assert(!is_there("f"));
	union_end();
}

static void test_wrong_types(void)
{
	union_make(1);
	make_file(branches[0], "f", "f");
	make_dir(branches[0], "d", 0755);
	make_file(branches[0], "d/f", "f");
	union_open();
	assert_eq(do_unlink("d"), -EISDIR);
	assert_eq(do_rmdir("f"), -ENOTDIR);
	assert_eq(do_rmdir("d"), -ENOTEMPTY);
	assert_eq(do_rmdir("absent"), -ENOENT);
	assert_eq(do_unlink("absent"), -ENOENT);
	assert_eq(do_unlink(".wh.f"), -ENOENT);
	assert_streq(list_at("d"), "f ");
	union_end();
}

static void test_rmdir(void)
{
	union_make(2);
	make_dir(branches[0], "lower", 0755);
	make_dir(branches[0], "merged", 0755);
	make_dir(branches[1], "merged", 0755);
	make_file(branches[0], "merged/a", "a");
	make_file(branches[1], "merged/b", "b");
	make_dir(branches[1], "with-marks", 0755);
	make_file(branches[1], "with-marks/x", "x");
	make_dir(branches[0], "with-marks", 0755);
	make_whiteout(branches[0], "with-marks/x"); /* shows empty, though its branch has names */
	union_open();
	assert_eq(do_rmdir("lower"), 0);
	assert_eq(do_rmdir("with-marks"), 0);
	assert_eq(do_rmdir("merged"), -ENOTEMPTY);
	assert_eq(do_unlink("merged/a"), 0);
	write_new("merged/c", "c");
	assert_eq(do_rmdir("merged"), -ENOTEMPTY);
	assert_eq(do_unlink("merged/c"), 0);
	assert_eq(do_rmdir("merged"), -ENOTEMPTY);
	assert_eq(do_unlink("merged/b"), 0);
	assert_eq(do_rmdir("merged"), 0); /* nothing but whiteouts in upper */
	assert_streq(list_at(""), "");
	assert_eq(upper_at("merged"), UPPER_HAS_WHITEOUT);
	assert_eq(upper_at("lower"), UPPER_HAS_WHITEOUT);
	union_reopen();
	assert_streq(list_at(""), "");
	/* A new one does not show what was there. */
	assert_eq(do_mkdir("merged", 0755), 0);
	assert_streq(list_at("merged"), "");
	union_end();
}

static void test_parents_nlink(void)
{
	union_make(2);
	make_dir(branches[0], "p", 0755);
	make_dir(branches[0], "p/a", 0755);
	make_dir(branches[1], "p", 0755);
	make_dir(branches[1], "p/a", 0755);
	make_dir(branches[1], "p/b", 0755);
	union_open();
	assert_eq(stat_at("p").st_nlink, 4);
	assert_eq(do_mkdir("p/c", 0755), 0);
	assert_eq(stat_at("p").st_nlink, 5);
	assert_eq(do_rmdir("p/b"), 0);
	assert_eq(stat_at("p").st_nlink, 4);
	assert_eq(do_rmdir("p/a"), 0);
	assert_eq(do_rmdir("p/c"), 0);
	assert_eq(stat_at("p").st_nlink, 2);
	union_reopen();
	assert_eq(stat_at("p").st_nlink, 2);
	assert_eq(do_mkdir("p/a", 0755), 0);
	assert_eq(stat_at("p").st_nlink, 3);
	union_end();
}

/* --- what is removed and still in use --- */

static void test_unlinked_and_in_use(void)
{
	static const char *const paths[] = { "lower", "copied", "new" };

	union_make(1);
	make_file(branches[0], "lower", "lower");
	make_file(branches[0], "copied", "copied");
	union_open();
	assert_eq(do_write("copied", "copied", 0), 0);
	write_new("new", "new");
	for (size_t i = 0; i < 3; i++) {
		cleanup_node struct node *node = node_of(paths[i]);
		uint64_t ino = node->ino;
		struct stat st;
		int r;

		assert_eq(do_unlink(paths[i]), 0);
		assert(!is_there(paths[i]));
		assert_streq(read_node(node), paths[i]);
		assert_eq(fs_getattr(fs, node, &st), 0);
		assert_eq(st.st_nlink, 0);
		assert_eq(st.st_ino, ino);
		/* It can still be changed, whatever takes its name. */
		write_new(paths[i], "other");
		assert_eq(fs_write(fs, node, "X", 1, 0, NULL), 1);
		assert_eq(*read_node(node), 'X');
		st.st_mode = 0600;
		assert_eq(fs_setattr(fs, node, &st, FS_SET_MODE, NULL, &st), 0);
		assert_eq(st.st_mode, S_IFREG | 0600);
		assert_eq(st.st_nlink, 0);
		assert_eq(st.st_ino, ino);
		r = fs_xattr_set(fs, node, "user.x", "y", 1, 0);
		assert(r == 0 || r == -EOPNOTSUPP);
		assert_streq(read_at(paths[i]), "other");
		assert(stat_at(paths[i]).st_ino != ino);
		assert_eq(stat_at(paths[i]).st_mode, S_IFREG | 0644);
		assert_eq(count_in_work("orphans"), 1);
		node_unref(take_ptr(node));
		assert_eq(count_in_work("orphans"), 0);
	}
	union_end();
}

/* The kernel knows the node by its lookups, with nobody working on it. */
static void test_orphans_go_with_the_last_forget(void)
{
	struct node *node;
	uint64_t ino;

	union_make(1);
	union_open();
	write_new("f", "f");
	node = node_of("f");
	ino = node->ino;
	node_looked_up(node);
	node_looked_up(node);
	node_unref(node);
	assert_eq(do_unlink("f"), 0);
	assert_eq(count_in_work("orphans"), 1);
	node = nodes_get(&fs->nodes, ino);
	assert(node);
	assert_streq(read_node(node), "f");
	node_forget(node, 1);
	node_unref(node);
	assert_eq(count_in_work("orphans"), 1);
	node = nodes_get(&fs->nodes, ino);
	node_forget(node, 1);
	node_unref(node);
	assert_eq(count_in_work("orphans"), 0);
	assert(!nodes_get(&fs->nodes, ino));
	/* What is in use at the end goes with the mount. */
	write_new("g", "g");
	node = node_of("g");
	node_looked_up(node);
	node_unref(node);
	assert_eq(do_unlink("g"), 0);
	union_close();
	assert(!exists(work, "orphans") || count_in_work("orphans") == 0);
	union_open();
	assert_eq(count_in_work("orphans"), 0);
	assert_eq(count_in_work("staging"), 0);
	union_end();
}

static void test_removed_directory_in_use(void)
{
	union_make(1);
	make_dir(branches[0], "lower", 0755);
	union_open();
	assert_eq(do_mkdir("new", 0755), 0);
	for (int i = 0; i < 2; i++) {
		const char *path = i ? "lower" : "new";
		cleanup_node struct node *dir = node_of(path);
		cleanup_listing struct listing *listing = NULL;
		cleanup_entry struct entry entry = { 0 };
		struct stat st;

		assert_eq(do_rmdir(path), 0);
		assert_eq(fs_getattr(fs, dir, &st), 0);
		assert_eq(st.st_nlink, 0);
		assert_eq(dir_list(fs, dir, true, &listing), 0);
		assert_eq(listing_count(listing), 0);
		assert_eq(fs_lookup(fs, dir, "x", &entry), FS_ABSENT);
		/* A new one in its place is another. */
		assert_eq(do_mkdir(path, 0755), 0);
		assert(stat_at(path).st_ino != dir->ino);
		write_new(i ? "lower/f" : "new/f", "f");
		assert_eq(fs_lookup(fs, dir, "f", &entry), FS_ABSENT);
	}
	union_end();
}

/* --- hard links --- */

static void test_links_in_upper(void)
{
	cleanup_node struct node *node = NULL;
	struct stat st;

	union_make(1);
	union_open();
	write_new("a", "a");
	assert_eq(do_link("a", "b"), 0);
	assert_eq(do_link("a", "c"), 0);
	node = node_of("a");
	assert_eq(do_unlink("a"), 0);
	assert_eq(fs_getattr(fs, node, &st), 0);
	assert_eq(st.st_nlink, 2);
	assert_eq(stat_at("b").st_nlink, 2);
	assert_eq(do_unlink("c"), 0);
	assert_eq(do_unlink("b"), 0);
	assert_eq(fs_getattr(fs, node, &st), 0);
	assert_eq(st.st_nlink, 0);
	assert_streq(read_node(node), "a");
	node_unref(take_ptr(node));
	assert_eq(count_in_work("orphans"), 0);
	union_end();
}

/* After a remount only the name that was looked up is known, though there are others. */
static void test_links_not_all_of_which_are_known(void)
{
	cleanup_node struct node *node = NULL;
	struct stat st;
	uint64_t ino;

	union_make(1);
	union_open();
	write_new("a", "a");
	assert_eq(do_link("a", "b"), 0);
	ino = stat_at("a").st_ino;
	union_reopen();
	node = node_of("a");
	assert_eq(do_unlink("a"), 0);
	assert_eq(fs_getattr(fs, node, &st), 0);
	assert_eq(st.st_nlink, 1);
	assert_streq(read_node(node), "a");
	assert_eq(stat_at("b").st_ino, ino);
	assert_eq(stat_at("b").st_nlink, 1);
	assert_eq(count_in_work("orphans"), 1); /* until it is forgotten */
	assert_eq(fs_write(fs, node, "B", 1, 0, NULL), 1);
	assert_streq(read_at("b"), "B");
	assert_eq(do_unlink("b"), 0);
	assert_eq(fs_getattr(fs, node, &st), 0);
	assert_eq(st.st_nlink, 0);
	assert_streq(read_node(node), "B");
	node_unref(take_ptr(node));
	assert_eq(count_in_work("orphans"), 0);
	union_end();
}

/* Names of a lower group go one by one; the count follows, and no copy is made. */
static void test_links_in_lower(void)
{
	cleanup_node struct node *node = NULL;
	struct stat st;

	union_make(1);
	make_file(branches[0], "a", "linked");
	make_link(branches[0], "a", "b");
	make_dir(branches[0], "d", 0755);
	make_link(branches[0], "a", "d/c");
	union_open();
	assert_eq(stat_at("a").st_nlink, 3);
	node = node_of("a");
	assert_eq(do_unlink("a"), 0);
	assert_eq(stat_at("b").st_nlink, 2);
	assert_eq(fs_getattr(fs, node, &st), 0);
	assert_eq(st.st_nlink, 2);
	assert_eq(stat_at("d/c").st_ino, node->ino);
	assert_eq(do_unlink("d/c"), 0);
	assert_eq(stat_at("b").st_nlink, 1);
	assert_streq(read_at("b"), "linked");
	assert_eq(upper_at("b"), UPPER_FREE);
	node_unref(take_ptr(node));
	union_reopen();
	assert_eq(stat_at("b").st_nlink, 1);
	node = node_of("b");
	assert_eq(do_unlink("b"), 0);
	assert_eq(fs_getattr(fs, node, &st), 0);
	assert_eq(st.st_nlink, 0);
	assert_streq(read_node(node), "linked");
	assert_streq(list_at(""), "d ");
	node_unref(take_ptr(node));
	union_end();
}

/*
 * While an orphan that nobody needs any more is being removed, another name of the
 * file is: renaming that onto the orphan would do nothing, and succeed.
 */
static void test_orphan_that_is_going(void)
{
	cleanup_free char *orphan = NULL;
	struct stat st;

	union_make(1);
	union_open();
	write_new("x", "x");
	assert_eq(do_link("x", "y"), 0);
	union_reopen();
	st = stat_at("x");
	assert(asprintf(&orphan, "orphans/%llx", (unsigned long long)st.st_ino) > 0);
	assert_eq(linkat(upper, "x", work, orphan, 0), 0);
	assert_eq(stat_at("x").st_nlink, 2);
	assert_eq(do_unlink("x"), 0);
	assert_streq(list_at(""), "y ");
	assert_eq(stat_at("y").st_nlink, 1);
	assert_streq(read_at("y"), "x");
	assert_eq(do_unlink("y"), 0);
	assert_streq(list_at(""), "");
	union_end();
}

static void tests(void)
{
	test_orphan_that_is_going();
	test_unlink_lower();
	test_no_needless_whiteouts();
	test_unlink_of_copied_up();
	test_wrong_types();
	test_rmdir();
	test_parents_nlink();
	test_unlinked_and_in_use();
	test_orphans_go_with_the_last_forget();
	test_removed_directory_in_use();
	test_links_in_upper();
	test_links_not_all_of_which_are_known();
	test_links_in_lower();
}

int main(void)
{
	scratch_begin();
	union_each_style(tests);
	return 0;
}
