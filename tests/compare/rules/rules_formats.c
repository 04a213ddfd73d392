/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The marks of branches that others wrote, in each of their formats; what kernel
 * overlayfs and fuse-overlayfs write themselves, and read of ours, is overlay.sh's.
 */
#include "rules.h"

#include <sys/xattr.h>

/* ---- whiteouts ---- */

static void hide_by_device(const char *where, const char *name)
{
	char path[100];

	snprintf(path, sizeof(path), "%s/%s", where, name);
	ok(mknod(path, S_IFCHR, makedev(0, 0)));
}

static void hide_by_name(const char *where, const char *name)
{
	char path[100];

	snprintf(path, sizeof(path), "%s/.wh.%s", where, name);
	file(path, "");
}

static void hide_by_xattr(const char *where, const char *name)
{
	char path[100];

	snprintf(path, sizeof(path), "%s/%s", where, name);
	file(path, "");
	set_xattr(where, "trusted.overlay.opaque", "x");
	set_xattr(path, "trusted.overlay.whiteout", "y");
}

static void hide_by_user_xattr(const char *where, const char *name)
{
	char path[100];

	snprintf(path, sizeof(path), "%s/%s", where, name);
	file(path, "");
	set_xattr(where, "user.overlay.opaque", "x");
	set_xattr(path, "user.overlay.whiteout", "y");
}

static const struct {
	const char *name;
	void (*hide)(const char *where, const char *name);
} whiteouts[] = { { "device", hide_by_device },
		  { "name", hide_by_name },
		  { "xattr", hide_by_xattr },
		  { "user-xattr", hide_by_user_xattr } };

/* A directory for each format, in which the middle branch hides a file and a directory. */
static void every_whiteout_hides(void)
{
	char path[100];

	for (size_t i = 0; i < 4; i++) {
		const char *where = whiteouts[i].name;

		branch(3);
		dir(where);
		snprintf(path, sizeof(path), "%s/file", where);
		file(path, "x");
		snprintf(path, sizeof(path), "%s/stays", where);
		file(path, "x");
		snprintf(path, sizeof(path), "%s/sub", where);
		dir(path);
		strcat(path, "/f");
		file(path, "x");
		branch(2);
		if (on_mount()) {
			dir(where);
			whiteouts[i].hide(where, "file");
			whiteouts[i].hide(where, "sub");
			whiteouts[i].hide(where, "none");
		} else {
			snprintf(path, sizeof(path), "%s/file", where);
			remove_all(path);
			snprintf(path, sizeof(path), "%s/sub", where);
			remove_all(path);
		}
	}
	start();
	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < 4; i++) {
			if (strcmp(names(whiteouts[i].name), round ? "new stays" : "stays") != 0)
				failed(__FILE__, __LINE__, "%s: %s", whiteouts[i].name,
				       names(whiteouts[i].name));
			check_eq(st(whiteouts[i].name).st_nlink, 2);
			snprintf(path, sizeof(path), "%s/file", whiteouts[i].name);
			fails(open(path, O_RDONLY), ENOENT);
			file(path, "again");
			check_text(text(path), "again");
			ok(unlink(path));
			snprintf(path, sizeof(path), "%s/sub", whiteouts[i].name);
			dir(path);
			check_text(names(path), "");
			ok(rmdir(path));
			snprintf(path, sizeof(path), "%s/new", whiteouts[i].name);
			file(path, "new");
		}
		remount();
	}
	check_eq(system("rm -r device name xattr user-xattr"), 0);
	check_text(names("."), "");
}

/* ---- opaque directories ---- */

static const struct {
	const char *name, *xattr;
} opaques[] = { { "trusted", "trusted.overlay.opaque" },
		{ "user", "user.overlay.opaque" },
		{ "fuse", "user.fuseoverlayfs.opaque" },
		{ "file", NULL } };

/* By the xattr, or by the file that AUFS and OCI layers have for it. */
static void opaque_with(const char *where, const char *name)
{
	char path[100];

	if (!on_mount()) {
		opaque(where);
		return;
	}
	dir(where);
	snprintf(path, sizeof(path), "%s/.wh..wh..opq", where);
	if (name)
		set_xattr(where, name, "y");
	else
		file(path, "");
}

