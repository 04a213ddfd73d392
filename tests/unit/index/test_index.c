/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Ordered tables in a file: records, prefixes, sticky errors, and files that are none of ours. */
#include "index/index.h"

#include "scratch.h"

enum { A, B };
static const char *const names[] = { "a", "b", NULL };

static struct index *open_index(const char *name, enum index_mode mode)
{
	struct index *index;

	assert_eq(index_open(scratch, name, mode, names, &index), 0);
	return index;
}

static struct index_txn begin(struct index *index, bool write)
{
	struct index_txn txn;

	assert_eq(index_begin(index, write, &txn), 0);
	return txn;
}

static void put(struct index_txn *txn, unsigned int table, const char *key, const char *value)
{
	index_put(txn, table, key, strlen(key), value, strlen(value));
}

/* The value as a string that the next call uses again; NULL when absent. */
static const char *get(struct index_txn *txn, unsigned int table, const char *key)
{
	static char text[64];
	struct index_value value;
	int r = index_get(txn, table, key, strlen(key), &value);

	assert(r == INDEX_FOUND || r == INDEX_ABSENT);
	if (r == INDEX_ABSENT)
		return NULL;
	assert(value.size < sizeof(text));
	memcpy(text, value.data, value.size);
	text[value.size] = '\0';
	return text;
}

static void test_records(enum index_mode mode)
{
	struct index *index = open_index("records", mode);
	struct index_txn txn = begin(index, true);

	assert(!get(&txn, A, "x"));
	put(&txn, A, "x", "1");
	put(&txn, A, "empty", "");
	put(&txn, B, "x", "other table");
	assert_streq(get(&txn, A, "x"), "1");
	put(&txn, A, "x", "2");
	assert_eq(index_commit(&txn), 0);
	index_abort(&txn); /* harmless after a commit */
	txn = begin(index, true);
	put(&txn, A, "x", "lost");
	index_delete(&txn, B, "x", 1);
	index_abort(&txn);
	index_close(index);
	index = open_index("records", INDEX_READ);
	txn = begin(index, false);
	assert_streq(get(&txn, A, "x"), "2");
	assert_streq(get(&txn, A, "empty"), "");
	assert_streq(get(&txn, B, "x"), "other table");
	assert_eq(index_count(&txn, A), 2);
	assert_eq(index_count(&txn, B), 1);
	index_abort(&txn);
	index_close(index);
	index = open_index("records", mode);
	txn = begin(index, true);
	index_delete(&txn, A, "x", 1);
	index_delete(&txn, A, "x", 1);
	index_delete(&txn, A, "never there", 11);
	assert_eq(index_commit(&txn), 0);
	txn = begin(index, false);
	assert(!get(&txn, A, "x"));
	assert_eq(index_count(&txn, A), 1);
	index_abort(&txn);
	index_close(index);
	index_close(NULL);
	remove_name(scratch, "records");
}

/* After the first failure nothing more happens, and the commit tells which it was. */
static void test_sticky_error(void)
{
	struct index *index = open_index("sticky", INDEX_WRITE);
	struct index_txn txn = begin(index, true);
	char key[INDEX_MAX_KEY + 1];

	memset(key, 'k', sizeof(key));
	put(&txn, A, "before", "1");
	index_put(&txn, A, key, INDEX_MAX_KEY, "v", 1);
	assert_eq(txn.error, 0);
	index_put(&txn, A, key, sizeof(key), "v", 1);
	assert_eq(txn.error, -ENAMETOOLONG);
	put(&txn, A, "after", "1");
	index_delete(&txn, A, "before", 6);
	assert_eq(index_commit(&txn), -ENAMETOOLONG);
	index_abort(&txn);
	txn = begin(index, true);
	assert(!get(&txn, A, "before"));
	assert(!get(&txn, A, "after"));
	put(&txn, A, "again", "1");
	assert_eq(index_commit(&txn), 0);
	txn = begin(index, false);
	assert_streq(get(&txn, A, "again"), "1");
	index_abort(&txn);
	index_close(index);
}

/* --- prefixes --- */

struct seen {
	char keys[256];
	int stop_after;
};

