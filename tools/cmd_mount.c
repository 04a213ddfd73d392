/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The daemon never learns what an image is: this command finds the image's
 * branches and chain index, makes or takes up a container, and runs
 * `cairnfs cairn:NAME:TAG DIR -o lowerdir=...`.
 *
 * The container is recorded before the mount, so that its image cannot be
 * removed under it, and the record is taken back if the mount fails.  The
 * store is closed in between: LMDB does not survive a fork.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "cmd.h"
#include "mount_point.h"
#include "store/container_life.h"
#include "store/image.h"
#include "store/reference.h"

struct request {
	const char *image, *name;
	char *dir; /* NULL: the container's own */
	bool read_only;
};

/* What is to be mounted: found while the store is open, used when it is closed. */
struct plan {
	struct container container;
	struct container_hold hold; /* until it is mounted */
	bool resumed; /* the container was there before */
	char *source; /* as /proc/mounts shows it */
	char **options; /* what cairnfs gets, each after -o; ended by NULL */
};

/* The kernel takes 128 KiB for one argument, whose last path may have a page: no longer, then. */
enum { MAX_ARGUMENT = 64 << 10 };

static void plan_done(struct plan *plan)
{
	container_done(&plan->container);
	container_hold_done(&plan->hold);
	free(plan->source);
	for (size_t i = 0; plan->options && plan->options[i]; i++)
		free(plan->options[i]);
	free(plan->options);
}

/* Writes a path as an option's value: cairnfs takes a backslash before what would end it. */
static void put_escaped(FILE *out, const char *path)
{
	for (; *path; path++) {
		if (strchr(":,\\\"", *path))
			fputc('\\', out);
		fputc(*path, out);
	}
}

static void put_directory(FILE *out, const char *option, const struct store *store, const char *id,
			  const char *part)
{
	fputs(option, out);
	put_escaped(out, store->path);
	fprintf(out, "/containers/%s/%s", id, part);
}

/* How many user ids there are in our user namespace. */
static uint64_t n_ids(void)
{
	FILE *map = fopen("/proc/self/uid_map", "re");
	uint64_t first, outer, size, sum = 0;

	if (!map)
		return UINT32_MAX;
	while (fscanf(map, "%" SCNu64 " %" SCNu64 " %" SCNu64, &first, &outer, &size) == 3)
		sum += size;
	fclose(map);
	return sum;
}

/*
 * Without privilege, the owners that import could not set are written beside
 * the files.  Where only one user is to be had, all files are that one's: the
 * kernel would let nobody use those of others.
 */
static void put_rootless(FILE *out)
{
	uint64_t n = n_ids();

	if (geteuid() != 0 || n < UINT32_MAX)
		fputs(",xattr_permissions=2", out);
	if (n == 1)
		fputs(",squash_to_root", out);
}

static void put_layer(FILE *out, const struct store *store, const struct image_layer *layer)
{
	put_escaped(out, store->path);
	fprintf(out, "/layers/%s/diff", layer->branch.hex);
}

/* The topmost layers down to `*i`, which are as many as an argument takes. */
static void put_layers(FILE *out, const struct store *store, const struct image *image, size_t *i)
{
	bool is_first = *i == image->n_layers;

	while (*i > 0 && ftell(out) < MAX_ARGUMENT) {
		/* Those that come later go below. */
		fputs(is_first && *i == image->n_layers ? "lowerdir="
		      : is_first			? ":"
		      : ftell(out) == 0			? "lowerdir+="
							: ",lowerdir+=",
		      out);
		put_layer(out, store, &image->layers[--*i]);
	}
}

static void put_rest(FILE *out, const struct store *store, const struct image *image,
		     const struct container *container)
{
	if (!container->read_only) {
		put_directory(out, ",upperdir=", store, container->id, "upper");
		put_directory(out, ",workdir=", store, container->id, "work");
	}
	fputs(",chain=", out);
	put_escaped(out, store->path);
	fprintf(out, "/chains/%s.mdb,chain_id=%s", image->chain.hex, image->chain.hex);
	if (container->read_only)
		fputs(",ro", out);
	put_rootless(out);
}

/* The list is the plan's in every case. */
static int make_options(const struct store *store, const struct image *image, struct plan *plan)
{
	size_t i = image->n_layers, n = 0;

	/* Each has a layer at least. */
	plan->options = calloc(image->n_layers + 1, sizeof(*plan->options));
	if (!plan->options)
		return -ENOMEM;
	while (i > 0) {
		size_t size;
		FILE *out = open_memstream(&plan->options[n], &size);

		if (!out)
			return -ENOMEM;
		put_layers(out, store, image, &i);
		if (i == 0)
			put_rest(out, store, image, &plan->container);
		if (fclose(out) != 0)
			return -ENOMEM;
		n++;
	}
	return 0;
}

