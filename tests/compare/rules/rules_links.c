/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Hard links, and files without any. */
#include "rules.h"

#include <sys/wait.h>
#include <sys/xattr.h>

#include "base/fd.h"

/* All names are one file with as many links, and this content. */
static void check_links(int n, const char *const *list, nlink_t nlink, const char *content)
{
	for (int i = 0; i < n; i++) {
		check_eq(st(list[i]).st_ino, st(list[0]).st_ino);
		check_eq(st(list[i]).st_nlink, nlink);
		check_text(text(list[i]), content);
	}
}

static const char *const three[] = { "one", "d/two", "d/deep/three" };

/* Three names in three directories. */
static void with_links(void)
{
	branch(2);
	dir("d");
	dir("d/deep");
	file("one", "linked");
	ok(link("one", "d/two"));
	ok(link("one", "d/deep/three"));
	start();
}

static void links_are_one_inode(void)
{
	with_links();
	check_links(3, three, 3, "linked");
	ino_t before = st("one").st_ino;
	append("d/two", "!");
	check_links(3, three, 3, "linked!");
	set_mode("d/deep/three", 0600);
	check_mode(mode_of("one"), 0600);
	check_eq(st("one").st_ino, before);
	remount();
	check_eq(st("one").st_ino, before);
	check_links(3, three, 3, "linked!");
}

/* The names are not looked up before the change: whoever copies up has to know them. */
static void links_not_looked_up_before(void)
{
	with_links();
	append("d/deep/three", "!");
	check_links(3, three, 3, "linked!");
	set_xattr("one", "user.x", "1");
	check_text(xattr("d/two", "user.x"), "1");
}

static void links_removed_before_copy_up(void)
{
	with_links();
	ok(unlink("d/two"));
	check_eq(st("one").st_nlink, 2);
	check_eq(st("d/deep/three").st_nlink, 2);
	append("one", "!");
	check_eq(st("one").st_nlink, 2);
	check_text(text("d/deep/three"), "linked!");
	ok(unlink("one"));
	check_eq(st("d/deep/three").st_nlink, 1);
	remount();
	check(!there("one") && !there("d/two"));
	check_text(text("d/deep/three"), "linked!");
	check_eq(st("d/deep/three").st_nlink, 1);
}

/* A layer above hides one name, replaces another, and hides a directory with a third. */
static void links_that_a_branch_hides(void)
{
	branch(3);
	dir("a");
	dir("b");
	dir("c");
	file("a/1", "linked");
	ok(link("a/1", "a/2"));
	ok(link("a/1", "a/3"));
	ok(link("a/1", "b/4"));
	ok(link("a/1", "c/5"));
	branch(2);
	dir("a");
	hide("a/1");
	hide("b");
	branch(1);
	opaque("c");
	dir("a");
	if (!on_mount())
		ok(unlink("a/2"));
	file("a/2", "another");
	start();
	check_eq(st("a/3").st_nlink, 1);
	check_eq(st("a/2").st_nlink, 1);
	check(st("a/2").st_ino != st("a/3").st_ino);
	append("a/3", "!");
	check_eq(st("a/3").st_nlink, 1);
	check_text(text("a/2"), "another");
	check_text(text("a/3"), "linked!");
	check_text(names("a"), "2 3");
	check_text(names("c"), "");
}

static void link_to_a_lower_file(void)
{
	static const char *const both[] = { "one", "new" };

	branch(3);
	file("one", "one");
	dir("d");
	ok(symlink("one", "symlink"));
	start();
	ino_t before = st("one").st_ino;
	ok(link("one", "new"));
	check_links(2, both, 2, "one");
	check_eq(st("new").st_ino, before);
	append("new", "!");
	check_links(2, both, 2, "one!");
	fails(link("one", "new"), EEXIST);
	fails(link("d", "e"), EPERM);
	fails(link("none", "e"), ENOENT);
	fails(link("one", "none/e"), ENOENT);
	fails(link("one", "one/e"), ENOTDIR);
	ok(link("symlink", "symlink2"));
	check_text(target("symlink2"), "one");
	check_eq(st("symlink").st_nlink, 2);
	check_eq(st("symlink").st_ino, st("symlink2").st_ino);
	ok(linkat(AT_FDCWD, "symlink", AT_FDCWD, "followed", AT_SYMLINK_FOLLOW));
	check_eq(st("followed").st_ino, before);
	check_eq(st("one").st_nlink, 3);
	remount();
	check_eq(st("one").st_nlink, 3);
	check_eq(st("one").st_ino, before);
}

