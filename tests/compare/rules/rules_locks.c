/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Locks of every kind, between processes and over copy-up; leases; inotify. */
#include "rules.h"

#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/wait.h>

static void with_file(void)
{
	branch(2);
	file("f", "content");
	dir("d");
	start();
}

static void flock_between_descriptors(void)
{
	with_file();
	cleanup_fd int a = open_as("f", O_RDONLY);
	cleanup_fd int b = open_as("f", O_RDWR);
	ok(flock(a, LOCK_SH | LOCK_NB));
	ok(flock(b, LOCK_SH | LOCK_NB));
	fails(flock(b, LOCK_EX | LOCK_NB), EWOULDBLOCK);
	ok(flock(a, LOCK_UN));
	/* A failed conversion loses the lock that was held, so again from nothing. */
	ok(flock(b, LOCK_EX | LOCK_NB));
	set_mode("f", 0600); /* copied up with the lock held */
	fails(flock(a, LOCK_SH | LOCK_NB), EWOULDBLOCK);
	IN_CHILD
	{
		cleanup_fd int c = open_as("f", O_RDONLY);

		fails(flock(c, LOCK_SH | LOCK_NB), EWOULDBLOCK);
	}
	ok(flock(b, LOCK_UN));
	ok(flock(a, LOCK_EX | LOCK_NB));
	cleanup_fd int d = open_as("d", O_RDONLY);
	ok(flock(d, LOCK_EX | LOCK_NB));
}

/* A lock on bytes from..from + length - 1; OFD_ commands want no process. */
static int lock(int fd, int command, short type, off_t from, off_t length)
{
	struct flock l = { .l_type = type, .l_whence = SEEK_SET, .l_start = from, .l_len = length };

	return fcntl(fd, command, &l);
}

/* Who is in the way of a write lock, as F_GETLK tells it; -1: nobody. */
static pid_t holder(int fd, int command, off_t from, off_t length)
{
	struct flock l = { .l_type = F_WRLCK, .l_start = from, .l_len = length };

	ok(fcntl(fd, command, &l));
	return l.l_type == F_UNLCK ? -1 : l.l_pid;
}

static void posix_locks(void)
{
	with_file();
	cleanup_fd int fd = open_as("f", O_RDWR);
	pid_t self = getpid();
	ok(lock(fd, F_SETLK, F_WRLCK, 0, 10));
	ok(lock(fd, F_SETLK, F_RDLCK, 20, 10));
	IN_CHILD
	{
		cleanup_fd int other = open_as("f", O_RDWR);

		fails(lock(other, F_SETLK, F_RDLCK, 5, 1), EAGAIN);
		fails(lock(other, F_SETLK, F_WRLCK, 25, 1), EAGAIN);
		ok(lock(other, F_SETLK, F_RDLCK, 25, 1));
		ok(lock(other, F_SETLK, F_WRLCK, 10, 10));
		check_eq(holder(other, F_GETLK, 0, 1), self);
		check_eq(holder(other, F_GETLK, 40, 1), -1);
	}
	/* Copy-up, and what is written, leave locks alone; closing any descriptor does not. */
	append("f", "more");
	cleanup_fd int again = open_as("f", O_RDWR);
	ok(lock(again, F_SETLK, F_WRLCK, 50, 1));
	close(take_fd(&again));
	IN_CHILD
	{
		cleanup_fd int other = open_as("f", O_RDWR);

		ok(lock(other, F_SETLK, F_WRLCK, 0, 0));
	}
	cleanup_fd int reader = open_as("f", O_RDONLY);
	fails(lock(reader, F_SETLK, F_WRLCK, 0, 1), EBADF);
}

static void posix_locks_over_copy_up(void)
{
	with_file();
	cleanup_fd int fd = open_as("f", O_RDWR);
	ok(lock(fd, F_SETLK, F_WRLCK, 0, 10));
	ok(fchmod(fd, 0600));
	ok(pwrite(fd, "x", 1, 0));
	IN_CHILD
	{
		cleanup_fd int other = open_as("f", O_RDWR);

		fails(lock(other, F_SETLK, F_WRLCK, 0, 1), EAGAIN);
	}
}

