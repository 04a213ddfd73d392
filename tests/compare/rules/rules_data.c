/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Content: read and written through whatever descriptor, before and after copy-up. */
#include "rules.h"

#include <linux/aio_abi.h>
#include <linux/falloc.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "base/fd.h"

/* A lower file of three blocks, and the tree. */
static void with_file(void)
{
	branch(3);
	file("f", "old content");
	big_file("big", 3 * 65536);
	start();
}

static void old_descriptor_reads_new_content(void)
{
	with_file();
	cleanup_fd int reader = open_as("f", O_RDONLY);
	check_text(fd_text(reader), "old content");
	write_at("f", 0, "new");
	check_text(fd_text(reader), "new content");
	ok(truncate("f", 3));
	check_text(fd_text(reader), "new");
	check_eq(fd_st(reader).st_size, 3);
	check_eq(fd_st(reader).st_ino, st("f").st_ino);
}

static void old_descriptor_writes_the_copy(void)
{
	with_file();
	cleanup_fd int a = open_as("f", O_RDWR);
	cleanup_fd int b = open_as("f", O_WRONLY | O_APPEND);
	cleanup_fd int path = open_as("f", O_PATH);
	set_mode("f", 0600);
	ok(pwrite(a, "1", 1, 0));
	ok(write(b, "2", 1));
	check_text(text("f"), "1ld content2");
	check_text(fd_text(a), "1ld content2");
	cleanup_fd int again = open_as(fd_path(path).s, O_RDONLY);
	check_text(fd_text(again), "1ld content2");
}

static void truncate_in_both_directions(void)
{
	with_file();
	ok(truncate("big", 70000));
	check(is_big_file("big", 70000));
	ok(truncate("big", 300000));
	cleanup_fd int fd = open_as("big", O_RDWR);
	char tail[8] = "x";
	check_eq(pread(fd, tail, 8, 299992), 8);
	check(!memcmp(tail, "\0\0\0\0\0\0\0", 8));
	check_eq(pread(fd, tail, 8, 70000), 8);
	check(!memcmp(tail, "\0\0\0\0\0\0\0", 8));
	fails(ftruncate(fd, -1), EINVAL);
	ok(ftruncate(fd, 0));
	check_eq(st("big").st_size, 0);
	check_text(text("big"), "");
	fails(truncate(".", 0), EISDIR);
	fails(truncate("none", 0), ENOENT);
}

/* Two processes, a hundred lines each: none is written over. */
static void appends_of_two_processes(void)
{
	with_file();
	cleanup_fd int early = open_as("f", O_WRONLY | O_APPEND);
	IN_CHILD
	{
		for (int i = 0; i < 100; i++)
			append("f", "0123456789");
	}
	pid_t pid = ok(fork());
	for (int i = 0; i < 100; i++)
		ok(write(early, pid ? "a" : "b", 1));
	if (pid == 0)
		_exit(0);
	wait_until(st("f").st_size == 11 + 1000 + 200);
	check_eq(st("f").st_size, 11 + 1000 + 200);
	/* The position does not matter, and is after what was written. */
	ok(lseek(early, 0, SEEK_SET));
	ok(write(early, "end", 3));
	check_eq(lseek(early, 0, SEEK_CUR), 11 + 1000 + 203);
}

/* Four processes write to a lower file at once: it comes up once, with all that they wrote. */
static void writers_at_once(void)
{
	pid_t pids[4];
	char block[4096];
	int status;

	with_file();
	for (int i = 0; i < 4; i++) {
		pids[i] = ok(fork());
		if (pids[i] == 0) {
			cleanup_fd int fd = open_as("big", O_RDWR);

			memset(block, 'a' + i, sizeof(block));
			for (int j = i; j < 48; j += 4)
				check_eq(pwrite(fd, block, sizeof(block), j * 4096), 4096);
			_exit(0);
		}
	}
	for (int i = 0; i < 4; i++) {
		ok(waitpid(pids[i], &status, 0));
		check_eq(status, 0);
	}
	cleanup_fd int fd = open_as("big", O_RDONLY);
	for (int j = 0; j < 48; j++) {
		check_eq(pread(fd, block, sizeof(block), j * 4096), 4096);
		check(block[0] == 'a' + j % 4 && block[4095] == 'a' + j % 4);
	}
}