static int note(void *context, struct index_value key, struct index_value value)
{
	struct seen *seen = context;
	size_t used = strlen(seen->keys);

	assert(used + key.size + 2 < sizeof(seen->keys));
	memcpy(seen->keys + used, key.data, key.size);
	strcpy(seen->keys + used + key.size, " ");
	assert_eq(value.size, 1);
	return --seen->stop_after == 0 ? 42 : 0;
}

static const char *keys_with(struct index_txn *txn, const char *prefix, int stop_after)
{
	static struct seen seen;
	int r;

	seen = (struct seen){ .stop_after = stop_after };
	r = index_each(txn, A, prefix, strlen(prefix), note, &seen);
	assert_eq(r, stop_after && seen.stop_after == 0 ? 42 : 0);
	return seen.keys;
}

static void test_prefixes(void)
{
	struct index *index = open_index("prefixes", INDEX_WRITE);
	struct index_txn txn = begin(index, true);

	assert_streq(keys_with(&txn, "", 0), "");
	assert_streq(keys_with(&txn, "a", 0), "");
	for (int i = 0; i < 6; i++) {
		static const char *const keys[] = { "b", "ab", "a", "abc", "ac", "\377" };

		put(&txn, A, keys[i], "v");
	}
	assert_streq(keys_with(&txn, "", 0), "a ab abc ac b \377 ");
	assert_streq(keys_with(&txn, "a", 0), "a ab abc ac ");
	assert_streq(keys_with(&txn, "ab", 0), "ab abc ");
	assert_streq(keys_with(&txn, "abc", 0), "abc ");
	assert_streq(keys_with(&txn, "abcd", 0), "");
	assert_streq(keys_with(&txn, "aa", 0), "");
	assert_streq(keys_with(&txn, "\377", 0), "\377 ");
	assert_streq(keys_with(&txn, "\377\377", 0), "");
	assert_streq(keys_with(&txn, "a", 2), "a ab ");
	assert_eq(index_commit(&txn), 0);
	index_close(index);
}

static void test_many(void)
{
	struct index *index = open_index("many", INDEX_WRITE_ALONE);
	struct index_txn txn = begin(index, true);
	char key[32];

	for (int i = 0; i < 50000; i++) {
		snprintf(key, sizeof(key), "key-%d", i * 7919 % 50000);
		put(&txn, A, key, "v");
	}
	assert_eq(index_commit(&txn), 0);
	index_close(index);
	index = open_index("many", INDEX_READ);
	txn = begin(index, false);
	assert_eq(index_count(&txn, A), 50000);
	assert_streq(get(&txn, A, "key-49999"), "v");
	index_abort(&txn);
	index_close(index);
}

/* --- files --- */

static void test_absent_and_damaged(void)
{
	struct index *index;

	assert_eq(index_open(scratch, "absent", INDEX_READ, names, &index), -ENOENT);
	assert(!exists(scratch, "absent"));
	make_file(scratch, "text", "this is a text, and no index at all\n");
	assert_eq(index_open(scratch, "text", INDEX_READ, names, &index), INDEX_DAMAGED);
	assert_eq(index_open(scratch, "text", INDEX_WRITE, names, &index), INDEX_DAMAGED);
	make_file(scratch, "empty", "");
	assert_eq(index_open(scratch, "empty", INDEX_READ, names, &index), INDEX_DAMAGED);
	make_dir(scratch, "dir", 0755);
	assert(index_open(scratch, "dir", INDEX_READ, names, &index) != 0);
}

