/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A container's record is a JSON object; doc/store.md lists its members. */
#include "image/container.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
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
#include "core/claim.h"
#include "core/mounted.h"
#include "core/whiteout.h"
#include "image/image.h"
#include "record.h"

static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";

void container_done(struct container *container)
{
	free(container->name);
	free(container->image_name);
	free(container->mount_point);
	free(container->created);
	*container = (struct container){ 0 };
}
DEFINE_CLEANUP_DONE(struct container, container, container_done)
DEFINE_CLEANUP_DONE(struct image, image, image_done)
DEFINE_CLEANUP_DONE(struct staging, staging, staging_end)

bool container_name_is_valid(const char *name)
{
	size_t len = strlen(name);

	return len > 0 && len <= 128 && strspn(name, letters) == len && !strchr("_.-", name[0]);
}

static int parse(struct index_value key, struct index_value value, struct container *ret)
{
	CLEANUP(cleanup_container) struct container container = { 0 };
	cleanup_json json_t *json = json_loadb(value.data, value.size, 0, NULL);
	int r;

	if (key.size != sizeof(container.id) - 1 || !record_digest(json, "image", &container.image))
		return -EUCLEAN;
	memcpy(container.id, key.data, key.size);
	r = record_string(json, "name", &container.name);
	if (r == 0)
		r = record_string(json, "image_name", &container.image_name);
	if (r == 0)
		r = record_string(json, "mount_point", &container.mount_point);
	if (r == 0)
		r = record_string(json, "created", &container.created);
	if (r < 0)
		return r;
	if (!container.name || !container.image_name)
		return -EUCLEAN;
	container.read_only = json_is_true(json_object_get(json, "read_only"));
	*ret = container;
	container = (struct container){ 0 };
	return 0;
}

int container_save(struct index_txn *txn, const struct container *container)
{
	cleanup_json json_t *json = json_pack("{s:s, s:s, s:s, s:s?, s:s?, s:b}", "name",
					      container->name, "image", container->image.hex,
					      "image_name", container->image_name, "mount_point",
					      container->mount_point, "created", container->created,
					      "read_only", container->read_only);

	/* A mount point is bytes, JSON is UTF-8. */
	if (!json)
		return -EILSEQ;
	return record_put(txn, STORE_CONTAINERS, container->id, json);
}

void container_delete(struct index_txn *txn, const char *id)
{
	index_delete(txn, STORE_CONTAINERS, id, strlen(id));
}

struct each_container {
	int (*each)(void *context, const struct container *container);
	void *context;
};

static int give(void *context, struct index_value key, struct index_value value)
{
	CLEANUP(cleanup_container) struct container container = { 0 };
	struct each_container *each = context;
	int r = parse(key, value, &container);

	return r < 0 ? r : each->each(each->context, &container);
}

int container_each(struct index_txn *txn,
		   int (*each)(void *context, const struct container *container), void *context)
{
	struct each_container all = { .each = each, .context = context };

	return index_each(txn, STORE_CONTAINERS, "", 0, give, &all);
}

/* How well a container fits a key; the best one is taken, if it is the only one. */
enum fit { FIT_NOT, FIT_PREFIX, FIT_MOUNT_POINT, FIT_NAME };

struct search {
	const char *key;
	enum fit best;
	unsigned int n_best;
	char id[17];
};

static enum fit fit_of(const struct container *container, const char *key)
{
	if (strcmp(container->name, key) == 0 || strcmp(container->id, key) == 0)
		return FIT_NAME;
	if (container->mount_point && strcmp(container->mount_point, key) == 0)
		return FIT_MOUNT_POINT;
	if (strlen(key) >= 4 && strncmp(container->id, key, strlen(key)) == 0)
		return FIT_PREFIX;
	return FIT_NOT;
}

static int consider(void *context, const struct container *container)
{
	struct search *search = context;
	enum fit fit = fit_of(container, search->key);

	if (fit == FIT_NOT || fit < search->best)
		return 0;
	search->n_best = fit > search->best ? 1 : search->n_best + 1;
	search->best = fit;
	memcpy(search->id, container->id, sizeof(search->id));
	return 0;
}

int container_find(struct index_txn *txn, const char *key, struct container *ret)
{
	struct search search = { .key = key };
	struct index_value id, value;
	int r = container_each(txn, consider, &search);

	if (r < 0)
		return r;
	if (search.n_best != 1)
		return search.n_best ? -ENOTUNIQ : CONTAINER_ABSENT;
	r = index_get(txn, STORE_CONTAINERS, search.id, strlen(search.id), &value);
	if (r != INDEX_FOUND)
		return r;
	id = (struct index_value){ .data = search.id, .size = strlen(search.id) };
	r = parse(id, value, ret);
	return r < 0 ? r : CONTAINER_FOUND;
}

