/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The content of files: read from where it is, written to upper. */
#include <pthread.h>

#include "union.h"

static void test_read_and_write(void)
{
	union_make(2);
	make_file(branches[1], "f", "0123456789");
	union_open();
	assert_streq(read_at("f"), "0123456789");
	assert_eq(upper_at("f"), UPPER_FREE);
	assert_eq(do_write("f", "ABC", 4), 0);
	assert_streq(read_at("f"), "0123ABC789");
	assert_eq(do_write("f", "end", 12), 0);
	assert_eq(stat_at("f").st_size, 15);
	assert_streq(content_of(branches[1], "f"), "0123456789");
	assert_eq(stat_of(branches[1], "f").st_size, 10);
	union_reopen();
	assert_eq(stat_at("f").st_size, 15);
	assert_streq(read_at("f"), "0123ABC789");
	union_end();
}

/* A descriptor from before a copy-up goes on to be read; what comes after sees the copy. */
static void test_descriptor_of_before(void)
{
	cleanup_node struct node *node = NULL;
	cleanup_fd_ref struct fd_ref *before = NULL;
	char byte;
	int error;

	union_make(1);
	make_file(branches[0], "f", "lower");
	union_open();
	node = node_of("f");
	before = file_get(fs, node, false, &error);
	assert(before);
	assert_eq(do_write("f", "UPPER", 0), 0);
	assert_eq(fd_pread_all(before->fd, &byte, 1, 0), 1);
	assert_eq(byte, 'l');
	assert_streq(read_node(node), "UPPER");
	fd_ref_put(take_ptr(before));
	node_unref(take_ptr(node));
	union_end();
}

static void test_what_is_no_file(void)
{
	static const struct {
		const char *path;
		int error;
	} all[] = { { "d", -EISDIR }, { "l", -EINVAL }, { "p", -EINVAL } };

	union_make(1);
	make_dir(branches[0], "d", 0755);
	make_symlink(branches[0], "x", "l");
	assert(mkfifoat(branches[0], "p", 0600) == 0);
	union_open();
	for (size_t i = 0; i < 3; i++) {
		cleanup_node struct node *node = node_of(all[i].path);
		int error;

		assert(!file_get(fs, node, false, &error));
		assert_eq(error, all[i].error);
		assert(!file_get(fs, node, true, &error));
		assert_eq(error, all[i].error);
		assert_eq(upper_at(all[i].path), UPPER_FREE);
	}
	union_end();
}

static void test_fallocate_and_seek(void)
{
	cleanup_node struct node *node = NULL;
	struct hole hole;
	off_t at;
	int r;

	union_make(1);
	make_file(branches[0], "f", "data");
	{
		cleanup_fd int fd = openat(branches[0], "f", O_WRONLY);

		assert(ftruncate(fd, 1 << 20) == 0);
	}
	union_open();
	node = node_of("f");
	/* What an answer takes for a hole is said, as the kernel may know better. */
	assert_eq(fs_seek(fs, node, 0, SEEK_DATA, &hole), 0);
	assert_eq(hole.length, 0);
	at = fs_seek(fs, node, 0, SEEK_HOLE, &hole);
	assert(at > 0);
	assert(at == 1 << 20 ? hole.length == 0 : hole.start == at);
	assert_eq(hole.start + hole.length, 1 << 20);
	assert_eq(fs_seek(fs, node, 2 << 20, SEEK_DATA, &hole), -ENXIO);
	assert_eq(hole.length, 0);
	r = fs_fallocate(fs, node, 0, 1 << 20, 4096, NULL);
	if (r != -EOPNOTSUPP) {
		assert_eq(r, 0);
		assert_eq(stat_at("f").st_size, (1 << 20) + 4096);
		assert_eq(fs_fallocate(fs, node, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
				       4096, NULL),
			  0);
		assert_streq(read_node(node), "");
	}
	node_unref(take_ptr(node));
	union_end();
}

static void test_copy_range(void)
{
	cleanup_node struct node *a = NULL;
	cleanup_node struct node *b = NULL;

	union_make(1);
	make_file(branches[0], "a", "0123456789");
	make_file(branches[0], "b", "----------");
	union_open();
	a = node_of("a");
	b = node_of("b");
	assert_eq(fs_copy_range(fs, a, 2, b, 4, 3, NULL), 3);
	assert_streq(read_at("b"), "----234---");
	assert_eq(upper_at("a"), UPPER_FREE);
	/* within one file, which is thereby copied up */
	assert_eq(fs_copy_range(fs, a, 0, a, 8, 2, NULL), 2);
	assert_streq(read_at("a"), "0123456701");
	assert_eq(fs_copy_range(fs, a, 100, b, 0, 3, NULL), 0);
	node_unref(take_ptr(a));
	node_unref(take_ptr(b));
	union_end();
}

