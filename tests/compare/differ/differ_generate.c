/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A stack and a program from a seed.  So that most operations meet something, the
 * program is run as it is made, by a process whose root is a plain copy of the
 * merged tree, and each operation is chosen knowing what is there.  With several
 * threads each has a directory of its own and, in `shared`, names of its own.
 */
#include "differ_generate.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"

static enum entry_type type_of_mode(mode_t mode)
{
	return S_ISDIR(mode)	? ENTRY_DIR
	       : S_ISLNK(mode)	? ENTRY_SYMLINK
	       : S_ISFIFO(mode) ? ENTRY_FIFO
	       : S_ISSOCK(mode) ? ENTRY_SOCKET
	       : S_ISCHR(mode)	? ENTRY_CHAR
	       : S_ISBLK(mode)	? ENTRY_BLOCK
				: ENTRY_FILE;
}

/* Sorted: the order of a listing is the filesystem's, and must not decide what comes next. */
static void know_tree(struct generator *g, int dirfd, const char *path)
{
	struct dirent **list;
	struct stat st;
	int i, n = scandirat(dirfd, ".", &list, NULL, alphasort);

	for (i = 0; i < n; i++) {
		cleanup_free struct dirent *d = list[i];
		cleanup_free char *child = !strcmp(path, ".") ? xstrdup(d->d_name)
							      : xformat("%s/%s", path, d->d_name);
		cleanup_fd int fd = -1;

		if (!strcmp(d->d_name, ".") || !strcmp(d->d_name, "..") ||
		    fstatat(dirfd, d->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		    strlen(child) > MAX_PATH)
			continue;
		know(g, child, type_of_mode(st.st_mode));
		if (!S_ISDIR(st.st_mode))
			continue;
		fd = openat(dirfd, d->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd >= 0)
			know_tree(g, fd, child);
	}
	if (n >= 0)
		free(list);
}

static bool changes_names(enum op_kind kind)
{
	return kind == OP_OPEN || kind == OP_LINKFD || kind == OP_WRITEFILE ||
	       (kind >= OP_MKDIR && kind <= OP_SYMLINK) || kind == OP_MKNOD || kind == OP_DEEP ||
	       kind == OP_LINKPROC;
}

static void try_op(struct generator *g)
{
	const struct op *op = &g->program->ops[g->program->count - 1];
	cleanup_text struct text answer = { 0 };

	if (accept_skips(op))
		return;
	if (accept_must_fail(op))
		op_refuse(&g->performers[op->thread], op, &answer);
	else
		op_perform(&g->performers[op->thread], op, &answer);
	if (!changes_names(op->kind) || !strncmp(answer.s, "r=-1", 4))
		return;
	know_nothing(g);
	know(g, ".", ENTRY_DIR);
	know_tree(g, g->side.root, ".");
}

static void close_all(struct generator *g, bool again)
{
	int64_t t;

	for (t = 0; t < g->program->n_threads; t++) {
		if (again)
			performer_done(&g->performers[t]);
		performer_init(&g->performers[t], &g->side);
	}
	umask(022);
}

static int64_t any_space(struct generator *g)
{
	static const int64_t left[] = { 0, 0, 4096, 20000, 100000, 400000, -1, -1 };

	return PICK(g, left);
}

static void generate_ops(struct generator *g)
{
	size_t i, n = g->options->n_ops;

	close_all(g, false);
	for (i = 1; i <= n; i++) {
		bool is_last = i == n || (i + 1) % (n / 3 + 1) == 0;

		if (g->options->full && (i % 25 == 0 || is_last)) {
			/* All is free again at a remount: mounting makes things, too. */
			program_add(g->program, (struct op){ .kind = OP_FILL,
							     .len = is_last ? -1 : any_space(g) });
		} else if (i % (n / 3 + 1) == 0) {
			program_add(g->program, (struct op){ .kind = OP_REMOUNT });
			close_all(g, true);
		} else if (i % 150 == 0) {
			program_add(g->program, (struct op){ .kind = OP_COMPARE });
		} else {
			generate_op(g);
			try_op(g);
		}
	}
}

/* The generating process: its root is `dir`, it prints the program into `out` and ends. */
static _Noreturn void generate_in(struct generator *g, const char *dir, int out)
{
	int root = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	FILE *f = fdopen(out, "w");
	struct stack merged;

	umask(0);
	stack_merge(&g->program->stack, 0, &merged);
	if (root < 0 || !f || stack_materialise(&merged, 0, root) < 0)
		_exit(1);
	g->side = (struct side){ .options = g->options, .has_threads = g->program->n_threads > 1 };
	if (g->options->redirect_off)
		g->side.lowers = lowers_read(&merged, root);
	if (side_enter(&g->side, dir) < 0)
		_exit(1);
	generate_ops(g);
	program_print(g->program, f);
	fclose(f);
	_exit(0);
}

static int generate_program(struct generator *g, const char *dir, struct program *ret)
{
	int pipe_fds[2], status = -1;
	FILE *in;
	pid_t pid;
	int r;

	if (pipe2(pipe_fds, O_CLOEXEC) < 0)
		return -errno;
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		/* Else it would wait for ever for itself to read, should we stop reading. */
		close(pipe_fds[0]);
		generate_in(g, dir, pipe_fds[1]);
	}
	close(pipe_fds[1]);
	in = fdopen(pipe_fds[0], "r");
	r = program_parse(ret, in, "generated program");
	fclose(in);
	waitpid(pid, &status, 0);
	return r < 0 ? r : status ? -EIO : 0;
}

static bool is_for_kernel(uint64_t seed, const struct options *options)
{
	return options->is_root && (options->is_nested || !strcmp(options->profile, "kernel") ||
				    (!strcmp(options->profile, "mixed") && seed % 2));
}

void program_generate_stack(struct program *program, uint64_t seed, const struct options *options)
{
	struct generator g = { .rng = { seed }, .program = program, .options = options };

	*program = (struct program){ .seed = seed, .n_threads = 1 };
	program->kernel = is_for_kernel(seed, options);
	rng_next(&g.rng);
	generate_stack(&g);
	know_nothing(&g);
}

int program_generate(struct program *program, uint64_t seed, const struct options *options)
{
	struct program raw = { .seed = seed, .n_threads = options->n_threads };
	struct generator g = { .rng = { seed }, .program = &raw, .options = options };
	cleanup_free char *dir = xformat("%s/generate.XXXXXX", options->dir);
	int r;

	*program = (struct program){ 0 };
	raw.kernel = is_for_kernel(seed, options);
	rng_next(&g.rng);
	generate_stack(&g);
	if (!mkdtemp(dir))
		r = -errno;
	else
		r = generate_program(&g, dir, program);
	fd_remove_tree(AT_FDCWD, dir);
	know_nothing(&g);
	program_done(&raw);
	return r;
}
