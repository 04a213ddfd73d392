/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Whose a new file is, with which mode; and who may do what. */
#include "rules.h"

#include <grp.h>
#include <sys/fsuid.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#define USER 1000
#define OTHER 1001
#define GROUP 2000

/* One of each kind that can be made, named by its kind, in `where`. */
static void make_one_of_each(const char *where)
{
	char path[4][100];
	static const char *const kinds[] = { "file", "dir", "fifo", "link" };

	for (int i = 0; i < 4; i++)
		snprintf(path[i], sizeof(path[i]), "%s/%s", where, kinds[i]);
	close(ok(open(path[0], O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0666)));
	ok(mkdir(path[1], 0777));
	ok(mkfifo(path[2], 0666));
	ok(symlink("x", path[3]));
}

/* A lower directory for all, one of a group with setgid, one that is sticky. */
static void with_directories(void)
{
	branch(2);
	dir("all");
	set_mode("all", 0777);
	dir("group");
	set_owner("group", 0, GROUP);
	set_mode("group", 02770);
	dir("sticky");
	set_mode("sticky", 01777);
	file("sticky/of-root", "x");
	dir("private");
	set_mode("private", 0700);
	file("private/f", "x");
	file("readable", "x");
	file("secret", "x");
	set_mode("secret", 0600);
	start();
}

static void new_files_are_the_callers(void)
{
	with_directories();
	AS_USER(USER, USER)
	{
		umask(027);
		make_one_of_each("all");
	}
	check_owner("all/file", USER, USER, 0640);
	check_owner("all/dir", USER, USER, 0750);
	check_owner("all/fifo", USER, USER, 0640);
	check_owner("all/link", USER, USER, 0777);
	remount();
	check_owner("all/file", USER, USER, 0640);
	if (on_mount())
		check_owner(path_in("top/upper", "all/file"), USER, USER, 0640);
}

/* Not the user: the file system user, as servers set it. */
static void new_files_are_of_fsuid(void)
{
	with_directories();
	IN_CHILD
	{
		ok(setgroups(0, NULL));
		setfsgid(GROUP);
		setfsuid(USER);
		make_one_of_each("all");
		fails(open("secret", O_RDONLY), EACCES);
		fails(open("private/f", O_RDONLY), EACCES);
		check_text(names("group"), "");
	}
	check_owner("all/file", USER, GROUP, 0644);
	check_owner("all/dir", USER, GROUP, 0755);
}

static void setgid_directories_pass_on(void)
{
	with_directories();
	IN_CHILD
	{
		gid_t group = GROUP;

		ok(setgroups(1, &group));
		ok(setresgid(USER, USER, USER));
		ok(setresuid(USER, USER, USER));
		umask(002);
		make_one_of_each("group");
		make_one_of_each("group/dir");
	}
	check_owner("group/file", USER, GROUP, 0664);
	check_owner("group/dir", USER, GROUP, 02775);
	check_owner("group/fifo", USER, GROUP, 0664);
	check_owner("group/link", USER, GROUP, 0777);
	check_owner("group/dir/file", USER, GROUP, 0664);
	check_owner("group/dir/dir", USER, GROUP, 02775);
	make_one_of_each("group/dir/dir");
	check_owner("group/dir/dir/file", 0, GROUP, 0644);
	/* Over a whiteout it is the same. */
	remove_all("group/dir/dir");
	ok(mkdir("group/dir/dir", 0700));
	check_owner("group/dir/dir", 0, GROUP, 02700);
}