/* Cut short anywhere it is damaged, or (where only unused pages are missing) right. */
static void test_cut_short(void)
{
	struct index *index = open_index("whole", INDEX_WRITE);
	struct index_txn txn = begin(index, true);
	cleanup_fd int fd = -1;
	static char bytes[1 << 20];
	ssize_t size;

	for (int i = 0; i < 500; i++) {
		char key[32];

		snprintf(key, sizeof(key), "key-%d", i);
		put(&txn, A, key, "v");
	}
	assert_eq(index_commit(&txn), 0);
	index_close(index);
	fd = openat(scratch, "whole", O_RDONLY | O_CLOEXEC);
	size = fd_pread_all(fd, bytes, sizeof(bytes), 0);
	assert(size > 0 && size < (ssize_t)sizeof(bytes));
	for (ssize_t cut = 0; cut < size; cut += 1000) {
		cleanup_fd int out = openat(scratch, "cut", O_CREAT | O_TRUNC | O_WRONLY, 0600);
		int r;

		assert_eq(fd_pwrite_all(out, bytes, (size_t)cut, 0), cut);
		r = index_open(scratch, "cut", INDEX_READ, names, &index);
		assert(r == 0 || r == INDEX_DAMAGED);
		if (r != 0)
			continue;
		txn = begin(index, false);
		assert_eq(index_count(&txn, A), 500);
		assert_streq(get(&txn, A, "key-499"), "v");
		index_abort(&txn);
		index_close(index);
	}
}

/* Another program's tables, or fewer of ours. */
static void test_other_tables(void)
{
	static const char *const other[] = { "c", NULL };
	struct index *index;

	assert_eq(index_open(scratch, "other", INDEX_WRITE, other, &index), 0);
	index_close(index);
	assert_eq(index_open(scratch, "other", INDEX_READ, names, &index), INDEX_DAMAGED);
}

/* A bit flipped anywhere in the file of several processes is seen, when it is opened and later. */
static void test_flipped_bits(void)
{
	struct index *index = open_index("good", INDEX_WRITE), *other;
	struct index_txn txn = begin(index, true);
	cleanup_fd int fd = -1;
	struct stat st;

	put(&txn, A, "x", "1");
	assert_eq(index_commit(&txn), 0);
	assert(index_is_sealed(index));
	assert_eq(index_look(scratch, "good"), 0);
	assert_eq(index_look(scratch, "good.old"), 0);
	assert_eq(index_look(scratch, "good.new"), -ENOENT);
	fd = openat(scratch, "good", O_RDWR | O_CLOEXEC);
	assert(fstat(fd, &st) == 0);
	for (off_t at = 0; at < st.st_size; at += 97) {
		char good, bad;

		assert_eq(fd_pread_all(fd, &good, 1, at), 1);
		bad = (char)(good ^ 1 << at % 8);
		assert_eq(fd_pwrite_all(fd, &bad, 1, at), 1);
		assert_eq(index_open(scratch, "good", INDEX_WRITE, names, &other), INDEX_DAMAGED);
		assert_eq(index_open(scratch, "good", INDEX_SHARED_READ, names, &other),
			  INDEX_DAMAGED);
		assert_eq(index_look(scratch, "good"), INDEX_DAMAGED);
		assert_eq(fd_pwrite_all(fd, &good, 1, at), 1);
	}
	assert(ftruncate(fd, st.st_size - 1) == 0);
	assert_eq(index_begin(index, true, &txn), -EUCLEAN);
	index_close(index);
	/* What it was before the last commit. */
	assert(renameat(scratch, "good.old", scratch, "good") == 0);
	index = open_index("good", INDEX_SHARED_READ);
	txn = begin(index, false);
	assert(!get(&txn, A, "x"));
	index_abort(&txn);
	index_close(index);
}

/* A commit that does not reach the disk has not happened, in this process neither. */
static void test_failing_commit(void)
{
	struct index *index = open_index("full", INDEX_WRITE);
	struct index_txn txn = begin(index, true);

	put(&txn, A, "x", "1");
	assert_eq(index_commit(&txn), 0);
	assert(unlinkat(scratch, "full.old", 0) == 0 && mkdirat(scratch, "full.old", 0700) == 0);
	txn = begin(index, true);
	put(&txn, A, "x", "2");
	assert(index_commit(&txn) < 0);
	txn = begin(index, false);
	assert_streq(get(&txn, A, "x"), "1");
	index_abort(&txn);
	assert(unlinkat(scratch, "full.old", AT_REMOVEDIR) == 0);
	txn = begin(index, true);
	put(&txn, A, "x", "3");
	assert_eq(index_commit(&txn), 0);
	index_close(index);
	index = open_index("full", INDEX_SHARED_READ);
	txn = begin(index, false);
	assert_streq(get(&txn, A, "x"), "3");
	index_abort(&txn);
	index_close(index);
}

