/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The direct call needs no lock. The connection to the helper is for one request at a time: a mutex
 * keeps this process's threads apart, and a POSIX lock on the socket, which goes with a process
 * that dies, keeps processes apart (a worker and the one that takes its place). What a process
 * asked that died before the answer came is told by its tag.
 */
#include "host/backing.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/statfs.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/random.h"
#include "host/backing_protocol.h"

/* Who makes the call. */
enum way {
	WAY_UNKNOWN,
	WAY_DIRECT,
	WAY_HELPER,
	WAY_NONE,
};

struct backings {
	int fuse_fd;
	char *path; /* the helper's, or NULL */
	_Atomic enum way way;
	pthread_mutex_t lock; /* guards what follows, and is held for one request and its answer */
	int helper; /* the connection; negative: none */
	bool is_own; /* made here, and to be closed here */
};

/* A moment by the monotonic clock, in ms. */
static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
}

static int64_t patience_ends(void)
{
	return now_ms() + BACKING_PATIENCE_MS;
}

enum backing_disk backing_disk_of(int fd)
{
	struct statfs fs;

	if (fstatfs(fd, &fs) < 0)
		return BACKING_UNKNOWN;
	switch ((unsigned long)fs.f_type) {
	case EXT4_SUPER_MAGIC:
	case XFS_SUPER_MAGIC:
	case BTRFS_SUPER_MAGIC:
	case F2FS_SUPER_MAGIC:
	case TMPFS_MAGIC:
	case OVERLAYFS_SUPER_MAGIC:
		return BACKING_WRITABLE;
	case SQUASHFS_MAGIC:
	case EROFS_SUPER_MAGIC_V1:
		return BACKING_READ_ONLY;
	default:
		return BACKING_UNKNOWN;
	}
}

/* ---- the kernel ---- */

static int open_directly(int fuse_fd, int fd)
{
	struct backing_map map = { .fd = fd };
	int id = ioctl(fuse_fd, BACKING_IOC_OPEN, &map);

	return id < 0 ? -errno : id;
}

static int close_directly(int fuse_fd, int id)
{
	uint32_t number = id;

	return ioctl(fuse_fd, BACKING_IOC_CLOSE, &number) < 0 ? -errno : 0;
}

/* ---- the helper ---- */

/* Waits until the helper has something to say, or can be told something. */
static int await(int helper, short event, int64_t end)
{
	struct pollfd poller = { .fd = helper, .events = event };
	int64_t left;
	int n;

	do {
		left = end - now_ms();
		n = poll(&poller, 1, left > 0 ? (int)left : 0);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return n ? 0 : -ETIMEDOUT;
}

/* 0, or negative errno: -EPIPE and -ECONNRESET: the connection is broken. */
static int tell(int helper, const struct backing_request *request, int fd, int64_t end)
{
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct iovec text = { (void *)request, sizeof(*request) };
	struct msghdr message = { .msg_iov = &text, .msg_iovlen = 1 };

	if (fd >= 0) {
		message.msg_control = &control;
		message.msg_controllen = sizeof(control.bytes);
		control.head.cmsg_level = SOL_SOCKET;
		control.head.cmsg_type = SCM_RIGHTS;
		control.head.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.head), &fd, sizeof(fd));
	}
	while (sendmsg(helper, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
		int r = -errno;

		if (r == -EAGAIN)
			r = await(helper, POLLOUT, end);
		if (r < 0 && r != -EINTR)
			return r;
	}
	return 0;
}

static int hear(int helper, struct backing_answer *ret, int64_t end)
{
	for (;;) {
		ssize_t n = recv(helper, ret, sizeof(*ret), MSG_DONTWAIT);
		int r = n < 0 ? -errno : 0;

		if (n == sizeof(*ret))
			return 0;
		if (n >= 0)
			return -EPIPE;
		if (r == -EAGAIN)
			r = await(helper, POLLIN, end);
		if (r < 0 && r != -EINTR)
			return r;
	}
}

/* An id that somebody asked for who is dead is nobody's. Its own answer is left to be passed over.
 */
static void drop_id(int helper, int id, int64_t end)
{
	struct backing_request request = { BACKING_MAGIC, BACKING_CLOSE, random_u64(), id, 0 };

	tell(helper, &request, -1, end);
}

/* One request and its answer: 0, and that in *result, or negative errno: no answer came. */
static int converse(int helper, enum backing_op op, int id, int fd, int *result, int64_t end)
{
	struct backing_request request = { BACKING_MAGIC, op, random_u64(), id, 0 };
	struct backing_answer answer;
	int r = tell(helper, &request, fd, end);

	while (r == 0 && (r = hear(helper, &answer, end)) == 0) {
		if (answer.tag == request.tag) {
			*result = answer.result;
			return 0;
		}
		if (answer.op == BACKING_OPEN && answer.result > 0)
			drop_id(helper, answer.result, end);
	}
	return r;
}