/* A stranger to the group may make files there, but none with setgid. */
static void setgid_is_stripped(void)
{
	with_directories();
	set_mode("group", 02777);
	AS_USER(USER, USER)
	{
		umask(0);
		close(ok(open("group/x", O_CREAT | O_WRONLY, 02775)));
		close(ok(open("group/mark", O_CREAT | O_WRONLY, 02745)));
		ok(mknod("group/node", S_IFREG | 06755, 0));
		ok(mkdir("group/dir", 02700));
		close(ok(open("all/own", O_CREAT | O_WRONLY, 06755)));
		ok(chmod("group/x", 02775));
	}
	check_owner("group/x", USER, GROUP, 0775);
	check_owner("group/mark", USER, GROUP, 02745);
	check_owner("group/node", USER, GROUP, 04755);
	check_owner("group/dir", USER, GROUP, 02700);
	check_owner("all/own", USER, USER, 06755);
	/* root keeps what it asks for. */
	umask(0);
	close(ok(open("group/of-root", O_CREAT | O_WRONLY, 06775)));
	check_owner("group/of-root", 0, GROUP, 06775);
	cleanup_fd int fd = open("group", O_TMPFILE | O_WRONLY, 02770);
	check_mode(fd_st(fd).st_mode & 07777, 02770);
	check_eq(fd_st(fd).st_gid, GROUP);
}

static void umask_holds_for_nodes(void)
{
	with_directories();
	umask(0137);
	ok(mkfifo("fifo", 0777));
	ok(mknod("file", S_IFREG | 0777, 0));
	ok(mknod("socket", S_IFSOCK | 0777, 0));
	ok(mknod("null", S_IFCHR | 0777, makedev(1, 3)));
	ok(mkdir("dir", 0777));
	close(ok(open("open", O_CREAT | O_WRONLY, 0777)));
	cleanup_fd int fd = ok(open(".", O_TMPFILE | O_WRONLY, 0777));
	check_mode(mode_of("fifo"), 0640);
	check_mode(mode_of("file"), 0640);
	check_mode(mode_of("socket"), 0640);
	check_mode(mode_of("null"), 0640);
	check_mode(mode_of("dir"), 0640);
	check_mode(mode_of("open"), 0640);
	check_mode(fd_st(fd).st_mode & 07777, 0640);
	umask(0);
	ok(mkfifo("fifo2", 0666));
	check_mode(mode_of("fifo2"), 0666);
	close(ok(open("open2", O_CREAT | O_WRONLY, 07777)));
	check_mode(mode_of("open2"), 07777);
	ok(mkdir("dir2", 07777));
	check_mode(mode_of("dir2"), 01777);
}

/* u::rwx u:1000:rwx g::r-x m::rwx o::--- */
static const unsigned char acl[] = { 2,	  0,   0,   0,	 1,   0,    7,	0,   255, 255, 255,
				     255, 2,   0,   7,	 0,   0xe8, 3,	0,   0,	  4,   0,
				     5,	  0,   255, 255, 255, 255,  16, 0,   7,	  0,   255,
				     255, 255, 255, 32,	 0,   0,    0,	255, 255, 255, 255 };

static void default_acls_are_inherited(void)
{
	unsigned char got[100];

	branch(2);
	dir("d");
	set_mode("d", 0777);
	if (setxattr("d", "system.posix_acl_default", acl, sizeof(acl), 0) < 0)
		skip("no ACLs here");
	start();
	umask(077); /* which a default ACL takes the place of */
	make_one_of_each("d");
	check_owner("d/file", 0, 0, 0660);
	check_owner("d/dir", 0, 0, 0770);
	check_owner("d/fifo", 0, 0, 0660);
	check_eq(getxattr("d/dir", "system.posix_acl_default", got, sizeof(got)), sizeof(acl));
	check(!memcmp(got, acl, sizeof(acl)));
	check_eq(getxattr("d/file", "system.posix_acl_access", got, sizeof(got)), sizeof(acl));
	check_eq(getxattr("d/file", "system.posix_acl_default", NULL, 0), -1);
	make_one_of_each("d/dir");
	check_eq(getxattr("d/dir/dir", "system.posix_acl_default", got, sizeof(got)), sizeof(acl));
	AS_USER(USER, USER)
	{
		append("d/file", "x");
		file("d/mine", "x");
		check_text(names("d/dir"), "dir fifo file link");
	}
	AS_USER(OTHER, OTHER)
	{
		fails(open("d/file", O_RDONLY), EACCES);
	}
	cleanup_fd int fd = ok(open("d", O_TMPFILE | O_WRONLY, 0666));
	check_mode(fd_st(fd).st_mode & 07777, 0660);
}