/* Takes up a kept container, if there is one of that name: 1, 0, or negative with `error` set. */
static int resume(struct store *store, const struct request *request, const struct digest *image,
		  struct error *error, struct container *container, struct container_hold *hold)
{
	struct container found = { 0 };
	cleanup_free char *place = NULL;
	struct index_txn txn;
	int r = request->name ? store_begin(store, false, error, &txn) : 0;

	if (r < 0 || !request->name)
		return r;
	r = container_find(&txn, request->name, &found);
	index_abort(&txn);
	if (r <= 0)
		return r == -ENOTUNIQ ? 0
		       : r < 0	      ? error_errno(error, r, "container %s", request->name)
				      : 0;
	if (strcmp(found.name, request->name) != 0)
		r = 0;
	else if (!digest_equal(&found.image, image))
		r = error_set(error, -EEXIST, "container %s is of another image, %s", found.name,
			      found.image_name);
	else if (container_hold(store, found.id, error, hold) < 0)
		r = -EBUSY;
	else if (container_look(&found, hold, error, &place) != CONTAINER_UNMOUNTED)
		r = error_set(error, -EBUSY, "container %s is mounted on %s", found.name,
			      place ? place : found.mount_point);
	else if (found.read_only != request->read_only)
		r = error_set(error, -EEXIST, "container %s is %s", found.name,
			      found.read_only ? "read-only" : "writable");
	if (r <= 0) {
		container_done(&found);
		return r;
	}
	free(found.mount_point);
	found.mount_point = request->dir ? strdup(request->dir)
					 : container_path(store, found.id, "merged");
	*container = found;
	return container_set_mount_point(store, found.id, found.mount_point, error) < 0 ? -EIO : 1;
}

static int make_container(struct store *store, const struct request *request,
			  const struct reference *reference, struct error *error, struct plan *plan)
{
	struct container_request fresh = {
		.name = request->name,
		.image_name = reference->tag[0] ? reference->tag : reference->id.hex,
		.mount_point = request->dir,
		.image = reference->id,
		.read_only = request->read_only,
	};
	int r = resume(store, request, &reference->id, error, &plan->container, &plan->hold);

	plan->resumed = r > 0;
	return r ? r : container_create(store, &fresh, error, &plan->container, &plan->hold);
}

static int find_image(struct store *store, const char *text, struct error *error,
		      struct reference *reference, struct image *image)
{
	struct index_txn txn;
	int r = store_begin(store, false, error, &txn);

	if (r < 0)
		return r;
	r = reference_find(&txn, text, error, reference);
	if (r == 0) {
		r = image_load(&txn, &reference->id, image);
		if (r <= 0)
			r = error_errno(error, r < 0 ? r : -ENOENT, "%s", text);
	}
	index_abort(&txn);
	return r < 0 ? r : 0;
}

static int make_plan(const struct request *request, struct plan *plan)
{
	cleanup_store struct store *store = NULL;
	struct reference reference;
	struct image image = { 0 };
	struct error error;
	int r;

	if (cmd_open_store(&cmd_mount, &store) < 0)
		return -EIO;
	r = find_image(store, request->image, &error, &reference, &image);
	if (r == 0)
		r = make_container(store, request, &reference, &error, plan);
	if (r >= 0) {
		if (make_options(store, &image, plan) < 0 ||
		    asprintf(&plan->source, "cairn:%s", plan->container.image_name) < 0)
			r = error_errno(&error, -ENOMEM, "%s", request->image);
	}
	image_done(&image);
	if (r < 0)
		cmd_fail(&cmd_mount, "%s", error.text);
	return r < 0 ? r : 0;
}

/*
 * Sees to it that the container is mounted nowhere: a daemon can fail after others have seen its
 * mount, or be killed and leave it.
 */
static int let_go(struct plan *plan, struct error *error)
{
	cleanup_free char *place = NULL;
	int r = container_look(&plan->container, &plan->hold, error, &place);

	if (r == CONTAINER_MOUNTED)
		umount2(place, UMOUNT_NOFOLLOW | MNT_DETACH);
	return r < 0 ? r : container_hold_layer(&plan->container, &plan->hold, error);
}

