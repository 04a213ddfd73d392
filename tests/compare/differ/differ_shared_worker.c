/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Workers that meet in the same names, and what answers they may get. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "differ_shared.h"

#define BLOCK 4096
#define N_FDS 4

struct member {
	const struct crowd_job *job;
	struct side *side;
	struct rng rng;
	unsigned int number;
	unsigned long n_writes;
	int fds[N_FDS];
};

/* ---- tags ---- */

static unsigned char tag_check(const unsigned char *bytes)
{
	unsigned int sum = 0, i;

	for (i = 0; i < 7; i++)
		sum = sum * 31 + bytes[i];
	return sum | 0x80;
}

uint64_t tag_make(unsigned int worker, unsigned long number)
{
	unsigned char bytes[8] = { 0xc5, worker + 1 };
	uint64_t tag;
	int i;

	for (i = 2; i < 7; i++, number >>= 7)
		bytes[i] = number | 0x80;
	bytes[7] = tag_check(bytes);
	memcpy(&tag, bytes, sizeof(tag));
	return tag;
}

bool tag_is_one(uint64_t tag)
{
	unsigned char bytes[8];

	memcpy(bytes, &tag, sizeof(tag));
	return bytes[0] == 0xc5 && bytes[1] && bytes[7] == tag_check(bytes);
}

/* ---- what is tried ---- */

static char *any_name(struct member *m)
{
	const struct stack *stack = m->job->stack;
	cleanup_text struct text path = { 0 };
	int depth = 1 + rng_below(&m->rng, 3), i;

	if (rng_percent(&m->rng, 25)) {
		const char *known = stack->entries[rng_below(&m->rng, stack->count)].path;

		if (strcmp(known, ".") != 0)
			return xstrdup(known);
	}
	for (i = 0; i < depth; i++)
		text_add(&path, "%s%c", i ? "/" : "", (char)('a' + rng_below(&m->rng, 4)));
	return xstrdup(path.s);
}

/* Whole blocks, so that a block is of one writer. Only a short count or an error is wrong. */
static int write_block(struct member *m, int fd)
{
	uint64_t block[BLOCK / 8], tag = tag_make(m->number, ++m->n_writes);
	struct stat st;
	ssize_t n;
	size_t i;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return 0;
	for (i = 0; i < BLOCK / 8; i++)
		block[i] = tag;
	n = pwrite(fd, block, BLOCK, (off_t)rng_below(&m->rng, 8) * BLOCK);
	return n < 0 ? -1 : 0;
}

static int try_write(struct member *m, const char *path)
{
	size_t slot = rng_below(&m->rng, N_FDS);
	int flags = rng_percent(&m->rng, 60) ? O_CREAT : 0;
	int fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC | flags, 0644);

	if (fd < 0)
		return -1;
	if (m->fds[slot] >= 0)
		close(m->fds[slot]);
	m->fds[slot] = fd;
	return write_block(m, fd);
}

static int try_read(const char *path)
{
	cleanup_fd int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	char buf[BLOCK];
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -1;
	return S_ISREG(st.st_mode) && pread(fd, buf, sizeof(buf), 0) < 0 ? -1 : 0;
}

static int try_list(const char *path)
{
	cleanup_dir DIR *dir = opendir(path);

	if (!dir)
		return -1;
	errno = 0;
	while (readdir(dir))
		;
	return errno ? -1 : 0;
}

static int try_tmpfile(struct member *m, const char *path)
{
	const char *slash = strrchr(path, '/');
	cleanup_free char *parent = slash ? strndup(path, slash - path) : xstrdup(".");
	cleanup_fd int fd = open(parent, O_TMPFILE | O_RDWR | O_CLOEXEC, 0644);

	if (fd < 0 || write_block(m, fd) < 0)
		return -1;
	return linkat(fd, "", AT_FDCWD, path, AT_EMPTY_PATH);
}

static int try_old(struct member *m)
{
	int fd = m->fds[rng_below(&m->rng, N_FDS)];
	struct stat st;

	if (fd < 0)
		return 0;
	if (rng_percent(&m->rng, 60))
		return write_block(m, fd);
	if (fstat(fd, &st) < 0)
		return -1;
	return S_ISREG(st.st_mode) ? ftruncate(fd, rng_below(&m->rng, 30000)) : fchmod(fd, 0640);
}

static int try_meta(struct member *m, const char *path)
{
	struct stat st;
	char target[100];

	switch (rng_below(&m->rng, 7)) {
	case 0:
		return chmod(path, 0700 + rng_below(&m->rng, 64));
	case 1:
		return lchown(path, rng_below(&m->rng, 3), 0);
	case 2:
		return utimensat(AT_FDCWD, path, NULL, AT_SYMLINK_NOFOLLOW);
	case 3:
		return lsetxattr(path, "user.tag", "x", 1, 0);
	case 4:
		return lstat(path, &st);
	case 5:
		return readlink(path, target, sizeof(target));
	default:
		return truncate(path, rng_below(&m->rng, 30000));
	}
}

enum trial {
	MKDIR,
	RMDIR,
	UNLINK,
	RENAME,
	EXCHANGE,
	LINK,
	SYMLINK,
	FIFO,
	WRITE,
	READ,
	LIST,
	TMPFILE,
	OLD,
	META,
	N_TRIALS
};