static void ofd_locks(void)
{
	with_file();
	cleanup_fd int a = open_as("f", O_RDWR);
	cleanup_fd int b = open_as("f", O_RDWR);
	ok(lock(a, F_OFD_SETLK, F_WRLCK, 0, 10));
	fails(lock(b, F_OFD_SETLK, F_RDLCK, 5, 10), EAGAIN);
	check(holder(b, F_OFD_GETLK, 0, 1) <= 0);
	set_mode("f", 0600);
	fails(lock(b, F_OFD_SETLK, F_WRLCK, 5, 10), EAGAIN);
	/* A child has the parent's, for it has the descriptor. */
	IN_CHILD
	{
		ok(lock(a, F_OFD_SETLK, F_WRLCK, 0, 20));
		fails(lock(b, F_OFD_SETLK, F_WRLCK, 15, 1), EAGAIN);
	}
	close(take_fd(&a));
	ok(lock(b, F_OFD_SETLK, F_WRLCK, 0, 0));
}

/* A child waits for a lock, gets it when the parent lets go, and says so in the file. */
static void locks_are_waited_for(void)
{
	with_file();
	cleanup_fd int fd = open_as("f", O_RDWR);
	ok(lock(fd, F_SETLK, F_WRLCK, 0, 0));
	pid_t pid = ok(fork());
	if (pid == 0) {
		cleanup_fd int other = open_as("f", O_RDWR);

		ok(lock(other, F_SETLKW, F_WRLCK, 0, 0));
		ok(pwrite(other, "C", 1, 0));
		_exit(0);
	}
	usleep(100000);
	check_text(text("f"), "content");
	/* text() has closed a descriptor of the file, which frees what this process had. */
	int status;
	ok(waitpid(pid, &status, 0));
	check_eq(status, 0);
	check_text(text("f"), "Content");
}

static void flock_is_waited_for(void)
{
	with_file();
	cleanup_fd int fd = open_as("f", O_RDWR);
	ok(flock(fd, LOCK_EX));
	pid_t pid = ok(fork());
	if (pid == 0) {
		cleanup_fd int other = open_as("f", O_RDWR);

		ok(flock(other, LOCK_EX));
		ok(pwrite(other, "C", 1, 0));
		_exit(0);
	}
	usleep(100000);
	check_text(text("f"), "content");
	ok(flock(fd, LOCK_UN));
	int status;
	ok(waitpid(pid, &status, 0));
	check_eq(status, 0);
	check_text(text("f"), "Content");
	/* Nor does the lock of a process that ended stay. */
	ok(flock(fd, LOCK_EX | LOCK_NB));
}

/* Two processes that wait for each other: one of them is told so. */
static void deadlocks_are_noticed(void)
{
	int ready[2];
	char byte;

	with_file();
	cleanup_fd int fd = open_as("f", O_RDWR);
	ok(pipe2(ready, O_CLOEXEC));
	ok(lock(fd, F_SETLK, F_WRLCK, 0, 1));
	pid_t pid = ok(fork());
	if (pid == 0) {
		ok(lock(fd, F_SETLK, F_WRLCK, 1, 1));
		ok(write(ready[1], "", 1));
		ok(lock(fd, F_SETLKW, F_WRLCK, 0, 1));
		_exit(0);
	}
	check_eq(read(ready[0], &byte, 1), 1);
	usleep(50000);
	fails(lock(fd, F_SETLKW, F_WRLCK, 1, 1), EDEADLK);
}