/* Two that have it open see what the other has written. */
static void test_taking_turns(void)
{
	struct index *one = open_index("turns", INDEX_WRITE), *two;
	struct index_txn txn = begin(one, true);

	put(&txn, A, "x", "1");
	assert_eq(index_commit(&txn), 0);
	two = open_index("turns", INDEX_WRITE);
	for (int i = 2; i < 8; i++) {
		char was[2] = { (char)('0' + i - 1), '\0' }, is[2] = { (char)('0' + i), '\0' };

		txn = begin(i % 2 ? one : two, true);
		assert_streq(get(&txn, A, "x"), was);
		put(&txn, A, "x", is);
		assert_eq(index_commit(&txn), 0);
	}
	index_close(one);
	index_close(two);
}

/* One that an earlier version wrote has no seal until it is written to. */
static void test_unsealed(void)
{
	struct index *index = open_index("unsealed", INDEX_WRITE_ALONE);
	struct index_txn txn = begin(index, true);

	put(&txn, A, "x", "1");
	assert_eq(index_commit(&txn), 0);
	index_close(index);
	assert_eq(index_look(scratch, "unsealed"), INDEX_DAMAGED);
	index = open_index("unsealed", INDEX_WRITE);
	assert(!index_is_sealed(index));
	txn = begin(index, true);
	assert_streq(get(&txn, A, "x"), "1");
	put(&txn, A, "y", "2");
	assert_eq(index_commit(&txn), 0);
	assert(index_is_sealed(index));
	index_close(index);
	assert_eq(index_look(scratch, "unsealed"), 0);
}

/* Readers write nothing: no lock file, and a read-only directory will do. */
static void test_read_only(void)
{
	struct index *index = open_index("ro", INDEX_WRITE);
	struct index_txn txn = begin(index, true);

	put(&txn, A, "x", "1");
	assert_eq(index_commit(&txn), 0);
	index_close(index);
	if (exists(scratch, "ro-lock"))
		remove_name(scratch, "ro-lock");
	assert(fchmodat(scratch, "ro", 0400, 0) == 0);
	index = open_index("ro", INDEX_READ);
	assert(!exists(scratch, "ro-lock"));
	assert(index_begin(index, true, &txn) < 0);
	txn = begin(index, false);
	assert_streq(get(&txn, A, "x"), "1");
	index_abort(&txn);
	index_close(index);
}

/* A writer and readers in one process; two transactions in one thread. */
static void test_readers_beside_a_writer(void)
{
	struct index *index = open_index("beside", INDEX_WRITE_ALONE);
	struct index_txn writer = begin(index, true), one, two;

	put(&writer, A, "x", "old");
	assert_eq(index_commit(&writer), 0);
	one = begin(index, false);
	two = begin(index, false);
	writer = begin(index, true);
	put(&writer, A, "x", "new");
	assert_streq(get(&one, A, "x"), "old");
	assert_eq(index_commit(&writer), 0);
	assert_streq(get(&two, A, "x"), "old");
	index_abort(&one);
	index_abort(&two);
	one = begin(index, false);
	assert_streq(get(&one, A, "x"), "new");
	index_abort(&one);
	index_close(index);
}

/* --- whole and damaged --- */

static uint32_t next_random(void)
{
	static uint32_t state = 1;

	state = state * 1664525 + 1013904223;
	return state >> 8;
}

/* Records of all sizes come and go. */
static void put_and_delete(struct index *index, unsigned int n)
{
	static const char value[9000];
	struct index_txn txn = begin(index, true);

	for (unsigned int i = 0; i < n; i++) {
		unsigned int table = next_random() % 2;
		size_t size = next_random() % (next_random() % 8 ? 90 : sizeof(value));
		char key[260];

		snprintf(key, sizeof(key), "%0*u", next_random() % 16 ? 8 : 200,
			 next_random() % 700);
		if (next_random() % 5 < 2)
			index_delete(&txn, table, key, strlen(key));
		else
			index_put(&txn, table, key, strlen(key), value, size);
	}
	assert_eq(index_commit(&txn), 0);
}

