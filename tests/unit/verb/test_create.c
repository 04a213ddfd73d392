/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Making names: owner, mode and inheritance, and what may stand in the way. */
#include <endian.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>

#include "union.h"

static void test_every_type(void)
{
	union_make(1);
	union_open();
	assert_eq(do_mkdir("d", 0755), 0);
	write_new("f", "content");
	assert_eq(do_symlink("/some/where", "l"), 0);
	assert_eq(do_mknod("p", S_IFIFO | 0600), 0);
	assert_eq(do_mknod("s", S_IFSOCK | 0600), 0);
	assert_eq(stat_at("d").st_mode, S_IFDIR | 0755);
	assert_eq(stat_at("d").st_nlink, 2);
	assert_eq(stat_at("f").st_mode, S_IFREG | 0644);
	assert_eq(stat_at("f").st_nlink, 1);
	assert_eq(stat_at("l").st_mode, S_IFLNK | 0777);
	assert_eq(stat_at("l").st_size, 11);
	assert_eq(stat_at("p").st_mode, S_IFIFO | 0600);
	assert_eq(stat_at("s").st_mode, S_IFSOCK | 0600);
	assert_streq(read_at("f"), "content");
	assert_streq(list_at(""), "d f l p s ");
	if (is_root()) {
		struct caller caller = self();

		assert_eq(create_as("null", S_IFCHR | 0666, makedev(1, 3), NULL, &caller), 0);
		assert_eq(stat_at("null").st_rdev, makedev(1, 3));
	}
	union_end();
}

static void test_what_is_there_stays(void)
{
	union_make(1);
	make_file(branches[0], "lower", "lower");
	make_dir(branches[0], "dir", 0755);
	union_open();
	write_new("upper", "upper");
	assert_eq(do_mknod("lower", S_IFREG | 0644), -EEXIST);
	assert_eq(do_mkdir("lower", 0755), -EEXIST);
	assert_eq(do_mkdir("dir", 0755), -EEXIST);
	assert_eq(do_mknod("upper", S_IFREG | 0644), -EEXIST);
	assert_eq(do_symlink("x", "dir"), -EEXIST);
	assert_eq(do_link("upper", "lower"), -EEXIST);
	assert_streq(read_at("lower"), "lower");
	assert_streq(read_at("upper"), "upper");
	assert_eq(upper_at("lower"), UPPER_FREE);
	union_end();
}

static void test_names_that_would_be_marks(void)
{
	char name[300];

	union_make(1);
	union_open();
	assert_eq(do_mknod(".wh.x", S_IFREG | 0644), -EINVAL);
	assert_eq(do_mkdir(".wh..wh..opq", 0755), -EINVAL);
	assert_eq(do_mknod(".wh.", S_IFREG | 0644), -EINVAL);
	assert_eq(do_symlink("x", ".wh.x"), -EINVAL);
	write_new("f", "f");
	assert_eq(do_link("f", ".wh.x"), -EINVAL);
	assert_eq(do_rename("f", ".wh.x", 0), -EINVAL);
	assert_streq(read_at("f"), "f");
	/* It would be a whiteout. */
	assert_eq(do_mknod("device", S_IFCHR | 0600), -EPERM);
	write_new(".whx", "no mark");
	memset(name, 'n', 299);
	name[255] = '\0';
	write_new(name, "as long as can be");
	assert_streq(read_at(name), "as long as can be");
	name[255] = 'n';
	name[256] = '\0';
	assert_eq(do_mknod(name, S_IFREG | 0644), -ENAMETOOLONG);
	union_end();
}

/* --- owner and mode --- */

static void test_umask(void)
{
	struct caller caller = self();

	caller.umask = 027;
	union_make(1);
	union_open();
	assert_eq(create_as("f", S_IFREG | 0666, 0, NULL, &caller), 0);
	assert_eq(create_as("d", S_IFDIR | 0777, 0, NULL, &caller), 0);
	assert_eq(create_as("p", S_IFIFO | 0666, 0, NULL, &caller), 0);
	assert_eq(stat_at("f").st_mode, S_IFREG | 0640);
	assert_eq(stat_at("d").st_mode, S_IFDIR | 0750);
	assert_eq(stat_at("p").st_mode, S_IFIFO | 0640);
	caller.umask = 0;
	assert_eq(create_as("sticky", S_IFDIR | 01777, 0, NULL, &caller), 0);
	assert_eq(stat_at("sticky").st_mode, S_IFDIR | 01777);
	assert_eq(create_as("suid", S_IFREG | 06755, 0, NULL, &caller), 0);
	assert_eq(stat_at("suid").st_mode, S_IFREG | 06755);
	union_end();
}

