/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A run of several workers on the same names, and the checks behind it; see differ_shared.h. */
#include "differ_shared.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"

/* Without one operation being done. */
#define HANG_SECONDS 60

struct shared {
	const struct options *options;
	struct program program; /* only its stack */
	struct session session;
	struct tree lowers[MAX_BRANCHES], before;
	struct outcome *outcome;
	struct text wrong;
};

static int read_tree(const char *path, bool kernel, struct tree *ret)
{
	cleanup_fd int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -errno : tree_read(fd, kernel, ret);
}

/* Always false. */
static bool failed(struct shared *shared, const char *what)
{
	shared->outcome->differs = true;
	text_add(&shared->outcome->message, "%s: %s", what, shared->wrong.s ? shared->wrong.s : "");
	text_add(&shared->outcome->signature, "%s", what);
	return false;
}

static bool mount_it(struct shared *shared)
{
	return session_mount(&shared->session, &shared->wrong) >= 0 || failed(shared, "mount");
}

static bool unmount_it(struct shared *shared)
{
	cleanup_free char *log = NULL;

	if (session_unmount(&shared->session, &shared->wrong) < 0)
		return failed(shared, "unmount");
	log = session_log(&shared->session);
	if (log)
		text_add(&shared->wrong, "%s", log);
	return !log || failed(shared, "the daemon said");
}

/* ---- the workers ---- */

static bool await(struct shared *shared, pid_t pid, struct crowd *crowd)
{
	unsigned long last = 0, done;
	time_t since = time(NULL);

	while (waitpid(pid, NULL, WNOHANG) == 0) {
		nanosleep(&(struct timespec){ 0, 5000000 }, NULL);
		done = atomic_load(&crowd->done);
		if (done != last)
			since = time(NULL);
		last = done;
		if (time(NULL) - since <= HANG_SECONDS && !stop_asked)
			continue;
		if (!stop_asked)
			stuck_report(getpid());
		kill(-pid, SIGKILL);
		waitpid(pid, NULL, 0);
		return stop_asked ? false : failed(shared, "hangs");
	}
	if (atomic_load(&crowd->failed))
		text_add(&shared->wrong, "%s", crowd->message);
	return atomic_load(&crowd->failed) ? failed(shared, "answer") : true;
}

static bool let_them_work(struct shared *shared)
{
	struct crowd *crowd = mmap(NULL, sizeof(*crowd), PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct stack merged;
	struct crowd_job job = { .stack = &merged,
				 .options = shared->options,
				 .dir = shared->session.mnt,
				 .seed = shared->program.seed,
				 .crowd = crowd };
	bool fine;

	stack_merge(&shared->program.stack, 0, &merged);
	fine = await(shared, crowd_start(&job), crowd);
	shared->outcome->n_done = atomic_load(&crowd->done);
	stack_done(&merged);
	munmap(crowd, sizeof(*crowd));
	return fine;
}

/* ---- the checks ---- */

static bool check_tree(struct shared *shared)
{
	cleanup_fd int fd = open(shared->session.mnt, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (tree_read(fd, false, &shared->before) < 0)
		return failed(shared, "tree unreadable");
	if (!invariant_tree(&shared->before, &shared->wrong))
		return failed(shared, "tree");
	return invariant_content(&shared->before, &shared->program.stack, fd, &shared->wrong) ||
	       failed(shared, "content");
}

static bool check_again(struct shared *shared)
{
	struct tree after = { 0 };
	bool same;

	if (read_tree(shared->session.mnt, false, &after) < 0)
		return failed(shared, "tree unreadable after remount");
	same = invariant_same(&shared->before, &after, &shared->wrong);
	tree_done(&after);
	return same || failed(shared, "remount");
}

static bool check_kernel(struct shared *shared)
{
	cleanup_text struct text signature = { 0 };
	struct tree tree = { 0 };
	bool same;

	if (!shared->program.kernel)
		return true;
	if (session_mount_kernel(&shared->session) < 0)
		return failed(shared, "kernel mount");
	same = read_tree(shared->session.mnt, true, &tree) >= 0 &&
	       tree_equal(&shared->before, &tree, INT64_MAX, 0, &shared->wrong, &signature);
	tree_done(&tree);
	session_unmount_kernel(&shared->session);
	return same || failed(shared, "kernel overlayfs");
}

static bool check_lowers(struct shared *shared)
{
	cleanup_text struct text signature = { 0 };
	struct tree now = { 0 };
	bool same = true;
	int64_t i;

	for (i = 1; same && i < shared->session.n_branches; i++) {
		same = read_tree(shared->session.branches[i], false, &now) >= 0 &&
		       tree_equal(&shared->lowers[i], &now, INT64_MAX, COMPARE_LINKS,
				  &shared->wrong, &signature);
		tree_done(&now);
	}
	return same || failed(shared, "lower branch changed");
}

/* As rm -rf would, from the bottom up: a path comes before those that it is the parent of. */
static int remove_nodes(int fd, const struct tree *tree)
{
	size_t i;

	for (i = tree->count; i-- > 0;) {
		const struct node *node = &tree->nodes[i];

		if (strcmp(node->path, ".") != 0 &&
		    unlinkat(fd, node->path, S_ISDIR(node->st.st_mode) ? AT_REMOVEDIR : 0) < 0)
			return -errno;
	}
	return 0;
}

/* And nothing may be left. */
static bool remove_all(struct shared *shared)
{
	cleanup_fd int fd = open(shared->session.mnt, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct tree left = { 0 };
	int r = remove_nodes(fd, &shared->before);

	if (r < 0)
		text_add(&shared->wrong, "%s ", strerrorname_np(-r));
	if (tree_read(fd, false, &left) < 0 || left.count != 1) {
		text_add(&shared->wrong, "%zu left", left.count);
		r = -ENOTEMPTY;
	}
	tree_done(&left);
	return r >= 0 || failed(shared, "removal of all");
}

static void run_it(struct shared *shared)
{
	if (!mount_it(shared) || !let_them_work(shared) || !check_tree(shared) ||
	    !unmount_it(shared))
		return;
	if (!invariant_work_empty(shared->session.work, &shared->wrong)) {
		failed(shared, "work directory");
		return;
	}
	if (!check_kernel(shared) || !mount_it(shared) || !check_again(shared) ||
	    !remove_all(shared) || !unmount_it(shared))
		return;
	if (!invariant_work_empty(shared->session.work, &shared->wrong))
		failed(shared, "work directory");
	else
		check_lowers(shared);
}

int shared_run(uint64_t seed, const struct options *options, struct outcome *ret)
{
	struct shared shared = { .options = options, .outcome = ret };
	cleanup_text struct text why = { 0 };
	int64_t i;
	int r;

	*ret = (struct outcome){ 0 };
	program_generate_stack(&shared.program, seed, options);
	r = session_open(&shared.session, options, &shared.program);
	for (i = 1; r >= 0 && i < shared.session.n_branches; i++)
		r = read_tree(shared.session.branches[i], false, &shared.lowers[i]);
	if (r >= 0)
		run_it(&shared);
	if (shared.session.mounted && session_unmount(&shared.session, &why) < 0)
		text_add(&ret->message, "\n  afterwards: %s", why.s);
	session_close(&shared.session);
	for (i = 1; i < MAX_BRANCHES; i++)
		tree_done(&shared.lowers[i]);
	tree_done(&shared.before);
	text_done(&shared.wrong);
	program_done(&shared.program);
	return r;
}
