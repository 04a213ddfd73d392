/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A chain index must give the answers that the branch directories give, and
 * know when it cannot: damaged, stale, or of another chain.
 */
#include "lower/chain.h"

#include <sys/mman.h>

#include "lower/chain_format.h"
#include "lower/lower.h"
#include "scratch.h"

enum { MAX_BRANCHES = 5 };

/* The branch that an object comes from. */
static unsigned int branch_of(struct lower_obj *obj)
{
	cleanup_free char *path = NULL;
	unsigned int branch;

	assert(lower_source(obj, &branch, &path) == 0);
	return branch;
}

static int branches[MAX_BRANCHES]; /* topmost first */
static size_t n_branches;
static const char chain_id[] = "sha256:0123456789abcdef";

static void make_branches(size_t n)
{
	static unsigned int count;
	char name[64];

	n_branches = n;
	for (size_t i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "%d-%u-%zu", (int)getpid(), count, i);
		branches[i] = make_dir_open(scratch, name);
	}
	count++;
}

static void close_branches(void)
{
	for (size_t i = 0; i < n_branches; i++)
		close(branches[i]);
}

/* Names whose paths are too long for the index, of three branches; the top one holds none. */
static void fill_deeply(void)
{
	char path[3000] = "deep";
	size_t at = strlen(path);

	for (int i = 0; i < 12; i++) {
		make_dir(branches[4], path, 0755);
		if (i < 9)
			make_dir(branches[2], path, 0700);
		at += (size_t)sprintf(path + at, "/%0*d", 190 + i, i);
	}
	path[at] = '\0';
	make_file(branches[4], path, "at the bottom");
	for (int i = 11; i > 4; i--) {
		char *slash = strrchr(path, '/');
		char link[3000];

		strcpy(slash, "/file");
		snprintf(link, sizeof(link), "%.*s/link", (int)(slash - path), path);
		make_file(branches[i < 9 ? 2 : 4], path, path);
		make_link(branches[i < 9 ? 2 : 4], path, link);
		*slash = '\0';
	}
}

/* A bit of everything that a layer can hold, over five branches; no redirects. */
static void fill_branches(void)
{
	char name[256];

	make_branches(5);
	for (size_t i = 0; i < 5; i++) {
		make_dir(branches[i], "etc", 0755);
		snprintf(name, sizeof(name), "etc/only-%zu", i);
		make_file(branches[i], name, name);
		make_file(branches[i], "etc/everywhere", name);
	}
	make_dir(branches[4], "usr", 0755);
	make_dir(branches[4], "usr/bin", 0755);
	make_file(branches[4], "usr/bin/busybox", "program");
	make_link(branches[4], "usr/bin/busybox", "usr/bin/sh");
	make_link(branches[4], "usr/bin/busybox", "usr/bin/ls");
	make_link(branches[4], "usr/bin/busybox", "etc/link");
	assert(fchmodat(branches[4], "usr/bin/busybox", 04755, 0) == 0);
	make_symlink(branches[4], "busybox", "usr/bin/ash");
	make_symlink(branches[3], "../../outside/\303\251\377", "usr-link");
	assert(mkfifoat(branches[3], "fifo", 0640) == 0);
	assert(mknodat(branches[3], "socket", S_IFSOCK | 0600, 0) == 0);
	/* whiteouts of all kinds */
	make_dir(branches[2], "usr", 0711);
	make_dir(branches[2], "usr/bin", 0755);
	make_whiteout(branches[2], "usr/bin/ls");
	make_file(branches[2], "etc/.wh.only-3", "");
	make_file(branches[1], "etc/.wh.only-4", "");
	make_file(branches[1], "etc/only-4", "again");
	make_dir(branches[4], "opaque", 0755);
	make_file(branches[4], "opaque/old", "old");
	make_dir(branches[4], "opaque/dir", 0755);
	make_dir(branches[1], "opaque", 0700);
	make_file(branches[1], "opaque/.wh..wh..opq", "");
	make_file(branches[1], "opaque/new", "new");
	make_dir(branches[4], "file-over", 0755);
	make_file(branches[4], "file-over/x", "x");
	make_file(branches[0], "file-over", "file");
	make_file(branches[4], "dir-over", "file");
	make_dir(branches[0], "dir-over", 0755);
	/* odd names, sizes and times */
	memset(name, 'x', 255);
	name[255] = '\0';
	make_file(branches[3], name, "long");
	make_file(branches[3], "\001\n\\ \303\251\377", "odd");
	make_file(branches[3], "empty", "");
	set_times(branches[3], "empty", -86400, 999999999);
	set_times(branches[3], "usr-link", 1, 1);
	make_file(branches[3], "sparse", "begin");
	{
		cleanup_fd int fd = openat(branches[3], "sparse", O_WRONLY);

		assert(ftruncate(fd, 5 << 20) == 0);
	}
	try_xattr(branches[3], "empty", "user.a", "1");
	try_xattr(branches[3], "empty", "user.b", "");
	try_xattr(branches[3], "empty", "user.overlay.origin", "private");
	try_xattr(branches[0], "etc", "user.on-dir", "x");
	if (is_root()) {
		assert(mknodat(branches[3], "null", S_IFCHR | 0666, makedev(1, 3)) == 0);
		assert(mknodat(branches[3], "loop", S_IFBLK | 0660, makedev(259, 70000)) == 0);
		assert(fchownat(branches[3], "usr-link", 1234, 4294967294U, AT_SYMLINK_NOFOLLOW) ==
		       0);
		try_xattr(branches[3], "empty", "trusted.t", "t");
	}
	fill_deeply();
	make_dir(branches[3], "many", 0755);
	for (int i = 0; i < 500; i++) {
		snprintf(name, sizeof(name), "many/name-%d", i);
		make_file(branches[3], name, "");
	}
}