/* One that is granted must be one: who opens the file to write is told to wait. */
static void leases(void)
{
	with_file();
	signal(SIGIO, SIG_IGN); /* what tells the holder that it is to give it back */
	cleanup_fd int fd = open_as("f", O_RDONLY);
	if (fcntl(fd, F_SETLEASE, F_RDLCK) < 0) {
		check(on_mount());
		check(errno == EINVAL || errno == EAGAIN);
		append("f", "x");
		return;
	}
	check_eq(fcntl(fd, F_GETLEASE), F_RDLCK);
	fails(open("f", O_WRONLY | O_NONBLOCK), EWOULDBLOCK);
	ok(fcntl(fd, F_SETLEASE, F_UNLCK));
	append("f", "x");
	fails(fcntl(fd, F_SETLEASE, F_RDLCK + 77), EINVAL);
	int writer = open_as("f", O_WRONLY);
	fails(fcntl(fd, F_SETLEASE, F_RDLCK), EAGAIN);
	ok(close(writer));
}

/* ---- inotify ---- */

/* All that is to be read now: "MASK:NAME ..." for the masks that are asked for. */
static const char *events(int fd)
{
	static char said[2000];
	static char buffer[8192] __attribute__((aligned(8)));
	struct pollfd more = { .fd = fd, .events = POLLIN };
	char *to = said;

	*to = '\0';
	while (poll(&more, 1, 0) > 0) {
		ssize_t n = ok(read(fd, buffer, sizeof(buffer)));

		for (char *p = buffer; p < buffer + n;) {
			struct inotify_event *event = (void *)p;

			to += snprintf(to, said + sizeof(said) - to, "%s%x:%s",
				       to > said ? " " : "", event->mask,
				       event->len ? event->name : "");
			p += sizeof(*event) + event->len;
		}
	}
	return said;
}

static void inotify_on_a_directory(void)
{
	char want[200];

	branch(3);
	dir("d");
	file("d/f", "content");
	start();
	cleanup_fd int fd = ok(inotify_init1(IN_CLOEXEC));
	ok(inotify_add_watch(fd, "d",
			     IN_CREATE | IN_DELETE | IN_MODIFY | IN_MOVED_FROM | IN_MOVED_TO |
				     IN_ATTRIB));
	append("d/f", "x");
	set_mode("d/f", 0600);
	dir("d/new");
	ok(rename("d/f", "d/g"));
	ok(unlink("d/g"));
	snprintf(want, sizeof(want), "%x:f %x:f %x:new %x:f %x:g %x:g", IN_MODIFY, IN_ATTRIB,
		 IN_CREATE | IN_ISDIR, IN_MOVED_FROM, IN_MOVED_TO, IN_DELETE);
	check_text(events(fd), want);
}

/* A watch on a lower file goes on after its copy-up. */
static void inotify_on_a_file(void)
{
	char want[200];

	with_file();
	cleanup_fd int fd = ok(inotify_init1(IN_CLOEXEC));
	ok(inotify_add_watch(fd, "f", IN_MODIFY | IN_ATTRIB | IN_DELETE_SELF));
	set_mode("f", 0600);
	append("f", "x");
	append("f", "y");
	snprintf(want, sizeof(want), "%x: %x:", IN_ATTRIB, IN_MODIFY);
	check_text(events(fd), want);
	ok(rename("f", "g"));
	append("g", "z");
	ok(unlink("g"));
	snprintf(want, sizeof(want), "%x: %x: %x: %x:", IN_MODIFY, IN_ATTRIB, IN_DELETE_SELF,
		 IN_IGNORED);
	check_text(events(fd), want);
}

const struct rule rules_locks[] = {
	RULE(flock_between_descriptors, "flock, also between processes and over copy-up"),
	RULE(posix_locks, "POSIX locks between processes"),
	RULE(posix_locks_over_copy_up, "POSIX locks stay over copy-up"),
	RULE(ofd_locks, "OFD locks"),
	RULE(locks_are_waited_for, "F_SETLKW waits, and goes on"),
	RULE(flock_is_waited_for, "flock waits, and goes on"),
	RULE(deadlocks_are_noticed, "EDEADLK"),
	RULE(leases, "leases are granted or cleanly refused"),
	RULE(inotify_on_a_directory, "inotify on a directory"),
	RULE(inotify_on_a_file, "inotify on a file that is copied up"),
	{ 0 },
};