/* Makes the store as it was when the mount did not come about. */
static void take_back(struct plan *plan)
{
	cleanup_store struct store *store = NULL;
	struct error error;
	int r = let_go(plan, &error);

	if (r == 0 && cmd_open_store(&cmd_mount, &store) < 0)
		return;
	if (r == 0)
		r = plan->resumed
			    ? container_set_mount_point(store, plan->container.id, NULL, &error)
			    : container_remove(store, plan->container.id, &error);
	if (r < 0)
		cmd_fail(&cmd_mount, "%s", error.text);
}

/* CAIRN_CAIRNFS, or the one beside this program, or the one on PATH; allocated. */
static char *find_daemon(void)
{
	const char *given = getenv("CAIRN_CAIRNFS");
	cleanup_free char *self = NULL;
	char *path;

	if (given && *given)
		return strdup(given);
	if (fd_readlink(AT_FDCWD, "/proc/self/exe", &self) == 0 && strrchr(self, '/')) {
		*strrchr(self, '/') = '\0';
		if (asprintf(&path, "%s/cairnfs", self) < 0)
			return NULL;
		if (access(path, X_OK) == 0)
			return path;
		free(path);
	}
	return strdup("cairnfs");
}

/* As process_run. */
static int run_daemon(char *daemon, const struct plan *plan)
{
	cleanup_free char **argv = NULL;
	size_t n = 0, at = 0;

	while (plan->options[n])
		n++;
	argv = calloc(2 * n + 4, sizeof(*argv));
	if (!argv)
		return 127;
	argv[at++] = daemon;
	argv[at++] = plan->source;
	argv[at++] = plan->container.mount_point;
	for (size_t i = 0; i < n; i++) {
		argv[at++] = "-o";
		argv[at++] = plan->options[i];
	}
	return process_run(argv, plan->hold.dir);
}

static int mount_image(const struct request *request)
{
	cleanup_free char *daemon = find_daemon();
	struct plan plan = { .hold = CONTAINER_NOT_HELD };
	int r = daemon ? make_plan(request, &plan) : -ENOMEM;

	if (r == 0) {
		/*
		 * The daemon has the container's directory, locked, as its standard input, which it
		 * lets go of when the mount answers: if we are killed, no other command takes the
		 * container for unmounted meanwhile.
		 */
		if (run_daemon(daemon, &plan) != 0) {
			r = -EIO;
			cmd_fail(&cmd_mount, "%s: %s could not mount it", request->image, daemon);
		}
		if (r < 0)
			take_back(&plan);
		else if (!request->dir)
			puts(plan.container.mount_point);
	}
	plan_done(&plan);
	return r < 0 ? CMD_FAILED : CMD_OK;
}

static int check_request(struct request *request, const char *dir)
{
	struct stat st;

	if (request->name && !container_name_is_valid(request->name)) {
		cmd_fail(&cmd_mount, "'%s' is no name for a container", request->name);
		return CMD_USAGE;
	}
	if (!dir)
		return CMD_OK;
	request->dir = realpath(dir, NULL);
	if (!request->dir || stat(request->dir, &st) < 0)
		return cmd_fail(&cmd_mount, "%s: %s", dir, strerror(errno));
	return S_ISDIR(st.st_mode) ? CMD_OK
				   : cmd_fail(&cmd_mount, "%s: %s", dir, strerror(ENOTDIR));
}

static int run(int argc, char *argv[])
{
	static const struct option options[] = {
		{ "name", required_argument, NULL, 'n' },
		{ "read-only", no_argument, NULL, 'r' },
		{ 0 },
	};
	struct request request = { 0 };
	int c, exit_code;

	while ((c = cmd_option(&cmd_mount, argc, argv, options, &exit_code)) != -1) {
		if (c == CMD_STOP)
			return exit_code;
		if (c == 'n')
			request.name = optarg;
		else
			request.read_only = true;
	}
	if (!cmd_check_operands(&cmd_mount, argc, 1, 2))
		return CMD_USAGE;
	request.image = argv[optind];
	exit_code = check_request(&request, argv[optind + 1]);
	if (exit_code == CMD_OK)
		exit_code = mount_image(&request);
	free(request.dir);
	return exit_code;
}

const struct cmd cmd_mount = {
	.name = "mount",
	.args = "[--name NAME] [--read-only] IMAGE [DIR]",
	.summary = "mount an image as a container's root filesystem",
	.help = "Mounts the image on DIR with a writable layer of its own, which cairn umount\n"
		"removes.  Without DIR it is mounted in the store, and the path is printed.\n\n"
		"  --name NAME  call the container so; one of that name that was kept is taken up\n"
		"  --read-only  no writable layer",
	.run = run,
};
