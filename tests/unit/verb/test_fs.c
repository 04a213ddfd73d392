/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A mount as a whole: opened, closed and opened again. */
#include "lower/chain.h"
#include "union.h"

/* The tree as text, one line an object: everything that is to survive a remount. */
static void describe(FILE *to, const char *path)
{
	cleanup_node struct node *node = node_of(path);
	struct stat st = stat_at(path);

	fprintf(to, "%s %o %u:%u %ld %ld.%09ld %lu %llu\n", path, st.st_mode, st.st_uid, st.st_gid,
		S_ISDIR(st.st_mode) ? 0 : (long)st.st_size, (long)st.st_mtim.tv_sec,
		st.st_mtim.tv_nsec, (unsigned long)st.st_nlink, (unsigned long long)st.st_ino);
	if (S_ISREG(st.st_mode))
		fprintf(to, "  %s\n", read_node(node));
	if (S_ISDIR(st.st_mode)) {
		cleanup_free char *names = strdup(list_at(path));
		char *rest = names, *name;

		while ((name = strsep(&rest, " ")) && *name) {
			cleanup_free char *below = NULL;

			assert(asprintf(&below, "%s%s%s", path, *path ? "/" : "", name) > 0);
			describe(to, below);
		}
	}
}

static char *description(void)
{
	char *text = NULL;
	size_t size = 0;
	FILE *to = open_memstream(&text, &size);

	describe(to, "");
	fclose(to);
	return text;
}

/* One of everything that a union can come to hold. */
static void change_everything(void)
{
	assert_eq(do_write("d/a", "changed", 0), 0);
	assert_eq(do_unlink("d/b"), 0);
	write_new("d/b", "again");
	write_new("new", "new");
	assert_eq(do_link("new", "d/link"), 0);
	assert_eq(do_chmod("linked", 0600), 0);
	assert_eq(do_unlink("gone"), 0);
	assert_eq(do_mkdir("newdir", 0700), 0);
	assert_eq(do_mkdir("newdir/deep", 0755), 0);
	write_new("newdir/deep/f", "f");
	assert_eq(do_rename("new", "newdir/moved", 0), 0);
	assert_eq(do_unlink("e/x"), 0);
	assert_eq(do_rmdir("e"), 0);
	assert_eq(do_mkdir("e", 0755), 0);
	assert_eq(do_symlink("target", "symlink"), 0);
	if (fs->upper.caps.style.xattr_prefix)
		assert_eq(do_rename("tomove", "newdir/tomove", 0), 0);
}

static void make_lower(void)
{
	union_make(2);
	make_dir(branches[0], "d", 0755);
	make_dir(branches[1], "d", 0755);
	make_file(branches[0], "d/a", "a------");
	make_file(branches[1], "d/b", "b");
	make_file(branches[1], "linked", "l");
	make_link(branches[1], "linked", "d/other");
	make_file(branches[1], "gone", "g");
	make_dir(branches[1], "e", 0755);
	make_file(branches[1], "e/x", "x");
	make_dir(branches[1], "tomove", 0755);
	make_file(branches[1], "tomove/in", "in");
	make_dir(branches[1], "untouched", 0755);
	make_file(branches[1], "untouched/f", "f");
}

static void test_remount_shows_the_same(void)
{
	cleanup_free char *before = NULL;

	make_lower();
	union_open();
	change_everything();
	before = description();
	for (int i = 0; i < 3; i++) {
		cleanup_free char *after = NULL;

		union_reopen();
		after = description();
		assert_streq(after, before);
	}
	union_end();
}

/* What a mount that was killed left in the work directory is in nobody's way. */
static void test_leftovers(void)
{
	union_make(1);
	make_dir(work, "staging", 0);
	make_dir(work, "orphans", 0755);
	make_file(work, "orphans/1", "left");
	make_dir(work, "orphans/2", 0);
	make_file(upper, "f", "f");
	union_open();
	assert_eq(count_in_work("orphans"), 0);
	assert_eq(count_in_work("staging"), 0);
	write_new("g", "g");
	assert_streq(list_at(""), "f g ");
	union_end();
}

