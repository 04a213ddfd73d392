/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Copy-up keeps everything there is about an object, and about the directories on the way. */
#include "branch/number.h"
#include "copyup/copyup.h"
#include "copyup/group.h"
#include "restart.h"
#include "survive/state_file.h"
#include "union.h"
#include "upper/orphan.h"

static int do_copyup(const char *path)
{
	cleanup_node struct node *node = node_of(path);

	return copyup_node(fs, node);
}

static void expect_same(const struct stat *a, const struct stat *b)
{
	assert_eq(b->st_mode, a->st_mode);
	assert_eq(b->st_uid, a->st_uid);
	assert_eq(b->st_gid, a->st_gid);
	assert_eq(b->st_nlink, a->st_nlink);
	assert_eq(b->st_size, a->st_size);
	assert_eq(b->st_mtim.tv_sec, a->st_mtim.tv_sec);
	assert_eq(b->st_mtim.tv_nsec, a->st_mtim.tv_nsec);
	if (!S_ISDIR(a->st_mode)) { /* listing one sets its access time */
		assert_eq(b->st_atim.tv_sec, a->st_atim.tv_sec);
		assert_eq(b->st_atim.tv_nsec, a->st_atim.tv_nsec);
	}
	assert_eq(b->st_rdev, a->st_rdev);
	assert_eq(b->st_ino, a->st_ino);
}

static void test_every_type(void)
{
	static const char *const names[] = { "file", "empty", "link", "fifo", "socket",
					     "dir",  "suid",  "null", "block" };
	size_t n = sizeof(names) / sizeof(*names);

	union_make(1);
	make_file(branches[0], "file", "content");
	make_file(branches[0], "empty", "");
	make_symlink(branches[0], "/a/target", "link");
	assert(mkfifoat(branches[0], "fifo", 0640) == 0);
	assert(mknodat(branches[0], "socket", S_IFSOCK | 0600, 0) == 0);
	make_dir(branches[0], "dir", 01777);
	make_file(branches[0], "suid", "x");
	if (is_root()) {
		assert(mknodat(branches[0], "null", S_IFCHR | 0666, makedev(1, 3)) == 0);
		assert(mknodat(branches[0], "block", S_IFBLK | 0660, makedev(259, 70000)) == 0);
		for (size_t i = 0; i < n; i++)
			assert(fchownat(branches[0], names[i], 1000 + (uid_t)i, 2000 + (gid_t)i,
					AT_SYMLINK_NOFOLLOW) == 0);
	} else {
		n -= 2;
	}
	assert(fchmodat(branches[0], "suid", 06755, 0) == 0);
	for (size_t i = 0; i < n; i++)
		set_times(branches[0], names[i], i % 2 ? -86400 : 1234567890, 123456789);
	union_open();
	for (size_t i = 0; i < n; i++) {
		struct stat before = stat_at(names[i]), after;

		assert_eq(upper_at(names[i]), UPPER_FREE);
		assert_eq(do_copyup(names[i]), 0);
		assert_eq(upper_at(names[i]), UPPER_HAS_OBJECT);
		after = stat_at(names[i]);
		expect_same(&before, &after);
		assert_eq(do_copyup(names[i]), 0); /* twice is once */
	}
	assert_streq(read_at("file"), "content");
	{
		cleanup_node struct node *link = node_of("link");
		cleanup_free char *target = NULL;

		assert_eq(fs_readlink(fs, link, &target), 0);
		assert_streq(target, "/a/target");
	}
	union_reopen();
	for (size_t i = 0; i < n; i++) {
		struct stat st = stat_at(names[i]), below = stat_of(branches[0], names[i]);

		assert_eq(st.st_mode, below.st_mode);
		assert_eq(st.st_uid, below.st_uid);
		assert_eq(st.st_mtim.tv_nsec, 123456789);
	}
	union_end();
}

static void test_xattrs(void)
{
	union_make(1);
	make_dir(branches[0], "d", 0755);
	make_file(branches[0], "d/f", "f");
	if (!try_xattr(branches[0], "d/f", "user.one", "1")) {
		skipped("xattrs", "none here");
		union_open();
		union_end();
		return;
	}
	try_xattr(branches[0], "d/f", "user.empty", "");
	try_xattr(branches[0], "d", "user.dir", "dir");
	try_xattr(branches[0], "d/f", "user.overlay.origin", "private");
	if (is_root()) {
		static const unsigned char caps[] = { 1, 0, 0, 2, 0, 4, 0, 0, 0, 0,
						      0, 0, 0, 0, 0, 0, 0, 0, 0, 0 };
		cleanup_fd int fd = open_path(branches[0], "d/f");

		assert_eq(xattr_set(fd, "trusted.t", "t", 1, 0), 0);
		assert_eq(xattr_set(fd, "security.capability", caps, sizeof(caps), 0), 0);
	}
	union_open();
	assert_eq(do_copyup("d/f"), 0);
	assert_streq(xattr_of(upper, "d/f", "user.one"), "1");
	assert_streq(xattr_of(upper, "d/f", "user.empty"), "");
	assert_streq(xattr_of(upper, "d", "user.dir"), "dir");
	assert(!has_xattr(upper, "d/f", "user.overlay.origin"));
	if (is_root()) {
		assert_streq(xattr_of(upper, "d/f", "trusted.t"), "t");
		assert(has_xattr(upper, "d/f", "security.capability"));
	}
	union_end();
}

