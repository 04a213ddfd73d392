/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Attributes and extended attributes of one object. */
#include <sys/xattr.h>

#include "union.h"

static int do_set(const char *path, unsigned int set, struct stat st, struct stat *ret)
{
	cleanup_node struct node *node = node_of(path);

	return fs_setattr(fs, node, &st, set, NULL, ret);
}

static void test_mode(void)
{
	struct stat st;

	union_make(1);
	make_file(branches[0], "f", "content");
	make_dir(branches[0], "d", 0755);
	set_times(branches[0], "f", 1000, 7);
	union_open();
	assert_eq(do_set("f", FS_SET_MODE, (struct stat){ .st_mode = 0751 }, &st), 0);
	assert_eq(st.st_mode, S_IFREG | 0751);
	assert_eq(st.st_size, 7);
	assert_eq(st.st_mtim.tv_sec, 1000);
	assert_eq(st.st_mtim.tv_nsec, 7);
	assert_eq(do_set("d", FS_SET_MODE, (struct stat){ .st_mode = 01777 }, &st), 0);
	assert_eq(st.st_mode, S_IFDIR | 01777);
	assert_eq(do_chmod("f", 06755), 0);
	assert_eq(stat_at("f").st_mode, S_IFREG | 06755);
	assert_streq(read_at("f"), "content");
	assert_eq(stat_of(branches[0], "f").st_mode, S_IFREG | 0644);
	union_reopen();
	assert_eq(stat_at("f").st_mode, S_IFREG | 06755);
	assert_eq(stat_at("d").st_mode, S_IFDIR | 01777);
	union_end();
}

static void test_owner(void)
{
	struct stat st;

	if (!is_root()) {
		skipped("chown", "only for root");
		return;
	}
	union_make(1);
	make_file(branches[0], "f", "f");
	make_symlink(branches[0], "target", "l");
	assert(mknodat(branches[0], "null", S_IFCHR | 0666, makedev(1, 3)) == 0);
	union_open();
	assert_eq(do_set("f", FS_SET_UID, (struct stat){ .st_uid = 12 }, &st), 0);
	assert_eq(st.st_uid, 12);
	assert_eq(st.st_gid, 0);
	assert_eq(do_set("f", FS_SET_GID, (struct stat){ .st_gid = 4294967294U }, &st), 0);
	assert_eq(st.st_uid, 12);
	assert_eq(st.st_gid, 4294967294U);
	assert_eq(do_set("l", FS_SET_UID | FS_SET_GID, (struct stat){ .st_uid = 34, .st_gid = 56 },
			 &st),
		  0);
	assert_eq(st.st_mode, S_IFLNK | 0777);
	assert_eq(st.st_uid, 34);
	assert_eq(do_set("null", FS_SET_UID, (struct stat){ .st_uid = 78 }, &st), 0);
	assert_eq(stat_at("null").st_uid, 78);
	assert_eq(stat_at("null").st_rdev, makedev(1, 3));
	/* Owner and mode at once: the mode is what is asked for, setuid and all. */
	assert_eq(do_set("f", FS_SET_UID | FS_SET_MODE,
			 (struct stat){ .st_uid = 1, .st_mode = 04755 }, &st),
		  0);
	assert_eq(st.st_mode, S_IFREG | 04755);
	union_end();
}

