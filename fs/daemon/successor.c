/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "daemon/successor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"

static const char option[] = "--take-over=";

/* --- handing on --- */

/* What is handed on, in the order of the option: TALK where each version has it, to say so. */
enum { FUSE, SHARED, LEDGER, TALK, UPPER, WORK, CLAIM, CHAIN, INO32, OPENED, HELPER, FIRST_BRANCH };

/* Allocated; *n is their number. */
static int *descriptors(const struct supervised *supervised, const struct fs_config *config,
			size_t *n)
{
	int *fds = malloc((FIRST_BRANCH + config->n_branches) * sizeof(*fds));

	if (!fds)
		return NULL;
	fds[FUSE] = supervised->fuse_fd;
	fds[SHARED] = supervised->shared_fd;
	fds[LEDGER] = supervised->ledger_fd;
	fds[TALK] = supervised->talk;
	fds[UPPER] = config->upper;
	fds[WORK] = config->work;
	fds[CLAIM] = config->claim;
	fds[CHAIN] = config->chain_fd;
	fds[INO32] = config->ino32_fd;
	fds[OPENED] = supervised->opened_fd;
	fds[HELPER] = supervised->helper_fd;
	memcpy(fds + FIRST_BRANCH, config->branches, config->n_branches * sizeof(*fds));
	*n = FIRST_BRANCH + config->n_branches;
	return fds;
}

static char *describe(const struct fs_config *config, const int fds[], size_t n)
{
	enum { MAX_DIGITS = 13 };
	char *text = malloc(sizeof(option) + n * MAX_DIGITS), *at = text;

	for (size_t i = 0; text && i < n; i++) {
		bool is_mapped = i >= FIRST_BRANCH && config->is_mapped &&
				 config->is_mapped[i - FIRST_BRANCH];

		at += sprintf(at, "%s%d%s", i == 0 ? option : ",", fds[i], is_mapped ? "m" : "");
	}
	return text;
}

int successor_execute(int fd, char *const argv[], const struct supervised *supervised,
		      const struct fs_config *config)
{
	size_t n_fds = 0, n_args = 0;
	cleanup_free int *fds = descriptors(supervised, config, &n_fds);
	cleanup_free char *text = fds ? describe(config, fds, n_fds) : NULL;
	cleanup_free char **args = NULL;

	while (argv[n_args])
		n_args++;
	args = calloc(n_args + 2, sizeof(*args));
	if (!text || !args)
		return -ENOMEM;
	args[0] = argv[0];
	args[1] = text;
	memcpy(args + 2, argv + 1, (n_args - 1) * sizeof(*args));
	for (size_t i = 0; i < n_fds; i++) {
		if (fds[i] >= 0 && fcntl(fds[i], F_SETFD, 0) < 0)
			return -errno;
	}
	execveat(fd, "", args, environ, AT_EMPTY_PATH);
	return -errno;
}

/* --- taking over --- */

const char *successor_asked(int argc, char *const argv[])
{
	if (argc < 2 || strncmp(argv[1], option, sizeof(option) - 1) != 0)
		return NULL;
	return argv[1] + sizeof(option) - 1;
}

int successor_talk(const char *text)
{
	int talk;

	return sscanf(text, "%*d,%*d,%*d,%d", &talk) == 1 ? talk : -1;
}

/* What is taken over; both arrays are allocated. */
struct taken {
	int *fds;
	bool *is_mapped;
	size_t n;
};

static void taken_done(struct taken *taken)
{
	free(taken->fds);
	free(taken->is_mapped);
}

/* False: the numbers of the option are not as they should be. */
static bool parse(const char *text, struct taken *ret)
{
	char *end;

	ret->fds = calloc(strlen(text) + 1, sizeof(*ret->fds));
	ret->is_mapped = calloc(strlen(text) + 1, sizeof(*ret->is_mapped));
	for (; ret->fds && ret->is_mapped; text = end + 1) {
		int fd = (int)strtol(text, &end, 10);

		if (end == text || (fd >= 0 && fcntl(fd, F_SETFD, FD_CLOEXEC) < 0))
			return false;
		ret->fds[ret->n] = fd;
		ret->is_mapped[ret->n] = *end == 'm';
		end += ret->is_mapped[ret->n++];
		if (*end != ',')
			return !*end && ret->n >= FIRST_BRANCH;
	}
	return false;
}

int successor_take_over(const char *text, const struct options *options,
			struct supervised *supervised, struct directories *dirs, char **error)
{
	CLEANUP(taken_done) struct taken taken = { 0 };
	int r = parse(text, &taken) ? 0 : -EINVAL;
	const int *fds = taken.fds;

	if (r == 0)
		r = shared_map(fds[SHARED], &supervised->shared, error);
	if (r == 0)
		r = directories_adopt(
			options,
			&(struct directory_fds){ .upper = fds[UPPER],
						 .work = fds[WORK],
						 .claim = fds[CLAIM],
						 .chain = fds[CHAIN],
						 .ino32 = fds[INO32],
						 .branches = fds + FIRST_BRANCH,
						 .is_mapped = taken.is_mapped + FIRST_BRANCH,
						 .n_branches = taken.n - FIRST_BRANCH },
			dirs);
	if (r < 0)
		return r;
	supervised->fuse_fd = fds[FUSE];
	close(fds[SHARED]);
	supervised->shared_fd = -1;
	supervised->ledger_fd = fds[LEDGER];
	supervised->opened_fd = fds[OPENED];
	supervised->helper_fd = fds[HELPER];
	supervised->is_restart = true;
	return 0;
}
