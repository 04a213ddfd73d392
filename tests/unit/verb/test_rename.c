/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Renaming files and directories, of upper, of lower and merged ones, and onto each other. */
#include "union.h"

/* Whether lower directories can be renamed in this style. */
static bool has_redirects(void)
{
	return fs->upper.caps.style.xattr_prefix != NULL;
}

static const char *redirect_in_upper(const char *path)
{
	const char *target = xattr_of(upper, path, "trusted.overlay.redirect");

	return target ? target : xattr_of(upper, path, "user.overlay.redirect");
}

static void test_files(void)
{
	uint64_t upper_ino, lower_ino;

	union_make(1);
	make_file(branches[0], "lower", "lower");
	make_dir(branches[0], "d", 0755);
	make_symlink(branches[0], "target", "link");
	set_times(branches[0], "lower", 1000, 123456789);
	union_open();
	write_new("new", "new");
	upper_ino = stat_at("new").st_ino;
	lower_ino = stat_at("lower").st_ino;
	assert_eq(do_rename("new", "d/new", 0), 0);
	assert_eq(do_rename("lower", "d/lower", 0), 0);
	assert_eq(do_rename("link", "d/link", 0), 0);
	assert_streq(list_at(""), "d ");
	assert_streq(list_at("d"), "link lower new ");
	assert_streq(read_at("d/new"), "new");
	assert_streq(read_at("d/lower"), "lower");
	assert_eq(stat_at("d/new").st_ino, upper_ino);
	assert_eq(stat_at("d/lower").st_ino, lower_ino);
	assert_eq(stat_at("d/lower").st_mtim.tv_nsec, 123456789);
	assert_eq(upper_at("lower"), UPPER_HAS_WHITEOUT);
	assert_eq(upper_at("new"), UPPER_FREE);
	assert_eq(upper_at("d/new"), UPPER_HAS_OBJECT);
	assert_eq(do_rename("absent", "x", 0), -ENOENT);
	union_reopen();
	assert_streq(list_at(""), "d ");
	assert_eq(stat_at("d/new").st_ino, upper_ino);
	assert_eq(stat_at("d/lower").st_ino, lower_ino);
	assert_streq(read_at("d/lower"), "lower");
	/* And back, over the whiteout. */
	assert_eq(do_rename("d/lower", "lower", 0), 0);
	assert_streq(read_at("lower"), "lower");
	assert_eq(upper_at("d/lower"), UPPER_FREE);
	assert_eq(stat_at("lower").st_ino, lower_ino);
	union_end();
}

static void test_file_onto_file(void)
{
	static const char *const targets[] = { "lower", "copied", "new" };

	union_make(1);
	make_file(branches[0], "lower", "old");
	make_file(branches[0], "copied", "old");
	union_open();
	assert_eq(do_chmod("copied", 0600), 0);
	write_new("new", "old");
	for (size_t i = 0; i < 3; i++) {
		cleanup_node struct node *replaced = node_of(targets[i]);
		struct stat st;
		uint64_t ino;

		write_new("source", "source");
		ino = stat_at("source").st_ino;
		assert_eq(do_rename("source", targets[i], RENAME_NOREPLACE), -EEXIST);
		assert_eq(do_rename("source", targets[i], 0), 0);
		assert_streq(read_at(targets[i]), "source");
		assert_eq(stat_at(targets[i]).st_ino, ino);
		assert(!is_there("source"));
		assert_eq(upper_at("source"), UPPER_FREE);
		/* What was replaced is still in use here. */
		assert_streq(read_node(replaced), "old");
		assert_eq(fs_getattr(fs, replaced, &st), 0);
		assert_eq(st.st_nlink, 0);
		assert_eq(fs_write(fs, replaced, "X", 1, 0, NULL), 1);
		assert_streq(read_node(replaced), "Xld");
		node_unref(take_ptr(replaced));
		assert_eq(count_in_work("orphans"), 0);
	}
	assert_streq(list_at(""), "copied lower new ");
	/* One that is left without its only name takes it away; a group only one of its names. */
	write_new("a", "a");
	assert_eq(do_link("a", "b"), 0);
	assert_eq(do_rename("a", "b", 0), 0); /* one file: nothing happens */
	assert(is_there("a") && is_there("b"));
	assert_eq(do_rename("new", "b", 0), 0);
	assert_eq(stat_at("a").st_nlink, 1);
	assert_streq(read_at("a"), "a");
	assert_eq(count_in_work("orphans"), 0);
	union_reopen();
	assert_streq(list_at(""), "a b copied lower ");
	assert_eq(stat_at("a").st_nlink, 1);
	union_end();
}