static void test_times(void)
{
	struct stat st;

	union_make(1);
	make_file(branches[0], "f", "f");
	make_symlink(branches[0], "target", "l");
	make_dir(branches[0], "d", 0755);
	set_times(branches[0], "f", 1000, 1);
	union_open();
	assert_eq(do_set("f", FS_SET_MTIME, (struct stat){ .st_mtim = { -1, 999999999 } }, &st), 0);
	assert_eq(st.st_mtim.tv_sec, -1);
	assert_eq(st.st_mtim.tv_nsec, 999999999);
	assert_eq(st.st_atim.tv_sec, 1000);
	assert_eq(do_set("f", FS_SET_ATIME | FS_SET_MTIME,
			 (struct stat){ .st_atim = { 5, 6 }, .st_mtim = { 7, 8 } }, &st),
		  0);
	assert_eq(st.st_atim.tv_sec, 5);
	assert_eq(st.st_mtim.tv_nsec, 8);
	assert_eq(do_set("f", FS_SET_ATIME_NOW, (struct stat){ 0 }, &st), 0);
	assert(st.st_atim.tv_sec > 1700000000);
	assert_eq(st.st_mtim.tv_sec, 7);
	assert_eq(do_set("f", FS_SET_MTIME_NOW | FS_SET_MTIME, (struct stat){ 0 }, &st), 0);
	assert(st.st_mtim.tv_sec > 1700000000);
	assert_eq(do_set("l", FS_SET_MTIME, (struct stat){ .st_mtim = { 9, 9 } }, &st), 0);
	assert_eq(stat_at("l").st_mtim.tv_sec, 9);
	assert_eq(do_set("d", FS_SET_MTIME, (struct stat){ .st_mtim = { 10, 10 } }, &st), 0);
	assert_eq(stat_at("d").st_mtim.tv_sec, 10);
	union_end();
}

static void test_size(void)
{
	struct stat st;

	union_make(1);
	make_file(branches[0], "shorter", "0123456789");
	make_file(branches[0], "zero", "0123456789");
	make_file(branches[0], "longer", "0123456789");
	make_file(branches[0], "same", "0123456789");
	make_dir(branches[0], "d", 0755);
	set_times(branches[0], "same", 1000, 0);
	union_open();
	assert_eq(do_truncate("shorter", 4), 0);
	assert_streq(read_at("shorter"), "0123");
	assert_eq(do_truncate("zero", 0), 0);
	assert_eq(stat_at("zero").st_size, 0);
	assert_eq(do_set("longer", FS_SET_SIZE, (struct stat){ .st_size = 20 }, &st), 0);
	assert_eq(st.st_size, 20);
	assert_streq(read_at("longer"), "0123456789");
	assert_eq(do_truncate("same", 10), 0);
	assert(stat_at("same").st_mtim.tv_sec > 1000); /* as ftruncate does */
	assert_eq(do_truncate("d", 0), -EISDIR);
	assert_streq(content_of(branches[0], "shorter"), "0123456789");
	/* of what has been removed as well */
	{
		cleanup_node struct node *node = node_of("longer");

		assert_eq(do_unlink("longer"), 0);
		assert_eq(fs_setattr(fs, node, &(struct stat){ .st_size = 3 }, FS_SET_SIZE, NULL,
				     &st),
			  0);
		assert_streq(read_node(node), "012");
	}
	union_reopen();
	assert_streq(read_at("shorter"), "0123");
	assert_eq(stat_at("zero").st_size, 0);
	union_end();
}

static bool is_member(const struct killer *killer, gid_t gid)
{
	(void)killer;
	(void)gid;
	return true;
}

static bool is_no_member(const struct killer *killer, gid_t gid)
{
	(void)killer;
	(void)gid;
	return false;
}

/*
 * write(2) and truncate(2) take setuid away, and setgid where the group may
 * execute or the caller is not in it.
 */
static void test_kill_suidgid(void)
{
	const struct killer member = { .is_member = is_member };
	const struct killer stranger = { .is_member = is_no_member };
	cleanup_node struct node *node = NULL;
	struct stat st = { 0 };

	union_make(1);
	make_file(branches[0], "f", "f");
	make_file(branches[0], "g", "g");
	assert(fchmodat(branches[0], "f", 06755, 0) == 0);
	assert(fchmodat(branches[0], "g", 06745, 0) == 0);
	union_open();
	node = node_of("f");
	assert_eq(fs_setattr(fs, node, &st, FS_SET_SIZE, &member, &st), 0);
	assert_eq(st.st_mode, S_IFREG | 0755);
	node_unref(node);
	node = node_of("g");
	assert_eq(fs_write(fs, node, "x", 1, 0, &member), 1);
	assert_eq(stat_at("g").st_mode, S_IFREG | 02745);
	assert_eq(fs_write(fs, node, "x", 1, 0, &stranger), 1);
	assert_eq(stat_at("g").st_mode, S_IFREG | 0745);
	node_unref(take_ptr(node));
	union_end();
}