static void sparse_writes(void)
{
	with_file();
	write_at("f", 5 * MIB, "far");
	check_eq(st("f").st_size, 5 * MIB + 3);
	check(st("f").st_blocks < 1024);
	cleanup_fd int fd = open_as("f", O_RDONLY);
	char middle[4096];
	check_eq(pread(fd, middle, sizeof(middle), 2 * MIB), sizeof(middle));
	for (size_t i = 0; i < sizeof(middle); i++)
		check_eq(middle[i], 0);
	check_text(text("f"), "old content");
	/* Nothing is there beyond the end, and far beyond it nothing can be. */
	check_eq(pread(fd, middle, 1, 6 * MIB), 0);
	cleanup_fd int writer = open_as("f", O_WRONLY);
	fails(pwrite(writer, "x", 1, INT64_MAX), EINVAL);
}

static void open_flags(void)
{
	with_file();
	fails(open("f", O_WRONLY | O_CREAT | O_EXCL, 0644), EEXIST);
	fails(open(".", O_WRONLY), EISDIR);
	fails(open("f", O_RDONLY | O_DIRECTORY), ENOTDIR);
	fails(open("f/x", O_RDONLY), ENOTDIR);
	fails(open("none", O_RDONLY), ENOENT);
	check_text(text("f"), "old content");
	close(open_as("f", O_WRONLY | O_TRUNC));
	check_eq(st("f").st_size, 0);
	close(open_as("big", O_RDONLY | O_TRUNC));
	check_eq(st("big").st_size, 0);
	close(open_as("new", O_CREAT | O_EXCL | O_RDWR));
	fails(open("new", O_CREAT | O_EXCL | O_RDWR, 0644), EEXIST);
	ok(symlink("nowhere", "dangling"));
	fails(open("dangling", O_CREAT | O_EXCL | O_RDWR, 0644), EEXIST);
	fails(open("dangling", O_RDONLY | O_NOFOLLOW), ELOOP);
	close(open_as("dangling", O_CREAT | O_RDWR));
	check(there("nowhere"));
	/* A new file can be written to though its mode forbids it, also by its owner. */
	set_mode(".", 0777);
	AS_USER(1000, 1000)
	{
		cleanup_fd int fd = ok(open("closed", O_CREAT | O_RDWR, 0));
		check_eq(write(fd, "x", 1), 1);
		check_text(fd_text(fd), "x");
		fails(open("closed", O_RDWR), EACCES);
	}
}

static void truncation_of_open_file(void)
{
	with_file();
	cleanup_fd int reader = open_as("f", O_RDONLY);
	file("f", "short");
	check_text(fd_text(reader), "short");
	file("f", "and longer than before");
	check_text(fd_text(reader), "and longer than before");
}

/* ---- O_TMPFILE ---- */

static void tmpfile_has_no_name(void)
{
	branch(2);
	dir("d");
	file("d/f", "f");
	start();
	cleanup_fd int fd = open_as("d", O_TMPFILE | O_RDWR);
	check_eq(write(fd, "content", 7), 7);
	check_text(fd_text(fd), "content");
	check_eq(fd_st(fd).st_nlink, 0);
	check_mode(fd_st(fd).st_mode, S_IFREG | 0644);
	check_text(names("d"), "f");
	ok(fchmod(fd, 0600));
	ok(ftruncate(fd, 3));
	check_eq(fd_st(fd).st_size, 3);
	fails(open("d", O_TMPFILE | O_RDONLY, 0644), EINVAL);
	fails(open("d/f", O_TMPFILE | O_RDWR, 0644), ENOTDIR);
}

static void tmpfile_is_given_a_name(void)
{
	branch(2);
	dir("d");
	start();
	cleanup_fd int fd = open_as(".", O_TMPFILE | O_RDWR);
	ok(write(fd, "content", 7));
	ok(linkat(AT_FDCWD, fd_path(fd).s, AT_FDCWD, "d/named", AT_SYMLINK_FOLLOW));
	check_eq(fd_st(fd).st_nlink, 1);
	check_text(text("d/named"), "content");
	check_eq(st("d/named").st_ino, fd_st(fd).st_ino);
	ok(linkat(fd, "", AT_FDCWD, "second", AT_EMPTY_PATH));
	check_eq(st("d/named").st_nlink, 2);
	fails(linkat(fd, "", AT_FDCWD, "second", AT_EMPTY_PATH), EEXIST);
	ok(unlink("d/named"));
	ok(write(fd, "!", 1));
	cleanup_fd int closed = open_as(".", O_TMPFILE | O_EXCL | O_RDWR);
	fails(linkat(closed, "", AT_FDCWD, "third", AT_EMPTY_PATH), ENOENT);
	close(take_fd(&closed));
	close(take_fd(&fd));
	remount();
	check_text(text("second"), "content!");
	check_eq(st("second").st_nlink, 1);
}

