/* SPDX-License-Identifier: GPL-3.0-or-later */
/* rename, of what lies in any branch onto what lies in any other. */
#include "rules.h"

#include <sys/xattr.h>

/*
 * Two of each kind: in the lowest branch, and made on the mount. low and new
 * are directories, low with content of two branches; hollow has a lower file
 * that is hidden, so that it is empty but for a mark.
 */
static void with_all(void)
{
	branch(3);
	dir("low");
	dir("low/deep");
	file("low/deep/f", "deep");
	file("low/gone", "x");
	file("lowfile", "lowfile");
	dir("hollow");
	file("hollow/hidden", "x");
	dir("empty");
	ok(symlink("target", "lowlink"));
	branch(2);
	dir("low");
	hide("low/gone");
	file("low/mid", "mid");
	dir("hollow");
	hide("hollow/hidden");
	start();
	dir("new");
	file("new/n", "n");
	file("newfile", "newfile");
}

static int rename_with(const char *from, const char *to, unsigned int flags)
{
	return renameat2(AT_FDCWD, from, AT_FDCWD, to, flags);
}

static void rename_files(void)
{
	with_all();
	ino_t before = st("lowfile").st_ino;
	ok(rename("lowfile", "new/moved"));
	check_text(text("new/moved"), "lowfile");
	check_eq(st("new/moved").st_ino, before);
	check(!there("lowfile"));
	ok(rename("newfile", "low/mid"));
	check_text(text("low/mid"), "newfile");
	ok(rename("lowlink", "low/link"));
	check_text(target("low/link"), "target");
	fails(rename("none", "x"), ENOENT);
	fails(rename("new/n", "none/x"), ENOENT);
	fails(rename("new/n", "new/moved/x"), ENOTDIR);
	remount();
	check_text(names("low"), "deep link mid");
	check_text(names("new"), "moved n");
	check_text(names("."), "empty hollow low new");
	check_eq(st("new/moved").st_ino, before);
}

static void rename_merged_directory(void)
{
	with_all();
	ino_t before = st("low").st_ino, below = st("low/deep/f").st_ino;
	file("low/added", "added");
	ok(rename("low", "renamed"));
	check_text(names("renamed"), "added deep mid");
	check_text(text("renamed/deep/f"), "deep");
	check_text(text("renamed/mid"), "mid");
	check_eq(st("renamed").st_ino, before);
	check_eq(st("renamed/deep/f").st_ino, below);
	check(!there("low"));
	/* And further, into a new and out of it, below one that is renamed itself. */
	ok(rename("renamed", "new/inner"));
	ok(rename("new", "outer"));
	check_text(text("outer/inner/deep/f"), "deep");
	ok(rename("outer/inner/deep", "deep"));
	dir("low");
	check_text(names("low"), "");
	remount();
	check_text(text("deep/f"), "deep");
	check_text(names("outer/inner"), "added mid");
	check_text(names("low"), "");
	check_eq(st("deep/f").st_ino, below);
	append("deep/f", "er");
	check_text(text("deep/f"), "deeper");
	remove_all("outer");
	remove_all("deep");
	remove_all("low");
	check_text(names("."), "empty hollow lowfile lowlink newfile");
}

static void rename_without_redirects(void)
{
	branch(2);
	dir("low");
	file("low/f", "f");
	file("file", "file");
	start_with("redirect_dir=off");
	if (on_mount())
		fails(rename("low", "other"), EXDEV);
	else
		ok(rename("low", "other"));
	if (on_mount())
		check_text(text("low/f"), "f");
	/* What is no lower directory can be renamed all the same. */
	ok(rename("file", "file2"));
	dir("new");
	file("new/f", "f");
	ok(rename("new", "new2"));
	ok(system("mv new2 new3"));
	check_text(text("new3/f"), "f");
	if (on_mount())
		check_eq(system("mv low other"), 0);
	check_text(text("other/f"), "f");
	check(!there("low"));
}

static void rename_onto_existing(void)
{
	with_all();
	fails(rename("lowfile", "low"), EISDIR);
	fails(rename("low", "lowfile"), ENOTDIR);
	fails(rename("new", "low"), ENOTEMPTY);
	fails(rename("low", "new"), ENOTEMPTY);
	ok(rename("newfile", "lowfile"));
	check_text(text("lowfile"), "newfile");
	ok(rename("lowfile", "lowlink"));
	check_text(text("lowlink"), "newfile");
	ok(rename("new", "empty"));
	check_text(text("empty/n"), "n");
	check(!there("new"));
	check_text(names("."), "empty hollow low lowlink");
	remount();
	check_text(names("empty"), "n");
	check_text(text("lowlink"), "newfile");
}