/* A state file that is no such thing is begun anew. */
static void test_damaged_state(void)
{
	union_make(1);
	make_file(branches[0], "f", "f");
	make_file(work, "state.map", "this is no table, and it is a long text for that matter\n");
	union_open();
	write_new("g", "g");
	assert_streq(list_at(""), "f g ");
	union_reopen();
	assert_streq(list_at(""), "f g ");
	union_end();
}

/* Numbers of objects born in upper come from above all lower ones and are never used twice. */
static void test_numbers(void)
{
	uint64_t seen[40];
	size_t n = 0;

	union_make(1);
	make_file(branches[0], "lower", "l");
	union_open();
	assert(stat_at("lower").st_ino < LOWER_INO_END);
	for (int i = 0; i < 40; i++) {
		uint64_t ino;

		write_new("f", "f");
		ino = stat_at("f").st_ino;
		assert(ino >= LOWER_INO_END);
		for (size_t j = 0; j < n; j++)
			assert(seen[j] != ino);
		seen[n++] = ino;
		assert_eq(do_unlink("f"), 0);
		if (i % 10 == 9)
			union_reopen();
	}
	assert_eq(stat_at("").st_ino, LOWER_ROOT_INO);
	union_end();
}

/* What was put into upper behind the mount's back while it was not mounted shows. */
static void test_changes_while_unmounted(void)
{
	union_make(1);
	make_dir(branches[0], "d", 0755);
	make_file(branches[0], "d/f", "lower");
	union_open();
	assert_eq(do_write("d/f", "UPPER", 0), 0);
	union_close();
	make_file(upper, "added", "added");
	remove_name(upper, "d/f");
	make_dir(upper, "d/sub", 0755);
	union_open();
	assert_streq(read_at("added"), "added");
	assert_streq(read_at("d/f"), "lower");
	assert_streq(list_at("d"), "f sub ");
	union_end();
}

/* The same with a chain index, and without one that cannot be used. */
static void test_chain(void)
{
	cleanup_free char *before = NULL;
	cleanup_fd int chain = -1;

	make_lower();
	assert_eq(chain_build(branches, n_branches, "id", work, "chain"), 0);
	chain = fd_open(work, "chain", O_RDONLY, 0);
	assert(chain >= 0);
	config.has_chain = true;
	config.chain_fd = chain;
	config.chain_id = "id";
	union_open();
	change_everything();
	before = description();
	for (int i = 0; i < 2; i++) {
		cleanup_free char *after = NULL;

		union_reopen();
		after = description();
		assert_streq(after, before);
	}
	union_close();
	config.chain_id = "another";
	assert_eq(fs_open(&config, &fs), FS_STALE_CHAIN);
	assert_streq(read_at("d/a"), "changed");
	assert_streq(read_at("untouched/f"), "f");
	assert_streq(list_at("e"), "");
	union_close();
	config.chain_fd = -1;
	assert_eq(fs_open(&config, &fs), FS_STALE_CHAIN);
	assert_streq(list_at("untouched"), "f ");
	union_end();
}