/* A change of an object with several names shows at all of them. */
static void test_links(void)
{
	union_make(1);
	make_file(branches[0], "a", "linked");
	make_link(branches[0], "a", "b");
	union_open();
	assert_eq(do_chmod("a", 0600), 0);
	assert_eq(stat_at("b").st_mode, S_IFREG | 0600);
	assert_eq(stat_at("b").st_nlink, 2);
	union_end();
}

/* --- extended attributes --- */

static ssize_t get(const char *path, const char *name, char *value, size_t size)
{
	cleanup_node struct node *node = node_of(path);

	return fs_xattr_get(fs, node, name, value, size);
}

static int set(const char *path, const char *name, const char *value, int flags)
{
	cleanup_node struct node *node = node_of(path);

	return fs_xattr_set(fs, node, name, value, strlen(value), flags);
}

static int take_away(const char *path, const char *name)
{
	cleanup_node struct node *node = node_of(path);

	return fs_xattr_remove(fs, node, name);
}

static bool is_listed(const char *path, const char *wanted)
{
	cleanup_node struct node *node = node_of(path);
	cleanup_free char *names = NULL;
	ssize_t n = fs_xattr_list(fs, node, &names);

	assert(n >= 0);
	for (const char *name = names; name < names + n; name += strlen(name) + 1) {
		if (strcmp(name, wanted) == 0)
			return true;
	}
	return false;
}

static void test_xattrs(void)
{
	char value[32];

	union_make(2);
	make_file(branches[0], "f", "f");
	make_dir(branches[1], "d", 0755);
	if (!try_xattr(branches[0], "f", "user.lower", "low")) {
		skipped("xattrs", "none here");
		union_open();
		union_end();
		return;
	}
	try_xattr(branches[1], "d", "user.dir", "1");
	set_times(branches[0], "f", 1000, 0);
	union_open();
	assert_eq(get("f", "user.lower", value, sizeof(value)), 3);
	assert_eq(get("f", "user.lower", NULL, 0), 3);
	assert_eq(get("f", "user.lower", value, 2), -ERANGE);
	assert_eq(get("f", "user.none", value, sizeof(value)), -ENODATA);
	/* What is not there need not be copied up to be missed. */
	assert_eq(take_away("f", "user.none"), -ENODATA);
	assert_eq(upper_at("f"), UPPER_FREE);
	assert_eq(set("f", "user.new", "value", 0), 0);
	assert_eq(get("f", "user.new", value, sizeof(value)), 5);
	assert_eq(get("f", "user.lower", value, sizeof(value)), 3);
	assert_eq(stat_at("f").st_mtim.tv_sec, 1000);
	assert_eq(set("f", "user.new", "x", XATTR_CREATE), -EEXIST);
	assert_eq(set("f", "user.none", "x", XATTR_REPLACE), -ENODATA);
	assert_eq(set("f", "user.new", "", XATTR_REPLACE), 0);
	assert_eq(get("f", "user.new", value, sizeof(value)), 0);
	assert_eq(take_away("f", "user.lower"), 0);
	assert_eq(get("f", "user.lower", value, sizeof(value)), -ENODATA);
	assert(!is_listed("f", "user.lower"));
	assert(is_listed("f", "user.new"));
	assert_eq(set("d", "user.dir", "2", 0), 0);
	union_reopen();
	assert_eq(get("f", "user.lower", value, sizeof(value)), -ENODATA);
	assert_eq(get("f", "user.new", value, sizeof(value)), 0);
	assert_eq(get("d", "user.dir", value, sizeof(value)), 1);
	assert_eq(*value, '2');
	union_end();
}

/*
 * Marks of union filesystems are neither shown nor to be made through the mount: those that are set
 * are of a mount inside, and escaped.
 */
