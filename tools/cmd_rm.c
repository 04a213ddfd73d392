/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdio.h>

#include "cmd.h"
#include "store/removal.h"

static int run(int argc, char *argv[])
{
	static const struct option options[] = { { 0 } };
	cleanup_store struct store *store = NULL;
	struct error error;
	int c, exit_code;

	while ((c = cmd_option(&cmd_rm, argc, argv, options, &exit_code)) != -1) {
		if (c == CMD_STOP)
			return exit_code;
	}
	if (!cmd_check_operands(&cmd_rm, argc, 1, -1))
		return CMD_USAGE;
	if (cmd_open_store(&cmd_rm, &store) < 0)
		return CMD_FAILED;
	if (image_remove(store, (const char *const *)argv + optind, (size_t)(argc - optind),
			 &error) < 0)
		return cmd_fail(&cmd_rm, "%s", error.text);
	return CMD_OK;
}

const struct cmd cmd_rm = {
	.name = "rm",
	.args = "IMAGE...",
	.summary = "remove images from the store",
	.help = "A name loses its tag, and the image goes with its last one; an id removes the\n"
		"image with all its tags.  Layers that no other image uses go too.  All the "
		"images\n"
		"named are removed, or none.  An image that a container uses is refused.",
	.run = run,
};