/* Also of special files, which have no content to tell. */
static void links_of_special_files(void)
{
	branch(2);
	ok(mkfifo("fifo", 0600));
	ok(link("fifo", "fifo2"));
	ok(mknod("null", S_IFCHR | 0666, makedev(1, 3)));
	ok(symlink("x", "symlink"));
	ok(link("symlink", "symlink2"));
	start();
	ok(link("null", "null2"));
	check_eq(st("null").st_nlink, 2);
	set_mode("fifo2", 0640);
	check_mode(mode_of("fifo"), 0640);
	check_eq(st("fifo").st_ino, st("fifo2").st_ino);
	set_owner("symlink", 5, 6);
	check_eq(st("symlink2").st_uid, 5);
	check_eq(st("symlink2").st_nlink, 2);
}

static void link_counts_at_every_step(void)
{
	char name[32];

	with_links();
	for (int i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "d/link%d", i);
		ok(link(i % 2 ? "one" : "d/two", name));
		check_eq(st(name).st_nlink, 4 + i);
		check_eq(st("d/deep/three").st_nlink, 4 + i);
	}
	for (int i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "d/link%d", i);
		ok(unlink(name));
		check_eq(st("d/deep/three").st_nlink, 22 - i);
	}
	ok(rename("one", "d/two"));
	/* Both were names of the file: nothing has happened. */
	check_links(3, three, 3, "linked");
	file("other", "other");
	ok(rename("other", "one"));
	check_eq(st("d/two").st_nlink, 2);
	check_eq(st("one").st_nlink, 1);
}

/* Names below a directory that is called otherwise in the branch. */
static void links_in_renamed_directories(void)
{
	static const char *const after[] = { "one", "e/two", "f/three" };

	with_links();
	ok(rename("d", "e"));
	ok(rename("e/deep", "f"));
	check_links(3, after, 3, "linked");
	append("one", "!");
	check_links(3, after, 3, "linked!");
	remount();
	check_links(3, after, 3, "linked!");
	ok(unlink("f/three"));
	check_eq(st("e/two").st_nlink, 2);
	remount();
	check_links(2, after, 2, "linked!");
}

/* The same, but the first change is to a name that moved, and after a remount. */
static void links_copied_up_by_a_moved_name(void)
{
	static const char *const after[] = { "e/two", "e/deep/three", "d/one" };

	with_links();
	ok(rename("d", "e"));
	dir("d");
	ok(rename("one", "d/one"));
	remount();
	append("e/deep/three", "!");
	check_links(3, after, 3, "linked!");
	remount();
	check_links(3, after, 3, "linked!");
}

/* A new file with the name of one of them stays out of it. */
static void name_of_a_group_made_again(void)
{
	with_links();
	ok(unlink("one"));
	file("one", "another");
	remove_all("d/deep");
	dir("d/deep");
	file("d/deep/three", "a third");
	check_eq(st("d/two").st_nlink, 1);
	append("d/two", "!");
	check_text(text("one"), "another");
	check_text(text("d/deep/three"), "a third");
	check_text(text("d/two"), "linked!");
	remount();
	check_text(text("one"), "another");
	check_eq(st("one").st_nlink, 1);
	check_eq(st("d/two").st_nlink, 1);
	check_text(text("d/deep/three"), "a third");
}

/* Three processes each change the file by another name: it comes up once. */
static void links_changed_at_once(void)
{
	pid_t pids[3];
	int status;

	with_links();
	for (int i = 0; i < 3; i++) {
		pids[i] = ok(fork());
		if (pids[i] == 0) {
			for (int j = 0; j < 20; j++)
				append(three[i], "+");
			_exit(0);
		}
	}
	for (int i = 0; i < 3; i++) {
		ok(waitpid(pids[i], &status, 0));
		check_eq(status, 0);
	}
	check_eq(st("one").st_size, 6 + 60);
	check_links(3, three, 3, text("one"));
	remount();
	check_links(3, three, 3, text("one"));
}

/* ---- in use, without a name ---- */