static void build(const char *name)
{
	assert_eq(chain_build(branches, n_branches, chain_id, scratch, name), 0);
}

/* The index itself need not stay open. */
static int open_chain_of(size_t n, const char *name, const char *id, struct lower **ret)
{
	cleanup_fd int fd = fd_open(scratch, name, O_RDONLY, 0);

	return lower_of_chain(branches, n, fd, id, ret);
}

/* LOWER_STALE, or 0 with the tree open. */
static int open_chain(const char *name, struct lower **ret)
{
	return open_chain_of(n_branches, name, chain_id, ret);
}

/* --- comparing two trees --- */

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void compare_xattrs(struct lower_obj *a, struct lower_obj *b)
{
	cleanup_free char *names_a = NULL;
	cleanup_free char *names_b = NULL;
	ssize_t size_a = lower_xattr_list(a, &names_a), size_b = lower_xattr_list(b, &names_b);

	assert(size_a >= 0);
	assert_eq(size_b, size_a);
	for (const char *name = names_a; name < names_a + size_a; name += strlen(name) + 1) {
		char value_a[512], value_b[512];
		ssize_t n = lower_xattr_get(a, name, value_a, sizeof(value_a));

		assert(n >= 0);
		assert_eq(lower_xattr_get(b, name, value_b, sizeof(value_b)), n);
		assert(memcmp(value_a, value_b, (size_t)n) == 0);
		assert_eq(lower_xattr_get(b, name, NULL, 0), n);
		if (n > 1)
			assert_eq(lower_xattr_get(b, name, value_b, 1), -ERANGE);
	}
	assert_eq(lower_xattr_get(b, "user.absent", NULL, 0),
		  lower_xattr_get(a, "user.absent", NULL, 0));
	assert_eq(lower_xattr_get(b, "user.overlay.origin", NULL, 0), -ENODATA);
}

static int collect(void *context, const char *path)
{
	char **list = context;
	size_t n = 0;

	while (list[n])
		n++;
	list[n] = strdup(path);
	return 0;
}

static size_t sorted_names(struct lower_obj *obj, char *list[64])
{
	size_t n = 0;

	memset(list, 0, 64 * sizeof(*list));
	assert_eq(lower_names(obj, collect, list), 0);
	while (list[n])
		n++;
	qsort(list, n, sizeof(*list), compare_names);
	return n;
}

