/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A worker: the process that runs a program on one side.  Its root directory is that
 * side's, so no symbolic link leads out of it; it runs the program by itself and sends
 * its answers.  At a `compare` it waits for a word, at a `remount` it ends.  With several
 * threads it runs the operations between two such points in its threads and then sends
 * the answers; with processes each sends its own, and the worker passes them on.
 */
#include "differ.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"

/* Longer than any answer takes, sanitizers and a busy machine included. */
#define ANSWER_SECONDS 90

/* ---- messages ---- */

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

int worker_tell(const struct worker *worker, const char *s)
{
	uint32_t len = strlen(s);
	int r = send_all(worker->socket, &len, sizeof(len));

	return r < 0 ? r : send_all(worker->socket, s, len);
}

/* -errno when the other end has died or hangs. */
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

char *worker_hear(const struct worker *worker, int *error)
{
	uint32_t len;
	char *s;

	*error = receive(worker->socket, &len, sizeof(len));
	if (*error < 0)
		return NULL;
	s = xrealloc(NULL, len + 1, 1);
	s[len] = '\0';
	*error = receive(worker->socket, s, len);
	if (*error == 0)
		return s;
	free(s);
	return NULL;
}

/* The worker's own ends of the same; nobody listens any more when the run is over. */
static void say(const struct worker *to, const char *s)
{
	if (worker_tell(to, s) < 0)
		_exit(0);
}

static char *hear(const struct worker *from)
{
	int error;
	char *s = worker_hear(from, &error);

	if (!s)
		_exit(0);
	return s;
}

/* ---- one operation ---- */

struct crew {
	const struct job *job;
	struct worker main; /* who is told */
	struct side side;
	struct performer performers[MAX_THREADS];
	struct worker members[MAX_THREADS]; /* with processes */
};

static void perform(const struct job *job, struct performer *performer, const struct op *op,
		    struct text *text)
{
	unsigned long kills = kill_count();
	int64_t began = now_us();

	text_clear(text);
	if (accept_skips(op))
		text_add(text, "skipped");
	else if (job->is_plain && accept_must_fail(op))
		op_refuse(performer, op, text);
	else
		op_perform(performer, op, text);
	if (!job->is_plain)
		kill_note(kills, began);
}

/* In lockstep an operation is done when, and as far as, we are told. */
static void perform_as_told(struct crew *crew, const struct op *op, struct text *text)
{
	cleanup_free char *order = hear(&crew->main);
	struct op limited = *op;

	text_clear(text);
	if (!strcmp(order, "skip")) {
		op_refuse(&crew->performers[0], op, text);
		return;
	}
	if (!strncmp(order, "only ", 5))
		limited.len = strtoll(order + 5, NULL, 10);
	perform(crew->job, &crew->performers[0], &limited, text);
}

static void meet(const struct worker *main)
{
	say(main, "");
	free(hear(main));
}

static void run_alone(struct crew *crew)
{
	const struct program *program = crew->job->program;
	cleanup_text struct text text = { 0 };
	size_t i;

	for (i = crew->job->from; i < program->count && program->ops[i].kind != OP_REMOUNT; i++) {
		if (op_is_barrier(&program->ops[i])) {
			meet(&crew->main);
			continue;
		}
		if (crew->job->options->full)
			perform_as_told(crew, &program->ops[i], &text);
		else
			perform(crew->job, crew->performers, &program->ops[i], &text);
		say(&crew->main, text.s);
	}
}

/* ---- threads ---- */

struct segment {
	const struct job *job;
	size_t from, to;
	int64_t thread;
	struct performer *performer;
	struct text *answers; /* from `from` on */
};

/* A thread that lives as long as the worker has its own umask; here one for each segment. */
static void *run_thread(void *arg)
{
	struct segment *segment = arg;
	const struct op *ops = segment->job->program->ops;
	size_t i;

	if (unshare(CLONE_FS) < 0)
		abort();
	umask(022);
	for (i = segment->from; i < segment->to; i++)
		if (ops[i].thread == segment->thread)
			perform(segment->job, segment->performer, &ops[i],
				&segment->answers[i - segment->from]);
	return NULL;
}

