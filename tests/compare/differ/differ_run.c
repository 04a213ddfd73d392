/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Runs one program: a worker on each side, whose answers are compared as they come.  At a
 * `compare` both wait until the trees have been compared; at a `remount` they end, and new
 * ones begin behind it.
 */
#include "differ.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"

struct run {
	const struct program *program;
	const struct options *options;
	struct session session;
	struct worker workers[2]; /* plain, mount */
	struct identities *identities;
	struct tree lowers[MAX_BRANCHES];
	struct outcome *outcome;
	time_t start;
};

static const char *const side_names[2] = { "plain", "mount" };

/* ---- the workers ---- */

static int start_workers(struct run *run, size_t from)
{
	int side, r = 0;

	for (side = 0; r >= 0 && side < 2; side++) {
		struct job job = { .program = run->program,
				   .options = run->options,
				   .from = from,
				   .is_plain = side == 0,
				   .dir = side ? run->session.mnt : run->session.ref,
				   .start = run->start,
				   .lowers = run->session.lowers };

		r = worker_start(&run->workers[side], &job);
	}
	return r;
}

/* They have come to their end, or else have nothing more to say that counts. */
static void end_workers(struct run *run, bool kill_them)
{
	worker_end(&run->workers[0], kill_them);
	worker_end(&run->workers[1], kill_them);
}

/* ---- differences ---- */