static void compare_link_names(struct lower_obj *a, struct lower_obj *b)
{
	char *list_a[64], *list_b[64];
	size_t n = sorted_names(a, list_a);

	assert_eq(sorted_names(b, list_b), n);
	for (size_t i = 0; i < n; i++) {
		assert_streq(list_b[i], list_a[i]);
		free(list_a[i]);
		free(list_b[i]);
	}
}

static void compare_stat(struct lower_obj *a, struct lower_obj *b)
{
	struct stat st_a, st_b;

	assert_eq(lower_stat(a, &st_a), 0);
	assert_eq(lower_stat(b, &st_b), 0);
	assert_eq(st_b.st_mode, st_a.st_mode);
	assert_eq(st_b.st_uid, st_a.st_uid);
	assert_eq(st_b.st_gid, st_a.st_gid);
	assert_eq(st_b.st_size, st_a.st_size);
	assert_eq(st_b.st_blocks, st_a.st_blocks);
	assert_eq(st_b.st_nlink, st_a.st_nlink);
	assert_eq(st_b.st_mtim.tv_sec, st_a.st_mtim.tv_sec);
	assert_eq(st_b.st_mtim.tv_nsec, st_a.st_mtim.tv_nsec);
	assert_eq(st_b.st_ctim.tv_sec, st_a.st_ctim.tv_sec);
	if (S_ISCHR(st_a.st_mode) || S_ISBLK(st_a.st_mode))
		assert_eq(st_b.st_rdev, st_a.st_rdev);
	assert_eq(st_b.st_ino, b->ino);
}

static void compare_content(struct lower_obj *a, struct lower_obj *b)
{
	cleanup_fd int fd_a = lower_open(a, O_RDONLY);
	cleanup_fd int fd_b = lower_open(b, O_RDONLY);
	struct stat st_a, st_b;

	assert(fd_a >= 0 && fd_b >= 0);
	assert(fstat(fd_a, &st_a) == 0 && fstat(fd_b, &st_b) == 0);
	assert_eq(st_b.st_ino, st_a.st_ino);
	assert_eq(st_b.st_dev, st_a.st_dev);
}

/* Which numbers of one tree are which of the other: must be one to one. */
struct count_of_numbers {
	uint64_t a[4096], b[4096];
	size_t n;
};

static void compare_numbers(struct count_of_numbers *numbers, struct lower_obj *a,
			    struct lower_obj *b)
{
	for (size_t i = 0; i < numbers->n; i++) {
		if (numbers->a[i] == a->ino || numbers->b[i] == b->ino) {
			assert_eq(numbers->a[i], a->ino);
			assert_eq(numbers->b[i], b->ino);
			return;
		}
	}
	numbers->a[numbers->n] = a->ino;
	numbers->b[numbers->n++] = b->ino;
}

static void compare(struct count_of_numbers *numbers, struct lower_obj *a, struct lower_obj *b);

static void compare_dirs(struct count_of_numbers *numbers, struct lower_obj *a, struct lower_obj *b)
{
	cleanup_listing struct listing *list_a = NULL;
	cleanup_listing struct listing *list_b = NULL;
	struct lower_obj *none;

	assert_eq(lower_list(a, &list_a), 0);
	assert_eq(lower_list(b, &list_b), 0);
	assert_eq(listing_count(list_b), listing_count(list_a));
	assert_eq(listing_subdirs(list_b), listing_subdirs(list_a));
	for (size_t i = 0; i < listing_count(list_a); i++) {
		const struct listing_entry *x = listing_at(list_a, i), *y = listing_at(list_b, i);
		cleanup_lower_obj struct lower_obj *child_a = NULL;
		cleanup_lower_obj struct lower_obj *child_b = NULL;

		assert_streq(y->name, x->name);
		assert_eq(y->type, x->type);
		assert_eq(y->cookie, x->cookie);
		assert_eq(lower_lookup(a, x->name, &child_a, NULL), LOWER_FOUND);
		assert_eq(lower_lookup(b, x->name, &child_b, NULL), LOWER_FOUND);
		assert_eq(y->ino, child_b->ino);
		compare(numbers, child_a, child_b);
	}
	assert_eq(lower_lookup(b, "no-such-name", &none, NULL), LOWER_ABSENT);
	assert_eq(lower_lookup(b, ".wh.x", &none, NULL), LOWER_ABSENT);
	assert_eq(lower_lookup(b, ".wh..wh..opq", &none, NULL), LOWER_ABSENT);
	assert_eq(lower_lookup(b, "", &none, NULL), LOWER_ABSENT);
}

