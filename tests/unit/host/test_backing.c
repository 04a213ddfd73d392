/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The client: against the kernel where that is allowed, and against a helper that the test plays. A
 * /dev/fuse that nothing is mounted by refuses the direct call, to everybody.
 */
#include "host/backing.h"

#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include "../fuse_connection.h"
#include "host/backing_protocol.h"

enum { N_THREADS = 8, N_CALLS = 200 };

static int unmounted(void)
{
	int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);

	assert(fd >= 0);
	return fd;
}

static int open_file(const char *name)
{
	int fd = openat(scratch, name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	assert(fd >= 0);
	return fd;
}

/* ---- the kernel ---- */

static void test_direct(void)
{
	cleanup_fd int fuse = -1, file = open_file("file"), dir = open(".", O_RDONLY);
	char path[200];
	struct backings *backings;
	int id, other;

	make_dir(scratch, "m", 0755);
	snprintf(path, sizeof(path), "%s/m", scratch_path);
	if (!is_root() || (fuse = connection_mount(path)) < 0)
		return skipped("the direct call", "only for root");
	backings = backings_new(fuse, -1, NULL);
	assert(backings_usable(backings));
	assert_eq(backing_open(backings, dir), -EISDIR);
	id = backing_open(backings, file);
	if (id == -EPERM) {
		backings_free(backings);
		return skipped("the direct call", "this kernel has no FUSE passthrough");
	}
	assert(id > 0 && backings_usable(backings));
	other = backing_open(backings, file);
	assert(other > 0 && other != id);
	assert_eq(backing_open(backings, -1), -EBADF);
	assert_eq(backing_close(backings, id), 0);
	assert_eq(backing_close(backings, id), -ENOENT);
	assert_eq(backing_close(backings, other), 0);
	assert(backings_usable(backings));
	backings_free(backings);
}

static void test_nobody_can(void)
{
	cleanup_fd int fuse = unmounted(), null = open("/dev/null", O_RDWR), file = open_file("f");
	const char *paths[] = { NULL, "/nowhere/socket", scratch_path };
	struct backings *backings;

	for (int i = 0; i < 3; i++) {
		backings = backings_new(fuse, -1, paths[i]);
		assert(backings_usable(backings));
		assert_eq(backing_open(backings, file), -EPERM);
		assert(!backings_usable(backings));
		assert_eq(backing_open(backings, file), -EPERM);
		backings_free(backings);
	}
	/* What does not know the call, as older kernels. */
	backings = backings_new(null, -1, NULL);
	assert_eq(backing_open(backings, file), -EPERM);
	assert(!backings_usable(backings));
	backings_free(backings);
	assert_eq(backing_connect(fuse, "/nowhere/socket"), -ENOENT);
}

/* ---- a helper ---- */

/* A request, and the descriptor that came with it or -1. False: they have gone. */
static bool hear(int socket, struct backing_request *ret, int *fd)
{
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec text = { ret, sizeof(*ret) };
	struct msghdr message = { .msg_iov = &text,
				  .msg_iovlen = 1,
				  .msg_control = &control,
				  .msg_controllen = sizeof(control) };
	ssize_t n = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);

	*fd = -1;
	if (n <= 0)
		return false;
	assert_eq(n, sizeof(*ret));
	assert_eq(ret->magic, BACKING_MAGIC);
	if (message.msg_controllen)
		memcpy(fd, CMSG_DATA(&control.head), sizeof(*fd));
	assert_eq(*fd < 0, ret->op == BACKING_CLOSE);
	return true;
}

static void answer(int socket, uint64_t tag, uint32_t op, int result)
{
	struct backing_answer text = { tag, op, result };

	send(socket, &text, sizeof(text), MSG_NOSIGNAL);
}

/* The id of a file is its inode number, so that an answer can be told from another's. */
static int id_of(int fd)
{
	struct stat st;

	assert(fstat(fd, &st) == 0);
	return st.st_ino & INT32_MAX;
}

static void *helper(void *arg)
{
	int socket = *(int *)arg, fd;
	struct backing_request request;

	while (hear(socket, &request, &fd)) {
		answer(socket, request.tag, request.op, request.op == BACKING_OPEN ? id_of(fd) : 0);
		if (fd >= 0)
			close(fd);
	}
	close(socket);
	return NULL;
}

struct played {
	struct backings *backings;
	int ours, theirs, fuse;
};

static struct played play(void)
{
	struct played it = { .fuse = unmounted() };
	int pair[2];

