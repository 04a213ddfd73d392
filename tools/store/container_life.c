/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/container_life.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/copy.h"
#include "base/fd.h"
#include "base/random.h"
#include "branch/whiteout.h"
#include "store/collect.h"
#include "store/image.h"
#include "store/workspace.h"

static bool is_kept(const char *name)
{
	return !whiteout_is_private_xattr(name);
}

/* The merged root is the upper directory's, so that one looks as the image's root does. */
static int copy_root(struct store *store, const struct digest *top, int dirfd)
{
	cleanup_fd int from = store_open_layer(store, top);
	cleanup_fd int to = fd_open(dirfd, "upper", O_RDONLY | O_DIRECTORY, 0);
	struct stat st;
	int r;

	if (from < 0 || to < 0)
		return from < 0 ? from : to;
	r = fd_stat(from, NULL, &st);
	if (r == 0)
		r = copy_xattrs(from, to, is_kept);
	return r < 0 ? r : copy_stat(to, &st);
}

/* *ret is the directory, locked. */
static int make_directories(struct store *store, const struct digest *top,
			    const struct container *container, struct workspace *workspace,
			    int *ret)
{
	cleanup_fd int fd = -1;
	int r;

	if (mkdirat(workspace->fd, container->id, 0700) < 0)
		return -errno;
	fd = fd_open(workspace->fd, container->id, O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0)
		return fd;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return -errno;
	if (mkdirat(fd, "merged", 0755) < 0)
		return -errno;
	if (!container->read_only &&
	    (mkdirat(fd, "upper", 0755) < 0 || mkdirat(fd, "work", 0700) < 0))
		return -errno;
	r = container->read_only ? 0 : copy_root(store, top, fd);
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	if (r == 0)
		r = workspace_publish(workspace, container->id, store->containers, container->id);
	if (r == 0 && fsync(store->containers) < 0)
		r = -errno;
	if (r == 0)
		*ret = take_fd(&fd);
	return r;
}

static int fill(struct store *store, const struct container_request *request,
		struct container *container)
{
	time_t now = time(NULL);
	char created[32];
	struct tm tm;

	snprintf(container->id, sizeof(container->id), "%016llx", (unsigned long long)random_u64());
	strftime(created, sizeof(created), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &tm));
	container->image = request->image;
	container->read_only = request->read_only;
	container->name = strdup(request->name ? request->name : container->id);
	container->image_name = strdup(request->image_name);
	container->created = strdup(created);
	container->mount_point = request->mount_point
					 ? strdup(request->mount_point)
					 : container_path(store, container->id, "merged");
	return container->name && container->image_name && container->created &&
			       container->mount_point
		       ? 0
		       : -ENOMEM;
}

/* --- mount points --- */

struct mount_point_search {
	struct store *store;
	const struct container *self;
	struct error *error;
	char stale[17]; /* one that was mounted there, and is not any more */
};

/* Whether a container that was mounted there is, or is about to be: 0, 1 if not, or -EBUSY. */
static int check_neighbour(void *context, const struct container *other)
{
	CLEANUP(container_hold_done) struct container_hold hold = CONTAINER_NOT_HELD;
	struct mount_point_search *search = context;
	cleanup_free char *place = NULL;
	struct error ignored;

	if (!other->mount_point || strcmp(other->id, search->self->id) == 0 ||
	    strcmp(other->mount_point, search->self->mount_point) != 0)
		return 0;
	if (container_hold(search->store, other->id, &ignored, &hold) < 0 ||
	    container_look(other, &hold, &ignored, &place) != CONTAINER_UNMOUNTED)
		return error_set(search->error, -EBUSY, "%s: container %s is mounted there",
				 other->mount_point, other->name);
	memcpy(search->stale, other->id, sizeof(search->stale));
	return 1;
}

/*
 * No other container may be mounted where this one is to be; one that was, on a machine that went
 * down meanwhile, is mounted nowhere now. Inside the write transaction.
 */