static void compare_walk(struct lower_obj *b)
{
	cleanup_lower_obj struct lower_obj *found = NULL;
	cleanup_free char *path = NULL;

	assert_eq(lower_path(b, &path), 0);
	assert_eq(lower_walk(b->lower, path, &found), LOWER_FOUND);
	assert_eq(found->ino, b->ino);
}

static void compare(struct count_of_numbers *numbers, struct lower_obj *a, struct lower_obj *b)
{
	assert_eq(b->type, a->type);
	compare_numbers(numbers, a, b);
	assert_eq(branch_of(b), branch_of(a));
	compare_stat(a, b);
	compare_xattrs(a, b);
	if (S_ISDIR(a->type)) {
		compare_dirs(numbers, a, b);
		compare_walk(b);
		return;
	}
	compare_link_names(a, b);
	if (S_ISREG(a->type))
		compare_content(a, b);
	if (S_ISLNK(a->type)) {
		cleanup_free char *target_a = NULL;
		cleanup_free char *target_b = NULL;

		assert_eq(lower_readlink(a, &target_a), 0);
		assert_eq(lower_readlink(b, &target_b), 0);
		assert_streq(target_b, target_a);
	}
}

static void compare_trees(struct lower *chain)
{
	static struct count_of_numbers numbers;
	cleanup_lower_obj struct lower_obj *root_a = NULL;
	cleanup_lower_obj struct lower_obj *root_b = NULL;
	struct lower *dirs;
	struct fdcache fds;

	fdcache_init(&fds, 64);
	assert_eq(lower_of_dirs(branches, n_branches, &fds, &dirs), 0);
	numbers.n = 0;
	root_a = lower_root(dirs);
	root_b = lower_root(chain);
	assert_eq(root_b->ino, LOWER_ROOT_INO);
	compare(&numbers, root_a, root_b);
	lower_unref(take_ptr(root_a));
	lower_unref(take_ptr(root_b));
	lower_free(dirs);
	fdcache_done(&fds);
}

/* --- the tests --- */

static void test_same_answers(void)
{
	struct lower *chain;

	fill_branches();
	build("c");
	assert_eq(open_chain("c", &chain), 0);
	compare_trees(chain);
	lower_free(chain);
	remove_name(scratch, "c");
	close_branches();
}

static void test_smallest_chain(void)
{
	struct lower *chain;

	make_branches(1);
	build("c");
	assert_eq(open_chain("c", &chain), 0);
	compare_trees(chain);
	lower_free(chain);
	remove_name(scratch, "c");
	close_branches();
}

/* A foreign branch with redirects can have an index as well. */
static void test_same_answers_with_redirects(void)
{
	struct lower *chain;
	char path[3000];
	size_t at = 0;

	make_branches(3);
	make_dir(branches[0], "new", 0755);
	make_dir(branches[1], "old", 0755);
	make_dir(branches[1], "old/sub", 0755);
	make_file(branches[1], "old/sub/a", "a");
	make_link(branches[1], "old/sub/a", "old/b");
	make_dir(branches[2], "old", 0755);
	make_file(branches[2], "old/c", "c");
	for (int i = 1; i < 3; i++) {
		make_dir(branches[i], "old/deep", 0755);
		for (int k = 0; k < 9; k++) {
			at = (size_t)sprintf(path, "old/deep/%0*d", (k + 1) * 201 - 1, 0);
			for (int n = 1; n <= k; n++)
				path[9 + n * 201 - 1] = '/';
			make_dir(branches[i], path, 0755);
		}
		sprintf(path + at, "/file%d", i);
		make_file(branches[i], path, path);
	}
	make_whiteout(branches[0], "old");
	if (try_xattr(branches[0], "new",
		      is_root() ? "trusted.overlay.redirect" : "user.overlay.redirect", "/old")) {
		build("c");
		assert_eq(open_chain("c", &chain), 0);
		compare_trees(chain);
		lower_free(chain);
		remove_name(scratch, "c");
	} else {
		skipped("redirects", "no xattrs here");
	}
	close_branches();
}

