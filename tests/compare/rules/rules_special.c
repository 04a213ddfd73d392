/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Files that are used in another way than by reading and writing, and very large ones. */
#include "rules.h"

#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <sys/un.h>
#include <sys/wait.h>

/* ---- fifos ---- */

/* A reader that waits since before the copy-up, and a writer that comes after it. */
static void fifos_connect_over_copy_up(void)
{
	char got[8] = "";

	branch(2);
	ok(mkfifo("fifo", 0600));
	start();
	cleanup_fd int reader = open_as("fifo", O_RDONLY | O_NONBLOCK);
	set_mode("fifo", 0640);
	ok(rename("fifo", "moved"));
	IN_CHILD
	{
		cleanup_fd int writer = open_as("moved", O_WRONLY | O_NONBLOCK);

		check_eq(write(writer, "hello", 5), 5);
	}
	check_eq(read(reader, got, sizeof(got)), 5);
	check_text(got, "hello");
	ok(link("moved", "twin"));
	cleanup_fd int writer = open_as("twin", O_WRONLY | O_NONBLOCK);
	ok(unlink("moved"));
	ok(unlink("twin"));
	check_eq(write(writer, "bye", 3), 3);
	check_eq(read(reader, got, sizeof(got)), 3);
	fails(lseek(reader, 0, SEEK_SET), ESPIPE);
}

static void fifos_without_a_partner(void)
{
	branch(3);
	ok(mkfifo("fifo", 0600));
	start();
	fails(open("fifo", O_WRONLY | O_NONBLOCK), ENXIO);
	pid_t pid = ok(fork());
	if (pid == 0) {
		close(open_as("fifo", O_WRONLY)); /* waits for the reader */
		_exit(0);
	}
	usleep(50000);
	int fd = open_as("fifo", O_RDONLY), status;
	ok(waitpid(pid, &status, 0));
	check_eq(status, 0);
	ok(close(fd));
}

/* ---- sockets ---- */

