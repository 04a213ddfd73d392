/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Directories: removed, made again, and all that is in them. */
#include "rules.h"

#include <dirent.h>
#include <sys/wait.h>

static void rmdir_of_hidden_content(void)
{
	branch(3);
	dir("d");
	file("d/one", "x");
	file("d/two", "x");
	dir("d/sub");
	branch(2);
	dir("d");
	hide("d/one");
	branch(1);
	dir("d");
	hide("d/sub");
	start();
	fails(rmdir("d"), ENOTEMPTY);
	fails(unlink("d"), EISDIR);
	ok(unlink("d/two"));
	check_text(names("d"), "");
	ok(rmdir("d"));
	check(!there("d"));
	fails(rmdir("d"), ENOENT);
	remount();
	check_text(names("."), "");
}

static void tree(void)
{
	branch(3);
	dir("d");
	dir("d/a");
	dir("d/a/b");
	file("d/a/b/old", "old");
	file("d/a/old", "old");
	file("d/old", "old");
	branch(2);
	dir("d");
	dir("d/a");
	file("d/a/mid", "mid");
	start();
}

/* All along the path, for each depth from which it is made again. */
static void made_again_hides_old_content(void)
{
	tree();
	for (int i = 0; i < 3; i++) {
		remove_all("d");
		check(!there("d"));
		dir("d");
		check_text(names("d"), "");
		dir("d/a");
		check_text(names("d/a"), "");
		dir("d/a/b");
		check_text(names("d/a/b"), "");
		if (i == 1)
			remount();
		check_text(names("d"), "a");
		check_text(names("d/a"), "b");
		check_text(names("d/a/b"), "");
		fails(open("d/a/b/old", O_RDONLY), ENOENT);
		file("d/a/b/new", "new");
	}
	remount();
	check_text(names("d/a"), "b");
	check_text(names("d/a/b"), "new");
	check_text(text("d/a/b/new"), "new");
}

/* Made again as something else, and that removed too. */
static void made_again_as_another_kind(void)
{
	tree();
	remove_all("d/a");
	file("d/a", "a file");
	remount();
	check_text(text("d/a"), "a file");
	ok(unlink("d/a"));
	ok(symlink("old", "d/a"));
	check_text(text("d/a"), "old");
	ok(unlink("d/a"));
	dir("d/a");
	check_text(names("d/a"), "");
	remount();
	check_text(names("d/a"), "");
	ok(rmdir("d/a"));
	remount();
	check_text(names("d"), "old");
	ok(mkfifo("d/a", 0600));
	ok(unlink("d/a"));
	ok(unlink("d/old"));
	dir("d/old");
	check_text(names("d"), "old");
}

static void everything_again_and_again(void)
{
	char path[64];

	tree();
	for (int i = 0; i < 10; i++) {
		remove_all("d");
		check_text(names("."), "");
		for (int j = 0; j < 5; j++) {
			dir("d");
			dir("d/a");
			dir("d/a/b");
			snprintf(path, sizeof(path), "d/a/b/%d", j);
			file(path, path);
			snprintf(path, sizeof(path), "d/%s", j % 2 ? "old" : "a/old");
			file(path, "again");
		}
		check_text(names("d/a/b"), "0 1 2 3 4");
		check_text(names("d"), "a old");
		if (i % 4 == 1)
			remount();
	}
	check_text(text("d/a/b/3"), "d/a/b/3");
	check_text(names("d/a"), "b old");
}

/* For what lower has not, nothing is to be left in upper. */
static void no_needless_whiteouts(void)
{
	branch(2);
	dir("d");
	file("d/low", "x");
	file("low", "x");
	start();
	file("new", "x");
	ok(unlink("new"));
	dir("newdir");
	file("newdir/f", "x");
	remove_all("newdir");
	file("d/new", "x");
	ok(rename("d/new", "d/moved"));
	ok(rename("d/moved", "moved"));
	ok(unlink("moved"));
	ok(mkfifo("fifo", 0600));
	ok(unlink("fifo"));
	file("temporary", "new content");
	ok(rename("temporary", "low"));
	check_text(names(path_in("top/upper", "")), "d low");
	check_text(names(path_in("top/upper", "d")), "");
	/* One that lower has, a branch in between hides: also nothing. */
	ok(unlink("low"));
	file("low", "again");
	ok(unlink("low"));
	ok(unlink("d/low"));
	ok(rmdir("d"));
	check_text(names(path_in("top/upper", "")), "d low");
	check(S_ISCHR(st(path_in("top/upper", "d")).st_mode));
}

