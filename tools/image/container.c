/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A container's record is a JSON object; doc/store.md lists its members. */
#include "image/container.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/copy.h"
#include "base/fd.h"
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

static int make_directories(struct store *store, const struct digest *top,
			    const struct container *container, struct staging *staging)
{
	cleanup_fd int fd = -1;
	int r;

	if (mkdirat(staging->fd, container->id, 0700) < 0)
		return -errno;
	fd = fd_open(staging->fd, container->id, O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0)
		return fd;
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
	return r == 0 && fsync(store->containers) < 0 ? -errno : r;
}

static int fill(struct store *store, const struct container_request *request,
		struct container *container)
{
	time_t now = time(NULL);
	char created[32];
	uint64_t number;
	struct tm tm;

	if (getrandom(&number, sizeof(number), 0) != sizeof(number))
		return -EIO;
	snprintf(container->id, sizeof(container->id), "%016llx", (unsigned long long)number);
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

/* Inside the write transaction. */
static int create(struct store *store, struct index_txn *txn, struct staging *staging,
		  const struct container *container, struct error *error)
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
	if (r >= 0 || r == -ENOTUNIQ)
		r = make_directories(store, &image.layers[image.n_layers - 1].branch, container,
				     staging);
	if (r == 0)
		r = container_save(txn, container);
	return r < 0 ? error_errno(error, r, "container %s cannot be made", container->name) : 0;
}

int container_create(struct store *store, const struct container_request *request,
		     struct error *error, struct container *ret)
{
	CLEANUP(cleanup_staging) struct staging staging = { .fd = -1 };
	CLEANUP(cleanup_container) struct container container = { 0 };
	struct index_txn txn;
	int r = fill(store, request, &container);

	if (r < 0)
		return error_errno(error, r, "container cannot be made");
	r = staging_begin(store, error, &staging);
	if (r == 0)
		r = store_begin(store, true, error, &txn);
	if (r < 0)
		return r;
	r = create(store, &txn, &staging, &container, error);
	if (r == 0)
		r = store_commit(&txn, error);
	index_abort(&txn);
	if (r < 0)
		return store_collect(store, &staging, &(struct error){ 0 }), r;
	*ret = container;
	container = (struct container){ 0 };
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
		r = mount_point && !container.mount_point ? -ENOMEM
							  : container_save(&txn, &container);
	}
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
	return r < 0 ? r : store_collect(store, &staging, error);
}
