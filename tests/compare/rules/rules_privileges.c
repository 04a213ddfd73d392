/* SPDX-License-Identifier: GPL-3.0-or-later */
/* setuid, setgid and security.capability: who loses them, and when. */
#include "rules.h"

#include <linux/falloc.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>

#define USER 1000

static const unsigned char capability[] = { 1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0,
					    0, 0, 0, 0, 0, 0,	 0, 0, 0, 0 };

/* ---- what can be done to a file ---- */

static void do_write(const char *path)
{
	append(path, "x");
}

static void do_write_nothing(const char *path)
{
	append(path, "");
}

static void do_truncate(const char *path)
{
	ok(truncate(path, 3));
}

/* To the size it has: no change, and still a truncation. */
static void do_truncate_same(const char *path)
{
	ok(truncate(path, st(path).st_size));
}

static void do_open_trunc(const char *path)
{
	close(open_as(path, O_WRONLY | O_TRUNC));
}

static void do_fallocate(const char *path)
{
	cleanup_fd int fd = open_as(path, O_WRONLY);

	ok(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 100));
}

static void do_copy_range(const char *path)
{
	cleanup_fd int fd = open_as(path, O_RDWR);
	loff_t from = 0, to = 10;

	check_eq(copy_file_range(fd, &from, fd, &to, 4, 0), 4);
}

static void do_map(const char *path)
{
	cleanup_fd int fd = open_as(path, O_RDWR);
	char *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	check(p != MAP_FAILED);
	p[0] = 'm';
	ok(msync(p, 4096, MS_SYNC));
	munmap(p, 4096);
}

static void do_chmod(const char *path)
{
	set_mode(path, mode_of(path));
}

static void do_chown_same(const char *path)
{
	ok(chown(path, USER, (gid_t)-1));
}

static void do_chgrp_same(const char *path)
{
	ok(chown(path, (uid_t)-1, USER));
}

static void do_times(const char *path)
{
	set_times(path, 1, 1);
}

static void do_xattr(const char *path)
{
	set_xattr(path, "user.x", "1");
}

static void do_link(const char *path)
{
	ok(link(path, "another"));
	ok(unlink("another"));
}

static void do_rename(const char *path)
{
	ok(rename(path, "another"));
	ok(rename("another", path));
}

/* ---- who keeps what ---- */

/* As whom, and from which mode: with setuid and setgid, or setgid without its x. */
enum { BY_ROOT, BY_OWNER, MARK_BY_ROOT, MARK_BY_MEMBER, MARK_BY_STRANGER, N_CASES };
static const struct {
	mode_t mode;
	gid_t group;
	bool as_owner;
} cases[N_CASES] = {
	[BY_ROOT] = { 06755, USER, false },	   [BY_OWNER] = { 06755, USER, true },
	[MARK_BY_ROOT] = { 02745, USER, false },   [MARK_BY_MEMBER] = { 02745, USER, true },
	[MARK_BY_STRANGER] = { 02745, 555, true },
};

/* The mode after it, for each case; and whether the capability goes. */
struct loss {
	const char *name;
	void (*act)(const char *path);
	mode_t after[N_CASES];
	bool capability_goes;
};

/* A file for each case, named by its number; from the middle branch, so that it is copied up. */
static void make_cases(void)
{
	char name[2] = "0";

	branch(2);
	for (int i = 0; i < N_CASES; i++, name[0]++) {
		file(name, "0123456789 0123456789");
		set_owner(name, USER, cases[i].group);
		set_mode(name, cases[i].mode);
		ok(setxattr(name, "security.capability", capability, sizeof(capability), 0));
	}
	start();
	set_mode(".", 0777);
}

static void check_losses(const struct loss *loss)
{
	char name[2] = "0";

	make_cases();
	for (int i = 0; i < N_CASES; i++, name[0]++) {
		if (cases[i].as_owner)
			AS_USER(USER, USER)
			{
				loss->act(name);
			}
		else
			loss->act(name);
		if (mode_of(name) != loss->after[i])
			failed(__FILE__, __LINE__, "%s, case %d: mode %o, not %o", loss->name, i,
			       mode_of(name), loss->after[i]);
		check_eq(getxattr(name, "security.capability", NULL, 0) < 0, loss->capability_goes);
	}
}

