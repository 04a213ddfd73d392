/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Runs one program.  Each side has a worker process, whose root directory is
 * that side's (so no symbolic link leads out of it) and which runs the program
 * by itself and sends its answers; we compare the two streams.  At a `compare`
 * both workers wait until the trees have been compared; at a `remount` they end,
 * and new ones begin behind it.  With several threads each worker runs the
 * operations between two such points in its threads and then sends the answers.
 */
#include "differ.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"

/* Longer than any answer takes, sanitizers and a busy machine included. */
#define ANSWER_SECONDS 90

struct worker {
	pid_t pid;
	int socket;
};

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

/* ---- the worker ---- */

static bool is_barrier(const struct op *op)
{
	return op->kind == OP_COMPARE || op->kind == OP_REMOUNT;
}

static int send_all(int fd, const void *buf, size_t len)
{
	const char *bytes = buf;
	ssize_t n;

	for (; len; bytes += n, len -= n) {
		n = send(fd, bytes, len, MSG_NOSIGNAL);
		if (n <= 0)
			return -EPIPE;
	}
	return 0;
}

static void send_text(int fd, const char *s)
{
	uint32_t len = strlen(s);

	/* Nobody listens any more: the run is over. */
	if (send_all(fd, &len, sizeof(len)) < 0 || send_all(fd, s, len) < 0)
		_exit(0);
}

static void perform(struct performer *performer, const struct op *op, int side, struct text *text)
{
	text_clear(text);
	if (accept_skips(op))
		text_add(text, "skipped");
	else if (side == 0 && accept_must_fail(op))
		op_refuse(performer, op, text);
	else
		op_perform(performer, op, text);
}

struct segment {
	const struct program *program;
	size_t from, to;
	int64_t thread;
	int side;
	struct performer *performer;
	struct text *answers; /* from `from` on */
};

static void *run_thread(void *arg)
{
	struct segment *segment = arg;
	size_t i;

	for (i = segment->from; i < segment->to; i++)
		if (segment->program->ops[i].thread == segment->thread)
			perform(segment->performer, &segment->program->ops[i], segment->side,
				&segment->answers[i - segment->from]);
	return NULL;
}

/* A thread that lives as long as the worker has its own umask; here one for each segment. */
static void *start_thread(void *arg)
{
	if (unshare(CLONE_FS) < 0)
		abort();
	umask(022);
	return run_thread(arg);
}

static void run_segment(const struct program *program, size_t from, size_t to, int side,
			struct performer *performers, int socket)
{
	struct segment segments[MAX_THREADS];
	struct text *answers = calloc(to - from + 1, sizeof(*answers));
	pthread_t threads[MAX_THREADS];
	int64_t t;
	size_t i;

	for (t = 0; t < program->n_threads; t++) {
		segments[t] = (struct segment){
			program, from, to, t, side, &performers[t], answers
		};
		if (pthread_create(&threads[t], NULL, start_thread, &segments[t]))
			abort();
	}
	for (t = 0; t < program->n_threads; t++)
		pthread_join(threads[t], NULL);
	for (i = 0; i < to - from; i++) {
		send_text(socket, answers[i].s ? answers[i].s : "");
		text_done(&answers[i]);
	}
	free(answers);
}

/* At a compare: "here", then wait for the word to go on. */
static void meet(int socket)
{
	char go;

	send_text(socket, "");
	if (recv(socket, &go, 1, 0) != 1)
		_exit(0);
}

static void run_worker(const struct program *program, size_t from, int side,
		       struct performer *performers, int socket)
{
	cleanup_text struct text text = { 0 };
	size_t i = from, end;

	while (i < program->count && program->ops[i].kind != OP_REMOUNT) {
		if (program->ops[i].kind == OP_COMPARE) {
			meet(socket);
			i++;
			continue;
		}
		for (end = i; end < program->count && !is_barrier(&program->ops[end]);)
			end++;
		if (program->n_threads > 1) {
			run_segment(program, i, end, side, performers, socket);
			i = end;
			continue;
		}
		for (; i < end; i++) {
			perform(performers, &program->ops[i], side, &text);
			send_text(socket, text.s);
		}
	}
}