static int free_mount_point(struct store *store, struct index_txn *txn,
			    const struct container *container, struct error *error)
{
	struct mount_point_search search = { .store = store, .self = container, .error = error };
	int r;

	while ((r = container_each(txn, check_neighbour, &search)) == 1) {
		CLEANUP(container_done) struct container stale = { 0 };

		r = container_find(txn, search.stale, &stale);
		if (r <= 0)
			return r < 0 ? error_errno(error, r, "container %s", search.stale) : 0;
		free(take_ptr(stale.mount_point));
		r = container_save(txn, &stale);
		if (r < 0)
			return error_errno(error, r, "container %s", stale.name);
	}
	return r;
}

/* Inside the write transaction. */
static int create(struct store *store, struct index_txn *txn, struct workspace *workspace,
		  const struct container *container, struct error *error, int *dir)
{
	CLEANUP(image_done) struct image image = { 0 };
	CLEANUP(container_done) struct container other = { 0 };
	int r = image_load(txn, &container->image, &image);

	if (r == IMAGE_ABSENT)
		return error_set(error, -ENOENT, "image %s was removed meanwhile",
				 container->image_name);
	if (r > 0)
		r = container_find(txn, container->name, &other);
	if (r > 0 && strcmp(other.name, container->name) == 0)
		return error_set(error, -EEXIST, "there is a container named %s", container->name);
	if (r >= 0 || r == -ENOTUNIQ) {
		r = free_mount_point(store, txn, container, error);
		if (r < 0)
			return r;
		r = make_directories(store, &image.layers[image.n_layers - 1].branch, container,
				     workspace, dir);
	}
	if (r == 0)
		r = container_save(txn, container);
	return r < 0 ? error_errno(error, r, "container %s cannot be made", container->name) : 0;
}

int container_create(struct store *store, const struct container_request *request,
		     struct error *error, struct container *ret, struct container_hold *hold)
{
	CLEANUP(workspace_end) struct workspace workspace = { .fd = -1 };
	CLEANUP(container_done) struct container container = { 0 };
	cleanup_fd int dir = -1;
	struct index_txn txn;
	int r = fill(store, request, &container);

	if (r < 0)
		return error_errno(error, r, "container cannot be made");
	r = workspace_begin(store, error, &workspace);
	if (r == 0)
		r = store_begin(store, true, error, &txn);
	if (r < 0)
		return r;
	r = create(store, &txn, &workspace, &container, error, &dir);
	if (r == 0)
		r = store_commit(&txn, error);
	index_abort(&txn);
	if (r < 0)
		return store_collect(store, &workspace, &(struct error){ 0 }), r;
	*ret = container;
	container = (struct container){ 0 };
	hold->dir = take_fd(&dir);
	return 0;
}

int container_set_mount_point(struct store *store, const char *id, const char *mount_point,
			      struct error *error)
{
	CLEANUP(container_done) struct container container = { 0 };
	struct index_txn txn;
	int r = store_begin(store, true, error, &txn);

	if (r < 0)
		return r;
	r = container_find(&txn, id, &container);
	if (r > 0) {
		free(container.mount_point);
		container.mount_point = mount_point ? strdup(mount_point) : NULL;
		if (mount_point && !container.mount_point)
			r = -ENOMEM;
	}
	if (r > 0 && mount_point && free_mount_point(store, &txn, &container, error) < 0) {
		index_abort(&txn);
		return -EBUSY;
	}
	if (r > 0)
		r = container_save(&txn, &container);
	else if (r == 0)
		r = -ENOENT; /* removed meanwhile */
	if (r < 0) {
		index_abort(&txn);
		return error_errno(error, r, "container %s", id);
	}
	return store_commit(&txn, error);
}

int container_remove(struct store *store, const char *id, struct error *error)
{
	CLEANUP(workspace_end) struct workspace workspace = { .fd = -1 };
	struct index_txn txn;
	int r = workspace_begin(store, error, &workspace);

	if (r == 0)
		r = store_begin(store, true, error, &txn);
	if (r < 0)
		return r;
	container_delete(&txn, id);
	r = store_commit(&txn, error);
	if (r < 0)
		return r;
	/* It is held by us, and what is held the collection leaves alone. */
	fd_rename(store->containers, id, workspace.fd, id, 0);
	return store_collect(store, &workspace, error);
}