/* A test for each, so that one difference does not hide another. */
#define LOSS(verb, goes, ...)                                                                      \
	static void verb##_and_privileges(void)                                                    \
	{                                                                                          \
		check_losses(&(struct loss){ #verb, do_##verb, { __VA_ARGS__ }, goes });           \
	}

/*   what           capability goes, by root, by owner; without x: by root, member, stranger */
LOSS(write, true, 06755, 0755, 02745, 02745, 0745)
LOSS(write_nothing, false, 06755, 06755, 02745, 02745, 02745)
LOSS(truncate, true, 06755, 0755, 02745, 02745, 0745)
LOSS(truncate_same, true, 06755, 0755, 02745, 02745, 0745)
LOSS(open_trunc, true, 06755, 0755, 02745, 02745, 0745)
LOSS(fallocate, true, 06755, 0755, 02745, 02745, 0745)
LOSS(copy_range, true, 06755, 0755, 02745, 02745, 0745)
LOSS(map, false, 06755, 06755, 02745, 02745, 02745)
LOSS(chmod, false, 06755, 06755, 02745, 02745, 0745)
LOSS(chown_same, true, 0755, 0755, 02745, 02745, 0745)
LOSS(chgrp_same, true, 0755, 0755, 02745, 02745, 0745)
LOSS(times, false, 06755, 06755, 02745, 02745, 02745)
LOSS(xattr, false, 06755, 06755, 02745, 02745, 02745)
LOSS(link, false, 06755, 06755, 02745, 02745, 02745)
LOSS(rename, false, 06755, 06755, 02745, 02745, 02745)

/* No owner and no group: Linux clears even so. */
static void chown_to_nobody(void)
{
	branch(2);
	file("f", "x");
	set_mode("f", 06755);
	start();
	ok(chown("f", (uid_t)-1, (gid_t)-1));
	check_mode(mode_of("f"), accepted("chown -1 -1") ? 06755 : 0755);
}

/* What the bits and capabilities are for; also when the program was copied up. */
static void privileged_programs_run(void)
{
	struct statvfs fs;
	char said[64] = "";
	FILE *f;

	branch(3);
	ok(system("cp /usr/bin/id id"));
	set_mode("id", 04755);
	start();
	ok(statvfs(".", &fs));
	if (fs.f_flag & ST_NOSUID)
		skip("it is mounted nosuid here");
	for (int round = 0; round < 2; round++) {
		AS_USER(USER, USER)
		{
			f = popen("./id -u", "r");
			check(f && fgets(said, sizeof(said), f));
			check_text(said, "0\n");
			pclose(f);
		}
		set_times("id", 1, 1);
	}
}

/* Only what is regular loses anything; a directory keeps its setgid bit whoever has it. */
static void directories_keep_privileges(void)
{
	branch(2);
	dir("d");
	set_owner("d", USER, USER);
	set_mode("d", 06755);
	start();
	AS_USER(USER, USER)
	{
		ok(chown("d", USER, USER));
		file("d/f", "");
		set_times("d", 1, 1);
	}
	check_owner("d", USER, USER, 06755);
	ok(chown("d", 0, 0));
	check_owner("d", 0, 0, 06755);
}

const struct rule rules_privileges[] = {
	RULE(write_and_privileges, "write clears setuid, setgid, capability; root keeps the bits"),
	RULE(write_nothing_and_privileges, "a write of nothing clears nothing"),
	RULE(truncate_and_privileges, "truncate clears as write does"),
	RULE(truncate_same_and_privileges, "truncate to the same size too"),
	RULE(open_trunc_and_privileges, "O_TRUNC clears as write does"),
	RULE(fallocate_and_privileges, "fallocate clears as write does"),
	RULE(copy_range_and_privileges, "copy_file_range clears as write does"),
	RULE(map_and_privileges, "a write to a mapping clears nothing"),
	RULE(chmod_and_privileges, "chmod drops setgid of a group one is not in"),
	RULE(chown_same_and_privileges, "chown to the same owner clears"),
	RULE(chgrp_same_and_privileges, "chgrp to the same group clears"),
	RULE(times_and_privileges, "utimens clears nothing"),
	RULE(xattr_and_privileges, "setxattr clears nothing"),
	RULE(link_and_privileges, "link clears nothing"),
	RULE(rename_and_privileges, "rename clears nothing"),
	RULE(directories_keep_privileges, "a directory loses nothing by any of it"),
	RULE(chown_to_nobody, "chown -1 -1"),
	RULE(privileged_programs_run, "setuid programs run as their owner"),
	{ 0 },
};