static void test_onto_the_wrong_type(void)
{
	union_make(1);
	make_file(branches[0], "f", "f");
	make_dir(branches[0], "d", 0755);
	make_dir(branches[0], "full", 0755);
	make_file(branches[0], "full/f", "f");
	union_open();
	assert_eq(do_mkdir("new", 0755), 0);
	assert_eq(do_rename("f", "d", 0), -EISDIR);
	assert_eq(do_rename("new", "f", 0), -ENOTDIR);
	assert_eq(do_rename("new", "full", 0), -ENOTEMPTY);
	assert_eq(do_rename("new", "x", 1 << 7), -EINVAL);
	assert_streq(list_at(""), "d f full new ");
	assert_streq(list_at("full"), "f ");
	union_end();
}

/* --- directories --- */

static void test_new_directory(void)
{
	uint64_t ino;

	union_make(1);
	make_dir(branches[0], "lower", 0755);
	make_file(branches[0], "lower/old", "old");
	make_dir(branches[0], "empty", 0755);
	union_open();
	assert_eq(do_mkdir("new", 0755), 0);
	write_new("new/f", "f");
	ino = stat_at("new").st_ino;
	assert_eq(do_rename("new", "moved", 0), 0);
	assert_streq(read_at("moved/f"), "f");
	assert_eq(stat_at("moved").st_ino, ino);
	assert_eq(upper_at("new"), UPPER_FREE);
	assert(!redirect_in_upper("moved"));
	assert(!is_opaque_in_upper("moved"));
	/* To where lower has a directory: what that holds must not come through. */
	assert_eq(do_rename("moved", "lower", 0), -ENOTEMPTY);
	assert_eq(do_unlink("lower/old"), 0);
	assert_eq(do_rename("moved", "lower", 0), 0);
	assert_streq(list_at("lower"), "f ");
	assert_eq(stat_at("lower").st_ino, ino);
	assert_eq(do_mkdir("other", 0755), 0);
	write_new("other/g", "g");
	assert_eq(do_rename("other", "empty", 0), 0);
	assert_streq(list_at("empty"), "g ");
	assert_streq(list_at(""), "empty lower ");
	union_reopen();
	assert_streq(list_at("lower"), "f ");
	assert_streq(list_at("empty"), "g ");
	assert_eq(stat_at("lower").st_ino, ino);
	/* Over a removed directory as well. */
	assert_eq(do_rename("lower", "x", 0), 0);
	assert(!is_there("lower"));
	assert_eq(do_rename("x", "lower", 0), 0);
	assert_streq(list_at("lower"), "f ");
	union_reopen();
	assert_streq(list_at("lower"), "f ");
	union_end();
}

/* A lower directory moves without a copy of what is in it: a redirect, and a whiteout where it was.
 */
