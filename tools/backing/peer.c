/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What is at stake: for a file that was made known, the kernel keeps its path and the credentials
 * of who made the call, and opens the path anew for each open file of the FUSE mount, in the mode
 * that the mount's daemon lets it be opened in, without looking at any permission. So:
 *
 * - A descriptor is taken only if it is open for reading and writing, which is all that can be done
 * by way of the mount. One to read would become one to write. Not O_APPEND either, which cannot be
 *   taken off a descriptor of a file that may only be appended to, and is not kept by the mount.
 * That a mount is read-only does not help, as who made it may change that; a filesystem that never
 * is anything else does.
 * - The thread becomes the peer's user for good: the credentials that are kept have its ids. They
 * have CAP_SYS_ADMIN too, which the call asks for. So files are taken only of filesystems where
 * reading and writing does not depend on that. In /proc and /sys it does.
 *
 * Each peer has a thread because a descriptor may be of a FUSE mount of the peer's, where
 * fstatfs(2) and even close(2) wait for a daemon that need not answer. That is then its own loss.
 */
#include "backing/peer.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/fsuid.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include "backing/message.h"
#include "backing/report.h"
#include "backing/user.h"
#include "base/cleanup.h"
#include "base/table.h"
#include "host/backing.h"

enum { FUSE_MAJOR = 10, FUSE_MINOR = 229, STACK_SIZE = 256 * 1024 };

struct peer {
	int socket;
	struct ucred cred; /* as it was when it connected */
	struct user *user;
	int fuse; /* its FUSE connection; -1: not said yet */
	struct table ids; /* of struct id, by their number */
};

struct id {
	struct table_link link;
};

static void refuse(const struct peer *peer, const char *why)
{
	report_refusal(peer->cred.uid, peer->cred.pid, why);
}

/* ---- privileges ---- */

/* What this thread can do from now on, whoever it is. */
static int keep_capabilities(uint32_t mask)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2] = { { .effective = mask, .permitted = mask } };

	return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

int peer_reduce_privileges(void)
{
	return keep_capabilities(1U << CAP_SYS_ADMIN | 1U << CAP_SETUID | 1U << CAP_SETGID);
}

/* The groups of the peer, as it was when it connected: allocated, with *size in bytes. NULL: errno.
 */
static gid_t *groups_of(int socket, socklen_t *size)
{
	gid_t *groups = NULL;

	*size = 0;
	while (getsockopt(socket, SOL_SOCKET, SO_PEERGROUPS, groups, size) < 0 || !groups) {
		free(groups);
		if (errno && errno != ERANGE)
			return NULL;
		groups = malloc(*size + sizeof(gid_t));
		if (!groups)
			return NULL;
	}
	return groups;
}

/* This thread alone: the C library would have all threads follow. */
static int become(const struct peer *peer)
{
	cleanup_free gid_t *groups = NULL;
	socklen_t size;

	errno = 0;
	groups = groups_of(peer->socket, &size);
	if (!groups || syscall(SYS_setgroups, size / sizeof(gid_t), groups) < 0)
		return -errno;
	setfsgid(peer->cred.gid);
	setfsuid(peer->cred.uid);
	/* They do not say whether they failed, but who is there. */
	if ((gid_t)setfsgid(-1) != peer->cred.gid || (uid_t)setfsuid(-1) != peer->cred.uid)
		return -EPERM;
	return keep_capabilities(1U << CAP_SYS_ADMIN);
}

/* ---- what is taken ---- */

static bool is_fuse_connection(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISCHR(st.st_mode) &&
	       st.st_rdev == makedev(FUSE_MAJOR, FUSE_MINOR);
}

/* Why the file may not be made known, or NULL: it may. */
static const char *objection_to(int fd)
{
	int flags = fcntl(fd, F_GETFL);
	enum backing_disk disk;
	struct stat st;

	if (flags < 0 || flags & O_PATH)
		return "a descriptor that is not open for reading (O_PATH)";
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return "not a regular file";
	disk = backing_disk_of(fd);
	if (disk == BACKING_UNKNOWN)
		return "a file of a filesystem that is not trusted with this";
	if (disk == BACKING_READ_ONLY && (flags & O_ACCMODE) == O_RDONLY)
		return NULL;
	if ((flags & O_ACCMODE) != O_RDWR || flags & O_APPEND)
		return "a descriptor that is not open for reading and writing";
	return NULL;
}

/* ---- requests ---- */