static void run_segment(struct crew *crew, size_t from, size_t to)
{
	int64_t t, n = crew->job->program->n_threads;
	struct segment segments[MAX_THREADS];
	struct text *answers = calloc(to - from + 1, sizeof(*answers));
	pthread_t threads[MAX_THREADS];
	size_t i;

	for (t = 0; t < n; t++) {
		segments[t] = (struct segment){ crew->job, from, to, t, &crew->performers[t],
						answers };
		if (pthread_create(&threads[t], NULL, run_thread, &segments[t]))
			abort();
	}
	for (t = 0; t < n; t++)
		pthread_join(threads[t], NULL);
	for (i = 0; i < to - from; i++) {
		say(&crew->main, answers[i].s ? answers[i].s : "");
		text_done(&answers[i]);
	}
	free(answers);
}

static void run_threads(struct crew *crew)
{
	const struct program *program = crew->job->program;
	size_t i = crew->job->from, end;

	while (i < program->count && program->ops[i].kind != OP_REMOUNT) {
		if (op_is_barrier(&program->ops[i])) {
			meet(&crew->main);
			i++;
			continue;
		}
		for (end = i; end < program->count && !op_is_barrier(&program->ops[end]);)
			end++;
		run_segment(crew, i, end);
		i = end;
	}
}

/* ---- processes ---- */

static _Noreturn void run_member(struct crew *crew, int64_t t, int socket)
{
	const struct program *program = crew->job->program;
	const struct worker main = { .socket = socket };
	cleanup_text struct text text = { 0 };
	int64_t other;
	size_t i;

	/* Only the worker holds the other ends, so that they close when it is killed. */
	close(crew->main.socket);
	for (other = 0; other <= t; other++)
		close(crew->members[other].socket);
	for (i = crew->job->from; i < program->count && program->ops[i].kind != OP_REMOUNT; i++) {
		if (op_is_barrier(&program->ops[i])) {
			meet(&main);
		} else if (program->ops[i].thread == t) {
			perform(crew->job, &crew->performers[t], &program->ops[i], &text);
			say(&main, text.s);
		}
	}
	_exit(0);
}

static void start_members(struct crew *crew)
{
	int64_t t;
	int pair[2];

	for (t = 0; t < crew->job->program->n_threads; t++) {
		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
			abort();
		crew->members[t].socket = pair[0];
		crew->members[t].pid = fork();
		if (crew->members[t].pid < 0)
			abort();
		if (crew->members[t].pid == 0)
			run_member(crew, t, pair[1]);
		close(pair[1]);
	}
}

static void run_processes(struct crew *crew)
{
	const struct program *program = crew->job->program;
	size_t i;
	int64_t t;

	start_members(crew);
	for (i = crew->job->from; i < program->count && program->ops[i].kind != OP_REMOUNT; i++) {
		if (!op_is_barrier(&program->ops[i])) {
			cleanup_free char *s = hear(&crew->members[program->ops[i].thread]);

			say(&crew->main, s);
			continue;
		}
		for (t = 0; t < program->n_threads; t++)
			free(hear(&crew->members[t]));
		meet(&crew->main);
		for (t = 0; t < program->n_threads; t++)
			say(&crew->members[t], "go");
	}
	for (t = 0; t < program->n_threads; t++)
		waitpid(crew->members[t].pid, NULL, 0);
}

/* ---- beginning and end ---- */

static _Noreturn void worker_main(const struct job *job, int socket)
{
	struct crew crew = { .job = job, .main = { .socket = socket } };
	int64_t t;

	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	crew.side = (struct side){ .start = job->start,
				   .options = job->options,
				   .has_threads = job->program->n_threads > 1,
				   .lowers = job->is_plain ? job->lowers : NULL };
	if (side_enter(&crew.side, job->dir) < 0)
		abort();
	umask(022);
	for (t = 0; t < job->program->n_threads; t++)
		performer_init(&crew.performers[t], &crew.side);
	if (job->program->n_threads == 1)
		run_alone(&crew);
	else if (job->options->processes)
		run_processes(&crew);
	else
		run_threads(&crew);
	for (t = 0; t < job->program->n_threads; t++)
		performer_done(&crew.performers[t]);
	_exit(0);
}

int worker_start(struct worker *worker, const struct job *job)
{
	struct timeval limit = { ANSWER_SECONDS, 0 };
	int pair[2];

	fflush(NULL);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	worker->pid = fork();
	if (worker->pid < 0)
		return -errno;
	if (worker->pid == 0) {
		close(pair[0]);
		worker_main(job, pair[1]);
	}
	close(pair[1]);
	worker->socket = pair[0];
	setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	return 0;
}

void worker_end(struct worker *worker, bool kill_it)
{
	if (worker->pid <= 0)
		return;
	if (kill_it)
		kill(worker->pid, SIGKILL);
	close(worker->socket);
	waitpid(worker->pid, NULL, 0);
	worker->pid = 0;
}