static void differ_at(struct run *run, size_t op, const char *signature, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

static void differ_at(struct run *run, size_t op, const char *signature, const char *format, ...)
{
	va_list args;
	char *s;

	if (run->outcome->differs)
		return;
	va_start(args, format);
	if (vasprintf(&s, format, args) < 0)
		abort();
	va_end(args);
	run->outcome->differs = true;
	run->outcome->op = op;
	text_add(&run->outcome->message, "%s", s);
	text_add(&run->outcome->signature, "%s", signature);
	free(s);
}

/* What tells one difference from another: the results, or the first word that differs. */
static void sign_answers(const struct op *op, const char *want, const char *got, struct text *text)
{
	cleanup_text struct text line = { 0 };
	size_t len = strcspn(want, " [");
	size_t i, word = 0;

	op_print(op, &line);
	text_add(text, "%.*s: ", (int)strcspn(line.s, " "), line.s);
	if (!strncmp(want, "r=-1", 4) || !strncmp(got, "r=-1", 4)) {
		bool wf = !strncmp(want, "r=-1", 4), gf = !strncmp(got, "r=-1", 4);

		text_add(text, "%.*s/%.*s", wf ? (int)strcspn(want + 5, " ") : 2,
			 wf ? want + 5 : "ok", gf ? (int)strcspn(got + 5, " ") : 2,
			 gf ? got + 5 : "ok");
		if (strncmp(want, got, 5 + strcspn(want + (wf ? 5 : 0), " ")) != 0)
			return;
		text_add(text, " ");
	}
	(void)len;
	for (i = 0; want[i] && want[i] == got[i]; i++)
		if (want[i] == ' ')
			word = i + 1;
	text_add(text, "%.*s", (int)strcspn(want + word, "= "), want + word);
}

static void lost_worker(struct run *run, size_t i, int side, int error)
{
	cleanup_text struct text signature = { 0 };

	if (stop_asked)
		return;
	if (error == EAGAIN)
		stuck_report(getpid());
	text_add(&signature, "%s worker %s", side_names[side], error == EAGAIN ? "hangs" : "died");
	differ_at(run, i, signature.s, "no answer from the %s side: %s", side_names[side],
		  error == EAGAIN ? "it hangs" : "its worker died");
}

static bool same_answer(const char *want, const char *got)
{
	if (!strcmp(want, "must fail"))
		return !strncmp(got, "r=-1", 4);
	return !strcmp(want, got);
}

static bool compare_trees(struct run *run, size_t i, const char *when, bool is_kernel);

static bool changed_nothing(struct run *run, size_t i)
{
	full_settle(&run->session, run->start);
	return compare_trees(run, i, "after want of space", false);
}

static bool wants_space(const char *answer)
{
	return !strncmp(answer, "r=-1 ENOSPC", 11) || !strncmp(answer, "r=-1 EDQUOT", 11);
}

/* What the plain side is to do when the mount has answered so. */
static char *order_for(struct run *run, size_t i, const char *answer)
{
	const struct op *op = &run->program->ops[i];
	long long done = !strncmp(answer, "r=-1", 4) ? -1 : strtoll(answer + 2, NULL, 10);
	bool can_be_short = op->kind == OP_WRITE || op->kind == OP_PWRITE || op->kind == OP_COPY;

	if (wants_space(answer))
		return xstrdup("skip");
	if (can_be_short && done > 0 && done < op->len && full_is_reached(&run->session))
		return xformat("only %lld", done);
	return xstrdup("do");
}

/* In lockstep, the mount first; otherwise they answer by themselves. */
static void hear_both(struct run *run, size_t i, char *answers[2], int *error)
{
	const struct op *op = &run->program->ops[i];
	bool in_step = run->options->full && !op_is_barrier(op);
	cleanup_free char *order = NULL;

	if (in_step)
		worker_tell(&run->workers[1], "do");
	else
		answers[0] = worker_hear(&run->workers[0], error);
	if (in_step || answers[0])
		answers[1] = worker_hear(&run->workers[1], error);
	if (!in_step || !answers[1])
		return;
	order = order_for(run, i, answers[1]);
	worker_tell(&run->workers[0], order);
	answers[0] = worker_hear(&run->workers[0], error);
}

/* Whether the run goes on. */
static bool compare_answers(struct run *run, size_t i)
{
	cleanup_text struct text signature = { 0 };
	char *answers[2] = { NULL, NULL };
	int error = 0;
	cleanup_free char *want = NULL, *got = NULL;

	hear_both(run, i, answers, &error);
	want = answers[0];
	got = answers[1];
	if (!want || !got) {
		lost_worker(run, i, got ? 0 : want || run->options->full ? 1 : 0, -error);
		return false;
	}
	run->outcome->n_done++;
	if (run->options->verbose) {
		op_print(&run->program->ops[i], &signature);
		fprintf(stderr, "%zu %s\n  %s\n  %s\n", i, signature.s, want, got);
		text_clear(&signature);
	}
	if (same_answer(want, got))
		return !run->options->full || !wants_space(got) || changed_nothing(run, i);
	sign_answers(&run->program->ops[i], want, got, &signature);
	differ_at(run, i, signature.s, "  plain %s\n  mount %s", want, got);
	return false;
}

/* ---- trees ---- */

static int read_tree(const char *path, bool kernel, struct tree *ret)
{
	cleanup_fd int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -errno : tree_read(fd, kernel, ret);
}

static bool compare_trees(struct run *run, size_t i, const char *when, bool is_kernel)
{
	cleanup_text struct text difference = { 0 }, signature = { 0 };
	struct tree want = { 0 }, got = { 0 };
	int r = read_tree(run->session.ref, false, &want);
	int r2 = read_tree(run->session.mnt, is_kernel, &got);
	bool same = false;

	if (is_kernel)
		text_add(&signature, "kernel ");
	if (r < 0 || r2 < 0) {
		text_add(&signature, "tree unreadable: %s/%s", r < 0 ? strerrorname_np(-r) : "ok",
			 r2 < 0 ? strerrorname_np(-r2) : "ok");
	} else {
		same = tree_equal(&want, &got, run->start,
				  is_kernel ? 0 : COMPARE_LINKS | COMPARE_SPARSE, &difference,
				  &signature);
		if (same && !is_kernel &&
		    !identities_check(&run->identities, &want, &got, &difference)) {
			text_add(&signature, "inode number");
			same = false;
		}
	}
	if (!same)
		differ_at(run, i, signature.s, "trees differ %s: %s", when,
			  difference.s ? difference.s : "one cannot be read");
	tree_done(&want);
	tree_done(&got);
	return same;
}

/* The lower branches are as they were. */
static bool compare_lowers(struct run *run)
{
	cleanup_text struct text difference = { 0 }, signature = { 0 };
	struct tree now = { 0 };
	bool same = true;
	int64_t i;

	for (i = 1; same && i < run->session.n_branches; i++) {
		if (read_tree(run->session.branches[i], false, &now) < 0)
			return false;
		text_add(&signature, "lower branch ");
		same = tree_equal(&run->lowers[i], &now, run->start, COMPARE_LINKS, &difference,
				  &signature);
		tree_done(&now);
		text_clear(&signature);
	}
	if (!same)
		differ_at(run, run->program->count, "lower branch changed",
			  "lower branch %jd changed: %s", (intmax_t)i - 1, difference.s);
	return same;
}

static void read_lowers(struct run *run)
{
	int64_t i;

	for (i = 1; i < run->session.n_branches; i++)
		read_tree(run->session.branches[i], false, &run->lowers[i]);
}

/* ---- the course of a run ---- */

static bool mount_it(struct run *run, size_t i)
{
	cleanup_text struct text why = { 0 };

	if (session_mount(&run->session, &why) >= 0)
		return true;
	differ_at(run, i, "mount", "%s", why.s);
	return false;
}

static bool unmount_it(struct run *run, size_t i)
{
	cleanup_text struct text why = { 0 };
	cleanup_free char *log = NULL;

	if (session_unmount(&run->session, &why) < 0) {
		differ_at(run, i, "unmount", "%s", why.s);
		return false;
	}
	log = session_log(&run->session);
	if (log) {
		differ_at(run, i, "log", "the daemon said: %s", log);
		return false;
	}
	return true;
}

static bool remount_it(struct run *run, size_t i)
{
	return compare_trees(run, i, "before remount", false) && unmount_it(run, i) &&
	       mount_it(run, i) && compare_trees(run, i, "after remount", false);
}

static bool kernel_agrees(struct run *run)
{
	size_t end = run->program->count;
	bool same = true;
	int r;

	if (!run->program->kernel || !run->options->is_root)
		return true;
	r = session_mount_kernel(&run->session);
	if (r < 0) {
		differ_at(run, end, "kernel mount", "kernel overlayfs: %s", strerror(-r));
		return false;
	}
	same = compare_trees(run, end, "with kernel overlayfs", true);
	session_unmount_kernel(&run->session);
	return same;
}

/* Operations from `i` to the next remount or the end, by one pair of workers. */
static bool run_phase(struct run *run, size_t *i)
{
	const struct program *program = run->program;
	bool same = start_workers(run, *i) >= 0;

	for (; same && *i < program->count && program->ops[*i].kind != OP_REMOUNT; ++*i) {
		same = !stop_asked && compare_answers(run, *i);
		if (!same || !op_is_barrier(&program->ops[*i]))
			continue;
		if (program->ops[*i].kind == OP_COMPARE)
			same = compare_trees(run, *i, "here", false);
		else if (run->options->full)
			same = full_fill(&run->session, program->ops[*i].len) >= 0;
		if (same)
			same = worker_tell(&run->workers[0], "go") >= 0 &&
			       worker_tell(&run->workers[1], "go") >= 0;
	}
	end_workers(run, !same);
	return same;
}

static void run_all(struct run *run)
{
	size_t i = 0, end = run->program->count;

	if (!mount_it(run, 0) || !compare_trees(run, 0, "before the first operation", false))
		return;
	while (i < end) {
		if (!run_phase(run, &i))
			return;
		if (i < end && !remount_it(run, i++))
			return;
	}
	if (!remount_it(run, end) || !compare_lowers(run) || !unmount_it(run, end))
		return;
	kernel_agrees(run);
}

int program_run(const struct program *program, const struct options *options, struct outcome *ret)
{
	struct run run = { .program = program, .options = options, .outcome = ret };
	cleanup_text struct text why = { 0 };
	int64_t i;
	int r;

	*ret = (struct outcome){ 0 };
	run.start = time(NULL) - 1;
	r = session_open(&run.session, options, program);
	if (r >= 0) {
		read_lowers(&run);
		run_all(&run);
	}
	if (run.session.mounted && session_unmount(&run.session, &why) < 0)
		text_add(&ret->message, "\n  afterwards: %s", why.s);
	if (ret->differs) {
		cleanup_free char *log = session_log(&run.session);

		if (log)
			text_add(&ret->message, "\n  the daemon said: %s", log);
	}
	session_close(&run.session);
	for (i = 1; i < MAX_BRANCHES; i++)
		tree_done(&run.lowers[i]);
	identities_free(run.identities);
	return r;
}

void outcome_done(struct outcome *outcome)
{
	text_done(&outcome->message);
	text_done(&outcome->signature);
}
