/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Extended attributes: namespaces, limits, links; and those that are marks. */
#include "rules.h"

#include <sys/xattr.h>

static void with_file(void)
{
	branch(2);
	file("f", "content");
	set_xattr("f", "user.low", "low");
	dir("d");
	ok(symlink("f", "link"));
	start();
}

/* The list, with blanks for the zeros between; without selinux's, of which nobody asked. */
static const char *list_of(const char *path)
{
	static char list[4096];
	ssize_t n = ok(llistxattr(path, list, sizeof(list) - 1));

	for (ssize_t i = 0; i < n; i++)
		if (!list[i])
			list[i] = ' ';
	list[n] = '\0';
	return list;
}

static void set_get_list_remove(void)
{
	char small[2];

	with_file();
	check_text(list_of("f"), "user.low ");
	set_xattr("f", "user.one", "1");
	check_text(xattr("f", "user.one"), "1");
	check_text(xattr("f", "user.low"), "low");
	fails(setxattr("f", "user.one", "2", 1, XATTR_CREATE), EEXIST);
	fails(setxattr("f", "user.two", "2", 1, XATTR_REPLACE), ENODATA);
	ok(setxattr("f", "user.one", "2", 1, XATTR_REPLACE));
	fails(getxattr("f", "user.low", small, sizeof(small)), ERANGE);
	check_eq(getxattr("f", "user.low", NULL, 0), 3);
	fails(listxattr("f", small, sizeof(small)), ERANGE);
	ok(removexattr("f", "user.low"));
	fails(removexattr("f", "user.low"), ENODATA);
	fails(getxattr("f", "user.low", NULL, 0), ENODATA);
	check_text(list_of("f"), "user.one ");
	remount();
	check_text(list_of("f"), "user.one ");
	check_text(xattr("f", "user.one"), "2");
	ok(setxattr("d", "user.dir", "", 0, 0));
	check_eq(getxattr("d", "user.dir", NULL, 0), 0);
	fails(getxattr("none", "user.x", NULL, 0), ENOENT);
}

static void namespaces(void)
{
	with_file();
	set_xattr("f", "trusted.t", "t");
	set_xattr("f", "security.s", "s");
	check_text(xattr("f", "trusted.t"), "t");
	check_text(xattr("f", "security.s"), "s");
	fails(setxattr("f", "system.x", "1", 1, 0), EOPNOTSUPP);
	fails(setxattr("f", "other.x", "1", 1, 0), EOPNOTSUPP);
	fails(getxattr("f", "other.x", NULL, 0), EOPNOTSUPP);
	fails(removexattr("f", "noname"), EOPNOTSUPP);
	set_mode("f", 0666);
	AS_USER(1000, 1000)
	{
		check_text(xattr("f", "user.low"), "low");
		check_text(xattr("f", "security.s"), "s");
		fails(getxattr("f", "trusted.t", NULL, 0), ENODATA);
		fails(setxattr("f", "trusted.t", "1", 1, 0), EPERM);
		fails(setxattr("f", "security.s", "1", 1, 0), EPERM);
		fails(removexattr("f", "security.s"), EPERM);
		ok(setxattr("f", "user.mine", "1", 1, 0));
		check(!strstr(list_of("f"), "trusted."));
		check(strstr(list_of("f"), "security.s "));
	}
	check(strstr(list_of("f"), "trusted.t "));
}

/* user. is for files and directories only; others may have the rest. */
static void kinds_that_have_no_user_xattrs(void)
{
	with_file();
	ok(mkfifo("fifo", 0666));
	fails(lsetxattr("link", "user.x", "1", 1, 0), EPERM);
	fails(setxattr("fifo", "user.x", "1", 1, 0), EPERM);
	check(lgetxattr("link", "user.x", NULL, 0) < 0 && (errno == EPERM || errno == ENODATA));
	set_xattr("link", "trusted.x", "link");
	set_xattr("fifo", "trusted.x", "fifo");
	check_text(xattr("link", "trusted.x"), "link");
	check_text(xattr("fifo", "trusted.x"), "fifo");
	check_text(xattr("f", "trusted.x"), "-");
	/* In a sticky directory only its owner may. */
	set_mode("d", 01777);
	AS_USER(1000, 1000)
	{
		fails(setxattr("d", "user.x", "1", 1, 0), EPERM);
	}
}

/* The errno of setting a value of that size, or 0; whatever it is, the mount says the same. */
static int set_size(const char *path, size_t size)
{
	static char value[65537];

	memset(value, 'v', sizeof(value));
	return setxattr(path, "user.big", value, size, 0) < 0 ? errno : 0;
}