/* Directories on the way come up with what they are, and their times do not show that something
 * came. */
static void test_parents(void)
{
	struct stat before[3], after[3];
	static const char *const paths[] = { "", "a", "a/b" };

	union_make(2);
	make_dir(branches[0], "a", 0711);
	make_dir(branches[1], "a", 0755);
	make_dir(branches[1], "a/b", 0700);
	make_file(branches[1], "a/b/f", "f");
	make_file(branches[1], "a/b/g", "g");
	set_times(branches[1], "a/b", 222, 2);
	set_times(branches[0], "a", 111, 1);
	set_times(upper, ".", 333, 3);
	union_open();
	for (size_t i = 0; i < 3; i++)
		before[i] = stat_at(paths[i]);
	assert_eq(before[1].st_mtim.tv_sec, 111);
	assert_eq(do_write("a/b/f", "F", 0), 0);
	for (size_t i = 0; i < 3; i++) {
		after[i] = stat_at(paths[i]);
		expect_same(&before[i], &after[i]);
	}
	assert_eq(do_copyup("a/b/g"), 0);
	after[2] = stat_at("a/b");
	expect_same(&before[2], &after[2]);
	assert_streq(list_at("a/b"), "f g ");
	union_end();
}

/* A lower file's holes stay; the copy is as long as the file. */
static void test_holes(void)
{
	struct stat below, above;

	union_make(1);
	make_file(branches[0], "sparse", "begin");
	{
		cleanup_fd int fd = openat(branches[0], "sparse", O_WRONLY);

		assert(pwrite(fd, "end", 3, (64 << 20) - 3) == 3);
	}
	union_open();
	assert_eq(do_copyup("sparse"), 0);
	below = stat_of(branches[0], "sparse");
	above = stat_of(upper, "sparse");
	assert_eq(above.st_size, below.st_size);
	assert(above.st_blocks <= below.st_blocks + 64);
	union_end();
}

/* --- hard links --- */

static void test_group_comes_up_whole(void)
{
	static const char *const names[] = { "a", "b", "d/c" };
	uint64_t ino;

	union_make(2);
	make_dir(branches[1], "d", 0755);
	make_file(branches[1], "a", "linked");
	make_link(branches[1], "a", "b");
	make_link(branches[1], "a", "d/c");
	make_link(branches[1], "a", "hidden");
	make_file(branches[0], ".wh.hidden", "");
	make_link(branches[1], "a", "covered");
	make_file(branches[0], "covered", "other");
	set_times(branches[1], "d", 1000, 1);
	union_open();
	ino = stat_at("b").st_ino;
	assert_eq(stat_at("b").st_nlink, 3);
	assert_eq(do_write("b", "LINKED", 0), 0);
	for (size_t i = 0; i < 3; i++) {
		struct stat st = stat_of(upper, names[i]); /* on disk, before any lookup */

		assert_eq(st.st_nlink, 3);
		assert_eq(st.st_ino, stat_of(upper, "b").st_ino);
		assert_streq(read_at(names[i]), "LINKED");
		assert_eq(stat_at(names[i]).st_ino, ino);
		assert_eq(stat_at(names[i]).st_nlink, 3);
	}
	assert(!is_there("hidden"));
	assert_streq(read_at("covered"), "other");
	assert_eq(upper_at("covered"), UPPER_FREE);
	assert_eq(stat_at("d").st_mtim.tv_sec, 1000);
	union_reopen();
	for (size_t i = 0; i < 3; i++) {
		assert_eq(stat_at(names[i]).st_ino, ino);
		assert_eq(stat_at(names[i]).st_nlink, 3);
	}
	union_end();
}

