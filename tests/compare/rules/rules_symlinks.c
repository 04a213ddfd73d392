/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Symbolic links: long, looping, dangling, absolute. */
#include "rules.h"

static const char *long_target(size_t length)
{
	static char buffer[PATH_MAX + 2];

	for (size_t i = 0; i < length; i++)
		buffer[i] = i % 50 == 49 ? '/' : 't';
	buffer[length] = '\0';
	return buffer;
}

static void links_of_4095_bytes(void)
{
	branch(2);
	ok(symlink(long_target(4095), "low"));
	ok(symlink(long_target(60), "sixty")); /* too long for an ext4 inode */
	ok(symlink(long_target(59), "fiftynine"));
	start();
	check_text(target("low"), long_target(4095));
	check_eq(st("low").st_size, 4095);
	set_owner("low", 1, 2);
	check_text(target("low"), long_target(4095));
	ok(symlink(long_target(4095), "new"));
	check_text(target("new"), long_target(4095));
	fails(symlink(long_target(4096), "longer"), ENAMETOOLONG);
	fails(symlink("", "empty"), ENOENT);
	set_owner("sixty", 1, 2);
	set_owner("fiftynine", 1, 2);
	remount();
	check_text(target("low"), long_target(4095));
	check_text(target("new"), long_target(4095));
	check_text(target("sixty"), long_target(60));
	check_text(target("fiftynine"), long_target(59));
	check_eq(st("new").st_size, 4095);
	char small[10];
	check_eq(readlink("new", small, sizeof(small)), 10);
	check(!memcmp(small, "tttttttttt", 10));
	fails(readlink(".", small, sizeof(small)), EINVAL);
}

static void loops(void)
{
	branch(2);
	ok(symlink("loop", "loop"));
	ok(symlink("b", "a"));
	branch(1);
	ok(symlink("a", "b"));
	start();
	fails(open("loop", O_RDONLY), ELOOP);
	fails(open("a", O_RDONLY), ELOOP);
	fails(open("b/x", O_RDONLY), ELOOP);
	fails(open("loop", O_CREAT | O_WRONLY, 0644), ELOOP);
	fails(chmod("loop", 0600), ELOOP);
	set_times("loop", 1, 1);
	fails(stat("loop", &(struct stat){ 0 }), ELOOP);
	check_text(target("loop"), "loop");
	/* Forty of them are followed, and no more. */
	char from[16], to[16];
	file("c0", "end");
	for (int i = 1; i <= 41; i++) {
		snprintf(from, sizeof(from), "c%d", i);
		snprintf(to, sizeof(to), "c%d", i - 1);
		ok(symlink(to, from));
	}
	check_text(text("c40"), "end");
	fails(open("c41", O_RDONLY), ELOOP);
}

static void dangling_links(void)
{
	branch(3);
	ok(symlink("nowhere", "dangling"));
	ok(symlink("none/nowhere", "deeper"));
	start();
	fails(open("dangling", O_RDONLY), ENOENT);
	fails(mkdir("dangling", 0755), EEXIST);
	fails(open("deeper", O_CREAT | O_WRONLY, 0644), ENOENT);
	file("dangling", "made"); /* which makes what it leads to */
	check_text(text("nowhere"), "made");
	check_text(text("dangling"), "made");
	ok(unlink("nowhere"));
	fails(open("dangling", O_RDONLY), ENOENT);
	check_text(target("dangling"), "nowhere");
	ok(unlink("dangling"));
	check_text(names("."), "deeper");
}

/* What lies outside is reached by the caller, who follows the link, and by nobody else. */
static void absolute_links_of_a_branch(void)
{
	file(path_in("outside", ""), "outside");
	ok(mkdir(path_in("outside.d", ""), 0755));
	file(path_in("outside.d", "f"), "outside");
	branch(3);
	dir("merged");
	file("merged/f", "low");
	dir("d");
	file("d/f", "hidden by a link");
	branch(2);
	ok(symlink(path_in("outside", ""), "link"));
	if (!on_mount())
		remove_all("d");
	ok(symlink(path_in("outside.d", ""), "d"));
	start();
	check_text(text("link"), "outside");
	check_text(text("d/f"), "outside");
	check_mode(st("d").st_mode & S_IFMT, S_IFLNK);
	/* Copied up and replaced, it is the link that changes. */
	set_owner("link", 3, 3);
	set_owner("d", 3, 3);
	check_eq(st(path_in("outside", "")).st_uid, 0);
	check_eq(st(path_in("outside.d", "")).st_uid, 0);
	file("new", "new");
	ok(rename("new", "link"));
	check_text(text(path_in("outside", "")), "outside");
	ok(unlink("d"));
	dir("d");
	check_text(names("d"), "");
	file("d/g", "x");
	check_text(names(path_in("outside.d", "")), "f");
	remount();
	check_text(names("d"), "g");
	check_text(text("link"), "new");
}

/* One that leads into the mount itself, through each call that the daemon could follow it in. */
static void absolute_links_into_the_mount(void)
{
	branch(3);
	dir("d");
	file("d/f", "low");
	ok(symlink(path_in(on_mount() ? "mnt" : "plain", "d"), "into"));
	start();
	check_text(text("into/f"), "low");
	append("into/f", "er");
	check_text(names("into"), "f");
	set_owner("into", 3, 3);
	set_times("into", 4, 4);
	ok(link("into", "into2"));
	ok(rename("into", "d/inner"));
	check_text(text("d/inner/inner/inner/f"), "lower");
	check_eq(st("d").st_uid, 0);
	check_eq(st("into2").st_uid, 3);
	check_eq(st("into2").st_nlink, 2);
	fails(rmdir("into2"), ENOTDIR);
	remove_all("d");
	check_text(names("."), "into2");
}

static void links_through_other_branches(void)
{
	branch(3);
	dir("d");
	file("d/f", "low");
	branch(2);
	ok(symlink("d", "to"));
	branch(1);
	dir("real");
	ok(symlink("../d/f", "real/up"));
	ok(symlink("../to/f", "real/through"));
	start();
	check_text(text("to/f"), "low");
	check_text(text("real/up"), "low");
	check_text(text("real/through"), "low");
	append("real/through", "er");
	check_text(text("d/f"), "lower");
	check_text(names("to"), "f");
	ok(rename("d", "moved"));
	fails(open("to/f", O_RDONLY), ENOENT);
	ok(rename("moved", "d"));
	check_text(text("real/up"), "lower");
}

const struct rule rules_symlinks[] = {
	RULE(links_of_4095_bytes, "symlinks of 4095 bytes"),
	RULE(loops, "loops are ELOOP"),
	RULE(dangling_links, "dangling links"),
	RULE(absolute_links_of_a_branch, "the daemon follows no absolute link of a branch"),
	RULE(absolute_links_into_the_mount, "nor one into the mount"),
	RULE(links_through_other_branches, "links lead to what the union has"),
	{ 0 },
};