static int socket_at(const char *path, struct sockaddr_un *address)
{
	*address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	snprintf(address->sun_path, sizeof(address->sun_path), "%s", path);
	return ok(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
}

static int connect_to(const char *path)
{
	struct sockaddr_un address;
	cleanup_fd int fd = socket_at(path, &address);

	return connect(fd, (struct sockaddr *)&address, sizeof(address));
}

static void sockets_listen(void)
{
	struct sockaddr_un address;

	branch(2);
	dir("d");
	start();
	cleanup_fd int fd = socket_at("d/socket", &address);
	ok(bind(fd, (struct sockaddr *)&address, sizeof(address)));
	ok(listen(fd, 5));
	ok(connect_to("d/socket"));
	set_mode("d/socket", 0700);
	ok(rename("d/socket", "moved"));
	ok(link("moved", "twin"));
	ok(connect_to("twin"));
	AS_USER(1000, 1000)
	{
		fails(connect_to("moved"), EACCES);
	}
	cleanup_fd int again = socket_at("moved", &address);
	fails(bind(again, (struct sockaddr *)&address, sizeof(address)), EADDRINUSE);
	close(take_fd(&fd));
	fails(connect_to("moved"), ECONNREFUSED);
	check_mode(st("moved").st_mode, S_IFSOCK | 0700);
	fails(open("moved", O_RDONLY), ENXIO);
}

/* ---- devices ---- */

static void devices_work(void)
{
	char zeros[16] = "not zero";
	struct statvfs fs;

	branch(2);
	ok(mknod("null", S_IFCHR | 0666, makedev(1, 3)));
	start();
	ok(mknod("zero", S_IFCHR | 0600, makedev(1, 5)));
	ok(statvfs(".", &fs));
	if (fs.f_flag & ST_NODEV)
		skip("it is mounted nodev here");
	append("null", "lost");
	check_text(text("null"), "");
	set_mode("null", 0600);
	append("null", "lost");
	cleanup_fd int fd = open_as("zero", O_RDONLY);
	check_eq(read(fd, zeros, sizeof(zeros)), sizeof(zeros));
	check_eq(zeros[0], 0);
	check_eq(st("null").st_rdev, makedev(1, 3));
	AS_USER(1000, 1000)
	{
		fails(open("null", O_RDONLY), EACCES);
	}
}

/* ---- data that does not pass through the program ---- */

static void sendfile_and_splice(void)
{
	int ends[2];
	off_t from = 4;

	branch(2);
	file("f", "old content");
	start();
	cleanup_fd int in = open_as("f", O_RDONLY);
	cleanup_fd int out = open_as("copy", O_CREAT | O_RDWR);
	check_eq(sendfile(out, in, &from, 100), 7);
	check_text(text("copy"), "content");
	ok(pipe2(ends, O_CLOEXEC));
	loff_t at = 0, to = 4;
	check_eq(splice(in, &at, ends[1], NULL, 3, 0), 3);
	cleanup_fd int writer = open_as("f", O_WRONLY);
	check_eq(splice(ends[0], NULL, writer, &to, 3, 0), 3);
	check_text(text("f"), "old oldtent");
	check_text(fd_text(in), "old oldtent");
}

/* ---- large ---- */

#define TIB ((off_t)1 << 40)

/* Of which nothing but a few blocks is there: it is copied up at once. */
static void a_tebibyte_of_holes(void)
{
	branch(3);
	file("huge", "begin");
	if (truncate("huge", 2 * TIB) < 0)
		skip("no files of 2 TiB here");
	write_at("huge", TIB, "middle");
	set_times("huge", 1000, 1);
	start();
	check_eq(st("huge").st_size, 2 * TIB);
	set_mode("huge", 0600);
	write_at("huge", 2 * TIB - 3, "end");
	cleanup_fd int fd = open_as("huge", O_RDWR);
	check_eq(lseek(fd, MIB, SEEK_DATA), TIB);
	char got[8] = "";
	check_eq(pread(fd, got, 6, TIB), 6);
	check_text(got, "middle");
	check_eq(pread(fd, got, 7, 2 * TIB - 3), 3);
	check(st("huge").st_blocks < 1024);
	write_at("huge", 5LL << 32, "beyond 4 GiB");
	check_eq(pread(fd, got, 6, 5LL << 32), 6);
	check_text(got, "beyond");
	ok(ftruncate(fd, 5LL << 32));
	check_eq(st("huge").st_size, 5LL << 32);
}

/* Blocks that were reserved and never written are zeros, and the copy's too. */
static void reserved_blocks_read_as_zeros(void)
{
	branch(2);
	file("f", "head");
	cleanup_fd int fd = open_as("f", O_WRONLY);
	if (fallocate(fd, 0, 0, MIB) < 0)
		skip("no fallocate here");
	start();
	append("f", "tail");
	check_eq(st("f").st_size, MIB + 4);
	cleanup_fd int reader = open_as("f", O_RDONLY);
	char got[8] = "";
	check_eq(pread(reader, got, 4, MIB / 2), 4);
	check(!memcmp(got, "\0\0\0", 4));
	check_eq(pread(reader, got, 8, MIB), 4);
	check_text(got, "tail");
	check_text(fd_text(reader), "head");
}

/* Of sizes around the units that things are copied in. */
static void sizes_of_every_kind(void)
{
	static const off_t sizes[] = { 0,     1,      4095,    4096,	      4097,
				       65536, 131071, 1 << 20, (1 << 20) + 1, 3 << 20 };
	char name[16];

	branch(3);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		snprintf(name, sizeof(name), "f%zu", i);
		big_file(name, sizes[i]);
	}
	start();
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		snprintf(name, sizeof(name), "f%zu", i);
		check(is_big_file(name, sizes[i]));
		set_mode(name, 0600);
		check(is_big_file(name, sizes[i]));
		append(name, "+");
		check_eq(st(name).st_size, sizes[i] + 1);
		ok(truncate(name, sizes[i]));
	}
	remount();
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		snprintf(name, sizeof(name), "f%zu", i);
		check(is_big_file(name, sizes[i]));
	}
}

const struct rule rules_special[] = {
	RULE(fifos_connect_over_copy_up, "a fifo is one over copy-up, rename and link"),
	RULE(fifos_without_a_partner, "ENXIO, and waiting for the other end"),
	RULE(sockets_listen, "sockets can be bound to and found by any name"),
	RULE(devices_work, "devices of branches and new ones work"),
	RULE(sendfile_and_splice, "sendfile and splice"),
	RULE(a_tebibyte_of_holes, "a file of 2 TiB of holes is copied up at once"),
	RULE(reserved_blocks_read_as_zeros, "reserved blocks are zeros in the copy"),
	RULE(sizes_of_every_kind, "files of sizes around the units of copying"),
	{ 0 },
};