/* Names that upper hides or covers already are not brought back. */
static void test_group_with_names_gone(void)
{
	union_make(1);
	make_dir(branches[0], "gone", 0755);
	make_file(branches[0], "a", "linked");
	make_link(branches[0], "a", "b");
	make_link(branches[0], "a", "c");
	make_link(branches[0], "a", "gone/d");
	make_link(branches[0], "a", "replaced");
	union_open();
	assert_eq(do_unlink("b"), 0);
	assert_eq(do_unlink("gone/d"), 0);
	assert_eq(do_rmdir("gone"), 0);
	assert_eq(do_mkdir("gone", 0755), 0);
	write_new("new", "new");
	assert_eq(do_rename("new", "replaced", 0), 0);
	assert_eq(stat_at("a").st_nlink, 2);
	assert_eq(do_write("a", "LINKED", 0), 0);
	assert_eq(stat_at("a").st_nlink, 2);
	assert_eq(stat_at("c").st_nlink, 2);
	assert_streq(list_at(""), "a c gone replaced ");
	assert_streq(list_at("gone"), "");
	assert_streq(read_at("replaced"), "new");
	assert_streq(read_at("c"), "LINKED");
	union_end();
}

/* A crash between the copy and the links: the first lookup of a name left behind completes the
 * group. */
static void test_group_left_half_up(void)
{
	uint64_t ino;

	union_make(1);
	make_dir(branches[0], "d", 0755);
	make_file(branches[0], "a", "linked");
	make_link(branches[0], "a", "d/b");
	make_link(branches[0], "a", "c");
	union_open();
	ino = stat_at("a").st_ino;
	assert_eq(do_write("a", "LINKED", 0), 0);
	union_close();
	remove_name(upper, "d/b");
	remove_name(upper, "c");
	union_open();
	if (!fs->upper.caps.origin_xattr) {
		skipped("half a group", "no xattrs here");
		union_end();
		return;
	}
	assert_streq(read_at("d/b"), "LINKED");
	assert_eq(stat_at("d/b").st_ino, ino);
	assert_streq(read_at("c"), "LINKED");
	assert_eq(stat_at("a").st_nlink, 3);
	assert_eq(stat_at("c").st_nlink, 3);
	union_end();
}

/* The same of a copy that does not carry its number, as a link that an ordinary user has. */
static void test_group_without_marks_left_half_up(void)
{
	uint64_t ino;

	union_make(1);
	make_file(branches[0], "a", "linked");
	make_link(branches[0], "a", "b");
	make_link(branches[0], "a", "c");
	union_open();
	fs->upper.caps.origin_xattr = NULL;
	ino = stat_at("a").st_ino;
	assert_eq(do_write("b", "LINKED", 0), 0);
	assert_eq(linkat(upper, "b", fs->upper.groups, orphan_name(ino).s, 0), 0);
	union_close();
	remove_name(upper, "a");
	remove_name(upper, "c");
	union_open();
	assert_eq(count_in_work("groups"), 0);
	assert_eq(stat_of(upper, "a").st_ino, stat_of(upper, "c").st_ino);
	assert_streq(read_at("c"), "LINKED");
	assert_eq(stat_at("c").st_ino, ino);
	assert_eq(stat_at("b").st_nlink, 3);
	union_end();
}

/* What is written into a copy is what its names are to have, also if those that had it go first. */
static void test_group_left_half_up_and_removed(void)
{
	union_make(1);
	make_file(branches[0], "a", "linked");
	make_link(branches[0], "a", "b");
	union_open();
	assert_eq(do_write("a", "LINKED", 0), 0);
	assert_eq(linkat(upper, "a", fs->upper.groups, orphan_name(stat_at("a").st_ino).s, 0), 0);
	remove_name(upper, "b");
	assert_eq(do_write("a", "CHANGE", 0), 0);
	assert_eq(do_unlink("a"), 0);
	assert_streq(read_at("b"), "CHANGE");
	assert_eq(count_in_work("groups"), 0);
	assert_eq(stat_at("b").st_nlink, 1);
	union_reopen();
	assert_streq(read_at("b"), "CHANGE");
	union_end();
}

/* Numbers do not change by it, in the mount nor over remounts, and no other object ever has one. */
static void test_number_stays(void)
{
	uint64_t ino, dir_ino;

	union_make(1);
	make_dir(branches[0], "d", 0755);
	make_file(branches[0], "d/f", "f");
	union_open();
	ino = stat_at("d/f").st_ino;
	dir_ino = stat_at("d").st_ino;
	assert_eq(do_copyup("d/f"), 0);
	assert_eq(stat_at("d/f").st_ino, ino);
	assert_eq(stat_at("d").st_ino, dir_ino);
	for (int i = 0; i < 3; i++) {
		union_reopen();
		assert_eq(stat_at("d/f").st_ino, ino);
		assert_eq(stat_at("d").st_ino, dir_ino);
	}
	union_end();
}

/*
 * The filesystem gives inode numbers of removed files again.  An entry of the
 * state that a removed file left behind must not name the copy.
 */