	assert(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
	it.ours = pair[0];
	it.theirs = pair[1];
	it.backings = backings_new(it.fuse, it.theirs, NULL);
	return it;
}

static void play_done(struct played *it)
{
	backings_free(it->backings);
	close(it->theirs);
	close(it->fuse);
}

static void *call_often(void *arg)
{
	struct backings *backings = arg;
	char name[32];
	int file, id;

	snprintf(name, sizeof(name), "%lx", (unsigned long)pthread_self());
	file = open_file(name);
	for (int i = 0; i < N_CALLS; i++) {
		id = backing_open(backings, file);
		assert_eq(id, id_of(file));
		assert_eq(backing_close(backings, id), 0);
	}
	close(file);
	return NULL;
}

/* Also by another process, which has the same connection, as a worker and its successor. */
static void test_many(void)
{
	struct played it = play();
	pthread_t threads[N_THREADS], played;
	int status;
	pid_t pid;

	assert(pthread_create(&played, NULL, helper, &it.ours) == 0);
	pid = fork();
	for (int i = 0; i < N_THREADS; i++)
		assert(pthread_create(&threads[i], NULL, call_often, it.backings) == 0);
	for (int i = 0; i < N_THREADS; i++)
		pthread_join(threads[i], NULL);
	assert(backings_usable(it.backings));
	if (pid == 0)
		_exit(0);
	assert(waitpid(pid, &status, 0) == pid && status == 0);
	play_done(&it);
	pthread_join(played, NULL);
}

static void *one_refusal(void *arg)
{
	int socket = *(int *)arg, fd;
	struct backing_request request;

	assert(hear(socket, &request, &fd));
	close(fd);
	answer(socket, request.tag, request.op, -EACCES);
	return NULL;
}

static void test_refusal_is_of_one_file(void)
{
	struct played it = play();
	cleanup_fd int file = open_file("f");
	pthread_t played;

	assert(pthread_create(&played, NULL, one_refusal, &it.ours) == 0);
	assert_eq(backing_open(it.backings, file), -EACCES);
	assert(backings_usable(it.backings));
	pthread_join(played, NULL);
	close(it.ours);
	/* It broke, and there is no way to make another. */
	assert_eq(backing_open(it.backings, file), -EPERM);
	assert(!backings_usable(it.backings));
	play_done(&it);
}

/* What somebody asked before who has died is not taken for one's own, and the id not lost. */
static void *late_answer(void *arg)
{
	int socket = *(int *)arg, fd;
	struct backing_request request, drop;

	answer(socket, 1, BACKING_OPEN, 99);
	answer(socket, 2, BACKING_CLOSE, 0);
	assert(hear(socket, &request, &fd));
	close(fd);
	assert(hear(socket, &drop, &fd));
	assert_eq(drop.op, BACKING_CLOSE);
	assert_eq(drop.id, 99);
	answer(socket, drop.tag, drop.op, 0);
	answer(socket, request.tag, request.op, 7);
	return NULL;
}

static void test_late_answer(void)
{
	struct played it = play();
	cleanup_fd int file = open_file("f");
	pthread_t played;

	assert(pthread_create(&played, NULL, late_answer, &it.ours) == 0);
	assert_eq(backing_open(it.backings, file), 7);
	pthread_join(played, NULL);
	close(it.ours);
	play_done(&it);
}

static void test_silence(void)
{
	struct played it = play();
	cleanup_fd int file = open_file("f");
	struct timespec before, after;

	clock_gettime(CLOCK_MONOTONIC, &before);
	assert_eq(backing_open(it.backings, file), -EPERM);
	clock_gettime(CLOCK_MONOTONIC, &after);
	assert(after.tv_sec - before.tv_sec >= BACKING_PATIENCE_MS / 1000 - 1);
	assert(!backings_usable(it.backings));
	close(it.ours);
	play_done(&it);
}

/* Each connection is good for a HELLO and one more. */
static void *short_lived(void *arg)
{
	for (int n = 0; n < 3; n++) {
		int socket = accept(*(int *)arg, NULL, NULL), fd;
		struct backing_request request;

		assert(hear(socket, &request, &fd));
		assert_eq(request.op, BACKING_HELLO);
		close(fd);
		answer(socket, request.tag, request.op, 0);
		assert(hear(socket, &request, &fd));
		close(fd);
		answer(socket, request.tag, request.op, 10 + n);
		close(socket);
	}
	return NULL;
}

static void test_made_again(void)
{
	cleanup_fd int listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	cleanup_fd int fuse = unmounted(), file = open_file("f");
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct backings *backings;
	pthread_t played;

	snprintf(address.sun_path, sizeof(address.sun_path), "%.90s/socket", scratch_path);
	assert(bind(listener, (struct sockaddr *)&address, sizeof(address)) == 0);
	assert(listen(listener, 5) == 0);
	assert(pthread_create(&played, NULL, short_lived, &listener) == 0);
	backings = backings_new(fuse, -1, address.sun_path);
	for (int n = 0; n < 3; n++)
		assert_eq(backing_open(backings, file), 10 + n);
	pthread_join(played, NULL);
	close(take_fd(&listener));
	assert_eq(backing_open(backings, file), -EPERM);
	assert(!backings_usable(backings));
	backings_free(backings);
}

int main(void)
{
	if (access("/dev/fuse", R_OK | W_OK) < 0) {
		puts("skipped: no /dev/fuse");
		return 77;
	}
	scratch_begin();
	test_nobody_can();
	test_many();
	test_refusal_is_of_one_file();
	test_late_answer();
	test_silence();
	test_made_again();
	test_direct();
	return 0;
}
