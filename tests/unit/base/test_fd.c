/* SPDX-License-Identifier: GPL-3.0-or-later */
/* System calls on (directory, name), with openat2 and, as on old kernels, without it. */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "scratch.h"

/* From here on openat2 does not exist for this process. */
static bool deny_openat2(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat2, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { .len = sizeof(code) / sizeof(*code), .filter = code };

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static void expect_refused(int dir, const char *path, int flags)
{
	int fd = fd_open_beneath(dir, path, flags);

	if (fd >= 0)
		fprintf(stderr, "'%s' was opened\n", path);
	/* ENOTDIR: a link in the middle, where a directory has to be. */
	assert(fd == -ELOOP || fd == -EXDEV || fd == -ENOTDIR);
}

static void test_open_beneath(void)
{
	static const char *const escapes[] = {
		"..",
		"../outside",
		"a/../..",
		"a/../../outside",
		"a/b/../../../outside",
		"/",
		"/etc/passwd",
		"to-etc/passwd",
		"up/outside",
		"a/up/x",
		"a/to-root/etc",
		"to-etc/ssl",
		"loop",
		"loop/x",
	};
	cleanup_fd int dir = make_dir_open(scratch, "beneath");
	char path[64];
	int fd;

	make_file(scratch, "outside", "outside");
	make_dir(dir, "a", 0755);
	make_dir(dir, "a/b", 0755);
	make_file(dir, "a/b/f", "inside");
	make_symlink(dir, "/etc", "to-etc");
	make_symlink(dir, "..", "up");
	make_symlink(dir, "../..", "a/up");
	make_symlink(dir, "/", "a/to-root");
	make_symlink(dir, "a", "to-a"); /* stays inside, and is not followed either */
	make_symlink(dir, "loop", "loop");
	for (size_t i = 0; i < sizeof(escapes) / sizeof(*escapes); i++) {
		expect_refused(dir, escapes[i], O_RDONLY);
		if (strcmp(escapes[i], "loop") != 0)
			expect_refused(dir, escapes[i], O_PATH);
		expect_refused(dir, escapes[i], O_PATH | O_DIRECTORY);
	}
	expect_refused(dir, "to-a/b/f", O_RDONLY);
	expect_refused(dir, "to-a/b", O_PATH);
	expect_refused(dir, "to-a", O_RDONLY);
	expect_refused(dir, "to-etc", O_RDONLY | O_DIRECTORY);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", scratch);
	expect_refused(dir, path, O_RDONLY);
	fd = fd_open_beneath(dir, "a/b/f", O_RDONLY);
	assert(fd >= 0);
	assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	close(fd);
	fd = fd_open_beneath(dir, "a/b", O_PATH | O_DIRECTORY);
	assert(fd >= 0);
	assert_streq(content_of(fd, "f"), "inside");
	close(fd);
	fd = fd_open_beneath(dir, ".", O_PATH);
	assert_eq(stat_of(fd, ".").st_ino, stat_of(dir, ".").st_ino);
	close(fd);
	fd = fd_open_beneath(dir, "a//b/f", O_RDONLY);
	assert(fd >= 0);
	close(fd);
	assert_eq(fd_open_beneath(dir, "a/absent", O_RDONLY), -ENOENT);
	assert_eq(fd_open_beneath(dir, "absent/a", O_RDONLY), -ENOENT);
	assert_eq(fd_open_beneath(dir, "a/b/f/x", O_RDONLY), -ENOTDIR);
	assert_eq(fd_open_beneath(dir, "", O_RDONLY), -ENOENT);
}

/* With O_PATH a final link is opened itself. */
static void test_open_a_link_itself(void)
{
	cleanup_fd int dir = make_dir_open(scratch, "link-itself");
	cleanup_free char *target = NULL;
	struct stat st;
	int fd;

	make_dir(dir, "d", 0755);
	make_symlink(dir, "/etc", "d/link");
	fd = fd_open_beneath(dir, "d/link", O_PATH);
	assert(fd >= 0);
	assert_eq(fd_stat(fd, NULL, &st), 0);
	assert(S_ISLNK(st.st_mode));
	assert_eq(fd_readlink(fd, NULL, &target), 0);
	assert_streq(target, "/etc");
	close(fd);
}

/* The header: no "..", even one that would come back. */
static void test_dotdot_that_stays_inside(void)
{
	cleanup_fd int dir = make_dir_open(scratch, "dotdot");

	make_dir(dir, "a", 0755);
	make_dir(dir, "b", 0755);
	expect_refused(dir, "a/../b", O_PATH);
}

static void test_open_does_not_follow(void)
{
	cleanup_fd int dir = make_dir_open(scratch, "open");
	int fd;

	make_file(dir, "f", "f");
	make_symlink(dir, "f", "link");
	assert_eq(fd_open(dir, "link", O_RDONLY, 0), -ELOOP);
	assert_eq(fd_open(dir, "link", O_CREAT | O_WRONLY, 0600), -ELOOP);
	assert_eq(fd_open(dir, "link", O_CREAT | O_EXCL | O_WRONLY, 0600), -EEXIST);
	fd = fd_open(dir, "link", O_PATH, 0);
	assert(fd >= 0);
	assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	close(fd);
}

static void test_reopen(void)
{
	cleanup_fd int dir = make_dir_open(scratch, "reopen");
	cleanup_fd int path = -1;
	cleanup_fd int fd = -1;
	char text[8] = "";

	make_file(dir, "f", "text");
	path = open_path(dir, "f");
	fd = fd_reopen(path, O_RDWR);
	assert(fd >= 0);
	assert_eq(fd_pread_all(fd, text, sizeof(text), 0), 4);
	assert_streq(text, "text");
	remove_name(dir, "f"); /* by descriptor: a removed file too */
	close(fd);
	fd = fd_reopen(path, O_RDONLY);
	assert(fd >= 0);
}

static void test_attributes_of_anything(void)
{
	const struct timespec times[2] = { { 11, 12 }, { -13, 14 } };
	cleanup_fd int dir = make_dir_open(scratch, "attributes");
	struct stat st;

	make_file(dir, "f", "f");
	make_symlink(dir, "f", "link");
	assert(mkfifoat(dir, "fifo", 0600) == 0);
	assert(mknodat(dir, "socket", S_IFSOCK | 0600, 0) == 0);
	for (int i = 0; i < 5; i++) {
		static const char *const names[] = { "f", "link", "fifo", "socket", "." };
		cleanup_fd int fd = open_path(dir, names[i]);

		assert_eq(fd_utimens(fd, times), 0);
		assert_eq(fd_chown(fd, (uid_t)-1, getegid()), 0);
		assert_eq(fd_chmod(fd, 0711), i == 1 ? -EOPNOTSUPP : 0);
		assert_eq(fd_stat(dir, names[i], &st), 0);
		assert_eq(st.st_mtim.tv_sec, -13);
		assert_eq(st.st_mtim.tv_nsec, 14);
		assert_eq(st.st_mode & 07777, i == 1 ? 0777 : 0711);
	}
	assert_eq(stat_of(dir, "f").st_mode, S_IFREG | 0711);
	assert_eq(fd_stat(dir, "absent", &st), -ENOENT);
}

static void test_link_and_rename(void)
{
	cleanup_fd int dir = make_dir_open(scratch, "names");
	cleanup_fd int fd = -1;

	make_file(dir, "a", "a");
	make_symlink(dir, "a", "link");
	fd = open_path(dir, "a");
	assert_eq(fd_link(fd, dir, "b"), 0);
	assert_eq(fd_link(fd, dir, "b"), -EEXIST);
	assert_eq(stat_of(dir, "a").st_nlink, 2);
	close(fd);
	fd = open_path(dir, "link");
	assert_eq(fd_link(fd, dir, "link2"), 0); /* the link itself, not what it names */
	assert(S_ISLNK(stat_of(dir, "link2").st_mode));
	make_file(dir, "c", "c");
	assert_eq(fd_rename(dir, "c", dir, "a", RENAME_NOREPLACE), -EEXIST);
	assert_eq(fd_rename(dir, "c", dir, "a", 0), 0);
	assert_streq(content_of(dir, "a"), "c");
	assert_eq(fd_rename(dir, "absent", dir, "a", 0), -ENOENT);
}

static void test_read_to_the_end(void)
{
	cleanup_fd int fd = openat(scratch, "data", O_CREAT | O_RDWR, 0600);
	char text[8] = "";

	assert_eq(fd_pwrite_all(fd, "0123456789", 10, 5), 10);
	assert_eq(fd_pread_all(fd, text, 7, 10), 5);
	assert_eq(fd_pread_all(fd, text, 7, 100), 0);
	assert_eq(fd_pread_all(-1, text, 7, 0), -EBADF);
}

static void test_readlink(void)
{
	cleanup_free char *target = NULL;
	char lengthy[4096];

	memset(lengthy, 'x', 4095);
	lengthy[4095] = '\0';
	make_symlink(scratch, lengthy, "long-link");
	assert_eq(fd_readlink(scratch, "long-link", &target), 0);
	assert_streq(target, lengthy);
	make_file(scratch, "no-link", "");
	free(take_ptr(target));
	assert_eq(fd_readlink(scratch, "no-link", &target), -EINVAL);
	assert(!target);
}

/* --- removing trees --- */

static void test_remove_tree(void)
{
	cleanup_fd int dir = make_dir_open(scratch, "remove");

	assert_eq(fd_remove_tree(dir, "absent"), 0);
	make_file(dir, "file", "f");
	assert_eq(fd_remove_tree(dir, "file"), 0);
	make_dir(dir, "outside", 0755);
	make_file(dir, "outside/stays", "s");
	make_symlink(dir, "outside", "link");
	assert_eq(fd_remove_tree(dir, "link"), 0);
	make_dir(dir, "t", 0755);
	make_dir(dir, "t/a", 0755);
	make_dir(dir, "t/a/b", 0755);
	make_file(dir, "t/a/b/f", "f");
	make_file(dir, "t/unreadable", "f");
	assert(fchmodat(dir, "t/unreadable", 0, 0) == 0);
	make_symlink(dir, "../outside", "t/link");
	assert(mkfifoat(dir, "t/fifo", 0) == 0);
	make_whiteout(dir, "t/whiteout");
	assert(fchmodat(dir, "t/a/b", 0, 0) == 0);
	assert(fchmodat(dir, "t/a", 0555, 0) == 0);
	assert(fchmodat(dir, "t", 0, 0) == 0);
	assert_eq(fd_remove_tree(dir, "t"), 0);
	assert(!exists(dir, "t"));
	assert(exists(dir, "outside/stays"));
}

/* A tree can be deeper than a path is long, and than a process may have files open. */
static void test_remove_deep_tree(void)
{
	enum { DEPTH = 1000 };
	const struct rlimit few = { .rlim_cur = 256, .rlim_max = 256 };
	struct rlimit limit;
	char name[32] = "deep-directory";
	int at = make_dir_open(scratch, "deep");
	int status;
	pid_t pid;

	for (int i = 0; i < DEPTH; i++) {
		int next = make_dir_open(at, name);

		close(at);
		at = next;
	}
	make_file(at, "bottom", "");
	close(at);
	pid = fork(); /* a lowered limit cannot be raised again */
	if (pid == 0) {
		int r;

		assert(getrlimit(RLIMIT_NOFILE, &limit) == 0);
		assert(setrlimit(RLIMIT_NOFILE, &few) == 0);
		r = fd_remove_tree(scratch, "deep");
		if (r < 0)
			fprintf(stderr, "fd_remove_tree: %s\n", strerror(-r));
		_exit(r == 0 && !exists(scratch, "deep") ? 0 : 1);
	}
	assert(waitpid(pid, &status, 0) == pid);
	assert_eq(status, 0);
}

static void test_paths(void)
{
	test_open_beneath();
	fd_remove_tree(scratch, "beneath");
	test_open_a_link_itself();
	fd_remove_tree(scratch, "link-itself");
	test_dotdot_that_stays_inside();
	fd_remove_tree(scratch, "dotdot");
}

/* A process that has a lease on a file and gives it back a while after it is asked to. */
static pid_t take_lease(const char *name, int type)
{
	sigset_t asked;
	int ready[2], number, fd;
	pid_t pid;
	char byte;

	assert(pipe(ready) == 0);
	pid = fork();
	if (pid == 0) {
		sigemptyset(&asked);
		sigaddset(&asked, SIGIO);
		sigprocmask(SIG_BLOCK, &asked, NULL);
		fd = openat(scratch, name, O_RDONLY);
		if (fd < 0 || fcntl(fd, F_SETLEASE, type) < 0 || write(ready[1], "r", 1) != 1)
			_exit(1);
		sigwait(&asked, &number);
		usleep(50000);
		_exit(0);
	}
	close(ready[1]);
	assert(read(ready[0], &byte, 1) == 1);
	close(ready[0]);
	return pid;
}

static void wait_for_success(pid_t pid)
{
	int status;

	assert(waitpid(pid, &status, 0) == pid);
	assert_eq(status, 0);
}

static void test_leases_are_waited_for(void)
{
	cleanup_fd int path = -1;
	pid_t pid;
	int fd;

	make_file(scratch, "leased", "content");
	path = fd_open(scratch, "leased", O_PATH, 0);
	assert(path >= 0);
	pid = take_lease("leased", F_WRLCK);
	fd = fd_open(scratch, "leased", O_RDONLY | O_NONBLOCK, 0);
	assert(fd >= 0);
	close(fd);
	wait_for_success(pid);
	pid = take_lease("leased", F_RDLCK);
	fd = fd_reopen(path, O_RDWR | O_NONBLOCK);
	assert(fd >= 0);
	close(fd);
	wait_for_success(pid);
	pid = take_lease("leased", F_WRLCK);
	fd = fd_open_beneath(scratch, "leased", O_RDONLY | O_NONBLOCK);
	assert(fd >= 0);
	close(fd);
	wait_for_success(pid);
}

int main(void)
{
	scratch_begin();
	test_open_does_not_follow();
	test_reopen();
	test_attributes_of_anything();
	test_link_and_rename();
	test_read_to_the_end();
	test_readlink();
	test_leases_are_waited_for();
	test_remove_tree();
	test_paths();
	test_remove_deep_tree();
	/* Last, because there is no way back. */
	if (deny_openat2())
		test_paths();
	else
		skipped("kernels without openat2", "no seccomp filters here");
	return 0;
}