static void test_marks_are_private(void)
{
	static const char fuse_name[] = "user.fuseoverlayfs.opaque";
	const char *names[] = { "trusted.overlay.opaque", "user.overlay.redirect", fuse_name,
				"user.overlay.none" };

	union_make(1);
	make_dir(branches[0], "d", 0755);
	make_file(branches[0], "f", "f");
	make_file(branches[0], "d/x", "x");
	try_xattr(branches[0], "f", "user.overlay.origin", "o");
	union_open();
	if (fs->upper.caps.origin_xattr)
		names[3] = fs->upper.caps.origin_xattr;
	assert_eq(do_chmod("f", 0600), 0); /* it has an origin mark now */
	assert_eq(do_unlink("d/x"), 0);
	assert_eq(do_rmdir("d"), 0);
	assert_eq(do_mkdir("d", 0755), 0); /* and this an opaque one */
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		assert_eq(get("f", names[i], NULL, 0), -ENODATA);
		assert_eq(get("d", names[i], NULL, 0), -ENODATA);
		assert(!is_listed("f", names[i]));
		assert(!is_listed("d", names[i]));
		assert_eq(take_away("d", names[i]), names[i] == fuse_name ? -EPERM : -ENODATA);
		if (!is_root() && *names[i] == 't')
			continue;
		assert_eq(set("d", names[i], "y", 0), names[i] == fuse_name ? -EPERM : 0);
		assert_eq(is_listed("d", names[i]), names[i] != fuse_name);
		assert_eq(take_away("d", names[i]), names[i] == fuse_name ? -EPERM : 0);
		assert_eq(get("d", names[i], NULL, 0), -ENODATA);
	}
	assert(!is_listed("f", "user.overlay.origin"));
	assert_eq(stat_at("d").st_nlink, 2); /* opaque as before */
	assert_streq(list_at("d"), "");
	union_end();
}

/* What a mount inside sets is kept as it set it, and means nothing here, now or at the next mount.
 */
static void test_marks_of_a_mount_inside(void)
{
	char name[300], value[16];

	union_make(1);
	make_dir(branches[0], "d", 0755);
	make_file(branches[0], "d/below", "b");
	make_file(branches[0], "empty", "");
	try_xattr(branches[0], "empty", "user.overlay.overlay.kept", "k");
	union_open();
	assert_eq(set("d", "user.overlay.opaque", "y", XATTR_CREATE), 0);
	assert_eq(set("d", "user.overlay.opaque", "y", XATTR_CREATE), -EEXIST);
	assert_eq(set("d", "user.overlay.overlay.opaque", "deep", 0), 0);
	assert_eq(set("d", "user.overlay.redirect", "../x", 0), 0);
	assert_eq(get("empty", "user.overlay.kept", value, sizeof(value)), 1);
	assert_eq(set("empty", "user.overlay.whiteout", "y", 0), 0); /* and it is copied up */
	union_reopen();
	assert_streq(list_at(""), "d empty ");
	assert_streq(list_at("d"), "below ");
	assert_streq(read_at("d/below"), "b");
	assert_eq(get("d", "user.overlay.opaque", value, sizeof(value)), 1);
	assert_eq(get("d", "user.overlay.overlay.opaque", value, sizeof(value)), 4);
	assert(is_listed("d", "user.overlay.overlay.opaque"));
	assert(!is_listed("d", "user.overlay.overlay.overlay.opaque"));
	assert(is_listed("empty", "user.overlay.kept"));
	assert(is_listed("empty", "user.overlay.whiteout"));
	assert_eq(get("empty", "user.overlay.kept", value, sizeof(value)), 1);
	/* The escape makes it longer than a name can be. */
	memset(name, 'n', sizeof(name));
	memcpy(name, "user.overlay.", 13);
	name[255 - 8] = '\0';
	assert_eq(set("d", name, "y", 0), 0);
	name[255 - 8] = 'n';
	name[255 - 7] = '\0';
	assert_eq(set("d", name, "y", 0), -ERANGE);
	assert_eq(get("d", name, NULL, 0), -ENODATA);
	assert_eq(take_away("d", name), -ERANGE);
	union_end();
}