static void no_whiteout_for_hidden_names(void)
{
	branch(3);
	file("hidden", "x");
	dir("d");
	file("d/hidden", "x");
	branch(2);
	hide("hidden");
	opaque("d");
	start();
	file("hidden", "new");
	file("d/hidden", "new");
	ok(unlink("hidden"));
	ok(unlink("d/hidden"));
	check(!there("hidden") && !there("d/hidden"));
	check_text(names(path_in("top/upper", "")), "d");
	check_text(names(path_in("top/upper", "d")), "");
}

static void directories_link_counts(void)
{
	tree();
	check_eq(st(".").st_nlink, 3);
	check_eq(st("d").st_nlink, 3);
	check_eq(st("d/a").st_nlink, 3);
	check_eq(st("d/a/b").st_nlink, 2);
	dir("d/new");
	check_eq(st("d").st_nlink, 4);
	ok(rmdir("d/new"));
	check_eq(st("d").st_nlink, 3);
	remove_all("d/a/b");
	check_eq(st("d/a").st_nlink, 2);
	file("d/a/b", "no directory");
	check_eq(st("d/a").st_nlink, 2);
	remount();
	check_eq(st("d/a").st_nlink, 2);
	remove_all("d/a");
	check_eq(st("d").st_nlink, 2);
	remove_all("d");
	check_eq(st(".").st_nlink, 2);
}

static void errors_of_directories(void)
{
	tree();
	fails(mkdir("d", 0755), EEXIST);
	fails(mkdir("d/old", 0755), EEXIST);
	fails(mkdir("d/old/x", 0755), ENOTDIR);
	fails(mkdir("none/x", 0755), ENOENT);
	fails(rmdir("d/old"), ENOTDIR);
	fails(rmdir("d/a/b"), ENOTEMPTY);
	fails(rmdir("d/."), EINVAL);
	fails(rmdir("d/a/.."), ENOTEMPTY);
	fails(unlink("none"), ENOENT);
	fails(unlink("d/"), EISDIR);
	fails(unlink("d/old/"), ENOTDIR);
	ok(mkdir("d/slash/", 0755));
	fails(opendir("d/old") ? 0 : -1, ENOTDIR);
	fails(mknod("d/dir", S_IFDIR | 0755, 0), EPERM);
	fails(mkfifo("d/old", 0600), EEXIST);
	fails(symlink("x", "d/old"), EEXIST);
}

/* ---- at once ---- */

/* How a name is made, of which there can be one only. */
static int make_first(int how, const char *path, const char *own)
{
	switch (how) {
	case 0:
		return open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);
	case 1:
		return mkdir(path, 0755);
	case 2:
		return symlink("x", path);
	case 3:
		return link("d/old", path);
	default:
		file(own, "x");
		return renameat2(AT_FDCWD, own, AT_FDCWD, path, RENAME_NOREPLACE);
	}
}

/* Tries all names, and gives how many it was the first for; the others must have been told. */
static int make_all(int number)
{
	char path[64], own[64];
	int won = 0, r;

	snprintf(own, sizeof(own), "own%d", number);
	for (int i = 0; i < 50; i++) {
		snprintf(path, sizeof(path), "d/a/made%d", i);
		r = make_first(i % 5, path, own);
		if (r < 0)
			check_eq(errno, EEXIST);
		won += r >= 0;
	}
	return won;
}

/* Over whiteouts, with three processes: each name is made once. */
static void one_is_the_first(void)
{
	pid_t pids[3];
	char path[64];
	int status, won = 0;

	branch(3);
	dir("d");
	file("d/old", "x");
	dir("d/a");
	for (int i = 0; i < 50; i++) {
		snprintf(path, sizeof(path), "d/a/made%d", i);
		file(path, "low");
	}
	start();
	for (int i = 0; i < 50; i++) {
		snprintf(path, sizeof(path), "d/a/made%d", i);
		ok(unlink(path));
	}
	for (int i = 0; i < 3; i++) {
		pids[i] = ok(fork());
		if (pids[i] == 0)
			_exit(make_all(i));
	}
	for (int i = 0; i < 3; i++) {
		ok(waitpid(pids[i], &status, 0));
		won += WEXITSTATUS(status);
	}
	check_eq(won, 50);
	check_eq(count_names("d/a"), 50);
	check_eq(st("d/old").st_nlink, 11);
	check_eq(st("d/a").st_nlink, 12);
	remove_all("d");
}

