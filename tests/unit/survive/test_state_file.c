/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The file behind the state: what was put in is found, and nothing else, whatever becomes of it. */
#include "survive/state_file.h"

#include <signal.h>
#include <sys/resource.h>

#include "base/table.h"
#include "branch/number.h"
#include "records.h"

static int work = -1;

static struct state_file *open_file(void)
{
	struct state_file *file;

	assert_eq(state_file_open(work, &file), 0);
	return file;
}

static void begin(void)
{
	char name[32];
	static int count;

	snprintf(name, sizeof(name), "%d", count++);
	work = make_dir_open(scratch, name);
}

static void end(void)
{
	close(work);
}

static void test_records(void)
{
	enum { N = 200000 };
	struct state_file *file;

	begin();
	file = open_file();
	assert(!has(file, 1));
	for (ino_t real = 1; real <= N; real++)
		put(file, real);
	for (ino_t real = 1; real <= N; real += 3)
		assert_eq(state_file_delete(file, real), 0);
	assert_eq(state_file_delete(file, N + 5), 0);
	for (int round = 0; round < 2; round++) {
		for (ino_t real = 1; real <= N + 1; real++)
			assert_eq(has(file, real), real <= N && real % 3 != 1);
		state_file_close(file);
		file = open_file();
	}
	/* Another record in place of the first. */
	assert(state_file_put(file, 2, (struct state_record){ .ino = 5 }) >= 0);
	put(file, 2);
	assert(has(file, 2));
	assert_eq(state_file_delete(file, 2), 0);
	assert(!has(file, 2));
	assert(!exists(work, "state.new"));
	state_file_close(file);
	state_file_close(NULL);
	end();
}

/* The room of what is gone is used again. */
static void test_room_used_again(void)
{
	struct state_file *file;
	off_t size;

	begin();
	file = open_file();
	size = stat_of(work, "state.map").st_size;
	for (ino_t real = 1; real <= 100000; real++) {
		put(file, real);
		assert_eq(state_file_delete(file, real), 0);
	}
	assert(stat_of(work, "state.map").st_size <= size * 2);
	state_file_close(file);
	end();
}

static void test_reserve(void)
{
	struct state_file *file;
	uint64_t next;

	begin();
	file = open_file();
	next = state_file_next(file);
	assert(next >= LOWER_INO_END && next < UINT64_C(1) << 63);
	assert_eq(state_file_reserve(file, next + 1000), 0);
	assert_eq(state_file_next(file), next + 1000);
	/* Also where it has grown since. */
	for (ino_t real = 1; real <= 10000; real++)
		put(file, real);
	state_file_close(file);
	file = open_file();
	assert_eq(state_file_next(file), next + 1000);
	state_file_close(file);
	/* A file that is lost: the numbers of the next are far from those. */
	remove_name(work, "state.map");
	file = open_file();
	assert(state_file_next(file) != next);
	state_file_close(file);
	end();
}

/* No more room than there is: what has its place keeps it, and there may be room later. */
static void test_full(void)
{
	struct rlimit limit, old;
	struct state_file *file;
	ino_t real = 1;

	begin();
	file = open_file();
	signal(SIGXFSZ, SIG_IGN);
	assert(getrlimit(RLIMIT_FSIZE, &old) == 0);
	limit = old;
	limit.rlim_cur = (rlim_t)stat_of(work, "state.map").st_size;
	assert(setrlimit(RLIMIT_FSIZE, &limit) == 0);
	while (state_file_put(file, real, record_of(real)) == 0)
		real++;
	assert(real > 500 && real < 1100);
	for (ino_t i = 1; i < real; i++)
		assert(has(file, i));
	assert(!has(file, real));
	assert(!exists(work, "state.new"));
	assert_eq(state_file_delete(file, 1), 0);
	assert(!has(file, 1));
	assert(setrlimit(RLIMIT_FSIZE, &old) == 0);
	/* It is not tried again for each; what has been gone since may be room enough. */
	for (int i = 0; state_file_put(file, real, record_of(real)) < 0; i++)
		assert(i < 5000);
	for (ino_t i = 2; i <= real; i++)
		assert(has(file, i));
	state_file_close(file);
	end();
}

static uint32_t next_random(void)
{
	static uint64_t state = 1;

	return (uint32_t)(table_hash_u64(state++) >> 32);
}

/* Changes some bytes, a page, or the end of the file. */
static void damage(int fd, off_t size)
{
	uint8_t bytes[4096];
	uint32_t kind = next_random() % 5;
	off_t at = (off_t)(next_random() % (uint32_t)size);

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = kind == 1 ? 0 : (uint8_t)next_random();
	if (kind == 0)
		assert(ftruncate(fd, at) == 0);
	else if (kind == 1 || kind == 2)
		assert(pwrite(fd, bytes, sizeof(bytes), at & ~4095) > 0);
	else
		for (int i = 0; i < 40; i++)
			assert(pwrite(fd, &bytes[i], 1, (off_t)(next_random() % (uint32_t)size)) ==
			       1);
	/* Often enough where it says what all of it is. */
	if (next_random() % 8 == 0)
		assert(pwrite(fd, bytes, 1, at % 48) == 1);
}

static void test_damage(void)
{
	enum { N = 3000, ROUNDS = 60 };

	unsigned int n = 0;

	begin();
	for (unsigned int round = 0; round < ROUNDS; round++) {
		struct state_file *file = open_file();

		for (ino_t real = 1; real <= N; real++)
			put(file, real);
		/* While it is open, and before it is opened again. */
		for (int i = 0; i < 2; i++) {
			cleanup_fd int fd = openat(work, "state.map", O_RDWR);

			damage(fd, stat_of(work, "state.map").st_size);
			for (ino_t real = 1; real <= N; real++)
				n += has(file, real);
			for (ino_t real = N + 1; real <= N + 500; real++)
				assert(!has(file, real));
			for (ino_t real = N + 1; real <= N + 500; real++)
				put(file, real);
			for (ino_t real = N + 1; real <= N + 500; real++) {
				assert(has(file, real));
				assert_eq(state_file_delete(file, real), 0);
				assert(!has(file, real));
			}
			state_file_close(file);
			file = open_file();
		}
		state_file_close(file);
	}
	/* It is not all or nothing. */
	assert(n > N * ROUNDS / 2);
	end();
}

int main(void)
{
	scratch_begin();
	test_records();
	test_room_used_again();
	test_reserve();
	test_full();
	test_damage();
	return 0;
}