static void test_readlink(void)
{
	cleanup_node struct node *link = NULL;
	cleanup_node struct node *file = NULL;
	char target[4096];

	memset(target, 'x', 4094);
	target[4094] = '\0';
	union_make(1);
	make_symlink(branches[0], target, "long");
	make_file(branches[0], "f", "f");
	union_open();
	link = node_of("long");
	file = node_of("f");
	for (int i = 0; i < 2; i++) {
		cleanup_free char *got = NULL;

		assert_eq(fs_readlink(fs, link, &got), 0);
		assert_streq(got, target);
		assert_eq(fs_readlink(fs, file, &got), -EINVAL);
		assert_eq(copyup_node(fs, link), 0);
	}
	node_unref(take_ptr(link));
	node_unref(take_ptr(file));
	union_end();
}

static void test_statfs(void)
{
	struct statvfs st, below;

	union_make(1);
	union_open();
	assert_eq(fs_statfs(fs, &st), 0);
	assert(fstatvfs(upper, &below) == 0);
	assert_eq(st.f_namemax, 255);
	assert_eq(st.f_blocks, below.f_blocks);
	assert_eq(st.f_bsize, below.f_bsize);
	union_end();
}

static void test_static_nlink(void)
{
	union_make(1);
	make_dir(branches[0], "d", 0755);
	make_dir(branches[0], "d/e", 0755);
	config.static_nlink = true;
	union_open();
	assert_eq(stat_at("d").st_nlink, 1);
	assert_eq(do_mkdir("d/f", 0755), 0);
	assert_eq(stat_at("d").st_nlink, 1);
	union_end();
}

/* What the kernel sends after each unlink with writeback=1 is no reason to copy a file up. */
static void test_times_of_nobody(void)
{
	const struct stat times = { .st_mtim = { 1000, 7 } };
	struct node *node, *used;
	struct stat st;

	union_make(1);
	make_file(branches[0], "f", "content");
	make_file(branches[0], "used", "content");
	make_file(branches[0], "a", "two names");
	assert(linkat(branches[0], "a", branches[0], "b", 0) == 0);
	config.writeback = true;
	union_open();
	node = node_of("f");
	used = node_of("used");
	assert_eq(do_unlink("f"), 0);
	assert_eq(fs_setattr(fs, node, &times, FS_SET_MTIME, NULL, &st), 0);
	assert_eq(st.st_nlink, 0);
	assert(!node_has_upper(node));
	assert_eq(count_in_work("orphans"), 0);
	/* Whoever has it open may change it all the same. */
	assert_eq(do_unlink("used"), 0);
	assert_eq(fs_setattr(fs, used, &(struct stat){ .st_mode = 0700 }, FS_SET_MODE, NULL, &st),
		  0);
	assert_eq(st.st_mode, S_IFREG | 0700);
	assert_eq(fs_setattr(fs, used, &times, FS_SET_MTIME, NULL, &st), 0);
	assert_eq(st.st_mtim.tv_sec, 1000);
	node_unref(node);
	node_unref(used);
	/* One that has another name is found again. */
	node = node_of("a");
	assert_eq(do_unlink("a"), 0);
	assert_eq(fs_setattr(fs, node, &times, FS_SET_MTIME, NULL, &st), 0);
	node_unref(node);
	assert_eq(stat_at("b").st_mtim.tv_sec, 1000);
	union_reopen();
	assert_eq(stat_at("b").st_mtim.tv_sec, 1000);
	union_end();
	/* Without writeback whoever has it open sees what we say. */
	union_make(1);
	make_file(branches[0], "f", "content");
	union_open();
	node = node_of("f");
	assert_eq(do_unlink("f"), 0);
	assert_eq(fs_setattr(fs, node, &times, FS_SET_MTIME, NULL, &st), 0);
	assert_eq(st.st_mtim.tv_sec, 1000);
	node_unref(node);
	union_end();
}

static void tests(void)
{
	test_mode();
	test_owner();
	test_times();
	test_times_of_nobody();
	test_size();
	test_kill_suidgid();
	test_links();
	test_xattrs();
	test_marks_are_private();
	test_marks_of_a_mount_inside();
	test_readlink();
	test_statfs();
	test_static_nlink();
}

int main(void)
{
	scratch_begin();
	union_each_style(tests);
	return 0;
}