static void test_nothing_is_left_or_replaced(void)
{
	int missing[1] = { -1 };

	make_branches(2);
	make_file(branches[0], "f", "f");
	make_file(scratch, "taken", "mine");
	assert_eq(chain_build(branches, 2, chain_id, scratch, "taken"), -EEXIST);
	assert_streq(content_of(scratch, "taken"), "mine");
	remove_name(scratch, "taken");
	assert(chain_build(missing, 1, chain_id, scratch, "c") < 0);
	assert(!exists(scratch, "c"));
	assert(!exists(scratch, "c-lock"));
	build("c");
	assert(!exists(scratch, "c-lock"));
	remove_name(scratch, "c");
	close_branches();
}

static void test_unreadable_branch_leaves_nothing(void)
{
	if (is_root()) {
		skipped("a branch that cannot be read", "root can read everything");
		return;
	}
	make_branches(1);
	make_file(branches[0], "f", "f");
	assert(fchmodat(branches[0], "f", 0, 0) == 0);
	assert_eq(chain_build(branches, 1, chain_id, scratch, "c"), -EACCES);
	assert(!exists(scratch, "c"));
	assert(!exists(scratch, "c-lock"));
	close_branches();
}

static void test_another_chain_is_stale(void)
{
	struct lower *chain;

	make_branches(3);
	make_file(branches[0], "f", "f");
	build("c");
	assert_eq(open_chain_of(3, "c", "sha256:other", &chain), LOWER_STALE);
	assert_eq(open_chain_of(3, "c", "", &chain), LOWER_STALE);
	assert_eq(open_chain_of(2, "c", chain_id, &chain), LOWER_STALE);
	assert_eq(open_chain_of(3, "c", NULL, &chain), 0);
	lower_free(chain);
	assert_eq(open_chain_of(3, "absent", chain_id, &chain), -ENOENT);
	remove_name(scratch, "c");
	close_branches();
}

/* Changes a finished index as a program that knows the format could, and seals it anew. */
static void rewrite(const char *name, unsigned int table, const void *key, size_t key_size,
		    const void *value, size_t value_size)
{
	struct index *index;
	struct index_txn txn;
	cleanup_fd int fd = -1;

	/* LMDB opens a sealed file as it does any other: the seal is behind its last page. */
	assert_eq(index_open(scratch, name, INDEX_WRITE_ALONE, chain_tables, &index), 0);
	assert_eq(index_begin(index, true, &txn), 0);
	index_put(&txn, table, key, key_size, value, value_size);
	assert_eq(index_commit(&txn), 0);
	index_close(index);
	fd = openat(scratch, name, O_RDWR | O_CLOEXEC);
	assert(fd >= 0);
	assert_eq(chain_seal(fd), 0);
}

static void test_another_version_is_stale(void)
{
	struct lower *chain;

	make_branches(1);
	make_file(branches[0], "f", "f");
	build("c");
	rewrite("c", CHAIN_META, "extra", 5, "x", 1);
	assert_eq(open_chain("c", &chain), 0); /* so it is the version that makes it stale */
	lower_free(chain);
	rewrite("c", CHAIN_META, "version", 7, "2", 1);
	assert_eq(open_chain("c", &chain), LOWER_STALE);
	rewrite("c", CHAIN_META, "version", 7, "11", 2);
	assert_eq(open_chain("c", &chain), LOWER_STALE);
	remove_name(scratch, "c");
	close_branches();
}