/* Takes `fd` over if it is one. */
static int hello(struct peer *peer, int *fd)
{
	if (!is_fuse_connection(*fd)) {
		refuse(peer, "not a FUSE connection");
		return -ENODEV;
	}
	peer->fuse = take_fd(fd);
	return 0;
}

static int make_known(struct peer *peer, int fd)
{
	struct backing_map map = { .fd = fd };
	struct id *id = calloc(1, sizeof(*id));
	int r = id ? ioctl(peer->fuse, BACKING_IOC_OPEN, &map) : -1;

	if (r < 0)
		r = -errno;
	if (r > 0 && table_add(&peer->ids, &id->link, r) < 0) {
		ioctl(peer->fuse, BACKING_IOC_CLOSE, &(uint32_t){ r });
		r = -ENOMEM;
	}
	if (r <= 0)
		free(id);
	return r;
}

static int open_id(struct peer *peer, int fd)
{
	const char *objection = objection_to(fd);
	int r;

	if (objection) {
		refuse(peer, objection);
		return -EACCES;
	}
	if (!user_take_id(peer->user)) {
		refuse(peer, "more ids than are allowed");
		return -EMFILE;
	}
	r = make_known(peer, fd);
	if (r <= 0)
		user_give_id(peer->user);
	return r;
}

static int give_back(struct peer *peer, struct table_link *link)
{
	int r = ioctl(peer->fuse, BACKING_IOC_CLOSE, &(uint32_t){ link->hash });

	user_give_id(peer->user);
	free(TABLE_OBJECT(link, struct id, link));
	return r < 0 ? -errno : 0;
}

static int close_id(struct peer *peer, int id)
{
	struct table_link *link = table_find(&peer->ids, id);

	if (!link) {
		refuse(peer, "to close an id that is not its own");
		return -ENOENT;
	}
	table_remove(&peer->ids, link);
	return give_back(peer, link);
}

/* The answer, or -EPROTO: this peer does not know how to ask. */
static int result_of(struct peer *peer, const struct message *message, int *fd)
{
	if ((message->request.op == BACKING_HELLO) != (peer->fuse < 0))
		return -EPROTO;
	switch (message->request.op) {
	case BACKING_HELLO:
		return hello(peer, fd);
	case BACKING_OPEN:
		return open_id(peer, *fd);
	default:
		return close_id(peer, message->request.id);
	}
}

/* One request. 1, or why it was the last: 0 or negative errno. */
static int serve_one(struct peer *peer)
{
	struct message message;
	int r = message_receive(peer->socket, &message);
	cleanup_fd int fd = r > 0 ? message.fd : -1;
	struct backing_answer answer;

	if (r <= 0)
		return r;
	r = result_of(peer, &message, &fd);
	if (r == -EPROTO)
		return r;
	answer = (struct backing_answer){ message.request.tag, message.request.op, r };
	/* Who does not read answers is not waited for. */
	if (send(peer->socket, &answer, sizeof(answer), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return -errno;
	return 1;
}

static void peer_free(struct peer *peer)
{
	struct table_link *link;

	while ((link = table_pop(&peer->ids)))
		give_back(peer, link);
	table_done(&peer->ids);
	if (peer->fuse >= 0)
		close(peer->fuse);
	if (peer->user)
		user_leave(peer->user);
	close(peer->socket);
	free(peer);
}

static void *serve(void *arg)
{
	struct peer *peer = arg;
	int r = become(peer);

	if (r < 0)
		refuse(peer, "all: its ids cannot be taken on");
	else
		while ((r = serve_one(peer)) > 0)
			;
	if (r == -EPROTO)
		refuse(peer, "what is not a request");
	else if (r == -EAGAIN)
		refuse(peer, "more, as it does not read the answers");
	peer_free(peer);
	return NULL;
}

static int start_thread(struct peer *peer)
{
	pthread_attr_t attr;
	pthread_t thread;
	int r;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	r = pthread_create(&thread, &attr, serve, peer);
	pthread_attr_destroy(&attr);
	return -r;
}

void peer_start(int socket)
{
	struct peer *peer = calloc(1, sizeof(*peer));
	socklen_t size = sizeof(peer->cred);

	if (!peer) {
		close(socket);
		return;
	}
	peer->socket = socket;
	peer->fuse = -1;
	if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer->cred, &size) == 0)
		peer->user = user_enter(peer->cred.uid);
	if (!peer->user) {
		refuse(peer, "more connections than are allowed");
		peer_free(peer);
	} else if (start_thread(peer) < 0) {
		refuse(peer, "a connection: there is no thread for it");
		peer_free(peer);
	}
}