/* Everything that can be made belongs to who makes it, over whiteouts too. */
static void test_owner(void)
{
	static const mode_t types[] = { S_IFREG, S_IFDIR, S_IFIFO, S_IFSOCK, S_IFLNK };
	const struct caller caller = { .uid = 1234, .gid = 2345, .umask = 022 };

	if (!is_root()) {
		skipped("owner of what others make", "only for root");
		return;
	}
	union_make(1);
	for (int hidden = 0; hidden < 2; hidden++) {
		for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++) {
			char name[32];

			snprintf(name, sizeof(name), "%s-%zu", hidden ? "again" : "new", i);
			if (hidden)
				make_file(branches[0], name, "lower");
		}
	}
	union_open();
	for (int hidden = 0; hidden < 2; hidden++) {
		for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++) {
			struct stat st;
			char name[32];

			snprintf(name, sizeof(name), "%s-%zu", hidden ? "again" : "new", i);
			if (hidden)
				assert_eq(do_unlink(name), 0);
			assert_eq(create_as(name, types[i] | 0777, 0, "target", &caller), 0);
			st = stat_at(name);
			assert_eq(st.st_uid, 1234);
			assert_eq(st.st_gid, 2345);
			assert_eq(st.st_mode, types[i] | (types[i] == S_IFLNK ? 0777 : 0755));
			st = stat_of(upper, name);
			assert_eq(st.st_uid, 1234);
			assert_eq(st.st_gid, 2345);
		}
	}
	/* The daemon is itself again. */
	write_new("mine", "");
	assert_eq(stat_at("mine").st_uid, 0);
	assert_eq(stat_at("mine").st_gid, 0);
	union_end();
}

/* A setgid directory gives its group, and to directories its setgid bit: in upper, copied up, over
 * whiteouts. */
static void test_setgid_directory(void)
{
	struct caller caller = self();
	gid_t group = is_root() ? 777 : getegid();

	caller.umask = 0;
	union_make(1);
	make_dir(branches[0], "d", 0755);
	make_file(branches[0], "d/old", "old");
	make_file(branches[0], "d/olddir", "old");
	assert(fchownat(branches[0], "d", (uid_t)-1, group, 0) == 0);
	assert(fchmodat(branches[0], "d", 02775, 0) == 0);
	union_open();
	assert_eq(do_unlink("d/old"), 0);
	assert_eq(do_unlink("d/olddir"), 0);
	assert_eq(create_as("d/f", S_IFREG | 0644, 0, NULL, &caller), 0);
	assert_eq(create_as("d/sub", S_IFDIR | 0755, 0, NULL, &caller), 0);
	assert_eq(create_as("d/old", S_IFREG | 0644, 0, NULL, &caller), 0);
	assert_eq(create_as("d/olddir", S_IFDIR | 0755, 0, NULL, &caller), 0);
	assert_eq(create_as("d/l", S_IFLNK | 0777, 0, "x", &caller), 0);
	assert_eq(stat_at("d").st_mode, S_IFDIR | 02775);
	assert_eq(stat_at("d/f").st_gid, group);
	assert_eq(stat_at("d/f").st_mode, S_IFREG | 0644);
	assert_eq(stat_at("d/sub").st_gid, group);
	assert_eq(stat_at("d/sub").st_mode, S_IFDIR | 02755);
	assert_eq(stat_at("d/old").st_gid, group);
	assert_eq(stat_at("d/old").st_mode, S_IFREG | 0644);
	assert_eq(stat_at("d/olddir").st_gid, group);
	assert_eq(stat_at("d/olddir").st_mode, S_IFDIR | 02755);
	assert_eq(stat_at("d/l").st_gid, group);
	union_end();
}

/* A default ACL: user::rwx, user:ID:rwx, group::r-x, mask::rwx, other::--- */
static bool set_default_acl(int at, const char *path)
{
	struct {
		struct posix_acl_xattr_header header;
		struct posix_acl_xattr_entry entries[5];
	} acl = {
		.header.a_version = htole32(POSIX_ACL_XATTR_VERSION),
		.entries = {
			{ htole16(ACL_USER_OBJ), htole16(7), htole32(ACL_UNDEFINED_ID) },
			{ htole16(ACL_USER), htole16(7), htole32(4321) },
			{ htole16(ACL_GROUP_OBJ), htole16(5), htole32(ACL_UNDEFINED_ID) },
			{ htole16(ACL_MASK), htole16(7), htole32(ACL_UNDEFINED_ID) },
			{ htole16(ACL_OTHER), htole16(0), htole32(ACL_UNDEFINED_ID) },
		},
	};
	cleanup_fd int fd = open_path(at, path);

	return xattr_set(fd, "system.posix_acl_default", &acl, sizeof(acl), 0) == 0;
}