/* --- damage --- */

struct bytes {
	uint8_t *data;
	size_t size;
};

static struct bytes load(const char *name)
{
	cleanup_fd int fd = openat(scratch, name, O_RDONLY | O_CLOEXEC);
	struct bytes bytes = { .size = (size_t)stat_of(scratch, name).st_size };

	bytes.data = malloc(bytes.size);
	assert(fd >= 0 && bytes.data);
	assert_eq(fd_pread_all(fd, bytes.data, bytes.size, 0), bytes.size);
	return bytes;
}

static void store(const char *name, const uint8_t *data, size_t size)
{
	cleanup_fd int fd = openat(scratch, name, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);

	assert(fd >= 0);
	assert_eq(fd_pwrite_all(fd, data, size, 0), size);
}

/* It must be refused, or be right. */
static void expect_stale_or_right(const char *name)
{
	struct lower *chain;
	int r = open_chain(name, &chain);

	if (r == LOWER_STALE)
		return;
	assert_eq(r, 0);
	compare_trees(chain);
	lower_free(chain);
}

static void test_damage(void)
{
	struct bytes good;
	unsigned int seed = 1;

	make_branches(3);
	make_dir(branches[0], "d", 0755);
	make_file(branches[1], "f", "f");
	make_link(branches[1], "f", "g");
	for (int i = 0; i < 200; i++) {
		char name[32];

		snprintf(name, sizeof(name), "d/name-%d", i);
		make_file(branches[0], name, "");
	}
	build("c");
	good = load("c");
	for (size_t at = 0; at < good.size; at += 4096) {
		good.data[at] ^= 0xff;
		store("bad", good.data, good.size);
		good.data[at] ^= 0xff;
		expect_stale_or_right("bad");
	}
	for (int i = 0; i < 300; i++) {
		size_t at = ((size_t)rand_r(&seed) << 16 ^ (size_t)rand_r(&seed)) % good.size;
		uint8_t bit = (uint8_t)(1 << rand_r(&seed) % 8);

		good.data[at] ^= bit;
		store("bad", good.data, good.size);
		good.data[at] ^= bit;
		expect_stale_or_right("bad");
	}
	/* cut short, and drawn out */
	for (size_t size = 0; size < good.size; size += 1 + good.size / 50) {
		store("bad", good.data, size);
		expect_stale_or_right("bad");
	}
	for (size_t less = 1; less < 64; less++) {
		store("bad", good.data, good.size - less);
		expect_stale_or_right("bad");
	}
	good.data = realloc(good.data, good.size + 4096);
	memset(good.data + good.size, 0, 4096);
	store("bad", good.data, good.size + 4096);
	expect_stale_or_right("bad");
	free(good.data);
	remove_name(scratch, "bad");
	remove_name(scratch, "c");
	close_branches();
}

static void test_what_is_no_index(void)
{
	struct lower *chain;

	make_branches(1);
	make_file(scratch, "bad", "");
	assert_eq(open_chain("bad", &chain), LOWER_STALE);
	make_file(scratch, "bad", "some text, not much of it\n");
	assert_eq(open_chain("bad", &chain), LOWER_STALE);
	make_dir(scratch, "dir", 0755);
	assert(open_chain("dir", &chain) != 0);
	remove_name(scratch, "bad");
	remove_name(scratch, "dir");
	close_branches();
}

