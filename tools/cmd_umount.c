/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "cmd.h"
#include "host/mounted.h"
#include "mount_point.h"
#include "store/container_life.h"

/* Unmounts the container, which is what is mounted there on top. */
static int unmount(const char *path)
{
	char *const argv[] = { "fusermount3", "-u", "--", (char *)path, NULL };

	if (umount2(path, UMOUNT_NOFOLLOW) == 0)
		return 0;
	if (errno != EPERM)
		return -errno;
	return process_run(argv, -1) == 0 || mounted_at(path, NULL) == MOUNTED_NOTHING ? 0 : -EBUSY;
}

/* Finds the container by name, id, or where it is mounted. */
static int find_container(struct store *store, const char *key, struct container *ret)
{
	cleanup_free char *path = mount_point_resolve(key), *target = mount_point_follow(key);
	struct index_txn txn;
	struct error error;
	int r;

	if (store_begin(store, false, &error, &txn) < 0)
		return cmd_fail(&cmd_umount, "%s", error.text), -EIO;
	r = container_find(&txn, key, ret);
	if (r == CONTAINER_ABSENT && path)
		r = container_find(&txn, path, ret);
	if (r == CONTAINER_ABSENT && target)
		r = container_find(&txn, target, ret);
	index_abort(&txn);
	if (r == CONTAINER_FOUND)
		return 0;
	cmd_fail(&cmd_umount, "%s: %s", key,
		 r == CONTAINER_ABSENT ? "no container is mounted there or called so"
		 : r == -ENOTUNIQ      ? "more than one container is called so"
				       : strerror(-r));
	return -ENOENT;
}

/* Takes it away, with its directory held: what was looked at is what is unmounted. */
static int take_away(struct store *store, const struct container *container,
		     struct container_hold *hold, bool keep, struct error *error)
{
	cleanup_free char *place = NULL;
	int r = container_look(container, hold, error, &place);

	if (r == CONTAINER_MOUNTED) {
		r = unmount(place);
		if (r < 0)
			return error_set(error, r, "%s: %s", place,
					 r == -EBUSY ? "busy: a process still uses it"
						     : strerror(-r));
		container_await(hold);
	}
	if (r == 0)
		r = container_hold_layer(container, hold, error);
	if (r < 0)
		return r;
	return keep && !container->read_only
		       ? container_set_mount_point(store, container->id, NULL, error)
		       : container_remove(store, container->id, error);
}

static int umount_container(const char *key, bool keep)
{
	CLEANUP(container_hold_done) struct container_hold hold = CONTAINER_NOT_HELD;
	cleanup_store struct store *store = NULL;
	struct container container;
	struct error error;
	int r;

	if (cmd_open_store(&cmd_umount, &store) < 0 || find_container(store, key, &container) < 0)
		return CMD_FAILED;
	r = container_hold(store, container.id, &error, &hold);
	if (r == 0)
		r = take_away(store, &container, &hold, keep, &error);
	if (r < 0)
		cmd_fail(&cmd_umount, "%s", error.text);
	container_done(&container);
	return r < 0 ? CMD_FAILED : CMD_OK;
}

static int run(int argc, char *argv[])
{
	static const struct option options[] = { { "keep", no_argument, NULL, 'k' }, { 0 } };
	bool keep = false;
	int c, exit_code;

	while ((c = cmd_option(&cmd_umount, argc, argv, options, &exit_code)) != -1) {
		if (c == CMD_STOP)
			return exit_code;
		keep = true;
	}
	if (!cmd_check_operands(&cmd_umount, argc, 1, 1))
		return CMD_USAGE;
	return umount_container(argv[optind], keep);
}

const struct cmd cmd_umount = {
	.name = "umount",
	.args = "[--keep] DIR|CONTAINER",
	.summary = "unmount a container, and remove what was written in it",
	.help = "Unmounts the container that is mounted on DIR or has that name or id, and "
		"removes\n"
		"its writable layer.  If it is in use it stays as it is.\n\n"
		"  --keep  keep the writable layer; cairn mount --name NAME takes it up again",
	.run = run,
};
