/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cmd.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/opening.h"
#include "value/printable.h"

static const char *arg_root;

void cmd_set_root(const char *path)
{
	arg_root = path;
}

static void print_help(const struct cmd *cmd)
{
	printf("Usage: cairn %s %s\n%s\n", cmd->name, cmd->args, cmd->help);
}

int cmd_fail(const struct cmd *cmd, const char *format, ...)
{
	cleanup_free char *text = NULL;
	cleanup_free char *shown = NULL;
	va_list args;

	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		text = NULL;
	va_end(args);
	shown = text ? printable_copy(text) : NULL;
	fprintf(stderr, "cairn %s: %s\n", cmd->name, shown ? shown : strerror(ENOMEM));
	return CMD_FAILED;
}

int cmd_option(const struct cmd *cmd, int argc, char *argv[], const struct option options[],
	       int *ret_exit)
{
	static const struct option common[] = {
		{ "root", required_argument, NULL, 'R' },
		{ "help", no_argument, NULL, 'h' },
	};
	struct option all[16];
	size_t n = 0;
	int c;

	for (; options[n].name; n++)
		all[n] = options[n];
	all[n++] = common[0];
	all[n++] = common[1];
	all[n] = (struct option){ 0 };
	opterr = 0;
	c = getopt_long(argc, argv, ":", all, NULL);
	if (c == 'R') {
		cmd_set_root(optarg);
		return cmd_option(cmd, argc, argv, options, ret_exit);
	}
	if (c == 'h') {
		print_help(cmd);
		*ret_exit = CMD_OK;
		return CMD_STOP;
	}
	if (c == '?' || c == ':') {
		cmd_fail(cmd, c == ':' ? "%s needs a value" : "unknown option %s; see --help",
			 argv[optind - 1]);
		*ret_exit = CMD_USAGE;
		return CMD_STOP;
	}
	return c;
}

bool cmd_check_operands(const struct cmd *cmd, int argc, int min, int max)
{
	int n = argc - optind;

	if (n >= min && (n <= max || max < 0))
		return true;
	cmd_fail(cmd, "too %s arguments: cairn %s %s", n < min ? "few" : "many", cmd->name,
		 cmd->args);
	return false;
}

/*
 * Whether we are root of the machine: uid 0 of a user namespace is somebody else, whose home it is.
 * The number of the first one is the kernel's (include/linux/proc_ns.h, PROC_USER_INIT_INO).
 */
static bool is_root(void)
{
	struct stat st;

	return geteuid() == 0 && (stat("/proc/self/ns/user", &st) < 0 || st.st_ino == 0xEFFFFFFDU);
}

/* Allocated, or NULL. */
static char *default_root(void)
{
	const char *data = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
	char *path = NULL;
	int n;

	if (arg_root)
		return strdup(arg_root);
	if (getenv("CAIRN_ROOT") && *getenv("CAIRN_ROOT"))
		return strdup(getenv("CAIRN_ROOT"));
	if (is_root())
		return strdup("/var/lib/cairn");
	if (data && *data == '/')
		n = asprintf(&path, "%s/cairn", data);
	else
		n = asprintf(&path, "%s/.local/share/cairn", home ? home : "");
	return n < 0 ? NULL : path;
}

static char *absolute(const char *path)
{
	cleanup_free char *here = *path == '/' ? NULL : getcwd(NULL, 0);
	char *whole;

	if (*path == '/')
		return strdup(path);
	return !here || asprintf(&whole, "%s/%s", here, path) < 0 ? NULL : whole;
}

static int open_store(const struct cmd *cmd, struct store **ret,
		      int (*open)(const char *path, struct error *error, struct store **ret))
{
	cleanup_free char *root = default_root();
	cleanup_free char *path = root ? absolute(root) : NULL;
	struct error error;

	if (!path || !*root)
		return cmd_fail(cmd, "the store has no path"), -EINVAL;
	if (open(path, &error, ret) < 0)
		return cmd_fail(cmd, "%s", error.text), -EIO;
	return 0;
}

int cmd_open_store(const struct cmd *cmd, struct store **ret)
{
	return open_store(cmd, ret, store_open);
}

int cmd_open_store_to_read(const struct cmd *cmd, struct store **ret)
{
	return open_store(cmd, ret, store_open_to_read);
}

const char *cmd_size(char text[16], unsigned long long size)
{
	static const char units[] = "kMGTPE";
	double value = (double)size;
	int unit = -1;

	while (value >= 999.95 && unit < 5) {
		value /= 1000;
		unit++;
	}
	if (unit < 0)
		snprintf(text, 16, "%llu B", size);
	else
		snprintf(text, 16, "%.1f %cB", value, units[unit]);
	return text;
}
