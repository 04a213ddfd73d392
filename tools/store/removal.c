/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Records first, in one transaction; then, as no record mentions them any
 * more, the directories are moved to tmp/ and removed.  Killed in between, the
 * dead staging directory makes the next command do the rest.
 */
#include "store/removal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "store/collect.h"
#include "store/container.h"
#include "store/image.h"
#include "store/reference.h"
#include "store/workspace.h"

/* A list of short strings. */
struct strings {
	char **items;
	size_t n_items;
};

static void strings_done(struct strings *strings)
{
	for (size_t i = 0; i < strings->n_items; i++)
		free(strings->items[i]);
	free(strings->items);
}

static int strings_add(struct strings *strings, const char *text, size_t len)
{
	char **more = realloc(strings->items, (strings->n_items + 1) * sizeof(*more));

	if (!more)
		return -ENOMEM;
	strings->items = more;
	more[strings->n_items] = strndup(text, len);
	if (!more[strings->n_items])
		return -ENOMEM;
	strings->n_items++;
	return 0;
}

struct tags_of {
	const struct digest *id;
	struct strings tags;
};

static int gather_tag(void *context, const char *tag, const struct digest *id)
{
	struct tags_of *all = context;

	return digest_equal(id, all->id) ? strings_add(&all->tags, tag, strlen(tag)) : 0;
}

struct user {
	const struct digest *image;
	struct error *error;
};

static int refuse_user(void *context, const struct container *container)
{
	struct user *user = context;

	if (!digest_equal(user->image, &container->image))
		return 0;
	return error_set(user->error, -EBUSY, "container %s uses it", container->name);
}

static int remove_image(struct index_txn *txn, const struct digest *id, struct strings *tags,
			struct error *error)
{
	struct user user = { .image = id, .error = error };
	int r;

	error->text[0] = '\0';
	r = container_each(txn, refuse_user, &user);
	if (r < 0)
		return r;
	for (size_t i = 0; i < tags->n_items; i++)
		index_delete(txn, STORE_TAGS, tags->items[i], strlen(tags->items[i]));
	index_delete(txn, STORE_IMAGES, id->hex, strlen(id->hex));
	return 0;
}

static int remove_one(struct index_txn *txn, const char *text, struct error *error)
{
	struct tags_of all = { 0 };
	struct reference found;
	int r = reference_find(txn, text, error, &found);

	if (r < 0)
		return r;
	all.id = &found.id;
	error->text[0] = '\0';
	r = image_each_tag(txn, gather_tag, &all);
	if (r == 0 && found.tag[0] && all.tags.n_items > 1)
		index_delete(txn, STORE_TAGS, found.tag, strlen(found.tag));
	else if (r == 0)
		r = remove_image(txn, &found.id, &all.tags, error);
	strings_done(&all.tags);
	if (r < 0)
		return error->text[0] ? error_within(error, r, "%s", text)
				      : error_errno(error, r, "%s", text);
	return 0;
}

/* Layer records that no image has any more. */
struct layers {
	struct strings used, dead;
};

static int gather_used(void *context, const struct image *image)
{
	struct layers *layers = context;

	for (size_t i = 0; i < image->n_layers; i++) {
		int r = strings_add(&layers->used, image->layers[i].branch.hex, 64);

		if (r < 0)
			return r;
	}
	return 0;
}

static int gather_dead(void *context, struct index_value key, struct index_value value)
{
	struct layers *layers = context;

	(void)value;
	for (size_t i = 0; i < layers->used.n_items; i++) {
		if (key.size == 64 && memcmp(layers->used.items[i], key.data, 64) == 0)
			return 0;
	}
	return strings_add(&layers->dead, key.data, key.size);
}

static int remove_layers(struct index_txn *txn)
{
	struct layers layers = { 0 };
	int r = image_each(txn, gather_used, &layers);

	if (r == 0)
		r = index_each(txn, STORE_LAYERS, "", 0, gather_dead, &layers);
	for (size_t i = 0; r == 0 && i < layers.dead.n_items; i++)
		index_delete(txn, STORE_LAYERS, layers.dead.items[i], strlen(layers.dead.items[i]));
	strings_done(&layers.used);
	strings_done(&layers.dead);
	return r;
}

static int remove_records(struct store *store, const char *const references[], size_t n_references,
			  struct error *error)
{
	struct index_txn txn = { 0 };
	int r = store_begin(store, true, error, &txn);

	for (size_t i = 0; r == 0 && i < n_references; i++)
		r = remove_one(&txn, references[i], error);
	if (r < 0) {
		index_abort(&txn);
		return r;
	}
	r = remove_layers(&txn);
	if (r < 0) {
		index_abort(&txn);
		return error_errno(error, r, "store %s", store->path);
	}
	return store_commit(&txn, error);
}

int image_remove(struct store *store, const char *const references[], size_t n_references,
		 struct error *error)
{
	struct workspace workspace = { .fd = -1 };
	int r = workspace_begin(store, error, &workspace);

	if (r == 0)
		r = remove_records(store, references, n_references, error);
	if (r == 0)
		r = store_collect(store, &workspace, error);
	workspace_end(&workspace);
	return r;
}