static void size_limits(void)
{
	static char value[65536], long_name[300];
	static const size_t sizes[] = { 100, 1000, 3000, 4000, 4096, 10000, 65536, 65537 };

	with_file();
	file(path_in("sizes", ""), "");
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		int want = set_size(path_in("sizes", ""), sizes[i]), got = set_size("f", sizes[i]);

		if (got != want)
			failed(__FILE__, __LINE__, "%zu bytes: %s, not %s", sizes[i], strerror(got),
			       strerror(want));
		if (!got)
			check_eq(getxattr("f", "user.big", value, sizeof(value)), sizes[i]);
	}
	check_text(xattr("f", "user.low"), "low");
	ok(removexattr("f", "user.big"));
	fails(setxattr("f", "user.", "1", 1, 0), EINVAL);
	fails(setxattr("f", "", "1", 1, 0), ERANGE);
	memset(long_name, 'n', sizeof(long_name) - 1);
	memcpy(long_name, "user.", 5);
	fails(setxattr("f", long_name, "1", 1, 0), ERANGE);
	fails(getxattr("f", long_name, NULL, 0), ERANGE);
	long_name[255] = '\0';
	set_xattr("f", long_name, "255");
	check_text(xattr("f", long_name), "255");
	check(strstr(list_of("f"), long_name));
}

/* 64 KiB, where the disk takes as much: a tmpfs does. */
static void values_of_64k(void)
{
	static char value[65536];

	small_top("size=64m");
	branch(3);
	file("f", "x");
	start();
	int r = set_size("f", 65536);
	if (r == ENOSPC || r == E2BIG)
		skip("no xattrs of 64 KiB here");
	check_eq(r, 0);
	check_eq(getxattr("f", "user.big", NULL, 0), 65536);
	check_eq(getxattr("f", "user.big", value, 65536), 65536);
	check_eq(value[65535], 'v');
	check_eq(set_size("f", 65537), E2BIG);
	set_mode("f", 0600);
	remount();
	check_eq(getxattr("f", "user.big", value, 65536), 65536);
}

/* So many that their list is longer than a page. */
static void many_xattrs(void)
{
	char name[32], list[16384];
	int n = 0;

	small_top("size=64m");
	branch(3);
	file("f", "x");
	start();
	for (int i = 0; i < 500; i++) {
		snprintf(name, sizeof(name), "user.attribute-number-%d", i);
		if (setxattr("f", name, "v", 1, 0) < 0)
			failed(__FILE__, __LINE__, "%s: %s", name, strerror(errno));
	}
	ssize_t length = ok(listxattr("f", list, sizeof(list)));
	for (char *p = list; p < list + length; p += strlen(p) + 1)
		n += !strncmp(p, "user.attribute-number-", 22);
	check_eq(n, 500);
	check_eq(listxattr("f", NULL, 0), length);
}

/* ---- marks ---- */

static void marks_are_hidden(void)
{
	static const char fuse_mark[] = "user.fuseoverlayfs.opaque";
	static const char *const marks[] = { "trusted.overlay.opaque",
					     "trusted.overlay.redirect",
					     "trusted.overlay.origin",
					     "trusted.overlay.whiteout",
					     "trusted.overlay.x",
					     "user.overlay.opaque",
					     fuse_mark };

	branch(3);
	dir("d");
	file("d/old", "x");
	dir("e");
	file("e/f", "x");
	branch(2);
	opaque("d");
	set_xattr("d", "user.mine", "1");
	start();
	ok(rename("e", "moved"));
	remove_all("d");
	dir("d"); /* has a mark of its own now, and moved has a redirect */
	check_text(list_of("d"), "");
	check_text(list_of("moved"), "");
	for (size_t i = 0; i < sizeof(marks) / sizeof(*marks); i++) {
		check_text(xattr("d", marks[i]), "-");
		check_text(xattr("moved", marks[i]), "-");
		check(removexattr("d", marks[i]) < 0);
		check(errno == EPERM || errno == EOPNOTSUPP || errno == ENODATA);
	}
	check(setxattr("d", fuse_mark, "y", 1, 0) < 0);
	check_eq(errno, EPERM);
	/* Those that can be set are of a mount inside, and mean nothing to this one. */
	for (size_t i = 0; i < sizeof(marks) / sizeof(*marks); i++) {
		if (marks[i] == fuse_mark)
			continue;
		set_xattr("d", marks[i], "y");
		set_xattr("moved", marks[i], "y");
		set_xattr("moved/f", marks[i], "y");
		check_text(xattr("moved/f", marks[i]), "y");
	}
	check_text(names("moved"), "f");
	check_text(names("d"), "");
	remount();
	check_text(names("moved"), "f");
	check_text(names("d"), "");
}