/* A record with one wrong bit is an error or right, though LMDB and the seal find nothing wrong. */
static void test_damaged_records(void)
{
	struct chain_inode_key key = chain_inode_key(2);
	struct index_value found;
	struct index_txn txn;
	struct index *index;
	uint8_t good[1024];
	size_t size;

	make_branches(1);
	make_file(branches[0], "f", "f");
	try_xattr(branches[0], "f", "user.a", "value");
	build("c");
	assert_eq(index_open(scratch, "c", INDEX_READ, chain_tables, &index), 0);
	assert_eq(index_begin(index, false, &txn), 0);
	assert_eq(index_get(&txn, CHAIN_INODE, key.bytes, sizeof(key), &found), INDEX_FOUND);
	assert(found.size < sizeof(good));
	size = found.size;
	memcpy(good, found.data, size);
	index_abort(&txn);
	index_close(index);
	for (size_t at = 0; at <= size; at++) {
		cleanup_lower_obj struct lower_obj *root = NULL;
		struct lower_obj *obj = NULL;
		struct lower *chain;
		struct stat st;
		uint8_t bad[1024];

		memcpy(bad, good, size);
		if (at < size)
			bad[at] ^= 0x41;
		/* a wrong byte, or (in turn) a record cut off there; the last time it is whole */
		rewrite("c", CHAIN_INODE, key.bytes, sizeof(key), bad, at % 2 ? at : size);
		assert_eq(open_chain("c", &chain), 0);
		root = lower_root(chain);
		if (at < size) {
			assert_eq(lower_lookup(root, "f", &obj, &st), -EIO);
		} else {
			assert_eq(lower_lookup(root, "f", &obj, &st), LOWER_FOUND);
			lower_unref(obj);
		}
		lower_unref(take_ptr(root));
		lower_free(chain);
	}
	remove_name(scratch, "c");
	close_branches();
}

/* --- two builds --- */

struct dump {
	uint8_t *bytes;
	size_t size;
};

static int add_to_dump(void *context, struct index_value key, struct index_value value)
{
	struct dump *dump = context;
	uint64_t sizes[2] = { key.size, value.size };

	dump->bytes = realloc(dump->bytes, dump->size + sizeof(sizes) + key.size + value.size);
	assert(dump->bytes);
	memcpy(dump->bytes + dump->size, sizes, sizeof(sizes));
	memcpy(dump->bytes + dump->size + sizeof(sizes), key.data, key.size);
	if (value.size)
		memcpy(dump->bytes + dump->size + sizeof(sizes) + key.size, value.data, value.size);
	dump->size += sizeof(sizes) + key.size + value.size;
	return 0;
}

static struct dump dump_of(const char *name, unsigned int table)
{
	struct dump dump = { 0 };
	struct index_txn txn;
	struct index *index;

	assert_eq(index_open(scratch, name, INDEX_READ, chain_tables, &index), 0);
	assert_eq(index_begin(index, false, &txn), 0);
	assert_eq(index_each(&txn, table, NULL, 0, add_to_dump, &dump), 0);
	index_abort(&txn);
	index_close(index);
	return dump;
}

static void test_two_builds_are_equal(void)
{
	fill_branches();
	build("a");
	build("b");
	for (unsigned int table = 0; chain_tables[table]; table++) {
		struct dump a = dump_of("a", table), b = dump_of("b", table);
		bool is_same = a.size == b.size && memcmp(a.bytes, b.bytes, a.size) == 0;

		if (!is_same)
			fprintf(stderr, "table %s differs\n", chain_tables[table]);
		assert(is_same);
		free(a.bytes);
		free(b.bytes);
	}
	remove_name(scratch, "a");
	remove_name(scratch, "b");
	close_branches();
}

/* Several mounts of one chain, in one process even, and from many threads' transactions. */
static void test_opened_twice(void)
{
	struct lower *one, *two;

	make_branches(2);
	make_file(branches[1], "f", "f");
	build("c");
	assert_eq(open_chain("c", &one), 0);
	assert_eq(open_chain("c", &two), 0);
	compare_trees(one);
	lower_free(one);
	compare_trees(two);
	lower_free(two);
	remove_name(scratch, "c");
	close_branches();
}

int main(void)
{
	scratch_begin();
	test_same_answers();
	test_smallest_chain();
	test_nothing_is_left_or_replaced();
	test_unreadable_branch_leaves_nothing();
	test_another_chain_is_stale();
	test_another_version_is_stale();
	test_damage();
	test_what_is_no_index();
	test_damaged_records();
	test_opened_twice();
	test_two_builds_are_equal();
	test_same_answers_with_redirects();
	return 0;
}