/* What is made in a directory with a default ACL gets it, and the umask counts for nothing. */
static void test_default_acl(void)
{
	static const char *const names[] = { "f", "old" };
	struct caller caller = self();

	union_make(1);
	make_dir(branches[0], "d", 0755);
	make_file(branches[0], "d/old", "old");
	make_file(branches[0], "d/olddir", "old");
	caller.umask = 077;
	if (!set_default_acl(branches[0], "d")) {
		skipped("default ACLs", "not on this filesystem");
		union_open();
		union_end();
		return;
	}
	union_open();
	assert_eq(do_unlink("d/old"), 0);
	assert_eq(do_unlink("d/olddir"), 0);
	for (size_t i = 0; i < 2; i++) {
		char path[32];

		snprintf(path, sizeof(path), "d/%s", names[i]);
		assert_eq(create_as(path, S_IFREG | 0666, 0, NULL, &caller), 0);
		assert_eq(stat_at(path).st_mode, S_IFREG | 0660);
		assert(has_xattr(upper, path, "system.posix_acl_access"));
		assert(!has_xattr(upper, path, "system.posix_acl_default"));
	}
	for (size_t i = 0; i < 2; i++) {
		const char *path = i ? "d/olddir" : "d/dir";

		assert_eq(create_as(path, S_IFDIR | 0777, 0, NULL, &caller), 0);
		assert_eq(stat_at(path).st_mode, S_IFDIR | 0770);
		assert(has_xattr(upper, path, "system.posix_acl_default"));
		assert(has_xattr(upper, path, "system.posix_acl_access"));
	}
	assert(has_xattr(upper, "d", "system.posix_acl_default"));
	union_end();
}

/* --- over whiteouts --- */

static void test_again_after_removal(void)
{
	union_make(2);
	make_file(branches[0], "f", "lower");
	make_dir(branches[1], "d", 0755);
	make_file(branches[1], "d/below", "below");
	make_file(branches[1], "was-file", "lower");
	make_dir(branches[1], "was-dir", 0755);
	union_open();
	assert_eq(do_unlink("f"), 0);
	write_new("f", "new");
	assert_streq(read_at("f"), "new");
	assert_eq(upper_at("f"), UPPER_HAS_OBJECT);
	assert_eq(do_unlink("d/below"), 0);
	assert_eq(do_rmdir("d"), 0);
	assert(!is_there("d"));
	assert_eq(do_mkdir("d", 0700), 0);
	assert_streq(list_at("d"), "");
	assert_eq(stat_at("d").st_mode, S_IFDIR | 0700);
	assert_eq(stat_at("d").st_nlink, 2);
	assert(is_opaque_in_upper("d"));
	/* Where no lower directory would merge there is nothing to mark. */
	assert_eq(do_unlink("was-file"), 0);
	assert_eq(do_mkdir("was-file", 0755), 0);
	assert(!is_opaque_in_upper("was-file"));
	assert_eq(do_rmdir("was-dir"), 0);
	write_new("was-dir", "file");
	assert_streq(read_at("was-dir"), "file");
	assert_streq(list_at(""), "d f was-dir was-file ");
	/* The same after a remount: nothing of it was only in memory. */
	union_reopen();
	assert_streq(list_at(""), "d f was-dir was-file ");
	assert_streq(list_at("d"), "");
	assert_streq(read_at("f"), "new");
	assert_streq(read_at("was-dir"), "file");
	/* And marks do not show. */
	assert_eq(do_unlink("f"), 0);
	assert_eq(do_rmdir("d"), 0);
	assert_streq(list_at(""), "was-dir was-file ");
	union_reopen();
	assert_streq(list_at(""), "was-dir was-file ");
	union_end();
}

static void test_link(void)
{
	uint64_t ino;

	union_make(1);
	make_file(branches[0], "lower", "lower");
	make_file(branches[0], "hidden", "hidden");
	make_dir(branches[0], "d", 0755);
	make_symlink(branches[0], "target", "symlink");
	union_open();
	ino = stat_at("lower").st_ino;
	assert_eq(do_link("lower", "d/again"), 0);
	assert_eq(stat_at("lower").st_ino, ino);
	assert_eq(stat_at("d/again").st_ino, ino);
	assert_eq(stat_at("lower").st_nlink, 2);
	assert_eq(do_write("d/again", "UPPER", 0), 0);
	assert_streq(read_at("lower"), "UPPER");
	assert_eq(do_unlink("hidden"), 0);
	assert_eq(do_link("lower", "hidden"), 0);
	assert_eq(stat_at("hidden").st_nlink, 3);
	assert_eq(do_link("symlink", "d/symlink"), 0);
	assert_eq(stat_at("d/symlink").st_nlink, 2);
	assert_eq(do_link("d", "e"), -EPERM);
	union_reopen();
	assert_eq(stat_at("lower").st_ino, ino);
	assert_eq(stat_at("hidden").st_ino, ino);
	assert_eq(stat_at("d/again").st_nlink, 3);
	assert_streq(read_at("hidden"), "UPPER");
	union_end();
}