static void test_number_stays_where_an_inode_is_used_again(void)
{
	enum { N = 64 };
	struct node *nodes[N];
	char name[32];

	union_make(1);
	for (int i = 0; i < N; i++) {
		snprintf(name, sizeof(name), "lower-%d", i);
		make_file(branches[0], name, "lower");
	}
	union_open();
	for (int i = 0; i < N; i++) {
		snprintf(name, sizeof(name), "new-%d", i);
		write_new(name, "new");
		nodes[i] = node_of(name);
		node_looked_up(nodes[i]);
		node_unref(nodes[i]);
		assert_eq(do_unlink(name), 0);
	}
	/* The kernel forgets nothing before the mount ends. */
	union_reopen();
	for (int i = 0; i < N; i++) {
		uint64_t ino;

		snprintf(name, sizeof(name), "lower-%d", i);
		ino = stat_at(name).st_ino;
		assert_eq(do_copyup(name), 0);
		assert_eq(stat_at(name).st_ino, ino);
	}
	union_end();
}

/* After a power loss the state may speak of whoever had the copy's inode before. */
static void test_number_stays_over_power_loss(void)
{
	struct state_file *file;
	uint64_t ino, born;

	union_make(1);
	make_file(branches[0], "f", "f");
	union_open();
	if (!fs->upper.caps.origin_xattr) {
		skipped("power loss", "no xattrs here");
		union_end();
		return;
	}
	ino = stat_at("f").st_ino;
	assert_eq(do_copyup("f"), 0);
	write_new("new", "new");
	born = stat_at("new").st_ino;
	union_close();
	assert_eq(state_file_open(work, &file), 0);
	assert_eq(state_file_put(file, stat_of(upper, "f").st_ino,
				 (struct state_record){ .ino = LOWER_INO_END + 5 }),
		  0);
	state_file_close(file);
	restart_machine(work);
	union_open();
	assert_eq(stat_at("f").st_ino, ino);
	assert_eq(stat_at("new").st_ino, born);
	union_end();
}

static void test_removed_while_in_use(void)
{
	cleanup_node struct node *node = NULL;

	union_make(1);
	make_file(branches[0], "f", "content");
	union_open();
	node = node_of("f");
	assert_eq(do_unlink("f"), 0);
	assert_eq(copyup_node(fs, node), 0);
	assert_streq(read_node(node), "content");
	assert_eq(upper_at("f"), UPPER_HAS_WHITEOUT);
	assert(!is_there("f"));
	assert_eq(count_in_work("orphans"), 1);
	node_unref(take_ptr(node));
	assert_eq(count_in_work("orphans"), 0);
	union_end();
}

static void test_staging_is_left_empty(void)
{
	union_make(1);
	make_dir(branches[0], "d", 0755);
	make_file(branches[0], "d/f", "f");
	make_file(branches[0], "g", "g");
	union_open();
	assert_eq(do_copyup("d/f"), 0);
	assert_eq(do_unlink("g"), 0);
	write_new("g", "again");
	assert_eq(do_mkdir("new", 02755), 0);
	write_new("new/f", "f");
	assert_eq(count_in_work("staging"), 0);
	union_end();
}

/* A file whose copy cannot be given one of its names has no name in upper, and is as it was. */
static void test_group_that_cannot_be_linked(void)
{
	union_make(1);
	make_file(branches[0], "a", "linked");
	make_dir(branches[0], "d", 0755);
	make_link(branches[0], "a", "d/b");
	union_open();
	set_times(upper, ".", 1000, 0);
	assert_eq(do_chmod("d", 0555), 0);
	heed_modes(true);
	for (int again = 0; again < 2; again++) {
		assert_eq(do_write("a", "LINKED", 0), -EACCES);
		assert_eq(do_write("d/b", "LINKED", 0), -EACCES);
		assert_eq(do_truncate("a", 0), -EACCES);
		assert(!exists(upper, "a") && !exists(upper, "d/b"));
		assert_eq(stat_at("a").st_nlink, 2);
		assert_streq(read_at("d/b"), "linked");
	}
	heed_modes(false);
	assert_eq(do_write("d/b", "LINKED", 0), 0);
	assert_streq(read_at("a"), "LINKED");
	assert_eq(stat_at("a").st_nlink, 2);
	assert_eq(stat_of(upper, "a").st_ino, stat_of(upper, "d/b").st_ino);
	assert_eq(stat_of(upper, "a").st_nlink, 2);
	union_end();
}

static void tests(void)
{
	test_every_type();
	test_xattrs();
	test_parents();
	test_holes();
	test_group_comes_up_whole();
	test_group_with_names_gone();
	test_group_left_half_up();
	test_group_without_marks_left_half_up();
	test_group_left_half_up_and_removed();
	test_number_stays();
	test_number_stays_over_power_loss();
	test_removed_while_in_use();
	test_group_that_cannot_be_linked();
	test_staging_is_left_empty();
	test_number_stays_where_an_inode_is_used_again();
}

int main(void)
{
	scratch_begin();
	union_each_style(tests);
	return 0;
}