static void unlinked_files_can_be_used(void)
{
	with_links();
	for (int i = 0; i < 3; i++) {
		cleanup_fd int reader = open_as(three[i], O_RDONLY);

		ok(unlink(three[i]));
		check_eq(fd_st(reader).st_nlink, 2 - i);
	}
	file("f", "content");
	cleanup_fd int fd = open_as("f", O_RDWR);
	ino_t before = fd_st(fd).st_ino;
	ok(unlink("f"));
	check_eq(fd_st(fd).st_nlink, 0);
	check_eq(fd_st(fd).st_ino, before);
	check_text(fd_text(fd), "content");
	ok(pwrite(fd, "C", 1, 0));
	ok(ftruncate(fd, 4));
	ok(fchmod(fd, 0601));
	ok(fchown(fd, 3, 4));
	ok(fsetxattr(fd, "user.x", "1", 1, 0));
	check_eq(fgetxattr(fd, "user.x", NULL, 0), 1);
	check_text(fd_text(fd), "Cont");
	check_mode(fd_st(fd).st_mode, S_IFREG | 0601);
	check_eq(fd_st(fd).st_uid, 3);
	check(!there("f"));
	cleanup_fd int again = open_as(fd_path(fd).s, O_RDONLY);
	check_text(fd_text(again), "Cont");
	fails(linkat(AT_FDCWD, fd_path(fd).s, AT_FDCWD, "back", AT_SYMLINK_FOLLOW), ENOENT);
}

/* The same for a lower file, which is copied up only when it has no name any more. */
static void unlinked_lower_file(void)
{
	branch(2);
	file("f", "content");
	start();
	cleanup_fd int fd = open_as("f", O_RDWR);
	ok(unlink("f"));
	check_eq(fd_st(fd).st_nlink, 0);
	check_text(fd_text(fd), "content");
	ok(pwrite(fd, "C", 1, 0));
	ok(fchmod(fd, 0600));
	check_text(fd_text(fd), "Content");
	check_mode(fd_st(fd).st_mode, S_IFREG | 0600);
	check_eq(fd_st(fd).st_nlink, 0);
	file("f", "another");
	check_text(fd_text(fd), "Content");
	check_text(text("f"), "another");
	check_eq(fd_st(fd).st_size, 7);
}

static void replaced_file_can_be_used(void)
{
	branch(2);
	file("f", "old");
	file("g", "new");
	start();
	cleanup_fd int old = open_as("f", O_RDWR);
	cleanup_fd int moved = open_as("g", O_RDWR);
	ok(rename("g", "f"));
	check_eq(fd_st(old).st_nlink, 0);
	check_eq(fd_st(moved).st_nlink, 1);
	check_text(fd_text(old), "old");
	ok(pwrite(old, "OLD", 3, 0));
	ok(pwrite(moved, "NEW", 3, 0));
	check_text(fd_text(old), "OLD");
	check_text(text("f"), "NEW");
	check_eq(st("f").st_ino, fd_st(moved).st_ino);
	ok(rename("f", "h"));
	ok(pwrite(moved, "n", 1, 0));
	check_text(text("h"), "nEW");
}

static void removed_directory_can_be_used(void)
{
	branch(2);
	dir("d");
	file("d/f", "f");
	start();
	cleanup_fd int d = open_as("d", O_RDONLY | O_DIRECTORY);
	ok(unlink("d/f"));
	ok(rmdir("d"));
	check_eq(fd_st(d).st_nlink, 0);
	fails(openat(d, "new", O_CREAT | O_WRONLY, 0644), ENOENT);
	fails(mkdirat(d, "new", 0755), ENOENT);
	fails(openat(d, "f", O_RDONLY), ENOENT);
	check_text(names(fd_path(d).s), "");
	ok(fchmod(d, 0700));
	dir("d");
	check(st("d").st_ino != fd_st(d).st_ino);
	fails(openat(d, "new", O_CREAT | O_WRONLY, 0644), ENOENT);
}

const struct rule rules_links[] = {
	RULE(links_are_one_inode, "hard links are one inode, before and after copy-up"),
	RULE(links_not_looked_up_before, "also when only one name was ever looked up"),
	RULE(links_removed_before_copy_up, "st_nlink when names went before copy-up"),
	RULE(links_that_a_branch_hides, "st_nlink when a branch hides or replaces names"),
	RULE(link_to_a_lower_file, "link() on lower files and symlinks"),
	RULE(links_of_special_files, "links of fifos, devices and symlinks"),
	RULE(link_counts_at_every_step, "st_nlink is right at all times"),
	RULE(unlinked_files_can_be_used, "a file without a name can be used until closed"),
	RULE(unlinked_lower_file, "and be copied up"),
	RULE(replaced_file_can_be_used, "rename and replace of open files"),
	RULE(removed_directory_can_be_used, "a removed directory has no links and takes no names"),
	RULE(links_in_renamed_directories, "links whose directories were renamed"),
	RULE(links_copied_up_by_a_moved_name, "copied up by a name that moved"),
	RULE(name_of_a_group_made_again, "a name of a group, made again, is another file"),
	RULE(links_changed_at_once, "changed by all names at once"),
	{ 0 },
};