static void test_tmpfile(void)
{
	struct caller caller = self();
	cleanup_entry struct entry file = { 0 };
	cleanup_entry struct entry linked = { 0 };
	cleanup_node struct node *dir = NULL;
	struct stat st;

	union_make(1);
	make_dir(branches[0], "d", 0755);
	union_open();
	dir = node_of("d");
	assert_eq(fs_tmpfile(fs, dir, 0666, &caller, &file), 0);
	assert_eq(file.st.st_nlink, 0);
	assert_eq(file.st.st_mode, S_IFREG | 0644);
	assert_streq(list_at("d"), "");
	assert_eq(fs_write(fs, file.node, "tmp", 3, 0, NULL), 3);
	assert_eq(fs_link(fs, file.node, dir, "named", &linked), 0);
	assert(linked.node == file.node);
	assert_eq(linked.st.st_nlink, 1);
	assert_streq(read_at("d/named"), "tmp");
	assert_eq(count_in_work("orphans"), 0);
	cleanup_entry_at(&file);
	cleanup_entry_at(&linked);
	file.node = linked.node = NULL;
	assert_eq(count_in_work("orphans"), 0);
	assert_streq(read_at("d/named"), "tmp");
	/* One that nobody names is gone when nobody knows it. */
	assert_eq(fs_tmpfile(fs, dir, 0600, &caller, &file), 0);
	assert_eq(fs_getattr(fs, file.node, &st), 0);
	assert_eq(st.st_nlink, 0);
	assert_eq(count_in_work("orphans"), 1);
	cleanup_entry_at(&file);
	file.node = NULL;
	assert_eq(count_in_work("orphans"), 0);
	node_unref(take_ptr(dir));
	union_end();
}

static void test_in_a_removed_directory(void)
{
	struct caller caller = self();
	const struct newborn newborn = { .mode = S_IFREG | 0644 };

	union_make(1);
	make_dir(branches[0], "lower", 0755);
	union_open();
	assert_eq(do_mkdir("upper", 0755), 0);
	for (int i = 0; i < 2; i++) {
		const char *path = i ? "lower" : "upper";
		cleanup_node struct node *dir = node_of(path);
		cleanup_entry struct entry entry = { 0 };
		struct stat st;

		assert_eq(do_rmdir(path), 0);
		assert_eq(fs_create(fs, dir, "f", &newborn, &caller, &entry), -ENOENT);
		assert_eq(fs_getattr(fs, dir, &st), 0);
		assert_eq(st.st_nlink, 0);
	}
	assert_streq(list_at(""), "");
	union_end();
}

static void test_read_only(void)
{
	union_make(1);
	make_file(branches[0], "f", "f");
	make_dir(branches[0], "d", 0755);
	config.upper = config.work = -1;
	assert_eq(fs_open(&config, &fs), 0);
	assert_eq(do_mkdir("new", 0755), -EROFS);
	assert_eq(do_mknod("d/new", S_IFREG | 0644), -EROFS);
	assert_eq(do_link("f", "g"), -EROFS);
	assert_eq(do_unlink("f"), -EROFS);
	assert_eq(do_rmdir("d"), -EROFS);
	assert_eq(do_rename("f", "g", 0), -EROFS);
	assert_eq(do_write("f", "x", 0), -EROFS);
	assert_eq(do_chmod("f", 0600), -EROFS);
	assert_eq(do_truncate("f", 0), -EROFS);
	assert_streq(read_at("f"), "f");
	assert_streq(list_at(""), "d f ");
	union_end();
}

static void tests(void)
{
	test_every_type();
	test_what_is_there_stays();
	test_names_that_would_be_marks();
	test_umask();
	test_owner();
	test_setgid_directory();
	test_default_acl();
	test_again_after_removal();
	test_link();
	test_tmpfile();
	test_in_a_removed_directory();
	test_read_only();
}

int main(void)
{
	scratch_begin();
	union_each_style(tests);
	return 0;
}