static void acl_and_mode_follow_each_other(void)
{
	unsigned char got[100];

	branch(3);
	file("f", "x");
	start();
	if (setxattr("f", "system.posix_acl_access", acl, sizeof(acl), 0) < 0)
		skip("no ACLs here");
	check_mode(mode_of("f"), 0770);
	check_eq(listxattr("f", (char *)got, sizeof(got)), sizeof("system.posix_acl_access"));
	check_text((char *)got, "system.posix_acl_access");
	set_mode("f", 0640); /* the mask, as far as the group is meant */
	check_eq(getxattr("f", "system.posix_acl_access", got, sizeof(got)), sizeof(acl));
	check_eq(got[4 + 3 * 8 + 2], 4);
	AS_USER(USER, USER)
	{
		check_text(text("f"), "x");
		fails(open("f", O_WRONLY), EACCES);
		fails(setxattr("f", "system.posix_acl_access", acl, sizeof(acl), 0), EPERM);
	}
	ok(removexattr("f", "system.posix_acl_access"));
	check_mode(mode_of("f"), 0640);
	fails(setxattr("f", "system.posix_acl_default", acl, sizeof(acl), 0), EACCES);
	fails(setxattr("f", "system.posix_acl_access", "bad", 3, 0), EINVAL);
	remount();
	check_eq(getxattr("f", "system.posix_acl_access", got, sizeof(got)), -1);
}

static void sticky_directories(void)
{
	with_directories();
	AS_USER(USER, USER)
	{
		file("sticky/mine", "x");
		ok(mkdir("sticky/dir", 0777));
		fails(unlink("sticky/of-root"), EPERM);
		fails(rename("sticky/of-root", "sticky/x"), EPERM);
		fails(rename("sticky/mine", "sticky/of-root"), EPERM);
	}
	AS_USER(OTHER, OTHER)
	{
		fails(unlink("sticky/mine"), EPERM);
		fails(rmdir("sticky/dir"), EPERM);
		fails(rename("sticky/mine", "all/x"), EPERM);
	}
	set_owner("sticky", OTHER, OTHER);
	AS_USER(OTHER, OTHER)
	{
		ok(unlink("sticky/of-root"));
		ok(rename("sticky/mine", "all/x"));
	}
	AS_USER(USER, USER)
	{
		ok(rmdir("sticky/dir"));
	}
}

static void permissions_of_users(void)
{
	with_directories();
	AS_USER(USER, USER)
	{
		check_text(text("readable"), "x");
		fails(open("secret", O_RDONLY), EACCES);
		fails(open("readable", O_WRONLY), EACCES);
		fails(truncate("readable", 0), EACCES);
		fails(chmod("readable", 0777), EPERM);
		fails(chown("readable", USER, USER), EPERM);
		fails(setxattr("readable", "user.x", "1", 1, 0), EACCES);
		fails(lstat("private/f", &(struct stat){ 0 }), EACCES);
		fails(open("private", O_RDONLY), EACCES);
		fails(open("new", O_CREAT | O_WRONLY, 0644), EACCES);
		fails(unlink("readable"), EACCES);
		fails(rename("readable", "all/x"), EACCES);
		fails(link("secret", "all/x"), EPERM); /* protected_hardlinks */
		fails(mknod("all/null", S_IFCHR | 0666, makedev(1, 3)), EPERM);
		fails(chown("all", USER, USER), EPERM);
		file("all/mine", "x");
		fails(chown("all/mine", OTHER, (gid_t)-1), EPERM);
		fails(chown("all/mine", (uid_t)-1, GROUP), EPERM);
		ok(chmod("all/mine", 0));
		fails(open("all/mine", O_RDONLY), EACCES);
	}
	check_text(text("all/mine"), "x");
	check(!there(path_in("top/upper", "readable")));
}