/* ---- past the page cache ---- */

#define PAGE 4096
static char aligned[2 * PAGE] __attribute__((aligned(PAGE)));

static void direct_reads_and_writes(void)
{
	with_file();
	cleanup_fd int direct = open("big", O_RDWR | O_DIRECT | O_CLOEXEC);
	if (direct < 0)
		skip("no O_DIRECT here");
	cleanup_fd int buffered = open_as("big", O_RDWR);
	char word[8];
	check_eq(pread(direct, aligned, PAGE, 2 * PAGE), PAGE);
	check_eq(pread(buffered, word, 8, 2 * PAGE), 8);
	check(!memcmp(word, aligned, 8));
	/* Each sees what the other has written, copied up or not. */
	memset(aligned, 'd', PAGE);
	check_eq(pwrite(direct, aligned, PAGE, 2 * PAGE), PAGE);
	check_eq(pread(buffered, word, 8, 2 * PAGE), 8);
	check(!memcmp(word, "dddddddd", 8));
	check_eq(pwrite(buffered, "buffered", 8, 2 * PAGE), 8);
	check_eq(pread(direct, aligned, PAGE, 2 * PAGE), PAGE);
	check(!memcmp(aligned, "buffereddddd", 12));
	/* At the end there is less to read, and beyond it nothing. */
	ok(ftruncate(buffered, 3 * PAGE + 100));
	check_eq(pread(direct, aligned, 2 * PAGE, 3 * PAGE), 100);
	check_eq(pread(direct, aligned, PAGE, 4 * PAGE), 0);
	check_eq(pwrite(direct, aligned, PAGE, 4 * PAGE), PAGE);
	check_eq(st("big").st_size, 5 * PAGE);
}

static long io(int fd, unsigned int opcode, off_t offset)
{
	aio_context_t context = 0;
	struct iocb request = { .aio_fildes = fd,
				.aio_lio_opcode = opcode,
				.aio_buf = (uintptr_t)aligned,
				.aio_nbytes = PAGE,
				.aio_offset = offset },
		    *list[] = { &request };
	struct io_event event = { 0 };

	if (syscall(SYS_io_setup, 1, &context) < 0)
		skip("no AIO here");
	check_eq(syscall(SYS_io_submit, context, 1, list), 1);
	check_eq(syscall(SYS_io_getevents, context, 1, 1, &event, NULL), 1);
	syscall(SYS_io_destroy, context);
	return event.res;
}

static void aio_agrees_with_reads(void)
{
	with_file();
	for (int flags = O_RDWR; flags <= (O_RDWR | O_DIRECT); flags += O_DIRECT) {
		cleanup_fd int fd = open_as("big", flags);
		cleanup_fd int other = open_as("big", O_RDWR);
		char word[8];

		check_eq(io(fd, IOCB_CMD_PREAD, PAGE), PAGE);
		check_eq(pread(other, word, 8, PAGE), 8);
		check(!memcmp(word, aligned, 8));
		memset(aligned, flags & O_DIRECT ? 'a' : 'b', PAGE);
		check_eq(io(fd, IOCB_CMD_PWRITE, PAGE), PAGE);
		check_eq(pread(other, word, 8, PAGE), 8);
		check(!memcmp(word, aligned, 8));
		check_eq(pwrite(other, "other", 5, PAGE), 5);
		check_eq(io(fd, IOCB_CMD_PREAD, PAGE), PAGE);
		check(!memcmp(aligned, "other", 5));
		check_eq(io(fd, IOCB_CMD_PREAD, MIB), 0);
	}
}

/* What a reader of the page cache has read before, it may not be shown after a direct write is
 * done. */