/* ---- the storm ---- */

static unsigned int dice_state = 12345;
static unsigned int dice(unsigned int sides)
{
	dice_state = dice_state * 1103515245 + 12345;
	return (dice_state >> 16) % sides;
}

/* One of sixteen paths, of which some are below others. */
static const char *any_path(void)
{
	static const char *const paths[] = { "d",	"d/a",	   "d/a/b",	"d/old",
					     "d/a/old", "d/a/mid", "d/a/b/old", "e",
					     "e/f",	"e/f/g",   "h",		"d/x",
					     "e/y",	"e/f/z",   "d/a/b/w",	"i" };

	return paths[dice(16)];
}

/* Any operation on any names; whatever comes of it. */
static void anything(void)
{
	const char *a = any_path(), *b = any_path();
	int fd, r = 0;

	switch (dice(14)) {
	case 0:
	case 1:
		fd = open(a, O_CREAT | O_RDWR | O_CLOEXEC, 0644);
		if (fd >= 0)
			r = (int)write(fd, "x", 1) + close(fd);
		break;
	case 2:
	case 3:
		r = mkdir(a, 0755);
		break;
	case 4:
		r = unlink(a);
		break;
	case 5:
		r = rmdir(a);
		break;
	case 6:
	case 7:
		r = rename(a, b);
		break;
	case 8:
		r = renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE);
		break;
	case 9:
		r = link(a, b);
		break;
	case 10:
		r = symlink(b, a);
		break;
	case 11:
		r = mkfifo(a, 0600);
		break;
	case 12:
		r = chmod(a, 0755);
		break;
	default:
		r = truncate(a, 3);
	}
	if (r < 0 && (errno == EIO || errno == ESTALE || errno == EFAULT || errno == ENOSYS))
		failed(__FILE__, __LINE__, "%s %s: %s", a, b, strerror(errno));
}

static void all_can_be_removed_after_a_storm(void)
{
	tree();
	for (int storm = 0; storm < 6; storm++) {
		for (int i = 0; i < 1500; i++)
			anything();
		if (storm % 2)
			remount();
		check_eq(system("rm -rf d e h i"), 0);
		check_text(names("."), "");
	}
	if (on_mount())
		check_text(names(path_in("top/upper", "")), "d");
}

/* The same from four processes at once. */
static void all_can_be_removed_after_a_race(void)
{
	pid_t pids[4];

	tree();
	for (int i = 0; i < 4; i++) {
		pids[i] = ok(fork());
		if (pids[i] == 0) {
			dice_state += i * 7919;
			for (int j = 0; j < 1000; j++)
				anything();
			_exit(0);
		}
	}
	for (int i = 0; i < 4; i++) {
		int status;

		ok(waitpid(pids[i], &status, 0));
		check_eq(status, 0);
	}
	check_eq(system("rm -rf d e h i"), 0);
	check_text(names("."), "");
	remount();
	check_text(names("."), "");
}

const struct rule rules_dirs[] = {
	RULE(rmdir_of_hidden_content, "rmdir of directories with whiteouts only"),
	RULE(made_again_hides_old_content,
	     "a directory made again hides its old content, at every depth"),
	RULE(made_again_as_another_kind, "a name made again as another kind"),
	RULE(everything_again_and_again, "all deleted and made again, repeatedly"),
	MOUNT_RULE(no_needless_whiteouts, "no whiteout for a name that no lower branch has"),
	MOUNT_RULE(no_whiteout_for_hidden_names, "nor for one that a branch hides already"),
	RULE(directories_link_counts, "st_nlink of directories"),
	RULE(errors_of_directories, "what cannot be made or removed"),
	RULE(all_can_be_removed_after_a_storm, "rm -rf after all operations leaves nothing"),
	RULE(all_can_be_removed_after_a_race, "nor after four processes at once"),
	RULE(one_is_the_first, "of several processes one makes the name"),
	{ 0 },
};
