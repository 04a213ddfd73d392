/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cmd.h"
#include "host/mounted.h"
#include "mount_point.h"
#include "serving.h"

enum { MAX_SECONDS = 30 }; /* a supervisor's own limits are shorter */

/*
 * One mount; `path` is where it is, as the user called it or as mountinfo has it. ENDED: it is not
 * there any more; an earlier one's process may live on for a moment, with the same st_dev.
 */
enum { ENDED = -1 };
static int upgrade(const struct serving *process, const char *path)
{
	char why[MOUNT_NOTE_TEXT];
	int r = serving_upgrade(process, MAX_SECONDS, why);

	if (r == -ESRCH)
		return ENDED;
	if (r == SERVING_REFUSED)
		return cmd_fail(&cmd_upgrade, "%s: not upgraded: %s", path, why);
	if (r < 0)
		return cmd_fail(&cmd_upgrade, "%s: %s", path, strerror(-r));
	printf("%s\n", path);
	return CMD_OK;
}

/* Where the mount of a supervisor is, or its process where that is not to be seen from here. */
static char *place_of(const struct serving *process)
{
	char *path = process->dev ? mounted_where(process->dev) : NULL;

	if (!path && asprintf(&path, "process %d", (int)process->pid) < 0)
		return NULL;
	return path;
}

static int upgrade_all(const struct serving processes[], size_t n)
{
	int exit_code = CMD_OK;

	for (size_t i = 0; i < n; i++) {
		cleanup_free char *path = place_of(&processes[i]);

		if (upgrade(&processes[i], path ? path : "") == CMD_FAILED)
			exit_code = CMD_FAILED;
	}
	return exit_code;
}

static int upgrade_one(const struct serving processes[], size_t n, const char *path)
{
	dev_t dev;
	int r = mount_point_dev(path, &dev);

	if (r < 0)
		return cmd_fail(&cmd_upgrade, "%s: %s", path, strerror(-r));
	for (size_t i = 0; i < n; i++) {
		int exit_code = processes[i].dev == dev ? upgrade(&processes[i], path) : ENDED;

		if (exit_code != ENDED)
			return exit_code;
	}
	return cmd_fail(&cmd_upgrade, "%s: no cairnfs mount that can be upgraded is there", path);
}

static int run(int argc, char *argv[])
{
	static const struct option options[] = { { 0 } };
	cleanup_free struct serving *processes = NULL;
	size_t n;
	int r, exit_code;

	if (cmd_option(&cmd_upgrade, argc, argv, options, &exit_code) == CMD_STOP)
		return exit_code;
	if (!cmd_check_operands(&cmd_upgrade, argc, 0, 1))
		return CMD_USAGE;
	r = serving_find_all(&processes, &n);
	if (r < 0)
		return cmd_fail(&cmd_upgrade, "looking for mounts: %s", strerror(-r));
	return optind < argc ? upgrade_one(processes, n, argv[optind]) : upgrade_all(processes, n);
}

const struct cmd cmd_upgrade = {
	.name = "upgrade",
	.args = "[DIR]",
	.summary = "have mounts served by the cairnfs that is installed now",
	.help = "Has the mount on DIR, or every mount of cairnfs that this user may change, go on "
		"with\n"
		"the program that is installed now, while it is used.  Prints where they are.  A "
		"mount\n"
		"that the program cannot take over stays as it is, and the reason is said.",
	.run = run,
};
