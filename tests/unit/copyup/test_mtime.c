/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The time of a file's last change where the kernel has it: nothing but the kernel moves it. */
#include "copyup/mtime.h"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "union.h"

enum { N_THREADS = 6, N_ROUNDS = 300, N_FILES = 300 };

static struct node *file;
static const struct timespec told = { 1234567890, 123456789 };

static int64_t nanoseconds(struct timespec time)
{
	return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

/* What upper says of it. */
static int64_t mtime_now(void)
{
	return nanoseconds(stat_of(upper, "f").st_mtim);
}

static int tell(struct timespec mtime)
{
	struct stat st = { .st_mtim = mtime };

	return fs_setattr(fs, file, &st, FS_SET_MTIME, NULL, &st);
}

/* A mount with a file `f` that the kernel knows. */
static void begin(bool writeback)
{
	union_make(1);
	make_file(branches[0], "f", "01234567");
	set_times(branches[0], "f", told.tv_sec, told.tv_nsec);
	config.writeback = writeback;
	union_open();
	file = node_of("f");
}

static void end(void)
{
	node_unref(take_ptr(file));
	union_end();
}

static ssize_t write_back(void)
{
	return fs_write_back(fs, file, "page", 4, 0);
}

static ssize_t write_through(void)
{
	return fs_write(fs, file, "page", 4, 0, NULL);
}

static ssize_t reserve(void)
{
	return fs_fallocate(fs, file, 0, 0, 100, NULL);
}

static ssize_t copy(void)
{
	return fs_copy_range(fs, file, 0, file, 10, 4, NULL);
}

static ssize_t truncate_to(off_t size)
{
	struct stat st = { .st_size = size };

	return fs_setattr(fs, file, &st, FS_SET_SIZE, NULL, &st);
}

static ssize_t shorten(void)
{
	return truncate_to(5);
}

static ssize_t lengthen(void)
{
	return truncate_to(50);
}

static ssize_t (*const changes[])(void) = { write_back, write_through, reserve,
					    copy,	shorten,       lengthen };
enum { N_CHANGES = sizeof(changes) / sizeof(*changes) };

static void test_changes_leave_it(void)
{
	for (size_t i = 0; i < N_CHANGES; i++) {
		for (size_t j = 0; j < N_CHANGES; j++) {
			begin(true);
			assert(changes[i]() >= 0);
			assert_eq(mtime_now(), nanoseconds(told));
			assert_eq(tell((struct timespec){ 1000, 7 }), 0);
			assert(changes[j]() >= 0);
			assert_eq(mtime_now(), nanoseconds((struct timespec){ 1000, 7 }));
			end();
		}
	}
}

/* Where the filesystem has it, it moves as it always did. */
static void test_without_writeback(void)
{
	for (size_t i = 0; i < N_CHANGES; i++) {
		begin(false);
		assert(changes[i]() >= 0);
		assert(mtime_now() > nanoseconds(told));
		end();
	}
}

/* A time that comes while two write is what is there when both are done, whoever is done first. */
static void test_told_meanwhile(void)
{
	for (int i = 0; i < 2; i++) {
		cleanup_fd_ref struct fd_ref *ref = NULL;
		struct mtime writers[2] = { 0 };
		int r;

		begin(true);
		ref = file_get(fs, file, true, &r);
		assert(ref);
		assert_eq(mtime_hold(fs, file, ref->fd, &writers[0]), 0);
		assert_eq(fd_pwrite_all(ref->fd, "a", 1, 0), 1);
		assert_eq(mtime_hold(fs, file, ref->fd, &writers[1]), 0);
		assert_eq(tell((struct timespec){ 1000, 7 }), 0);
		assert_eq(fd_pwrite_all(ref->fd, "b", 1, 0), 1);
		assert_eq(mtime_release(&writers[i]), 0);
		assert_eq(write_back(), 4);
		assert_eq(mtime_release(&writers[!i]), 0);
		assert_eq(mtime_now(), nanoseconds((struct timespec){ 1000, 7 }));
		assert_eq(mtime_release(&writers[i]), 0);
		end();
	}
}

static void *write_pages(void *context)
{
	(void)context;
	for (int i = 0; i < N_ROUNDS; i++)
		assert_eq(write_back(), 4);
	return NULL;
}

static void test_threads_at_once(void)
{
	pthread_t threads[N_THREADS];

	begin(true);
	for (int i = 0; i < N_THREADS; i++)
		assert(pthread_create(&threads[i], NULL, write_pages, NULL) == 0);
	for (int i = 0; i <= N_ROUNDS; i++)
		assert_eq(tell((struct timespec){ 1000, i }), 0);
	for (int i = 0; i < N_THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_eq(mtime_now(), nanoseconds((struct timespec){ 1000, N_ROUNDS }));
	end();
}

static void *copy_files(void *context)
{
	(void)context;
	for (int i = 0; i < N_FILES; i++) {
		cleanup_node struct node *node = NULL;
		char path[32];

		snprintf(path, sizeof(path), "d/%d", i);
		node = node_of(path);
		assert_eq(copyup_node(fs, node), 0);
	}
	return NULL;
}

/* Times of a directory, while files in it are copied up, which leaves them as they were. */
static void test_directory_told_meanwhile(void)
{
	pthread_t thread;
	struct stat st;

	union_make(1);
	make_dir(branches[0], "d", 0755);
	for (int i = 0; i < N_FILES; i++) {
		char path[32];

		snprintf(path, sizeof(path), "d/%d", i);
		make_file(branches[0], path, "lower");
	}
	union_open();
	file = node_of("d");
	assert_eq(tell((struct timespec){ 1000, 0 }), 0);
	assert(pthread_create(&thread, NULL, copy_files, NULL) == 0);
	for (int i = 1; i <= N_ROUNDS * 10; i++) {
		assert_eq(tell((struct timespec){ 1000, i }), 0);
		st = stat_of(upper, "d");
		assert(st.st_mtim.tv_sec != 1000 || st.st_mtim.tv_nsec == i);
	}
	pthread_join(thread, NULL);
	assert_eq(nanoseconds(stat_of(upper, "d").st_mtim),
		  nanoseconds((struct timespec){ 1000, N_ROUNDS * 10 }));
	end();
}

/* A worker that writes, is told another time if `is_told`, and dies before it is done. */
static void die(bool is_told)
{
	struct mtime mtime;
	int r, status;
	pid_t pid = fork();

	if (pid == 0) {
		struct fd_ref *ref = file_get(fs, file, true, &r);

		assert(ref);
		assert_eq(mtime_hold(fs, file, ref->fd, &mtime), 0);
		assert_eq(fd_pwrite_all(ref->fd, "page", 4, 0), 4);
		if (is_told)
			assert_eq(tell((struct timespec){ 1000, 7 }), 0);
		assert_eq(fd_pwrite_all(ref->fd, "page", 4, 4), 4);
		_exit(0);
	}
	assert(pid > 0 && waitpid(pid, &status, 0) == pid && status == 0);
}

/* A mount after the one before, or a worker, by the same memory. */
static void follow(struct kept *kept, bool is_restart)
{
	node_unref(take_ptr(file));
	if (is_restart)
		fs_leave(fs);
	else
		union_close();
	config.kept = kept;
	config.is_restart = is_restart;
	union_open();
	file = node_of("f");
}

static void test_next_worker_puts_it_back(void)
{
	for (int is_told = 0; is_told < 2; is_told++) {
		struct timespec expected = is_told ? (struct timespec){ 1000, 7 } : told;
		struct kept *kept = mmap(NULL, sizeof(*kept), PROT_READ | PROT_WRITE,
					 MAP_SHARED | MAP_ANONYMOUS, -1, 0);

		assert(kept != MAP_FAILED);
		begin(true);
		assert_eq(copyup_node(fs, file), 0);
		follow(kept, false);
		die(is_told);
		assert(mtime_now() > nanoseconds(expected));
		follow(kept, true);
		assert_eq(mtime_now(), nanoseconds(expected));
		end();
		munmap(kept, sizeof(*kept));
	}
}

static void tests(void)
{
	test_changes_leave_it();
	test_without_writeback();
	test_told_meanwhile();
	test_threads_at_once();
	test_directory_told_meanwhile();
	test_next_worker_puts_it_back();
}

int main(void)
{
	scratch_begin();
	union_each_style(tests);
	return 0;
}