static void reads_beside_direct_aio(void)
{
	enum { N = 16, SIZE = 16 * PAGE, ROUNDS = 60 };
	static char block[SIZE] __attribute__((aligned(PAGE))), seen[SIZE];
	aio_context_t context = 0;
	struct iocb requests[N], *list[N];
	struct io_event event;

	with_file();
	cleanup_fd int direct = open_as("big", O_RDWR | O_DIRECT);
	cleanup_fd int buffered = open_as("big", O_RDONLY);
	ok(ftruncate(direct, N * SIZE));
	if (syscall(SYS_io_setup, N, &context) < 0)
		skip("no AIO here");
	pid_t reader = ok(fork());
	while (reader == 0) {
		if (read(buffered, seen, SIZE) <= 0 && lseek(buffered, 0, SEEK_SET) < 0)
			_exit(1);
	}
	for (int round = 1; round <= ROUNDS; round++) {
		memset(block, round, SIZE);
		for (int i = 0; i < N; i++) {
			requests[i] = (struct iocb){ .aio_fildes = direct,
						     .aio_lio_opcode = IOCB_CMD_PWRITE,
						     .aio_buf = (uintptr_t)block,
						     .aio_nbytes = SIZE,
						     .aio_offset = (off_t)i * SIZE };
			list[i] = &requests[i];
		}
		check_eq(syscall(SYS_io_submit, context, N, list), N);
		for (int i = 0; i < N; i++) {
			check_eq(syscall(SYS_io_getevents, context, 1, 1, &event, NULL), 1);
			check_eq(event.res, SIZE);
			off_t offset = ((struct iocb *)event.obj)->aio_offset;
			check_eq(pread(buffered, seen, SIZE, offset), SIZE);
			check(!memcmp(seen, block, SIZE));
		}
	}
	ok(kill(reader, SIGKILL));
	ok(waitpid(reader, NULL, 0));
	syscall(SYS_io_destroy, context);
}

/* ---- allocation ---- */

static void fallocate_modes(void)
{
	char got[16] = "";

	with_file();
	cleanup_fd int fd = open_as("big", O_RDWR);
	cleanup_fd int reader = open_as("big", O_RDONLY);
	ok(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, MIB));
	check_eq(fd_st(fd).st_size, 3 * 65536);
	ok(fallocate(fd, 0, 0, MIB));
	check_eq(fd_st(reader).st_size, MIB);
	check(fd_st(fd).st_blocks >= 2048);
	ok(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 8192, 8192));
	check_eq(pread(reader, got, 8, 8192), 8);
	check(!memcmp(got, "\0\0\0\0\0\0\0", 8));
	check_eq(pread(reader, got, 8, 4096), 8);
	check(memcmp(got, "\0\0\0\0\0\0\0", 8));
	ok(fallocate(fd, FALLOC_FL_ZERO_RANGE, 100, 50));
	check_eq(pread(reader, got, 8, 104), 8);
	check(!memcmp(got, "\0\0\0\0\0\0\0", 8));
	check_eq(pread(reader, got, 8, 152), 8);
	check(memcmp(got, "\0\0\0\0\0\0\0", 8));
	ok(fallocate(fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, MIB, 4096));
	check_eq(fd_st(fd).st_size, MIB);
	fails(fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, 1), EOPNOTSUPP);
	fails(fallocate(fd, 0, -1, 1), EINVAL);
	fails(fallocate(fd, 0, 0, 0), EINVAL);
	fails(fallocate(reader, 0, 0, 1), EBADF);
}

static void fallocate_moves_extents(void)
{
	with_file();
	cleanup_fd int fd = open_as("big", O_RDWR);
	if (accepted("move-extents")) {
		fails(fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 0, 4096), EOPNOTSUPP);
		fails(fallocate(fd, FALLOC_FL_INSERT_RANGE, 0, 4096), EOPNOTSUPP);
		check(is_big_file("big", 3 * 65536));
		return;
	}
	if (fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 0, 4096) < 0)
		skip("COLLAPSE_RANGE cannot be done here");
	check_eq(fd_st(fd).st_size, 3 * 65536 - 4096);
	ok(fallocate(fd, FALLOC_FL_INSERT_RANGE, 0, 4096));
	check_eq(fd_st(fd).st_size, 3 * 65536);
}

static void data_and_holes(void)
{
	branch(1);
	file("f", "");
	ok(truncate("f", 4 * MIB));
	write_at("f", MIB, "data");
	start();
	cleanup_fd int fd = open_as("f", O_RDWR);
	for (int round = 0; round < 2; round++) {
		check_eq(lseek(fd, 0, SEEK_DATA), MIB);
		check_eq(lseek(fd, 0, SEEK_HOLE), 0);
		check_eq(lseek(fd, MIB, SEEK_HOLE), MIB + 4096);
		check_eq(lseek(fd, MIB + 2, SEEK_DATA), MIB + 2);
		fails(lseek(fd, 2 * MIB, SEEK_DATA), ENXIO);
		fails(lseek(fd, 4 * MIB, SEEK_HOLE), ENXIO);
		fails(lseek(fd, -1, SEEK_DATA), ENXIO);
		ok(fchmod(fd, 0600)); /* the second round is on the copy */
	}
	check_eq(lseek(fd, 0, SEEK_END), 4 * MIB);
	fails(lseek(fd, -1, SEEK_SET), EINVAL);
}