/* Empty, but for a mark in the middle branch that hides a lower file; or in ours. */
static void rename_onto_hollow_directory(void)
{
	with_all();
	ok(rename("new", "hollow"));
	check_text(names("hollow"), "n");
	ok(unlink("low/mid"));
	ok(unlink("low/deep/f"));
	ok(rename("hollow", "low/deep"));
	check_text(names("low/deep"), "n");
	ok(rename("low/deep", "again"));
	ok(rename("again", "low"));
	check_text(names("low"), "n");
	remount();
	check_text(names("low"), "n");
	check_text(names("."), "empty low lowfile lowlink newfile");
	ok(rename("low", "empty"));
	remount();
	check_text(names("empty"), "n");
}

static void rename_no_replace(void)
{
	static const char *const all[] = {
		"low", "new", "lowfile", "newfile", "lowlink", "hollow"
	};

	with_all();
	for (int i = 0; i < 6; i++)
		for (int j = 0; j < 6; j++)
			fails(rename_with(all[i], all[j], RENAME_NOREPLACE), EEXIST);
	ok(rename_with("low", "a", RENAME_NOREPLACE));
	ok(rename_with("lowfile", "low", RENAME_NOREPLACE));
	ok(rename_with("new", "low2", RENAME_NOREPLACE));
	check_text(text("low"), "lowfile");
	check_text(text("a/mid"), "mid");
	fails(rename_with("none", "x", RENAME_NOREPLACE), ENOENT);
	fails(rename_with("a", "x", 1U << 20), EINVAL);
	fails(rename_with("a", "low", RENAME_NOREPLACE | RENAME_EXCHANGE), EINVAL);
}

/* What one can tell it by, wherever it is. */
static void check_is(const char *path, const struct stat *was)
{
	struct stat is = st(path);

	check_eq(is.st_ino, was->st_ino);
	check_mode(is.st_mode, was->st_mode);
	check_eq(is.st_nlink, was->st_nlink);
}

/* Each kind with each, in both orders, and back. */
static void rename_exchange(void)
{
	static const char *const all[] = { "low",     "new",	"lowfile", "newfile",
					   "lowlink", "hollow", "empty" };

	with_all();
	for (int i = 0; i < 7; i++)
		for (int j = 0; j < 7; j++) {
			struct stat a = st(all[i]), b = st(all[j]);

			ok(rename_with(all[i], all[j], RENAME_EXCHANGE));
			check_is(all[i], &b);
			check_is(all[j], &a);
			ok(rename_with(all[i], all[j], RENAME_EXCHANGE));
			check_is(all[i], &a);
		}
	check_text(names("low"), "deep mid");
	check_text(names("hollow"), "");
	ok(rename_with("low", "newfile", RENAME_EXCHANGE));
	ok(rename_with("hollow", "lowlink", RENAME_EXCHANGE));
	fails(rename_with("low", "none", RENAME_EXCHANGE), ENOENT);
	remount();
	check_text(text("low"), "newfile");
	check_text(text("newfile/deep/f"), "deep");
	check_text(names("newfile"), "deep mid");
	check_text(names("lowlink"), "");
	check_text(target("hollow"), "target");
}

static void exchange_between_directories(void)
{
	with_all();
	ok(rename_with("low/deep", "new/n", RENAME_EXCHANGE));
	check_text(text("low/deep"), "n");
	check_text(text("new/n/f"), "deep");
	check_eq(st("low").st_nlink, 2);
	check_eq(st("new").st_nlink, 3);
	fails(rename_with("new", "new/n", RENAME_EXCHANGE), EINVAL);
	fails(rename_with("new/n", "new", RENAME_EXCHANGE), EINVAL);
	ok(rename_with("low", "new", RENAME_EXCHANGE));
	check_text(text("low/n/f"), "deep");
	check_text(names("new"), "deep mid");
	remount();
	check_text(text("low/n/f"), "deep");
	check_text(names("new"), "deep mid");
}