static _Noreturn void worker_main(struct run *run, size_t from, int side, int socket)
{
	struct performer performers[MAX_THREADS];
	const char *root = side ? run->session.mnt : run->session.ref;
	int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int64_t t;

	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (fd < 0 || fchdir(fd) < 0 || chroot(".") < 0)
		abort();
	umask(022);
	for (t = 0; t < run->program->n_threads; t++)
		performer_init(&performers[t], fd, run->start, run->options->is_root,
			       run->program->n_threads > 1);
	run_worker(run->program, from, side, performers, socket);
	for (t = 0; t < run->program->n_threads; t++)
		performer_done(&performers[t]);
	_exit(0);
}

static int start_workers(struct run *run, size_t from)
{
	struct timeval limit = { ANSWER_SECONDS, 0 };
	int side, pair[2];

	fflush(NULL);
	for (side = 0; side < 2; side++) {
		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
			return -errno;
		run->workers[side].pid = fork();
		if (run->workers[side].pid < 0)
			return -errno;
		if (run->workers[side].pid == 0) {
			close(pair[0]);
			worker_main(run, from, side, pair[1]);
		}
		close(pair[1]);
		run->workers[side].socket = pair[0];
		setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	}
	return 0;
}

/* They have come to their end, or else have nothing more to say that counts. */
static void end_workers(struct run *run, bool kill_them)
{
	int side;

	for (side = 0; side < 2; side++) {
		struct worker *w = &run->workers[side];

		if (w->pid <= 0)
			continue;
		if (kill_them)
			kill(w->pid, SIGKILL);
		close(w->socket);
		waitpid(w->pid, NULL, 0);
		w->pid = 0;
	}
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

/* -errno when the worker has died or hangs. */
static int receive(int socket, void *buf, size_t len)
{
	char *bytes = buf;
	ssize_t n;

	for (; len; bytes += n, len -= n) {
		n = recv(socket, bytes, len, 0);
		if (n == 0)
			return -EPIPE;
		if (n < 0 && (errno != EINTR || stop_asked))
			return -errno;
		if (n < 0)
			n = 0;
	}
	return 0;
}

static char *receive_text(int socket)
{
	uint32_t len;
	char *s;
	int r = receive(socket, &len, sizeof(len));

	if (r < 0) {
		errno = -r;
		return NULL;
	}
	s = xrealloc(NULL, len + 1, 1);
	s[len] = '\0';
	r = receive(socket, s, len);
	if (r < 0) {
		free(s);
		errno = -r;
		return NULL;
	}
	return s;
}

static void lost_worker(struct run *run, size_t i, int side, int error)
{
	cleanup_text struct text signature = { 0 };

	if (stop_asked)
		return;
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

/* Whether the run goes on. */
static bool compare_answers(struct run *run, size_t i)
{
	cleanup_text struct text signature = { 0 };
	cleanup_free char *want = receive_text(run->workers[0].socket);
	int error = errno;
	cleanup_free char *got = want ? receive_text(run->workers[1].socket) : NULL;

	if (!want || !got) {
		lost_worker(run, i, want ? 1 : 0, want ? errno : error);
		return false;
	}
	run->outcome->n_done++;
	if (run->options->verbose) {
		op_print(&run->program->ops[i], &signature);
		fprintf(stderr, "%zu %s\n  %s\n  %s\n", i, signature.s, want, got);
		text_clear(&signature);
	}
	if (same_answer(want, got))
		return true;
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
		if (!same || program->ops[*i].kind != OP_COMPARE)
			continue;
		same = compare_trees(run, *i, "here", false);
		if (same)
			same = send_all(run->workers[0].socket, "g", 1) >= 0 &&
			       send_all(run->workers[1].socket, "g", 1) >= 0;
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