/* Either may be NULL. */
static bool is_same(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

/* A worker after another goes by what that one found, and leaves what is on disk when it fails. */
static void test_restart(void)
{
	cleanup_fd int chain = -1;
	struct kept kept = { 0 };
	struct caps caps;

	make_lower();
	assert_eq(chain_build(branches, n_branches, "id", work, "chain"), 0);
	chain = fd_open(work, "chain", O_RDONLY, 0);
	config.kept = &kept;
	config.has_chain = true;
	config.chain_fd = chain;
	config.chain_id = "id";
	union_open();
	caps = fs->upper.caps;
	fs_leave(fs);
	config.is_restart = true;
	/* This would be found differently now. */
	config.file_whiteouts = true;
	config.user_xattrs = true;
	union_open();
	assert_eq(fs->upper.caps.style.format, caps.style.format);
	assert(is_same(fs->upper.caps.style.xattr_prefix, caps.style.xattr_prefix));
	assert(is_same(fs->upper.caps.origin_xattr, caps.origin_xattr));
	assert_eq(fs->upper.caps.can_exchange, caps.can_exchange);
	assert_eq(fs->upper.caps.can_acl, caps.can_acl);
	fs_leave(fs);
	/* Numbers of the index mean nothing without it. */
	make_file(work, "orphans/77", "still in use");
	config.chain_fd = -1;
	assert_eq(fs_open(&config, &fs), -EPROTO);
	assert_eq(faccessat(work, "orphans/77", F_OK, 0), 0);
	config.chain_fd = chain;
	union_open();
	union_close();
	assert(faccessat(work, "orphans/77", F_OK, 0) < 0);
	/* Nor do those of branches with it. */
	kept = (struct kept){ 0 };
	config.is_restart = false;
	config.chain_fd = -1;
	assert_eq(fs_open(&config, &fs), FS_STALE_CHAIN);
	fs_leave(fs);
	config.is_restart = true;
	config.chain_fd = chain;
	union_open();
	assert_eq(fs->numbering, NUMBERING_BRANCHES);
	union_end();
}

/* The same directory is upper here and a branch of another mount. */
static void test_upper_as_a_branch(void)
{
	cleanup_free char *seen = NULL;
	struct fs *writable;
	int lowers[3];
	struct fs_config other;

	make_lower();
	union_open();
	change_everything();
	writable = fs;
	lowers[0] = upper;
	lowers[1] = branches[0];
	lowers[2] = branches[1];
	other = (struct fs_config){ .branches = lowers,
				    .n_branches = 3,
				    .upper = -1,
				    .work = -1,
				    .claim = -1,
				    .chain_fd = -1,
				    .ledger_fd = -1,
				    .ino32_fd = -1 };
	assert_eq(fs_open(&other, &fs), 0);
	assert_streq(read_at("d/a"), "changed");
	assert_streq(read_at("d/b"), "again");
	assert_streq(list_at("e"), "");
	assert(!is_there("gone"));
	assert_streq(read_at("newdir/deep/f"), "f");
	assert_eq(stat_at("linked").st_nlink, 2);
	assert_eq(stat_at("newdir/moved").st_nlink, 2);
	if (is_there("newdir/tomove"))
		assert_streq(read_at("newdir/tomove/in"), "in");
	fs_close(fs);
	fs = writable;
	seen = description();
	union_end();
}

static void test_read_only(void)
{
	union_make(2);
	make_file(branches[0], "a", "a");
	make_file(branches[1], "b", "b");
	config.upper = config.work = -1;
	assert_eq(fs_open(&config, &fs), 0);
	assert_streq(list_at(""), "a b ");
	assert_streq(read_at("b"), "b");
	union_end();
}

/* What nobody has in memory is found by its number, wherever it has come to be. */
static void test_find(void)
{
	static const char *const paths[] = { "d/sub/lower", "d/moved", "d/sub", "born", "fifo" };
	uint64_t inos[5], gone;
	cleanup_node struct node *node = NULL;

	union_make(2);
	make_dir(branches[1], "d", 0755);
	make_dir(branches[1], "d/sub", 0755);
	make_file(branches[1], "d/sub/lower", "l");
	make_file(branches[0], "copied", "c");
	make_file(branches[0], "gone", "g");
	union_open();
	write_new("born", "b");
	assert_eq(mkfifoat(upper, "fifo", 0600), 0);
	assert_eq(do_rename("copied", "d/moved", 0), 0);
	gone = stat_at("gone").st_ino;
	assert_eq(do_unlink("gone"), 0);
	union_reopen();
	for (int i = 0; i < 5; i++)
		inos[i] = stat_at(paths[i]).st_ino;
	union_reopen();
	for (int i = 0; i < 5; i++) {
		assert_eq(fs_find(fs, inos[i], &node), FS_FOUND);
		assert_eq(node->ino, inos[i]);
		assert_eq(node->type, stat_at(paths[i]).st_mode & S_IFMT);
		node_unref(take_ptr(node));
	}
	assert_eq(fs_find(fs, gone, &node), FS_ABSENT);
	assert(!node);
	assert_eq(fs_find(fs, fs->root->ino, &node), FS_FOUND);
	assert(node == fs->root);
	node_unref(take_ptr(node));
	union_end();
}

static void tests(void)
{
	test_find();
	test_remount_shows_the_same();
	test_leftovers();
	test_damaged_state();
	test_numbers();
	test_changes_while_unmounted();
	test_chain();
	test_restart();
	test_upper_as_a_branch();
	test_read_only();
}

int main(void)
{
	scratch_begin();
	union_each_style(tests);
	return 0;
}