/* What each may answer besides what every path may. */
static const struct {
	const char *name;
	int errors[6];
} trials[N_TRIALS] = {
	[MKDIR] = { "mkdir", { EEXIST } },
	[RMDIR] = { "rmdir", { ENOTEMPTY } },
	[UNLINK] = { "unlink", { EISDIR } },
	[RENAME] = { "rename", { ENOTEMPTY, EISDIR, EINVAL, EEXIST } },
	[EXCHANGE] = { "exchange", { EINVAL } },
	[LINK] = { "link", { EEXIST, EPERM } },
	[SYMLINK] = { "symlink", { EEXIST } },
	[FIFO] = { "mkfifo", { EEXIST } },
	[WRITE] = { "write", { EISDIR, ENXIO, ENODEV, EACCES } },
	[READ] = { "read", { ENXIO, ENODEV, EACCES } },
	[LIST] = { "list", { 0 } },
	[TMPFILE] = { "tmpfile", { EEXIST } },
	[OLD] = { "descriptor", { 0 } },
	[META] = { "meta", { EISDIR, EINVAL, EPERM, EOPNOTSUPP, EACCES, ENXIO } },
};

static int try(struct member *m, enum trial trial, const char *path, const char *path2)
{
	switch (trial) {
	case MKDIR:
		return mkdir(path, 0755);
	case RMDIR:
		return rmdir(path);
	case UNLINK:
		return unlink(path);
	case RENAME:
		return renameat2(AT_FDCWD, path, AT_FDCWD, path2,
				 rng_percent(&m->rng, 20) ? RENAME_NOREPLACE : 0);
	case EXCHANGE:
		return renameat2(AT_FDCWD, path, AT_FDCWD, path2, RENAME_EXCHANGE);
	case LINK:
		return link(path, path2);
	case SYMLINK:
		return symlink("a", path);
	case FIFO:
		return mkfifo(path, 0644);
	case WRITE:
		return try_write(m, path);
	case READ:
		return try_read(path);
	case LIST:
		return try_list(path);
	case TMPFILE:
		return try_tmpfile(m, path);
	case OLD:
		return try_old(m);
	default:
		return try_meta(m, path);
	}
}

static bool may_answer(const struct member *m, enum trial trial, int error)
{
	static const int of_paths[] = { ENOENT, ENOTDIR, ELOOP, ENAMETOOLONG };
	size_t i;

	for (i = 0; i < sizeof(of_paths) / sizeof(*of_paths); i++)
		if (error == of_paths[i])
			return trial != OLD;
	for (i = 0; i < 6; i++)
		if (trials[trial].errors[i] && error == trials[trial].errors[i])
			return true;
	return error == EXDEV && m->job->options->redirect_off &&
	       (trial == RENAME || trial == EXCHANGE);
}

static void fail(struct member *m, enum trial trial, const char *path, const char *path2, int error)
{
	struct crowd *crowd = m->job->crowd;
	cleanup_text struct text text = { 0 };

	if (atomic_exchange(&crowd->failed, true))
		return;
	text_add(&text, "%s ", trials[trial].name);
	text_add_word(&text, path);
	text_add(&text, " ");
	text_add_word(&text, path2);
	text_add(&text, ": %s is no possible answer", strerrorname_np(error));
	snprintf(crowd->message, sizeof(crowd->message), "%s", text.s);
}

static void *run_member(void *arg)
{
	static const unsigned char mix[] = { MKDIR,  MKDIR,   MKDIR,  RMDIR,  UNLINK,	UNLINK,
					     UNLINK, RENAME,  RENAME, RENAME, EXCHANGE, LINK,
					     LINK,   SYMLINK, FIFO,   WRITE,  WRITE,	WRITE,
					     WRITE,  READ,    READ,   LIST,   TMPFILE,	OLD,
					     OLD,    OLD,     META,   META };
	struct member *m = arg;
	size_t i;

	for (i = 0; i < m->job->options->n_ops && !atomic_load(&m->job->crowd->failed); i++) {
		enum trial trial = mix[rng_below(&m->rng, sizeof(mix))];
		cleanup_free char *path = any_name(m), *path2 = any_name(m);
		unsigned long kills = kill_count();
		int64_t began = now_us();
		int error = try(m, trial, path, path2) < 0 ? errno : 0;

		kill_note(kills, began);
		if (error && !may_answer(m, trial, error))
			fail(m, trial, path, path2, error);
		atomic_fetch_add(&m->job->crowd->done, 1);
	}
	for (i = 0; i < N_FDS; i++)
		if (m->fds[i] >= 0)
			close(m->fds[i]);
	return NULL;
}

static void run_all(const struct crowd_job *job, struct member *members)
{
	pthread_t threads[MAX_THREADS];
	pid_t pids[MAX_THREADS];
	int64_t t, n = job->options->n_threads;

	for (t = 0; t < n; t++) {
		if (!job->options->processes) {
			if (pthread_create(&threads[t], NULL, run_member, &members[t]))
				abort();
			continue;
		}
		pids[t] = fork();
		if (pids[t] == 0) {
			run_member(&members[t]);
			_exit(0);
		}
	}
	for (t = 0; t < n; t++) {
		if (job->options->processes)
			waitpid(pids[t], NULL, 0);
		else
			pthread_join(threads[t], NULL);
	}
}

pid_t crowd_start(const struct crowd_job *job)
{
	struct side side = { .options = job->options };
	struct member members[MAX_THREADS];
	int64_t t;
	pid_t pid;
	int i;

	fflush(NULL);
	pid = fork();
	if (pid != 0)
		return pid;
	/* In a group of its own, which can be ended as a whole. */
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (side_enter(&side, job->dir) < 0)
		abort();
	for (t = 0; t < job->options->n_threads; t++) {
		members[t] = (struct member){ .job = job,
					      .side = &side,
					      .rng = { job->seed * MAX_THREADS + t },
					      .number = t };
		for (i = 0; i < N_FDS; i++)
			members[t].fds[i] = -1;
	}
	run_all(job, members);
	_exit(0);
}