static void test_lower_directory(void)
{
	const char *redirect;
	uint64_t ino, file_ino;

	union_make(2);
	make_dir(branches[0], "d", 0750);
	make_file(branches[0], "d/a", "a");
	make_dir(branches[1], "d", 0755);
	make_dir(branches[1], "d/sub", 0755);
	make_file(branches[1], "d/sub/b", "b");
	make_dir(branches[1], "to", 0755);
	set_times(branches[0], "d", 5000, 55);
	union_open();
	ino = stat_at("d").st_ino;
	file_ino = stat_at("d/sub/b").st_ino;
	if (!has_redirects()) {
		assert_eq(do_rename("d", "moved", 0), -EXDEV);
		assert_streq(list_at(""), "d to ");
		union_end();
		return;
	}
	assert_eq(do_rename("d", "moved", 0), 0);
	assert_streq(list_at(""), "moved to ");
	assert_streq(list_at("moved"), "a sub ");
	assert_streq(read_at("moved/sub/b"), "b");
	assert_eq(stat_at("moved").st_ino, ino);
	assert_eq(stat_at("moved").st_mode, S_IFDIR | 0750);
	assert_eq(stat_at("moved").st_mtim.tv_sec, 5000);
	assert_eq(stat_at("moved").st_mtim.tv_nsec, 55);
	assert_eq(stat_at("moved/sub/b").st_ino, file_ino);
	assert_eq(upper_at("d"), UPPER_HAS_WHITEOUT);
	redirect = redirect_in_upper("moved");
	assert_streq(redirect, "/d");
	assert_eq(upper_at("moved/a"), UPPER_FREE);
	assert_eq(upper_at("moved/sub"), UPPER_FREE);
	/* Again, and a part of it out of it. */
	assert_eq(do_rename("moved", "to/there", 0), 0);
	assert_streq(redirect_in_upper("to/there"), "/d");
	assert_eq(upper_at("moved"), UPPER_FREE);
	assert_eq(do_rename("to/there/sub", "sub", 0), 0);
	assert_streq(read_at("sub/b"), "b");
	assert_streq(list_at("to/there"), "a ");
	assert_eq(do_unlink("to/there/a"), 0);
	write_new("to/there/new", "new");
	union_reopen();
	assert_streq(list_at(""), "sub to ");
	assert_streq(list_at("to/there"), "new ");
	assert_streq(list_at("sub"), "b ");
	assert_eq(stat_at("to/there").st_ino, ino);
	assert_eq(stat_at("sub/b").st_ino, file_ino);
	/* A new directory in its old place has nothing of it. */
	assert_eq(do_mkdir("d", 0755), 0);
	assert_streq(list_at("d"), "");
	assert(stat_at("d").st_ino != ino);
	/* And when it comes home it is what it was. */
	assert_eq(do_rmdir("d"), 0);
	assert_eq(do_rename("to/there", "d", 0), 0);
	assert_streq(list_at("d"), "new ");
	assert_eq(stat_at("d").st_ino, ino);
	union_reopen();
	assert_streq(list_at("d"), "new ");
	union_end();
}

static void test_redirect_dir_off(void)
{
	union_make(1);
	make_dir(branches[0], "lower", 0755);
	make_file(branches[0], "lower/f", "f");
	make_dir(branches[0], "merged", 0755);
	config.redirect_dir = false;
	union_open();
	write_new("merged/f", "f");
	assert_eq(do_mkdir("new", 0755), 0);
	assert_eq(do_rename("lower", "x", 0), -EXDEV);
	assert_eq(do_rename("merged", "x", 0), -EXDEV);
	assert_eq(do_rename("new", "merged", RENAME_EXCHANGE), -EXDEV);
	assert_eq(do_rename("merged", "new", RENAME_EXCHANGE), -EXDEV);
	assert_eq(upper_at("lower"), UPPER_FREE); /* nothing has been done for nothing */
	assert_eq(do_rename("new", "newer", 0), 0);
	assert_eq(do_rename("lower/f", "f", 0), 0);
	assert_streq(list_at(""), "f lower merged newer ");
	union_end();
}

/* A directory whose branch already has it by a redirect. */
static void test_below_a_redirect_of_a_branch(void)
{
	union_make(2);
	make_dir(branches[1], "old", 0755);
	make_dir(branches[1], "old/sub", 0755);
	make_file(branches[1], "old/sub/f", "f");
	make_whiteout(branches[0], "old");
	make_dir(branches[0], "new", 0755);
	union_open();
	if (!has_redirects() ||
	    !try_xattr(branches[0], "new",
		       is_root() ? "trusted.overlay.redirect" : "user.overlay.redirect", "/old")) {
		skipped("redirects in branches", "no redirects here");
		union_end();
		return;
	}
	union_reopen();
	assert_streq(read_at("new/sub/f"), "f");
	assert_eq(do_rename("new/sub", "moved", 0), 0);
	assert_streq(list_at("moved"), "f ");
	union_reopen();
	assert_streq(list_at("moved"), "f ");
	assert_streq(list_at("new"), "");
	union_end();
}

