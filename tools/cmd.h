/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A sub-command of cairn.  Each is one file, cmd_NAME.c, that owns its entry
 * of the table: what --help prints is written beside what it describes.
 */
#ifndef TOOLS_CMD_H
#define TOOLS_CMD_H

#include <getopt.h>
#include <stdbool.h>

#include "base/cleanup.h"
#include "store/store.h"
#include "value/error.h"

/* What the process exits with. */
enum cmd_exit {
	CMD_OK = 0,
	CMD_FAILED = 1,
	CMD_USAGE = 2,
	CMD_INTERRUPTED = 130, /* as a shell shows SIGINT */
};

struct cmd {
	const char *name;
	const char *args; /* as in "[--json]" */
	const char *summary; /* one line, for `cairn --help` */
	const char *help; /* what the command does, then its options, a line each */
	/* argv[0] is the command's name; the result is a cmd_exit. */
	int (*run)(int argc, char *argv[]);
};

extern const struct cmd cmd_import, cmd_images, cmd_mount, cmd_umount, cmd_containers, cmd_rm,
	cmd_upgrade;

/* The store the user named with --root or CAIRN_ROOT, or the default one. */
void cmd_set_root(const char *path);
int cmd_open_store(const struct cmd *cmd, struct store **ret);
int cmd_open_store_to_read(const struct cmd *cmd, struct store **ret);
DEFINE_CLEANUP(struct store *, store_at, store_free)
#define cleanup_store CLEANUP(cleanup_store_at)

/*
 * The next option of a command, as getopt_long, with --root and --help added.
 * -1: no more; CMD_STOP: the command is to return `*ret_exit`.
 */
enum { CMD_STOP = -2 };
int cmd_option(const struct cmd *cmd, int argc, char *argv[], const struct option options[],
	       int *ret_exit);

/* Checks the number of operands; prints and returns false if it is wrong. */
bool cmd_check_operands(const struct cmd *cmd, int argc, int min, int max);

/* Prints "cairn NAME: TEXT" on stderr; returns CMD_FAILED. */
int cmd_fail(const struct cmd *cmd, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* "1.2 MB", decimal, in `text`. */
const char *cmd_size(char text[16], unsigned long long size);

#endif