static void rename_onto_its_twin(void)
{
	branch(3);
	dir("d");
	file("a", "twin");
	ok(link("a", "d/b"));
	start();
	for (int i = 0; i < 2; i++) {
		ok(rename("a", "d/b"));
		check_text(text("a"), "twin");
		check_eq(st("a").st_nlink, 2);
		check_eq(st("a").st_ino, st("d/b").st_ino);
		ok(rename("d/b", "a"));
		check(there("d/b"));
		ok(rename("a", "a"));
		ok(rename("d", "d"));
		fails(rename_with("a", "d/b", RENAME_NOREPLACE), EEXIST);
		ok(rename_with("a", "d/b", RENAME_EXCHANGE));
		set_mode("a", 0600); /* and once more, copied up */
	}
	remount();
	check_eq(st("a").st_nlink, 2);
}

static void rename_cycles(void)
{
	with_all();
	fails(rename("low", "low/deep/x"), EINVAL);
	fails(rename("low", "low/x"), EINVAL);
	fails(rename("new", "new/x"), EINVAL);
	fails(rename("low/deep", "low"), ENOTEMPTY);
	fails(rename("low/deep/f", "low"), ENOTEMPTY);
	fails(rename("low/.", "x"), EBUSY);
	fails(rename("low", "."), EBUSY);
	fails(rename("low", "low/deep/.."), EBUSY);
	fails(rename("lowfile/", "x"), ENOTDIR);
	ok(rename("low/deep", "deep"));
	ok(rename("low", "deep/low"));
	fails(rename("deep", "deep/low/x"), EINVAL);
	check_text(text("deep/low/mid"), "mid");
}

/* Out of a directory that hides what is below, and into one. */
static void rename_and_opaque_directories(void)
{
	branch(3);
	dir("opaque");
	file("opaque/old", "x");
	dir("opaque/sub");
	file("opaque/sub/old", "x");
	dir("low");
	file("low/f", "low");
	branch(2);
	opaque("opaque");
	file("opaque/new", "new");
	dir("opaque/sub");
	file("opaque/sub/s", "s");
	start();
	ok(rename("low", "opaque/low"));
	check_text(names("opaque"), "low new sub");
	ok(rename("opaque/sub", "sub"));
	check_text(names("sub"), "s");
	ok(rename("opaque", "moved"));
	check_text(names("moved"), "low new");
	dir("opaque");
	check_text(names("opaque"), "");
	ok(rename("sub", "opaque/sub"));
	remount();
	check_text(names("opaque"), "sub");
	check_text(names("opaque/sub"), "s");
	check_text(names("moved"), "low new");
	check_text(text("moved/low/f"), "low");
	/* In one that is made again, where both branches have something. */
	ok(rename("moved/low", "low"));
	remove_all("opaque");
	dir("opaque");
	ok(rename("low", "opaque/sub"));
	remount();
	check_text(names("opaque/sub"), "f");
}

/* All that a merged directory has, comes along; the topmost branch says what that is. */
static void rename_keeps_attributes(void)
{
	branch(3);
	dir("d");
	file("d/f", "x");
	set_mode("d", 0700);
	set_xattr("d", "user.low", "1");
	branch(2);
	if (!on_mount())
		ok(removexattr("d", "user.low"));
	dir("d");
	set_owner("d", 5, 6);
	set_mode("d", 02751);
	set_xattr("d", "user.top", "2");
	set_times("d", 1000, 7);
	start();
	ok(rename("d", "e"));
	for (int i = 0; i < 2; i++) {
		check_owner("e", 5, 6, 02751);
		check_eq(st("e").st_mtim.tv_sec, 1000);
		check_eq(st("e").st_mtim.tv_nsec, 7);
		check_text(xattr("e", "user.top"), "2");
		check_text(xattr("e", "user.low"), "-");
		check_text(text("e/f"), "x");
		remount();
	}
}

/* What was opened below a directory is copied up to where that is now. */
static void copy_up_below_a_renamed_directory(void)
{
	with_all();
	cleanup_fd int fd = open_as("low/deep/f", O_RDWR);
	cleanup_fd int d = open_as("low/deep", O_RDONLY | O_DIRECTORY);
	ok(rename("low", "renamed"));
	ok(rename("renamed/deep", "new/deep"));
	ok(pwrite(fd, "D", 1, 0));
	check_text(text("new/deep/f"), "Deep");
	ok(fchmod(d, 0701));
	check_mode(mode_of("new/deep"), 0701);
	close(ok(openat(d, "made", O_CREAT | O_WRONLY, 0644)));
	check_text(names("new/deep"), "f made");
	ok(renameat(d, "f", AT_FDCWD, "f"));
	dir("low");
	dir("low/deep");
	check_text(names("low/deep"), "");
	ok(pwrite(fd, "d", 1, 0));
	check_text(text("f"), "deep");
	close(take_fd(&fd));
	close(take_fd(&d));
	remount();
	check_text(names("new/deep"), "made");
	check_text(names("low/deep"), "");
	check_text(text("f"), "deep");
}