static void test_sync(void)
{
	cleanup_node struct node *file = NULL;
	cleanup_node struct node *dir = NULL;

	union_make(1);
	make_dir(branches[0], "d", 0755);
	make_file(branches[0], "d/f", "f");
	config.is_volatile = false;
	config.do_fsync = true;
	union_open();
	file = node_of("d/f");
	dir = node_of("d");
	for (int i = 0; i < 2; i++) {
		assert_eq(fs_sync(fs, file, true), 0);
		assert_eq(fs_sync(fs, file, false), 0);
		assert_eq(fs_sync(fs, dir, false), 0);
		assert_eq(fs_sync_all(fs), 0);
		assert_eq(do_write("d/f", "x", 0), 0);
	}
	node_unref(take_ptr(file));
	node_unref(take_ptr(dir));
	union_end();
}

/* --- threads --- */

enum { N_THREADS = 8, N_ROUNDS = 50 };

/* All write to one file at the same time: it is copied up once, and nothing is lost. */
static void *write_own_byte(void *context)
{
	int i = *(int *)context;
	cleanup_node struct node *node = node_of("f");
	char byte = (char)('a' + i);

	assert_eq(fs_write(fs, node, &byte, 1, i, NULL), 1);
	return NULL;
}

static void test_writers_at_once(void)
{
	pthread_t threads[N_THREADS];
	int numbers[N_THREADS];

	for (int round = 0; round < 10; round++) {
		union_make(1);
		make_file(branches[0], "f", "--------");
		union_open();
		for (int i = 0; i < N_THREADS; i++) {
			numbers[i] = i;
			assert(pthread_create(&threads[i], NULL, write_own_byte, &numbers[i]) == 0);
		}
		for (int i = 0; i < N_THREADS; i++)
			pthread_join(threads[i], NULL);
		assert_streq(read_at("f"), "abcdefgh");
		union_end();
	}
}

/* Each makes, renames, links and removes names in one directory. */
static void *change_names(void *context)
{
	int i = *(int *)context;
	char a[32], b[32], c[32];

	snprintf(a, sizeof(a), "d/a%d", i);
	snprintf(b, sizeof(b), "d/b%d", i);
	snprintf(c, sizeof(c), "d/lower%d", i);
	for (int round = 0; round < N_ROUNDS; round++) {
		write_new(a, "a");
		assert_eq(do_rename(a, b, 0), 0);
		assert_eq(do_link(b, a), 0);
		assert_eq(do_unlink(b), 0);
		assert_eq(do_rename(a, c, 0), 0);
		assert_eq(do_unlink(c), 0);
		assert_eq(do_mkdir(b, 0755), 0);
		assert_eq(do_mkdir(c, 0755), 0);
		assert_eq(do_rmdir(b), 0);
		assert_eq(do_rmdir(c), 0);
	}
	write_new(a, "end");
	return NULL;
}

static void test_names_at_once(void)
{
	pthread_t threads[N_THREADS];
	int numbers[N_THREADS];

	union_make(2);
	make_dir(branches[1], "d", 0755);
	for (int i = 0; i < N_THREADS; i += 2) {
		char name[32];

		snprintf(name, sizeof(name), "d/lower%d", i);
		make_file(branches[1], name, "lower");
	}
	union_open();
	for (int i = 0; i < N_THREADS; i++) {
		numbers[i] = i;
		assert(pthread_create(&threads[i], NULL, change_names, &numbers[i]) == 0);
	}
	for (int i = 0; i < N_THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_streq(list_at("d"), "a0 a1 a2 a3 a4 a5 a6 a7 ");
	assert_eq(count_in_work("orphans"), 0);
	assert_eq(count_in_work("staging"), 0);
	union_reopen();
	assert_streq(list_at("d"), "a0 a1 a2 a3 a4 a5 a6 a7 ");
	union_end();
}

static void tests(void)
{
	test_read_and_write();
	test_descriptor_of_before();
	test_what_is_no_file();
	test_fallocate_and_seek();
	test_copy_range();
	test_sync();
	test_writers_at_once();
	test_names_at_once();
}

int main(void)
{
	scratch_begin();
	union_each_style(tests);
	return 0;
}
