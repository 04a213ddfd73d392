/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Names of any length and any bytes, and paths as deep as one likes. */
#include "rules.h"

#include <sys/statvfs.h>

/* A name of that many bytes, in a buffer that the next call uses again. */
static const char *long_name(size_t length, char byte)
{
	static char name[300];

	memset(name, byte, length);
	name[length] = '\0';
	return name;
}

static void names_of_255_bytes(void)
{
	char other[256], path[310];

	branch(2);
	dir("d");
	file(long_name(255, 'l'), "low");
	start();
	check_text(text(long_name(255, 'l')), "low");
	append(long_name(255, 'l'), "er");
	check_text(text(long_name(255, 'l')), "lower");
	strcpy(other, long_name(255, 'm'));
	ok(rename(long_name(255, 'l'), other));
	ok(link(other, long_name(255, 'n')));
	ok(mkdir(long_name(255, 'o'), 0755));
	ok(symlink("x", long_name(255, 'p')));
	ok(mkfifo(long_name(255, 'q'), 0600));
	check_eq(count_names("."), 6);
	remount();
	check_eq(count_names("."), 6);
	ok(unlink(other));
	snprintf(path, sizeof(path), "d/%s", long_name(255, 'n'));
	ok(rename(long_name(255, 'n'), path));
	check_text(text(path), "lower");
	ok(unlink(path));
	ok(rmdir(long_name(255, 'o')));
	ok(unlink(long_name(255, 'p')));
	ok(unlink(long_name(255, 'q')));
	check_text(names("."), "d");
	check_text(names("d"), "");
	remount();
	check_text(names("."), "d");
}

static void longer_names_are_refused(void)
{
	struct statvfs fs;
	char path[400];

	branch(2);
	dir("d");
	file("f", "x");
	start();
	for (size_t length = 256; length < 270; length += 13) {
		const char *name = long_name(length, 'n');

		fails(open(name, O_RDONLY), ENAMETOOLONG);
		fails(open(name, O_CREAT | O_WRONLY, 0644), ENAMETOOLONG);
		fails(mkdir(name, 0755), ENAMETOOLONG);
		fails(mkfifo(name, 0600), ENAMETOOLONG);
		fails(symlink("x", name), ENAMETOOLONG);
		fails(link("f", name), ENAMETOOLONG);
		fails(rename("f", name), ENAMETOOLONG);
		fails(rename(name, "g"), ENAMETOOLONG);
		fails(unlink(name), ENAMETOOLONG);
		fails(rmdir(name), ENAMETOOLONG);
		fails(lstat(name, &(struct stat){ 0 }), ENAMETOOLONG);
		snprintf(path, sizeof(path), "d/%s/x", name);
		fails(open(path, O_RDONLY), ENAMETOOLONG);
	}
	ok(statvfs(".", &fs));
	check_eq(fs.f_namemax, 255);
	check_eq(pathconf(".", _PC_NAME_MAX), 255);
}

/* Each byte alone and in a name; lower, new and removed. */
static void names_of_any_bytes(void)
{
	char name[8], other[16];
	int n = 0;

	branch(2);
	dir("low");
	for (int i = 1; i < 256; i++) {
		if (i == '/')
			continue;
		snprintf(name, sizeof(name), "low/%c-", i);
		file(name, name);
		n++;
	}
	start();
	dir("new");
	for (int i = 1; i < 256; i++) {
		if (i == '/')
			continue;
		snprintf(name, sizeof(name), "low/%c-", i);
		snprintf(other, sizeof(other), "new/%c", i);
		check_text(text(name), name);
		if (i != '.')
			file(other, name);
		if (i % 2)
			ok(unlink(name));
	}
	check_eq(count_names("new"), n - 1);
	check_eq(count_names("low"), n / 2);
	remount();
	check_eq(count_names("new"), n - 1);
	check_eq(count_names("low"), n / 2);
	check(there("new/\\") && there("new/:") && there("new/,") && there("new/\n"));
	remove_all("low");
	remove_all("new");
	check_text(names("."), "");
}

