/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What is in the store's directories but in no record.  References are not
 * counted but found, from the images and containers there are: a count can be
 * wrong, and there are only ever some hundreds.
 */
#include "store/collect.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "host/claim.h"
#include "store/container.h"
#include "store/image.h"

struct names {
	char (*items)[80];
	size_t n_items, room;
};

struct live {
	struct names layers, chains, blobs, containers;
};

static int names_add(struct names *names, const char *name, const char *suffix)
{
	if (names->n_items == names->room) {
		size_t room = names->room ? names->room * 2 : 64;
		void *more = realloc(names->items, room * sizeof(*names->items));

		if (!more)
			return -ENOMEM;
		names->items = more;
		names->room = room;
	}
	strcpy(names->items[names->n_items], name);
	strcat(names->items[names->n_items++], suffix);
	return 0;
}

static int compare(const void *a, const void *b)
{
	return strcmp(a, b);
}

static bool names_has(const struct names *names, const char *name)
{
	char key[sizeof(*names->items)];

	if (strlen(name) >= sizeof(key) || names->n_items == 0)
		return false;
	strcpy(key, name);
	return bsearch(key, names->items, names->n_items, sizeof(key), compare) != NULL;
}

static void live_done(struct live *live)
{
	free(live->layers.items);
	free(live->chains.items);
	free(live->blobs.items);
	free(live->containers.items);
}

static int add_image(void *context, const struct image *image)
{
	struct live *live = context;
	int r = names_add(&live->chains, image->chain.hex, ".mdb");

	if (r == 0)
		r = names_add(&live->blobs, image->id.hex, "");
	if (r == 0 && image->has_manifest)
		r = names_add(&live->blobs, image->manifest.hex, "");
	for (size_t i = 0; r == 0 && i < image->n_layers; i++)
		r = names_add(&live->layers, image->layers[i].branch.hex, "");
	return r;
}

static int add_container(void *context, const struct container *container)
{
	struct live *live = context;

	return names_add(&live->containers, container->id, "");
}

/*
 * Whether a command, or a mount, has the directory of a container: one whose record has gone while
 * it was being mounted, say. It is left for the next time.
 */
static bool is_held(int dirfd, const char *name)
{
	cleanup_fd int dir = fd_open(dirfd, name, O_RDONLY | O_DIRECTORY, 0);
	cleanup_fd int work = dir < 0 ? -1 : fd_open(dir, "work", O_RDONLY | O_DIRECTORY, 0);
	cleanup_fd int claim = work < 0 ? -1 : claim_work_now(work);

	return claim == -EBUSY || (dir >= 0 && flock(dir, LOCK_EX | LOCK_NB) < 0);
}

/* Moves what is not in `names` out of `dirfd`, but not what `spare` (if not NULL) says yes of. */
static int move_dead(int dirfd, struct names *names, struct workspace *workspace,
		     bool (*spare)(int dirfd, const char *name))
{
	cleanup_dir DIR *dir = NULL;
	struct dirent *entry;
	int r = fd_opendir(dirfd, &dir);

	if (r < 0)
		return r;
	if (names->n_items > 0)
		qsort(names->items, names->n_items, sizeof(*names->items), compare);
	while ((errno = 0, entry = readdir(dir))) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
		    names_has(names, entry->d_name) || (spare && spare(dirfd, entry->d_name)))
			continue;
		r = fd_rename(dirfd, entry->d_name, workspace->fd, entry->d_name, 0);
		if (r < 0 && r != -ENOENT)
			return r;
	}
	return -errno;
}

int store_collect(struct store *store, struct workspace *workspace, struct error *error)
{
	struct live live = { 0 };
	struct index_txn txn;
	int r = store_begin(store, true, error, &txn);

	if (r < 0)
		return r;
	r = image_each(&txn, add_image, &live);
	if (r == 0)
		r = container_each(&txn, add_container, &live);
	if (r == 0)
		r = move_dead(store->layers, &live.layers, workspace, NULL);
	if (r == 0)
		r = move_dead(store->chains, &live.chains, workspace, NULL);
	if (r == 0)
		r = move_dead(store->blobs, &live.blobs, workspace, NULL);
	if (r == 0)
		r = move_dead(store->containers, &live.containers, workspace, is_held);
	index_abort(&txn);
	live_done(&live);
	return r < 0 ? error_errno(error, r, "store %s: cannot be tidied", store->path) : 0;
}