/* As an earlier version would have written it. */
static void remove_seal(const char *name)
{
	cleanup_fd int fd = openat(scratch, name, O_RDWR | O_CLOEXEC);
	struct stat st;

	assert(fstat(fd, &st) == 0 && st.st_size % 4096 == 32);
	assert(ftruncate(fd, st.st_size - 32) == 0);
}

/* What LMDB makes of a file is never taken for damage. */
static void test_what_is_whole(void)
{
	for (int i = 0; i < 150; i++) {
		struct index *index = open_index("comes and goes", INDEX_WRITE);

		put_and_delete(index, next_random() % 3 ? 5 : 400);
		if (i % 50 == 49) {
			struct index_txn txn = begin(index, true);

			for (unsigned int n = 0; n < 700; n++) {
				char key[16];

				snprintf(key, sizeof(key), "%08u", n);
				index_delete(&txn, i % 2, key, strlen(key));
			}
			assert_eq(index_commit(&txn), 0);
		}
		index_close(index);
		remove_seal("comes and goes");
		index_close(open_index("comes and goes", INDEX_SHARED_READ));
	}
}

static int any_record(void *context, struct index_value key, struct index_value value)
{
	*(size_t *)context += key.size + value.size;
	return 0;
}

static void go_through(struct index *index)
{
	struct index_txn txn = begin(index, false);
	size_t sum = 0;

	assert_eq(index_each(&txn, A, NULL, 0, any_record, &sum), 0);
	assert_eq(index_each(&txn, B, NULL, 0, any_record, &sum), 0);
	index_abort(&txn);
}

/* Bytes are changed, most of them in the heads of pages; the file is refused or can be used. */
static void damage(int fd, off_t size)
{
	unsigned int n = 1 + next_random() % 3;

	for (unsigned int i = 0; i < n; i++) {
		off_t at = (off_t)(next_random() % (uint32_t)size);
		char byte = (char)next_random();

		if (next_random() % 8)
			at = at / 4096 * 4096 + next_random() % (at < 8192 ? 170 : 40);
		assert_eq(pwrite(fd, &byte, 1, at), 1);
	}
	if (next_random() % 16 == 0)
		assert_eq(ftruncate(fd, (off_t)(next_random() % (uint32_t)size)), 0);
}

static void test_damage(void)
{
	static char bytes[4 << 20];
	struct index *index = open_index("good", INDEX_WRITE);
	cleanup_fd int good = -1;
	ssize_t size;
	int n_used = 0;

	for (int i = 0; i < 5; i++)
		put_and_delete(index, 100);
	index_close(index);
	remove_seal("good");
	good = openat(scratch, "good", O_RDONLY);
	size = fd_pread_all(good, bytes, sizeof(bytes), 0);
	assert(size > 0 && size < (ssize_t)sizeof(bytes));
	for (int i = 0; i < 400; i++) {
		enum index_mode mode = i % 2 ? INDEX_WRITE : INDEX_SHARED_READ;
		cleanup_fd int fd = openat(scratch, "bad", O_RDWR | O_CREAT | O_TRUNC, 0600);
		int r;

		assert_eq(fd_pwrite_all(fd, bytes, (size_t)size, 0), size);
		damage(fd, size);
		r = index_open(scratch, "bad", mode, names, &index);
		assert(r == 0 || r == INDEX_DAMAGED);
		if (r != 0)
			continue;
		n_used++;
		go_through(index);
		if (mode == INDEX_WRITE)
			put_and_delete(index, 100);
		index_close(index);
	}
	printf("%d of 400 damaged files can be used\n", n_used);
}

int main(void)
{
	scratch_begin();
	test_records(INDEX_WRITE);
	test_records(INDEX_WRITE_ALONE);
	test_sticky_error();
	test_prefixes();
	test_many();
	test_absent_and_damaged();
	test_cut_short();
	test_other_tables();
	test_flipped_bits();
	test_failing_commit();
	test_taking_turns();
	test_unsealed();
	test_read_only();
	test_readers_beside_a_writer();
	test_what_is_whole();
	test_damage();
	return 0;
}