/* A process stays in a directory that is renamed, and in one that is replaced. */
static void current_directory_is_renamed(void)
{
	char cwd[PATH_MAX];

	with_all();
	const char *want = path_in(on_mount() ? "mnt" : "plain", "new/inner/deep");
	IN_CHILD
	{
		ok(chdir("low/deep"));
		ok(rename("../../low", "../../new/inner"));
		check(getcwd(cwd, sizeof(cwd)));
		check_text(cwd, want);
		check_text(text("f"), "deep");
		file("made", "x");
		check_text(names("../"), "deep mid");
	}
	check_text(names("new/inner/deep"), "f made");
	IN_CHILD
	{
		ok(chdir("empty"));
		ok(rename("../new", "../empty"));
		check(!getcwd(cwd, sizeof(cwd)));
		check_eq(errno, ENOENT);
		fails(open("x", O_CREAT | O_WRONLY, 0644), ENOENT);
		check_text(names("."), "");
	}
	check_text(names("empty"), "inner n");
}

/* Over and over between the same names, on which marks and redirects pile up. */
static void rename_in_a_ring(void)
{
	with_all();
	for (int i = 0; i < 7; i++) {
		ok(rename("low", "a"));
		ok(rename("new", "low"));
		ok(rename("a", "b"));
		ok(rename("low", "new"));
		ok(rename("b", "low"));
		check_text(text("low/deep/f"), "deep");
		check_text(names("low"), "deep mid");
		if (i % 3 == 0)
			remount();
	}
	check_text(names("."), "empty hollow low lowfile lowlink new newfile");
}

static void parents_links_after_rename(void)
{
	with_all();
	check_eq(st(".").st_nlink, 6);
	check_eq(st("low").st_nlink, 3);
	ok(rename("low/deep", "new/deep"));
	check_eq(st("low").st_nlink, 2);
	check_eq(st("new").st_nlink, 3);
	ok(rename("hollow", "new/hollow"));
	check_eq(st("new").st_nlink, 4);
	check_eq(st(".").st_nlink, 5);
	ok(rename("empty", "new/hollow"));
	check_eq(st("new").st_nlink, 4);
	check_eq(st(".").st_nlink, 4);
	ok(rename("low", "new/low"));
	ok(rmdir("new/hollow"));
	check_eq(st("new").st_nlink, 4);
	check_eq(st(".").st_nlink, 3);
	remount();
	check_eq(st("new").st_nlink, 4);
	check_eq(st(".").st_nlink, 3);
}

const struct rule rules_rename[] = {
	RULE(rename_files, "files of any branch"),
	RULE(rename_merged_directory, "lower and merged directories, without EXDEV"),
	RULE(rename_without_redirects, "redirect_dir=off is EXDEV for lower directories"),
	RULE(rename_onto_existing, "onto what is there"),
	RULE(rename_onto_hollow_directory, "onto directories that hold only whiteouts"),
	RULE(rename_no_replace, "RENAME_NOREPLACE"),
	RULE(rename_exchange, "RENAME_EXCHANGE of all kinds, lower and upper"),
	RULE(exchange_between_directories, "RENAME_EXCHANGE between directories"),
	RULE(rename_onto_its_twin, "a hard link onto its twin is nothing"),
	RULE(rename_cycles, "no directory into itself"),
	RULE(rename_and_opaque_directories, "into and out of opaque directories"),
	RULE(rename_in_a_ring, "the same names again and again"),
	RULE(parents_links_after_rename, "the parents' st_nlink when directories move"),
	RULE(rename_keeps_attributes, "a merged directory keeps what it has"),
	RULE(copy_up_below_a_renamed_directory, "what is open below a renamed directory"),
	RULE(current_directory_is_renamed, "a process in a directory that moves or is replaced"),
	{ 0 },
};