static void names_that_look_like_ours(void)
{
	static const char *const list[] = { "...",    "..x",  ".wh",	 "wh.x",    "#1",
					    ".#work", "work", "staging", "orphans", "index",
					    "%s%n",   "$(x)", "*" };

	branch(3);
	for (size_t i = 0; i < sizeof(list) / sizeof(*list); i += 2)
		file(list[i], list[i]);
	start();
	for (size_t i = 1; i < sizeof(list) / sizeof(*list); i += 2)
		file(list[i], list[i]);
	for (size_t i = 0; i < sizeof(list) / sizeof(*list); i++) {
		check_text(text(list[i]), list[i]);
		append(list[i], "+");
	}
	check_eq(count_names("."), sizeof(list) / sizeof(*list));
	for (size_t i = 0; i < sizeof(list) / sizeof(*list); i++)
		ok(unlink(list[i]));
	check_text(names("."), "");
}

/* What is a whiteout on disk cannot be made: not by name, and not as a device. */
static void marks_cannot_be_made(void)
{
	branch(2);
	file("f", "x");
	start();
	fails(open(".wh.f", O_CREAT | O_WRONLY, 0644), EINVAL);
	fails(mkdir(".wh.f", 0755), EINVAL);
	fails(symlink("x", ".wh.f"), EINVAL);
	fails(link("f", ".wh.x"), EINVAL);
	fails(rename("f", ".wh.x"), EINVAL);
	fails(mkfifo(".wh..wh..opq", 0600), EINVAL);
	fails(unlink(".wh.f"), ENOENT);
	fails(mknod("c", S_IFCHR | 0666, makedev(0, 0)), EPERM);
	ok(mknod("b", S_IFBLK | 0666, makedev(0, 0)));
	ok(mknod("c1", S_IFCHR | 0666, makedev(0, 1)));
	check_text(names("."), "b c1 f");
}

/* ---- depth ---- */

#define DEPTH 60

/* Goes down through names of 100 bytes, to 6,000 of path; makes them or not. */
static void go_down(bool make)
{
	for (int i = 0; i < DEPTH; i++) {
		const char *name = long_name(100, 'a' + i % 26);

		if (make)
			dir(name);
		ok(chdir(name));
	}
}

static void go_up(void)
{
	for (int i = 0; i < DEPTH; i++)
		ok(chdir(".."));
}

static void paths_beyond_path_max(void)
{
	char cwd[PATH_MAX * 3];

	branch(2);
	go_down(true);
	file("f", "deep");
	dir("low");
	start();
	go_down(false);
	check_text(text("f"), "deep");
	append("f", "er");
	file("new", "new");
	ok(link("f", "link"));
	check_text(names("."), "f link low new");
	if (!getcwd(cwd, sizeof(cwd)))
		check(errno == ERANGE || errno == ENAMETOOLONG);
	go_up();
	/* The topmost is renamed, and all below is as it was. */
	ok(rename(long_name(100, 'a'), "top"));
	ok(symlink("top", long_name(100, 'a')));
	remount();
	go_down(false);
	check_text(names("."), "f link low new");
	check_text(text("link"), "deeper");
	ok(chdir("/"));
	remount();
	check_eq(system("rm -rf top"), 0);
	ok(unlink(long_name(100, 'a')));
	check_text(names("."), "");
}

/* Where it was is a path that no xattr of ext4 has room for. */
static void rename_of_a_deep_directory(void)
{
	branch(2);
	go_down(true);
	dir("low");
	file("low/f", "deep");
	dir("other");
	start();
	go_down(false);
	ok(rename("low", "renamed"));
	check_text(text("renamed/f"), "deep");
	if (accepted("long-redirect")) {
		fails(rename("renamed", "other/inner"), EXDEV);
		check_eq(system("mv renamed other/inner"), 0);
	} else {
		ok(rename("renamed", "other/inner"));
	}
	go_up();
	remount();
	go_down(false);
	check_text(text("other/inner/f"), "deep");
	check_text(names("."), "other");
}

const struct rule rules_names[] = {
	RULE(names_of_255_bytes, "names of 255 bytes"),
	RULE(longer_names_are_refused, "longer ones are ENAMETOOLONG, and statfs says 255"),
	RULE(names_of_any_bytes, "any byte but / and NUL"),
	RULE(names_that_look_like_ours, "names that only look like marks"),
	MOUNT_RULE(marks_cannot_be_made, "mknod c 0 0 is EPERM, names with .wh. EINVAL"),
	RULE(paths_beyond_path_max, "paths deeper than PATH_MAX"),
	RULE(rename_of_a_deep_directory, "a lower directory of such a path is renamed"),
	{ 0 },
};