static int connect_until(int fuse_fd, const char *path, int64_t end)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	cleanup_fd int helper = -1;
	int result, r;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	helper = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (helper < 0)
		return -errno;
	/* -EAGAIN: so many wait already that a helper in order would not have left waiting. */
	if (connect(helper, (struct sockaddr *)&address, sizeof(address)) < 0)
		return errno == EAGAIN ? -ETIMEDOUT : -errno;
	r = converse(helper, BACKING_HELLO, 0, fuse_fd, &result, end);
	if (r < 0 || result < 0)
		return r < 0 ? r : result;
	return take_fd(&helper);
}

int backing_connect(int fuse_fd, const char *path)
{
	return connect_until(fuse_fd, path, patience_ends());
}

static void let_go(struct backings *backings)
{
	if (backings->is_own && backings->helper >= 0)
		close(backings->helper);
	backings->helper = -1;
}

/* Called with the lock held: makes a connection where there is none. 0 or negative errno. */
static int reach(struct backings *backings, int64_t end)
{
	int helper;

	if (backings->helper >= 0)
		return 0;
	if (!backings->path)
		return -ENOTCONN;
	helper = connect_until(backings->fuse_fd, backings->path, end);
	if (helper < 0)
		return helper;
	backings->helper = helper;
	backings->is_own = true;
	return 0;
}

/* Has the connection for this process alone. 0, or -EAGAIN: others have had it all the time. */
static int lock_connection(int helper, int64_t end)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	const struct timespec pause = { .tv_nsec = 1000000 };

	while (fcntl(helper, F_SETLK, &lock) < 0) {
		if (errno != EAGAIN && errno != EACCES)
			return -errno;
		if (now_ms() >= end)
			return -EAGAIN;
		nanosleep(&pause, NULL);
	}
	return 0;
}

static void unlock_connection(int helper)
{
	struct flock lock = { .l_type = F_UNLCK, .l_whence = SEEK_SET };

	fcntl(helper, F_SETLK, &lock);
}

/* Called with the lock held: converse() by the connection there is. */
static int ask_once(struct backings *backings, enum backing_op op, int id, int fd, int *result,
		    int64_t end)
{
	int r = reach(backings, end);

	if (r == 0)
		r = lock_connection(backings->helper, end);
	if (r < 0)
		return r;
	r = converse(backings->helper, op, id, fd, result, end);
	unlock_connection(backings->helper);
	if (r < 0)
		let_go(backings);
	return r;
}

/* Called with the lock held: the same, and once more by a new connection if the old one broke. */
static int ask_again(struct backings *backings, enum backing_op op, int id, int fd, int *result,
		     int64_t end)
{
	bool was_there = backings->helper >= 0;
	int r = ask_once(backings, op, id, fd, result, end);

	if (r == 0 || r == -EAGAIN || r == -ETIMEDOUT || !was_there)
		return r;
	return ask_once(backings, op, id, fd, result, end);
}

/* What the helper answers; -EPERM, and nobody is asked any more, if it does not. */
static int ask(struct backings *backings, enum backing_op op, int id, int fd)
{
	int64_t end = patience_ends();
	struct timespec until = { end / 1000, end % 1000 * 1000000 };
	int result, r;

	if (pthread_mutex_clocklock(&backings->lock, CLOCK_MONOTONIC, &until) != 0)
		return -EAGAIN;
	r = backings->way == WAY_NONE ? -EPERM : ask_again(backings, op, id, fd, &result, end);
	if (r == 0)
		r = result;
	else if (r != -EAGAIN)
		r = -EPERM;
	if (r != -EPERM && r != -EAGAIN)
		backings->way = WAY_HELPER;
	else if (r == -EPERM)
		backings->way = WAY_NONE;
	pthread_mutex_unlock(&backings->lock);
	return r;
}

/* ---- what is in the header ---- */

struct backings *backings_new(int fuse_fd, int helper, const char *path)
{
	struct backings *backings = calloc(1, sizeof(*backings));

	if (!backings)
		return NULL;
	backings->fuse_fd = fuse_fd;
	backings->helper = helper;
	backings->way = WAY_UNKNOWN;
	if (path && !(backings->path = strdup(path))) {
		free(backings);
		return NULL;
	}
	pthread_mutex_init(&backings->lock, NULL);
	return backings;
}

void backings_free(struct backings *backings)
{
	if (!backings)
		return;
	let_go(backings);
	pthread_mutex_destroy(&backings->lock);
	free(backings->path);
	free(backings);
}

bool backings_usable(const struct backings *backings)
{
	return backings->way != WAY_NONE;
}

int backing_open(struct backings *backings, int fd)
{
	enum way way = backings->way;
	int r;

	if (way == WAY_HELPER)
		return ask(backings, BACKING_OPEN, 0, fd);
	if (way == WAY_NONE)
		return -EPERM;
	r = open_directly(backings->fuse_fd, fd);
	if (r == -EPERM)
		return ask(backings, BACKING_OPEN, 0, fd);
	if (r == -ENOTTY) { /* a kernel that does not know the call: nobody can make it */
		backings->way = WAY_NONE;
		return -EPERM;
	}
	if (r > 0)
		backings->way = WAY_DIRECT;
	return r;
}

int backing_close(struct backings *backings, int id)
{
	int r = backings->way == WAY_HELPER ? -EPERM : close_directly(backings->fuse_fd, id);

	return r == -EPERM ? ask(backings, BACKING_CLOSE, id, -1) : r;
}
