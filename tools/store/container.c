/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A container's record is a JSON object; doc/store.md lists its members. */
#include "store/container.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "store/record.h"

static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";

void container_done(struct container *container)
{
	free(container->name);
	free(container->image_name);
	free(container->mount_point);
	free(container->created);
	*container = (struct container){ 0 };
}

bool container_name_is_valid(const char *name)
{
	size_t len = strlen(name);

	return len > 0 && len <= 128 && strspn(name, letters) == len && !strchr("_.-", name[0]);
}

static int parse(struct index_value key, struct index_value value, struct container *ret)
{
	CLEANUP(container_done) struct container container = { 0 };
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
	CLEANUP(container_done) struct container container = { 0 };
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

struct contest {
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
	struct contest *contest = context;
	enum fit fit = fit_of(container, contest->key);

	if (fit == FIT_NOT || fit < contest->best)
		return 0;
	contest->n_best = fit > contest->best ? 1 : contest->n_best + 1;
	contest->best = fit;
	memcpy(contest->id, container->id, sizeof(contest->id));
	return 0;
}

int container_find(struct index_txn *txn, const char *key, struct container *ret)
{
	struct contest contest = { .key = key };
	struct index_value id, value;
	int r = container_each(txn, consider, &contest);

	if (r < 0)
		return r;
	if (contest.n_best != 1)
		return contest.n_best ? -ENOTUNIQ : CONTAINER_ABSENT;
	r = index_get(txn, STORE_CONTAINERS, contest.id, strlen(contest.id), &value);
	if (r != INDEX_FOUND)
		return r;
	id = (struct index_value){ .data = contest.id, .size = strlen(contest.id) };
	r = parse(id, value, ret);
	return r < 0 ? r : CONTAINER_FOUND;
}

char *container_path(const struct store *store, const char *id, const char *part)
{
	char *path;

	return asprintf(&path, "%s/containers/%s/%s", store->path, id, part) < 0 ? NULL : path;
}
