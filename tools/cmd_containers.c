/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "cmd.h"
#include "store/container.h"
#include "value/printable.h"

static int show_row(void *context, const struct container *container)
{
	cleanup_free char *place = printable_copy(container->mount_point ? container->mount_point
									 : "-");
	cleanup_free char *image = printable_copy(container->image_name);

	(void)context;
	if (!place || !image)
		return -ENOMEM;
	printf("%-17s %-20s %-32s %-4s %s\n", container->id, container->name, image,
	       container->read_only ? "ro" : "rw", place);
	return 0;
}

static int show_object(void *json, const struct container *container)
{
	json_array_append_new(json,
			      json_pack("{s:s, s:s, s:s, s:s, s:s?, s:s?, s:b}", "id",
					container->id, "name", container->name, "image",
					container->image.hex, "image_name", container->image_name,
					"mount_point", container->mount_point, "created",
					container->created, "read_only", container->read_only));
	return 0;
}

static int list(bool as_json)
{
	cleanup_store struct store *store = NULL;
	json_t *json;
	struct index_txn txn;
	struct error error;
	int r;

	if (cmd_open_store_to_read(&cmd_containers, &store) < 0)
		return CMD_FAILED;
	if (store_begin(store, false, &error, &txn) < 0)
		return cmd_fail(&cmd_containers, "%s", error.text);
	json = json_array();
	if (!as_json)
		printf("%-17s %-20s %-32s %-4s %s\n", "ID", "NAME", "IMAGE", "MODE", "MOUNT POINT");
	r = container_each(&txn, as_json ? show_object : show_row, json);
	index_abort(&txn);
	if (as_json && r == 0) {
		json_dumpf(json, stdout, JSON_INDENT(2));
		putchar('\n');
	}
	json_decref(json);
	if (r < 0)
		return cmd_fail(&cmd_containers, "store %s: %s", store->path, strerror(-r));
	return CMD_OK;
}

static int run(int argc, char *argv[])
{
	static const struct option options[] = { { "json", no_argument, NULL, 'j' }, { 0 } };
	bool as_json = false;
	int c, exit_code;

	while ((c = cmd_option(&cmd_containers, argc, argv, options, &exit_code)) != -1) {
		if (c == CMD_STOP)
			return exit_code;
		as_json = true;
	}
	if (!cmd_check_operands(&cmd_containers, argc, 0, 0))
		return CMD_USAGE;
	return list(as_json);
}

const struct cmd cmd_containers = {
	.name = "containers",
	.args = "[--json]",
	.summary = "list the containers: what is mounted, and what was kept",
	.help = "Lists the containers that cairn mount made.  One without a mount point was\n"
		"unmounted with --keep.\n\n"
		"  --json  an array of objects",
	.run = run,
};