static void test_directory_onto_directory(void)
{
	union_make(1);
	make_dir(branches[0], "lower", 0755);
	make_file(branches[0], "lower/f", "f");
	make_dir(branches[0], "emptied", 0755);
	make_file(branches[0], "emptied/x", "x");
	make_dir(branches[0], "empty", 0755);
	union_open();
	assert_eq(do_unlink("emptied/x"), 0);
	assert_eq(do_mkdir("new", 0711), 0);
	write_new("new/n", "n");
	{
		cleanup_node struct node *replaced = node_of("emptied");
		struct stat st;

		assert_eq(do_rename("new", "emptied", 0), 0);
		assert_eq(fs_getattr(fs, replaced, &st), 0);
		assert_eq(st.st_nlink, 0);
	}
	assert_eq(count_in_work("orphans"), 0);
	assert_streq(list_at("emptied"), "n ");
	assert_eq(stat_at("emptied").st_mode, S_IFDIR | 0711);
	assert(!is_there("new"));
	if (has_redirects()) {
		assert_eq(do_rename("lower", "empty", 0), 0);
		assert_streq(list_at("empty"), "f ");
		assert(!is_there("lower"));
		assert_eq(do_unlink("emptied/n"), 0);
		assert_eq(do_rename("empty", "emptied", 0), 0);
		assert_streq(list_at(""), "emptied ");
		assert_streq(list_at("emptied"), "f ");
	} else {
		assert_eq(do_mkdir("other", 0755), 0);
		assert_eq(do_rename("other", "empty", 0), 0);
		assert_streq(list_at("empty"), "");
	}
	union_reopen();
	if (has_redirects()) {
		assert_streq(list_at(""), "emptied ");
		assert_streq(list_at("emptied"), "f ");
	} else {
		assert_streq(list_at(""), "emptied empty lower ");
	}
	union_end();
}

/* --- exchange --- */

/* A directory that would have been replaced is the one that it was when the rename fails. */
static void test_directory_not_replaced(void)
{
	cleanup_node struct node *node = NULL;
	char long_name[253];
	struct stat st;

	if (style->format != WHITEOUT_FILE || !style->is_forced || !style->has_xattrs)
		return;
	memset(long_name, 'l', sizeof(long_name) - 1);
	long_name[sizeof(long_name) - 1] = '\0';
	union_make(1);
	make_dir(branches[0], long_name, 0755);
	make_dir(branches[0], "to", 0755);
	make_file(branches[0], "to/f", "f");
	union_open();
	assert_eq(do_unlink("to/f"), 0);
	node = node_of("to");
	st = stat_of(upper, "to");
	/* The whiteout that it would leave has no room in a name. */
	assert_eq(do_rename(long_name, "to", 0), -ENAMETOOLONG);
	assert_eq(stat_of(upper, "to").st_ino, st.st_ino);
	assert_eq(fs_getattr(fs, node, &st), 0);
	assert_eq(stat_at("to").st_ino, node->ino);
	assert_streq(list_at("to"), "");
	assert_eq(count_in_work("orphans"), 0);
	assert(is_there(long_name));
	assert_eq(do_rmdir("to"), 0);
	node_unref(take_ptr(node));
	union_end();
}

static void test_exchange(void)
{
	uint64_t file, dir;

	union_make(1);
	make_file(branches[0], "f", "f");
	make_dir(branches[0], "d", 0755);
	make_file(branches[0], "d/x", "x");
	union_open();
	if (!fs->upper.caps.can_exchange) {
		skipped("exchange", "not on this filesystem");
		union_end();
		return;
	}
	write_new("new", "new");
	assert_eq(do_mkdir("newdir", 0755), 0);
	write_new("newdir/y", "y");
	file = stat_at("f").st_ino;
	dir = stat_at("newdir").st_ino;
	assert_eq(do_rename("f", "new", RENAME_EXCHANGE), 0);
	assert_streq(read_at("f"), "new");
	assert_streq(read_at("new"), "f");
	assert_eq(stat_at("new").st_ino, file);
	assert_eq(do_rename("newdir", "f", RENAME_EXCHANGE), 0);
	assert_streq(list_at("f"), "y ");
	assert_streq(read_at("newdir"), "new");
	assert_eq(stat_at("f").st_ino, dir);
	assert_eq(do_rename("f", "absent", RENAME_EXCHANGE), -ENOENT);
	assert_eq(do_rename("f", "absent", RENAME_WHITEOUT), -EINVAL);
	if (has_redirects()) {
		assert_eq(do_rename("d", "f", RENAME_EXCHANGE), 0);
		assert_streq(list_at("d"), "y ");
		assert_streq(list_at("f"), "x ");
	} else {
		assert_eq(do_rename("d", "f", RENAME_EXCHANGE), -EXDEV);
		assert_streq(list_at("d"), "x ");
		assert_streq(list_at("f"), "y ");
	}
	union_reopen();
	assert_streq(list_at(""), "d f new newdir ");
	assert_streq(list_at(has_redirects() ? "d" : "f"), "y ");
	assert_streq(list_at(has_redirects() ? "f" : "d"), "x ");
	assert_streq(read_at("new"), "f");
	assert_eq(stat_at("new").st_ino, file);
	union_end();
}