static void copy_file_ranges(void)
{
	with_file();
	cleanup_fd int from = open_as("f", O_RDONLY);
	cleanup_fd int to = open_as("big", O_RDWR);
	loff_t in = 4, out = 0;
	check_eq(copy_file_range(from, &in, to, &out, 100, 0), 7);
	check_eq(in, 11);
	check_eq(out, 7);
	check(!strncmp(fd_text(to), "content", 7));
	check_eq(copy_file_range(from, &in, to, &out, 100, 0), 0);
	/* Within a file, from a descriptor that was open before its copy-up. */
	cleanup_fd int own = open_as("f", O_RDWR);
	in = 0, out = 11;
	check_eq(copy_file_range(from, &in, own, &out, 3, 0), 3);
	check_text(text("f"), "old contentold");
	in = 0, out = 2;
	fails(copy_file_range(own, &in, own, &out, 5, 0), EINVAL);
	fails(copy_file_range(own, NULL, from, NULL, 5, 0), EBADF);
}

/* ---- to the disk ---- */

static void sync_calls(void)
{
	with_file();
	dir("d");
	cleanup_fd int fd = open_as("f", O_RDWR);
	cleanup_fd int reader = open_as("big", O_RDONLY);
	cleanup_fd int d = open_as("d", O_RDONLY);
	ok(fsync(reader));
	ok(pwrite(fd, "x", 1, 0));
	ok(fsync(fd));
	ok(fdatasync(fd));
	ok(syncfs(fd));
	ok(fsync(d));
	ok(fdatasync(d));
	ok(syncfs(d));
	ok(sync_file_range(fd, 0, 1, SYNC_FILE_RANGE_WRITE));
	file("d/new", "x");
	ok(fsync(d));
	ok(unlink("d/new"));
	ok(rmdir("d"));
	ok(fsync(d));
	fails(fsync(-1), EBADF);
}

static void sync_moves_no_time(void)
{
	with_file();
	cleanup_fd int fd = open_as("f", O_RDWR);
	ok(pwrite(fd, "x", 1, 0));
	struct stat before = fd_st(fd);
	usleep(20000);
	ok(fsync(fd));
	check(same_time(fd_st(fd).st_mtim, before.st_mtim));
	check(same_time(fd_st(fd).st_ctim, before.st_ctim));
	ok(syncfs(fd));
	close(open_as("f", O_RDWR));
	check(same_time(st("f").st_mtim, before.st_mtim));
	/* Nor one that was set while written pages were still to go to the disk. */
	ok(pwrite(fd, "yyyy", 4, 0));
	set_times("f", 1000, 7);
	ok(fsync(fd));
	close(take_fd(&fd));
	remount();
	check_eq(st("f").st_mtim.tv_sec, 1000);
	check_eq(st("f").st_mtim.tv_nsec, 7);
}

const struct rule rules_data[] = {
	RULE(old_descriptor_reads_new_content, "a descriptor of before copy-up reads what is new"),
	RULE(old_descriptor_writes_the_copy, "and writes to the copy"),
	RULE(truncate_in_both_directions, "truncate makes shorter, and longer with zeros"),
	RULE(appends_of_two_processes, "O_APPEND writes at the end, from two processes too"),
	RULE(sparse_writes, "a write beyond the end leaves a hole"),
	RULE(open_flags, "O_TRUNC, O_EXCL, O_DIRECTORY, O_NOFOLLOW, O_CREAT"),
	RULE(truncation_of_open_file, "O_TRUNC under an open descriptor"),
	RULE(tmpfile_has_no_name, "O_TMPFILE"),
	RULE(tmpfile_is_given_a_name, "O_TMPFILE, then linkat"),
	RULE(direct_reads_and_writes, "O_DIRECT agrees with the page cache"),
	RULE(reads_beside_direct_aio, "buffered reads beside direct writes by AIO are never stale"),
	RULE(aio_agrees_with_reads, "AIO agrees with read, buffered and direct"),
	RULE(fallocate_modes, "fallocate: KEEP_SIZE, PUNCH_HOLE, ZERO_RANGE"),
	RULE(fallocate_moves_extents, "fallocate: COLLAPSE_RANGE, INSERT_RANGE"),
	RULE(data_and_holes, "SEEK_DATA and SEEK_HOLE, before and after copy-up"),
	RULE(copy_file_ranges, "copy_file_range, also from and into one file"),
	RULE(sync_calls, "fsync, fdatasync, syncfs of files and directories"),
	RULE(sync_moves_no_time, "mtime does not move at fsync"),
	RULE(writers_at_once, "four processes write to a lower file at once"),
	{ 0 },
};
