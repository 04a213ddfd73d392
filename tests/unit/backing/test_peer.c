/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What cairn-backing makes of its peers: those who ask for what they may not have, and of nonsense.
 */
#include "backing/peer.h"

#include <dirent.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

#include "../descriptors.h"
#include "../fuse_connection.h"
#include "backing/user.h"
#include "host/backing_protocol.h"

enum { LIMIT = 3 };

static int fuse = -1; /* a connection with passthrough */
static char mount_path[200];

static int new_peer(void)
{
	int pair[2];

	assert(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
	peer_start(pair[1]);
	return pair[0];
}

/* Sends so many bytes of a request, and so many copies of a descriptor. */
static ssize_t say(int peer, const struct backing_request *request, size_t size, int fd, int n_fds)
{
	char bytes[64] = { 0 };

	memcpy(bytes, request, sizeof(*request));
	return send_copies(peer, bytes, size, fd, (size_t)n_fds);
}

static struct backing_request request_of(enum backing_op op, int id)
{
	return (struct backing_request){ BACKING_MAGIC, op, 42, id, 0 };
}

static int hear(int peer)
{
	struct backing_answer answer;

	assert_eq(recv(peer, &answer, sizeof(answer), 0), sizeof(answer));
	assert_eq(answer.tag, 42);
	return answer.result;
}

static int ask(int peer, enum backing_op op, int id, int fd)
{
	struct backing_request request = request_of(op, id);

	assert_eq(say(peer, &request, sizeof(request), fd, fd >= 0), sizeof(request));
	return hear(peer);
}

/* Says something; the answer is the end. */
static void is_thrown_out(int peer, struct backing_request request, size_t size, int n_fds)
{
	char byte;

	assert_eq(say(peer, &request, size, scratch, n_fds), size);
	assert(recv(peer, &byte, 1, 0) <= 0);
	close(peer);
}

static int welcome_peer(void)
{
	int peer = new_peer();

	assert_eq(ask(peer, BACKING_HELLO, 0, fuse), 0);
	return peer;
}

static int n_open(void)
{
	DIR *fds = opendir("/proc/self/fd");
	int n = 0;

	while (readdir(fds))
		n++;
	closedir(fds);
	return n;
}

/* Threads end, and close what they have, in their own time. */
static void await_open(int n)
{
	const struct timespec pause = { .tv_nsec = 10000000 };

	for (int i = 0; i < 500 && n_open() != n; i++)
		nanosleep(&pause, NULL);
	assert_eq(n_open(), n);
}

static void test_nonsense(void)
{
	struct backing_request good = request_of(BACKING_HELLO, 0), bad;
	int before = n_open();

	is_thrown_out(new_peer(), good, 1, 1);
	is_thrown_out(new_peer(), good, sizeof(good) - 1, 1);
	is_thrown_out(new_peer(), good, sizeof(good) + 1, 1);
	is_thrown_out(new_peer(), good, sizeof(good), 0);
	is_thrown_out(new_peer(), good, sizeof(good), 2);
	is_thrown_out(new_peer(), good, sizeof(good), 3);
	is_thrown_out(new_peer(), good, sizeof(good), 200);
	bad = good, bad.magic++;
	is_thrown_out(new_peer(), bad, sizeof(bad), 1);
	bad = good, bad.op = 0;
	is_thrown_out(new_peer(), bad, sizeof(bad), 1);
	bad = good, bad.op = 4;
	is_thrown_out(new_peer(), bad, sizeof(bad), 1);
	bad = good, bad.zero = 1;
	is_thrown_out(new_peer(), bad, sizeof(bad), 1);
	bad = good, bad.id = 1;
	is_thrown_out(new_peer(), bad, sizeof(bad), 1);
	/* In the wrong order. */
	is_thrown_out(new_peer(), request_of(BACKING_OPEN, 0), sizeof(bad), 1);
	is_thrown_out(new_peer(), request_of(BACKING_CLOSE, 1), sizeof(bad), 0);
	is_thrown_out(welcome_peer(), good, sizeof(good), 1);
	is_thrown_out(welcome_peer(), request_of(BACKING_CLOSE, 0), sizeof(bad), 0);
	is_thrown_out(welcome_peer(), request_of(BACKING_CLOSE, -1), sizeof(bad), 0);
	is_thrown_out(welcome_peer(), request_of(BACKING_CLOSE, 1), sizeof(bad), 1);
	close(new_peer());
	await_open(before);
}

static void test_not_a_connection(void)
{
	cleanup_fd int peer = new_peer(), null = open("/dev/null", O_RDWR);

	assert_eq(ask(peer, BACKING_HELLO, 0, null), -ENODEV);
	assert_eq(ask(peer, BACKING_HELLO, 0, scratch), -ENODEV);
	assert_eq(ask(peer, BACKING_HELLO, 0, fuse), 0);
}

static void is_refused(int peer, const char *path, int flags)
{
	cleanup_fd int fd = openat(scratch, path, flags | O_CLOEXEC);

	assert(fd >= 0);
	assert_eq(ask(peer, BACKING_OPEN, 0, fd), -EACCES);
}

static void test_refused_files(void)
{
	cleanup_fd int peer = welcome_peer();
	int pipe_fds[2];

	make_file(scratch, "file", "content");
	is_refused(peer, "file", O_RDONLY);
	is_refused(peer, "file", O_WRONLY);
	is_refused(peer, "file", O_PATH);
	is_refused(peer, "file", O_RDWR | O_APPEND);
	is_refused(peer, ".", O_RDONLY | O_DIRECTORY);
	is_refused(peer, ".", O_PATH);
	is_refused(peer, "/dev/null", O_RDWR);
	is_refused(peer, "/dev/fuse", O_RDWR);
	is_refused(peer, "/proc/self/comm", O_RDWR);
	is_refused(peer, "/sys/kernel/uevent_seqnum", O_RDONLY);
	assert(pipe(pipe_fds) == 0);
	assert_eq(ask(peer, BACKING_OPEN, 0, pipe_fds[0]), -EACCES);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
	assert_eq(ask(peer, BACKING_OPEN, 0, peer), -EACCES);
}

static void test_ids(void)
{
	cleanup_fd int file = openat(scratch, "file", O_RDWR | O_CLOEXEC);
	int first = welcome_peer(), second = welcome_peer(), ids[LIMIT];
	const struct timespec pause = { .tv_nsec = 10000000 };
	int id;

	for (int i = 0; i < LIMIT; i++) {
		ids[i] = ask(first, BACKING_OPEN, 0, file);
		assert(ids[i] > 0);
	}
	assert_eq(ask(first, BACKING_OPEN, 0, file), -EMFILE);
	assert_eq(ask(second, BACKING_OPEN, 0, file), -EMFILE);
	assert_eq(ask(second, BACKING_CLOSE, ids[0], -1), -ENOENT);
	assert_eq(ask(first, BACKING_CLOSE, ids[0], -1), 0);
	assert_eq(ask(first, BACKING_CLOSE, ids[0], -1), -ENOENT);
	id = ask(second, BACKING_OPEN, 0, file);
	assert(id > 0);
	assert_eq(ask(first, BACKING_OPEN, 0, file), -EMFILE);
	/* Its ids go with it, and are to be had again, but not the other's. */
	close(first);
	for (int i = 0; i < 500 && (first = ask(second, BACKING_OPEN, 0, file)) == -EMFILE; i++)
		nanosleep(&pause, NULL);
	assert(first > 0);
	while (ioctl(fuse, BACKING_IOC_CLOSE, &(uint32_t){ ids[LIMIT - 1] }) == 0)
		assert(!"an id that its peer left behind");
	assert_eq(errno, ENOENT);
	assert_eq(ask(second, BACKING_CLOSE, id, -1), 0);
	close(second);
}

/* The kernel's own refusals are handed on. */
static void test_kernel_refuses(void)
{
	cleanup_fd int unmounted = open("/dev/fuse", O_RDWR | O_CLOEXEC), peer = new_peer();
	cleanup_fd int file = openat(scratch, "file", O_RDWR | O_CLOEXEC), other = -1;
	cleanup_fd int welcome = welcome_peer();
	char options[700];

	assert_eq(ask(peer, BACKING_HELLO, 0, unmounted), 0);
	assert_eq(ask(peer, BACKING_OPEN, 0, file), -EPERM);
	make_dir(scratch, "l", 0755);
	make_dir(scratch, "t", 0755);
	snprintf(options, sizeof(options), "%s/t", scratch_path);
	assert(mount("t", options, "tmpfs", 0, NULL) == 0);
	make_dir(scratch, "t/u", 0755);
	make_dir(scratch, "t/w", 0755);
	make_dir(scratch, "o", 0755);
	snprintf(options, sizeof(options), "lowerdir=%s/l,upperdir=%s/t/u,workdir=%s/t/w",
		 scratch_path, scratch_path, scratch_path);
	snprintf(mount_path, sizeof(mount_path), "%s/o", scratch_path);
	if (mount("o", mount_path, "overlay", 0, options) < 0)
		return skipped("a file on overlayfs", strerror(errno));
	make_file(scratch, "o/file", "content");
	other = openat(scratch, "o/file", O_RDWR | O_CLOEXEC);
	assert_eq(ask(welcome, BACKING_OPEN, 0, other), -ELOOP);
	close(take_fd(&other));
	assert(umount2(mount_path, MNT_DETACH) == 0);
}

static void test_who_never_reads(void)
{
	struct backing_request request = request_of(BACKING_CLOSE, 77);
	int peer = welcome_peer(), before = n_open();
	long n = 0;

	while (say(peer, &request, sizeof(request), -1, 0) > 0)
		assert(n++ < 1000000);
	assert(errno == EPIPE || errno == ECONNRESET);
	/* Its thread, its end, and its copy of the connection. */
	await_open(before - 2);
	close(peer);
}

static void *open_mount(void *ret)
{
	snprintf(mount_path, sizeof(mount_path), "%s/m", scratch_path);
	*(int *)ret = open(mount_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return NULL;
}

/* A file of a mount whose daemon does not answer holds up its own peer alone. */
static void test_mount_that_does_not_answer(void)
{
	cleanup_fd int file = openat(scratch, "file", O_RDWR | O_CLOEXEC);
	struct backing_request request = request_of(BACKING_OPEN, 0);
	int stuck = welcome_peer(), other = welcome_peer(), dir = -1, id;
	struct fuse_open_out opened = { 0 };
	pthread_t opener;

	assert(pthread_create(&opener, NULL, open_mount, &dir) == 0);
	connection_answer(fuse, connection_await(fuse, FUSE_OPENDIR), &opened, sizeof(opened));
	pthread_join(opener, NULL);
	assert(dir >= 0);
	assert_eq(say(stuck, &request, sizeof(request), dir, 1), sizeof(request));
	connection_await(fuse, FUSE_GETATTR); /* and that is all it gets */
	assert(recv(stuck, &request, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN);
	id = ask(other, BACKING_OPEN, 0, file);
	assert(id > 0);
	assert_eq(ask(other, BACKING_CLOSE, id, -1), 0);
	assert(umount2(mount_path, MNT_FORCE | MNT_DETACH) == 0);
	assert_eq(hear(stuck), -EACCES);
	close(dir);
	close(stuck);
	close(other);
}

int main(void)
{
	if (!is_root() || access("/dev/fuse", R_OK | W_OK) < 0) {
		puts("skipped: only for root, with /dev/fuse");
		return 77;
	}
	scratch_begin();
	make_dir(scratch, "m", 0755);
	snprintf(mount_path, sizeof(mount_path), "%s/m", scratch_path);
	fuse = connection_mount(mount_path);
	if (fuse < 0)
		return 77;
	/* As it is seen in the mount namespace that the test has now. */
	assert(dup3(open_dir(AT_FDCWD, scratch_path), scratch, O_CLOEXEC) == scratch);
	user_limit_ids(LIMIT, 100);
	test_nonsense();
	test_not_a_connection();
	test_refused_files();
	test_ids();
	test_kernel_refuses();
	test_who_never_reads();
	test_mount_that_does_not_answer();
	return 0;
}
