/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cairn: chooses the command. */
#include <config.h>

#include <errno.h>
#include <locale.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/fd.h"
#include "cmd.h"

static const struct cmd *const commands[] = {
	&cmd_import, &cmd_images, &cmd_mount, &cmd_umount, &cmd_containers, &cmd_rm, &cmd_upgrade,
};
enum { N_COMMANDS = sizeof(commands) / sizeof(*commands) };

static void print_usage(FILE *out)
{
	fprintf(out, "Usage: cairn [--root DIR] COMMAND [ARGUMENT...]\n"
		     "Keeps container images unpacked in a store, and mounts them.\n\n"
		     "Commands:\n");
	for (size_t i = 0; i < N_COMMANDS; i++)
		fprintf(out, "  %-11s %s\n", commands[i]->name, commands[i]->summary);
	fprintf(out, "\nOptions:\n"
		     "  --root DIR  use the store in DIR (or set CAIRN_ROOT)\n"
		     "  --help      print this, or with a command what it does\n"
		     "  --version   print the version\n");
}

/* What other tools call a thing that we call otherwise. */
static const char *const others[][2] = {
	{ "ps", "containers" },	 { "container", "containers" },
	{ "ls", "images" },	 { "list", "images" },
	{ "image", "images" },	 { "rmi", "rm" },
	{ "remove", "rm" },	 { "delete", "rm" },
	{ "load", "import" },	 { "pull", "import" },
	{ "unmount", "umount" },
};

/* Whether one is the other with a letter changed, left out, added, or two exchanged. */
static bool is_typo(const char *a, const char *b)
{
	size_t n = strlen(a), m = strlen(b), i = 0;

	while (a[i] && a[i] == b[i])
		i++;
	if (n == m + 1)
		return strcmp(a + i + 1, b + i) == 0;
	if (m == n + 1)
		return strcmp(a + i, b + i + 1) == 0;
	if (n != m || n == i)
		return false;
	return strcmp(a + i + 1, b + i + 1) == 0 ||
	       (a[i] == b[i + 1] && a[i + 1] == b[i] && strcmp(a + i + 2, b + i + 2) == 0);
}

/* The command that may have been meant, or NULL. */
static const char *guess(const char *name)
{
	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++) {
		if (strcmp(name, others[i][0]) == 0)
			return others[i][1];
	}
	for (size_t i = 0; i < N_COMMANDS; i++) {
		if (strlen(name) > 1 && is_typo(name, commands[i]->name))
			return commands[i]->name;
	}
	return NULL;
}

static int run(int argc, char *argv[])
{
	const char *meant;

	for (size_t i = 0; i < N_COMMANDS; i++) {
		if (strcmp(argv[0], commands[i]->name) == 0)
			return commands[i]->run(argc, argv);
	}
	meant = guess(argv[0]);
	if (meant)
		fprintf(stderr, "cairn: unknown command %s: did you mean %s? See cairn --help\n",
			argv[0], meant);
	else
		fprintf(stderr, "cairn: unknown command %s; see cairn --help\n", argv[0]);
	return CMD_USAGE;
}

/* The options before the command: the number of arguments they take, or -1 to stop. */
static int global_options(int argc, char *argv[], int *ret_exit)
{
	static const struct option options[] = {
		{ "root", required_argument, NULL, 'R' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ 0 },
	};
	int c;

	opterr = 0;
	*ret_exit = CMD_OK;
	while ((c = getopt_long(argc, argv, "+:", options, NULL)) != -1) {
		switch (c) {
		case 'R':
			cmd_set_root(optarg);
			break;
		case 'h':
			print_usage(stdout);
			return -1;
		case 'V':
			printf("cairn: version %s\n", PACKAGE_VERSION);
			return -1;
		default:
			fprintf(stderr,
				c == ':' ? "cairn: %s needs a value\n"
					 : "cairn: unknown option %s; see cairn --help\n",
				argv[optind - 1]);
			*ret_exit = CMD_USAGE;
			return -1;
		}
	}
	return optind;
}

int main(int argc, char *argv[])
{
	int exit_code, n;

	fd_open_stdio();
	setlocale(LC_CTYPE, "C.UTF-8");
	/* A file that may not be so long is an error that names it, not the end. */
	signal(SIGXFSZ, SIG_IGN);
	n = global_options(argc, argv, &exit_code);
	if (n > 0 && n == argc) {
		print_usage(stderr);
		return CMD_USAGE;
	}
	if (n > 0) {
		optind = 0; /* getopt starts anew, with the command in argv[0] */
		exit_code = run(argc - n, argv + n);
	}
	if (fflush(stdout) != 0 || ferror(stdout)) {
		fprintf(stderr, "cairn: cannot write the output: %s\n", strerror(errno));
		return CMD_FAILED;
	}
	return exit_code;
}
