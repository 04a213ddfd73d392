/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cairn: chooses the command. */
#include <config.h>

#include <errno.h>
#include <locale.h>
#include <signal.h>
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

static int run(int argc, char *argv[])
{
	for (size_t i = 0; i < N_COMMANDS; i++) {
		if (strcmp(argv[0], commands[i]->name) == 0)
			return commands[i]->run(argc, argv);
	}
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