/* What access() says, for a file of each kind of owner. */
static void access_of_users(void)
{
	with_directories();
	file("of-group", "x");
	set_owner("of-group", 0, USER);
	set_mode("of-group", 0750);
	check_eq(access("secret", R_OK | W_OK), 0);
	fails(access("secret", X_OK), EACCES); /* not even for root */
	check_eq(access("private", R_OK | W_OK | X_OK), 0);
	fails(access("none", F_OK), ENOENT);
	AS_USER(USER, USER)
	{
		check_eq(access("readable", R_OK), 0);
		fails(access("readable", W_OK), EACCES);
		check_eq(access("of-group", R_OK | X_OK), 0);
		fails(access("of-group", W_OK), EACCES);
		check_eq(access("secret", F_OK), 0);
		fails(access("secret", R_OK), EACCES);
		fails(access("private/f", F_OK), EACCES);
		check_eq(access("all", W_OK | X_OK), 0);
	}
	/* It is the real user who is asked for, but the effective one with AT_EACCESS. */
	IN_CHILD
	{
		ok(setresuid(USER, 0, 0));
		fails(access("secret", R_OK), EACCES);
		check_eq(syscall(439 /* faccessat2 */, AT_FDCWD, "secret", R_OK, AT_EACCESS), 0);
	}
}

static void supplementary_groups_count(void)
{
	with_directories();
	file("group/f", "x");
	set_owner("group/f", 0, 3000);
	set_mode("group/f", 0660);
	IN_CHILD
	{
		gid_t list[40];

		for (int i = 0; i < 40; i++)
			list[i] = 2961 + i;
		list[7] = GROUP;
		ok(setgroups(40, list));
		ok(setresgid(USER, USER, USER));
		ok(setresuid(USER, USER, USER));
		append("group/f", "y");
		file("group/new", "x");
		ok(chown("group/new", (uid_t)-1, 2970));
	}
	check_text(text("group/f"), "xy");
	check_owner("group/new", USER, 2970, 0644);
}

/* root in the file system, but without CAP_DAC_OVERRIDE: modes hold for it. */
static void capabilities_count(void)
{
	with_directories();
	set_owner("secret", OTHER, OTHER);
	int status = system("exec 2>errors; setpriv --bounding-set -dac_override,-dac_read_search"
			    " --inh-caps -dac_override,-dac_read_search cat secret");
	if (WEXITSTATUS(status) == 127)
		skip("no setpriv here");
	check_eq(WEXITSTATUS(status), 1);
	check(strstr(text("errors"), "Permission denied"));
	check_text(text("secret"), "x");
}

const struct rule rules_owners[] = {
	RULE(new_files_are_the_callers, "new files get the caller's ids, and its umask"),
	RULE(new_files_are_of_fsuid, "fsuid and fsgid, where they are not the user's"),
	RULE(setgid_directories_pass_on, "setgid directories pass on group and setgid"),
	RULE(setgid_is_stripped, "setgid is stripped where Linux strips it"),
	RULE(umask_holds_for_nodes, "umask holds for mkfifo and mknod too"),
	RULE(default_acls_are_inherited, "default ACLs"),
	RULE(acl_and_mode_follow_each_other, "an ACL's mask is the group's mode"),
	RULE(sticky_directories, "sticky directories"),
	RULE(permissions_of_users, "what other users may not do"),
	RULE(access_of_users, "access(2)"),
	RULE(supplementary_groups_count, "supplementary groups"),
	RULE(capabilities_count, "root without its capabilities"),
	{ 0 },
};
