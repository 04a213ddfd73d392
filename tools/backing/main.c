/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * cairn-backing: makes files known to the kernel for FUSE daemons that may not do it themselves.
 * Who may connect is said by the mode of the socket; peer.c says what is refused to them.
 */
#include "config.h"

#include <errno.h>
#include <getopt.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>

#include "backing/peer.h"
#include "backing/user.h"
#include "base/cleanup.h"
#include "base/fd.h"

enum {
	IDS_PER_USER = 65536, /* see the manual page */
	IDS_IN_ALL_PER_USERS = 16,
	LISTEN_FD = 3, /* sd_listen_fds(3) */
};

static const char usage[] =
	"usage: cairn-backing [--limit N] [--socket PATH [--group GROUP]]\n"
	"Without --socket, the socket is the one that systemd gives. See cairn-backing(8).\n";

struct options {
	const char *path; /* NULL: the socket that is there already */
	gid_t group;
	unsigned int limit;
};

static volatile sig_atomic_t is_over;

static void end(int signal)
{
	(void)signal;
	is_over = 1;
}

static int fail(const char *what, int r)
{
	fprintf(stderr, "cairn-backing: %s: %s\n", what, strerror(-r));
	return r;
}

/* A number from 1 to 2^24. */
static int parse_limit(const char *text, unsigned int *ret)
{
	char *rest;
	unsigned long n = strtoul(text, &rest, 10);

	if (*text < '0' || *text > '9' || *rest || n < 1 || n > 1 << 24)
		return -EINVAL;
	*ret = n;
	return 0;
}

static int parse_group(const char *name, gid_t *ret)
{
	struct group *group = getgrnam(name);

	if (!group)
		return -ENOENT;
	*ret = group->gr_gid;
	return 0;
}

static int parse(int argc, char **argv, struct options *ret)
{
	static const struct option known[] = {
		{ "socket", required_argument, NULL, 's' },
		{ "group", required_argument, NULL, 'g' },
		{ "limit", required_argument, NULL, 'l' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ 0 },
	};
	int option, r = 0;

	while (r == 0 && (option = getopt_long(argc, argv, "", known, NULL)) >= 0) {
		if (option == 's')
			ret->path = optarg;
		else if (option == 'g')
			r = parse_group(optarg, &ret->group);
		else if (option == 'l')
			r = parse_limit(optarg, &ret->limit);
		else if (option == 'h' || option == 'V')
			exit(printf("%s", option == 'h' ? usage : PACKAGE_STRING "\n") < 0);
		else
			return -EINVAL;
		if (r < 0)
			fail(optarg, r);
	}
	if (r == 0 && optind < argc)
		r = fail(argv[optind], -EINVAL);
	return r;
}

/* A socket that is left of somebody who has ended is in nobody's way. Anything else is not ours. */
static bool is_dead(const struct sockaddr_un *address)
{
	cleanup_fd int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	struct stat st;

	return lstat(address->sun_path, &st) == 0 && S_ISSOCK(st.st_mode) &&
	       connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 &&
	       errno == ECONNREFUSED;
}

/* A socket at the path, for the group alone: or negative errno. */
static int listen_at(const char *path, gid_t group)
{
	cleanup_fd int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	mode_t umask_before = umask(0777);
	int r;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	r = bind(fd, (struct sockaddr *)&address, sizeof(address));
	if (r < 0 && errno == EADDRINUSE) {
		if (!is_dead(&address) || unlink(path) < 0)
			return -EADDRINUSE;
		r = bind(fd, (struct sockaddr *)&address, sizeof(address));
	}
	umask(umask_before);
	if (r < 0 || lchown(path, -1, group) < 0 || chmod(path, 0660) < 0 ||
	    listen(fd, SOMAXCONN) < 0)
		return -errno;
	return take_fd(&fd);
}

/* What systemd has made and listens at: or negative errno. */
static int listen_at_given(void)
{
	const char *pid = getenv("LISTEN_PID"), *n = getenv("LISTEN_FDS");
	int type = 0, domain = 0;
	socklen_t size = sizeof(type);

	if (!pid || atoi(pid) != getpid() || !n || strcmp(n, "1") != 0)
		return -EBADF;
	getsockopt(LISTEN_FD, SOL_SOCKET, SO_TYPE, &type, &size);
	getsockopt(LISTEN_FD, SOL_SOCKET, SO_DOMAIN, &domain, &size);
	return type == SOCK_SEQPACKET && domain == AF_UNIX ? LISTEN_FD : -EPROTOTYPE;
}

/* Lets peers in until it is told to end. */
static void serve(int listener)
{
	struct pollfd poller = { .fd = listener, .events = POLLIN };
	const struct timespec pause = { .tv_nsec = 100000000 };
	sigset_t during_poll;

	pthread_sigmask(SIG_SETMASK, NULL, &during_poll);
	sigdelset(&during_poll, SIGTERM);
	sigdelset(&during_poll, SIGINT);
	while (!is_over) {
		int socket = -1;

		if (ppoll(&poller, 1, NULL, &during_poll) > 0)
			socket = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		if (socket >= 0)
			peer_start(socket);
		else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM)
			nanosleep(&pause, NULL);
	}
}

/* Signals come when serve() waits, and to no other thread. */
static void prepare_signals(void)
{
	struct sigaction action = { .sa_handler = end };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
}

int main(int argc, char **argv)
{
	struct options options = { .limit = IDS_PER_USER };
	struct rlimit files;
	int listener, r;

	fd_open_stdio();
	if (parse(argc, argv, &options) < 0) {
		fputs(usage, stderr);
		return 2;
	}
	prepare_signals();
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	listener = options.path ? listen_at(options.path, options.group) : listen_at_given();
	if (listener < 0) {
		fail(options.path ? options.path : "no socket from systemd, and no --socket",
		     listener);
		return 1;
	}
	user_limit_ids(options.limit, options.limit * IDS_IN_ALL_PER_USERS);
	r = peer_reduce_privileges();
	if (r == 0)
		serve(listener);
	else
		fail("CAP_SYS_ADMIN, CAP_SETUID and CAP_SETGID", r);
	if (options.path)
		unlink(options.path);
	return r < 0;
}