/* Whatever xattrs the daemon keeps in upper for itself, none is shown or can be changed through. */
static void own_marks_are_hidden(void)
{
	static char list[4096];

	branch(3);
	dir("d");
	dir("d/e");
	file("d/f", "x");
	ok(link("d/f", "g"));
	start();
	append("g", "y");
	ok(rename("d", "moved"));
	ok(rename("moved/e", "e"));
	dir("d");
	static const char *const all[] = { "d", "moved", "e", "g", "moved/f", "." };
	for (int i = 0; i < 6; i++) {
		ssize_t n = ok(llistxattr(path_in("top/upper", all[i]), list, sizeof(list)));

		check_text(list_of(all[i]), "");
		for (char *p = list; p < list + n; p += strlen(p) + 1) {
			ssize_t size = ok(lgetxattr(path_in("top/upper", all[i]), p, NULL, 0));

			check_text(xattr(all[i], p), "-");
			check(removexattr(all[i], p) < 0);
			/* Where it can be set it is another on disk. */
			if (setxattr(all[i], p, "value", 5, 0) == 0)
				ok(removexattr(all[i], p));
			check_eq(lgetxattr(path_in("top/upper", all[i]), p, NULL, 0), size);
		}
	}
}

/* ---- links ---- */

/* An absolute link into the mount: whoever followed it in the daemon would wait for itself. */
static void links_are_not_followed(void)
{
	with_file();
	ok(symlink(path_in(on_mount() ? "mnt" : "plain", "f"), "into"));
	ok(symlink(path_in(on_mount() ? "mnt" : "plain", "into"), "twice"));
	check_text(xattr("into", "trusted.x"), "-");
	check_text(list_of("into"), "");
	set_xattr("into", "trusted.x", "link");
	check_text(xattr("into", "trusted.x"), "link");
	check_text(xattr("f", "trusted.x"), "-");
	ok(lremovexattr("into", "trusted.x"));
	fails(lsetxattr("twice", "user.x", "1", 1, 0), EPERM);
	set_owner("into", 7, 8);
	set_times("into", 9, 9);
	check_eq(st("f").st_uid, 0);
	check_eq(st("into").st_uid, 7);
	remount();
	check_text(list_of("twice"), "");
	/* The kernel follows, for the caller. */
	ok(setxattr("twice", "user.followed", "1", 1, 0));
	check_text(xattr("f", "user.followed"), "1");
}

/* The same for a link of a lower branch, which leads to a file outside. */
static void lower_links_are_not_followed(void)
{
	file(path_in("outside", ""), "outside");
	set_xattr(path_in("outside", ""), "trusted.x", "outside");
	branch(2);
	ok(symlink(path_in("outside", ""), "out"));
	dir("d");
	ok(symlink(path_in("", ""), "d/up"));
	start();
	check_text(xattr("out", "trusted.x"), "-");
	set_xattr("out", "trusted.y", "1");
	set_owner("out", 7, 8);
	set_times("out", 5, 5);
	ok(link("out", "out2"));
	ok(rename("out", "d/out"));
	check_text(xattr("d/out", "trusted.y"), "1");
	check_text(xattr(path_in("outside", ""), "trusted.y"), "-");
	check_eq(st(path_in("outside", "")).st_uid, 0);
	check_eq(st(path_in("outside", "")).st_nlink, 1);
	remove_all("d");
	ok(unlink("out2"));
	check_text(text(path_in("outside", "")), "outside");
}

const struct rule rules_xattrs[] = {
	RULE(set_get_list_remove, "the four calls, and their errors"),
	RULE(namespaces, "user, trusted, security, system, and who may"),
	RULE(kinds_that_have_no_user_xattrs, "user. is for files and directories"),
	RULE(size_limits, "long values and names are answered as by a plain filesystem"),
	RULE(values_of_64k, "values of 64 KiB"),
	RULE(many_xattrs, "five hundred of them"),
	MOUNT_RULE(marks_are_hidden, "overlay's marks are hidden, and cannot be set"),
	MOUNT_RULE(own_marks_are_hidden, "and so are those of our own"),
	RULE(links_are_not_followed, "a symlink's own xattrs, also of a link into the mount"),
	RULE(lower_links_are_not_followed, "the daemon follows no link of a branch"),
	{ 0 },
};