char *container_path(const struct store *store, const char *id, const char *part)
{
	char *path;

	return asprintf(&path, "%s/containers/%s/%s", store->path, id, part) < 0 ? NULL : path;
}

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
			    const struct container *container, struct staging *staging, int *ret)
{
	cleanup_fd int fd = -1;
	int r;

	if (mkdirat(staging->fd, container->id, 0700) < 0)
		return -errno;
	fd = fd_open(staging->fd, container->id, O_RDONLY | O_DIRECTORY, 0);
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
		r = staging_publish(staging, container->id, store->containers, container->id);
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

/* --- who has a container --- */

void container_hold_done(struct container_hold *hold)
{
	int *fds[] = { &hold->dir, &hold->upper, &hold->claim };

	for (size_t i = 0; i < sizeof(fds) / sizeof(*fds); i++) {
		if (*fds[i] >= 0)
			close(take_fd(fds[i]));
	}
}

int container_hold(struct store *store, const char *id, struct error *error,
		   struct container_hold *ret)
{
	cleanup_fd int fd = fd_open(store->containers, id, O_RDONLY | O_DIRECTORY, 0);

	if (fd == -ENOENT)
		return 0;
	if (fd < 0)
		return error_errno(error, fd, "container %s", id);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return error_set(error, -EBUSY, "container %s: another command is at work on it",
				 id);
	ret->dir = take_fd(&fd);
	return 0;
}

static int claim_parts(struct container_hold *hold)
{
	cleanup_fd int work = fd_open(hold->dir, "work", O_RDONLY | O_DIRECTORY, 0);
	cleanup_fd int upper = fd_open(hold->dir, "upper", O_RDONLY | O_DIRECTORY, 0);
	int r = work < 0 ? work : claim_work(work);

	if (r >= 0)
		hold->claim = r;
	if (r >= 0 || r == -ENOENT)
		r = upper < 0 ? upper : claim_upper(upper, hold->claim);
	if (r == 0)
		hold->upper = take_fd(&upper);
	return r == -ENOENT ? 0 : r;
}

int container_hold_layer(const struct container *container, struct container_hold *hold,
			 struct error *error)
{
	int r;

	if (hold->dir < 0 || container->read_only)
		return 0;
	r = claim_parts(hold);
	if (r == -EBUSY)
		return error_set(error, r, "container %s is mounted, perhaps in another namespace",
				 container->name);
	return r < 0 ? error_errno(error, r, "container %s", container->name) : 0;
}

/*
 * Where its upper is mounted now, allocated; NULL: nowhere that we see, on top. *is_noted: that is
 * known, which a full disk can have prevented.
 */
static char *find_layer(const struct container_hold *hold, bool *is_noted)
{
	cleanup_fd int work = fd_open(hold->dir, "work", O_RDONLY | O_DIRECTORY, 0);
	cleanup_free char *place = NULL;
	uint64_t id = work < 0 ? 0 : claim_mount(work, &place);

	*is_noted = id != 0;
	return id && mounted_id(place, NULL) == id ? take_ptr(place) : NULL;
}

static bool is_image(const struct container *container, const char *source)
{
	return strncmp(source, "cairn:", 6) == 0 && strcmp(source + 6, container->image_name) == 0;
}

int container_look(const struct container *container, const struct container_hold *hold,
		   struct error *error, char **place)
{
	bool is_noted = false;
	cleanup_free char *source = NULL;
	int r;

	*place = container->read_only || hold->dir < 0 ? NULL : find_layer(hold, &is_noted);
	if (*place)
		return CONTAINER_MOUNTED;
	r = container->mount_point ? mounted_at(container->mount_point, &source) : MOUNTED_NOTHING;
	if (r < 0)
		return error_errno(error, r, "%s", container->mount_point);
	if (r == MOUNTED_NOTHING)
		return CONTAINER_UNMOUNTED;
	/* One without a layer of its own, or without a note, is like any other of its image. */
	if (r == MOUNTED_OTHER || is_noted || !is_image(container, source))
		return error_set(error, -EBUSY, "%s: something else is mounted there",
				 container->mount_point);
	*place = strdup(container->mount_point);
	return *place ? CONTAINER_MOUNTED : error_errno(error, -ENOMEM, "%s", container->name);
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
		CLEANUP(cleanup_container) struct container stale = { 0 };

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
static int create(struct store *store, struct index_txn *txn, struct staging *staging,
		  const struct container *container, struct error *error, int *dir)
{
	CLEANUP(cleanup_image) struct image image = { 0 };
	CLEANUP(cleanup_container) struct container other = { 0 };
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
				     staging, dir);
	}
	if (r == 0)
		r = container_save(txn, container);
	return r < 0 ? error_errno(error, r, "container %s cannot be made", container->name) : 0;
}

int container_create(struct store *store, const struct container_request *request,
		     struct error *error, struct container *ret, struct container_hold *hold)
{
	CLEANUP(cleanup_staging) struct staging staging = { .fd = -1 };
	CLEANUP(cleanup_container) struct container container = { 0 };
	cleanup_fd int dir = -1;
	struct index_txn txn;
	int r = fill(store, request, &container);

	if (r < 0)
		return error_errno(error, r, "container cannot be made");
	r = staging_begin(store, error, &staging);
	if (r == 0)
		r = store_begin(store, true, error, &txn);
	if (r < 0)
		return r;
	r = create(store, &txn, &staging, &container, error, &dir);
	if (r == 0)
		r = store_commit(&txn, error);
	index_abort(&txn);
	if (r < 0)
		return store_collect(store, &staging, &(struct error){ 0 }), r;
	*ret = container;
	container = (struct container){ 0 };
	hold->dir = take_fd(&dir);
	return 0;
}

int container_set_mount_point(struct store *store, const char *id, const char *mount_point,
			      struct error *error)
{
	CLEANUP(cleanup_container) struct container container = { 0 };
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
	CLEANUP(cleanup_staging) struct staging staging = { .fd = -1 };
	struct index_txn txn;
	int r = staging_begin(store, error, &staging);

	if (r == 0)
		r = store_begin(store, true, error, &txn);
	if (r < 0)
		return r;
	container_delete(&txn, id);
	r = store_commit(&txn, error);
	if (r < 0)
		return r;
	/* It is held by us, and what is held the collection leaves alone. */
	fd_rename(store->containers, id, staging.fd, id, 0);
	return store_collect(store, &staging, error);
}