static void every_opaque_mark_hides(void)
{
	char path[100];

	for (size_t i = 0; i < 4; i++) {
		const char *where = opaques[i].name;

		branch(3);
		dir(where);
		snprintf(path, sizeof(path), "%s/old", where);
		file(path, "x");
		branch(2);
		opaque_with(where, opaques[i].xattr);
		snprintf(path, sizeof(path), "%s/mid", where);
		file(path, "x");
		branch(1);
		dir(where);
		snprintf(path, sizeof(path), "%s/top", where);
		file(path, "x");
	}
	start();
	for (size_t i = 0; i < 4; i++) {
		const char *where = opaques[i].name;

		if (strcmp(names(where), "mid top") != 0)
			failed(__FILE__, __LINE__, "%s: %s", where, names(where));
		snprintf(path, sizeof(path), "%s/old", where);
		fails(open(path, O_RDONLY), ENOENT);
		ok(llistxattr(where, path, sizeof(path)));
		check_eq(llistxattr(where, path, sizeof(path)), 0);
		snprintf(path, sizeof(path), "%s-renamed", where);
		ok(rename(where, path));
		check_text(names(path), "mid top");
		dir(where);
		check_text(names(where), "");
	}
	remount();
	check_text(names("user-renamed"), "mid top");
	check_text(names("file"), "");
	check_eq(system("rm -r *"), 0);
	check_text(names("."), "");
}

/* A value other than y or x says nothing. */
static void other_values_are_no_marks(void)
{
	branch(3);
	dir("d");
	file("d/old", "x");
	branch(2);
	dir("d");
	set_xattr("d", "trusted.overlay.opaque", "n");
	set_xattr("d", "user.fuseoverlayfs.opaque", "yes");
	start();
	check_text(names("d"), "old");
}

/* ---- redirects ---- */

/* As overlayfs writes them: from the branch's root, or the name it has beside. */
static void redirects_of_branches(void)
{
	branch(3);
	dir("a");
	dir("a/deep");
	file("a/deep/f", "absolute");
	dir("p");
	dir("p/old");
	file("p/old/f", "relative");
	branch(2);
	dir("new");
	dir("p");
	dir("p/new");
	if (on_mount()) {
		set_xattr("new", "trusted.overlay.redirect", "/a/deep");
		hide("a");
		set_xattr("p/new", "user.overlay.redirect", "old");
		hide("p/old");
	} else {
		ok(rename("a/deep/f", "new/f"));
		remove_all("a");
		ok(rename("p/old/f", "p/new/f"));
		remove_all("p/old");
	}
	branch(1);
	dir("new");
	file("new/top", "top");
	start();
	check_text(names("."), "new p");
	check_text(names("new"), "f top");
	check_text(text("new/f"), "absolute");
	check_text(names("p"), "new");
	check_text(text("p/new/f"), "relative");
	append("new/f", "!");
	append("p/new/f", "!");
	ok(rename("new", "p/moved"));
	ok(rename("p/new", "new"));
	remount();
	check_text(text("p/moved/f"), "absolute!");
	check_text(text("new/f"), "relative!");
	check_text(names("p/moved"), "f top");
	remove_all("p");
	remove_all("new");
	check_text(names("."), "");
}

/* Of the branch's own that is hidden by another kind, and of one that is hidden above. */
static void kinds_hide_each_other(void)
{
	branch(3);
	dir("d");
	file("d/f", "x");
	file("f", "x");
	ok(symlink("d", "link"));
	dir("g");
	file("g/low", "x");
	branch(2);
	if (!on_mount()) {
		remove_all("d");
		remove_all("f");
		remove_all("link");
		remove_all("g");
	}
	file("d", "a file");
	dir("f");
	dir("link");
	file("link/in", "x");
	file("g", "a file in between");
	branch(1);
	if (!on_mount())
		remove_all("g");
	dir("g");
	file("g/top", "x");
	start();
	check_text(text("d"), "a file");
	check_text(names("f"), "");
	check_text(names("link"), "in");
	check_text(names("g"), "top");
	ok(unlink("d"));
	dir("d");
	check_text(names("d"), "");
	ok(rmdir("f"));
	check_text(names("."), "d g link");
	ok(rename("g", "f"));
	check_text(names("f"), "top");
	remount();
	check_text(names("f"), "top");
	check_text(names("d"), "");
}

const struct rule rules_formats[] = {
	RULE(every_whiteout_hides, "whiteouts of every format"),
	RULE(every_opaque_mark_hides, "opaque directories of every format"),
	RULE(other_values_are_no_marks, "marks with odd values are none"),
	RULE(redirects_of_branches, "redirects of overlayfs in branches"),
	RULE(kinds_hide_each_other, "what is no directory hides, and is hidden"),
	{ 0 },
};