/* --- hard links --- */

/* A name in a lower directory that was renamed still counts, before copy-up and after. */
static void test_links_in_a_renamed_directory(void)
{
	uint64_t ino;

	union_make(1);
	make_dir(branches[0], "d", 0755);
	make_file(branches[0], "d/a", "linked");
	make_link(branches[0], "d/a", "b");
	union_open();
	if (!has_redirects()) {
		union_end();
		return;
	}
	ino = stat_at("b").st_ino;
	assert_eq(do_rename("d", "e", 0), 0);
	assert_eq(stat_at("e/a").st_ino, ino);
	assert_eq(stat_at("e/a").st_nlink, 2);
	assert_eq(stat_at("b").st_nlink, 2);
	assert_eq(do_write("b", "LINKED", 0), 0);
	assert_streq(read_at("e/a"), "LINKED");
	assert_eq(stat_at("e/a").st_ino, ino);
	assert_eq(stat_at("b").st_nlink, 2);
	union_reopen();
	assert_streq(read_at("e/a"), "LINKED");
	assert_eq(stat_at("e/a").st_ino, ino);
	assert_eq(stat_at("b").st_nlink, 2);
	union_end();
}

static void test_rename_of_a_linked_name(void)
{
	union_make(1);
	make_file(branches[0], "a", "linked");
	make_link(branches[0], "a", "b");
	make_file(branches[0], "c", "c");
	union_open();
	assert_eq(do_rename("a", "b", 0), 0); /* one file: nothing happens */
	assert(is_there("a") && is_there("b"));
	assert_eq(do_rename("a", "x", 0), 0);
	assert_eq(stat_at("x").st_ino, stat_at("b").st_ino);
	assert_eq(stat_at("x").st_nlink, 2);
	assert_eq(do_rename("c", "b", 0), 0);
	assert_eq(stat_at("x").st_nlink, 1);
	assert_streq(read_at("x"), "linked");
	assert_streq(read_at("b"), "c");
	union_reopen();
	assert_streq(list_at(""), "b x ");
	assert_eq(stat_at("x").st_nlink, 1);
	union_end();
}

/* The link count of a file, or -errno. */
static int links_at(const char *name)
{
	cleanup_entry struct entry entry = { 0 };
	int r = fs_lookup(fs, fs->root, name, &entry);

	return r < 0 ? r : (int)entry.st.st_nlink;
}

/*
 * An earlier mount has renamed a directory into one that now cannot be read: what is said of
 * files with names in it is an error; of all others nothing changes.
 */
static void test_links_where_upper_cannot_be_read(void)
{
	union_make(1);
	make_dir(branches[0], "d", 0755);
	make_dir(branches[0], "e", 0755);
	make_file(branches[0], "d/a", "a");
	make_link(branches[0], "d/a", "b");
	make_file(branches[0], "e/x", "x");
	make_link(branches[0], "e/x", "y");
	union_open();
	assert_eq(do_mkdir("hidden", 0755), 0);
	if (!has_redirects() || do_rename("d", "hidden/d", 0) < 0) {
		union_end();
		return;
	}
	assert_eq(do_rename("e", "f", 0), 0);
	union_reopen();
	assert(fchmodat(upper, "hidden", 0, 0) == 0);
	heed_modes(true);
	assert_eq(links_at("b"), -EACCES);
	assert_eq(links_at("y"), 2);
	assert_eq(links_at("b"), -EACCES);
	assert(fchmodat(upper, "hidden", 0755, 0) == 0);
	assert_eq(links_at("b"), 2);
	heed_modes(false);
	assert_eq(stat_at("hidden/d/a").st_nlink, 2);
	assert_eq(stat_at("f/x").st_nlink, 2);
	union_end();
}

static void tests(void)
{
	test_files();
	test_file_onto_file();
	test_onto_the_wrong_type();
	test_new_directory();
	test_lower_directory();
	test_redirect_dir_off();
	test_directory_onto_directory();
	test_directory_not_replaced();
	test_exchange();
	test_rename_of_a_linked_name();
	test_links_in_a_renamed_directory();
	test_below_a_redirect_of_a_branch();
	test_links_where_upper_cannot_be_read();
}

int main(void)
{
	scratch_begin();
	union_each_style(tests);
	return 0;
}
