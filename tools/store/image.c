/* SPDX-License-Identifier: GPL-3.0-or-later */
/* An image's record is a JSON object; doc/store.md lists its members. */
#include "store/image.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "store/record.h"

void image_done(struct image *image)
{
	free(image->architecture);
	free(image->os);
	free(image->created);
	free(image->layers);
	*image = (struct image){ 0 };
}

uint64_t image_size(const struct image *image)
{
	uint64_t size = 0;

	for (size_t i = 0; i < image->n_layers; i++)
		size += image->layers[i].size;
	return size;
}

static int parse_layers(struct index_txn *txn, const json_t *layers, struct image *image)
{
	const json_t *layer;
	size_t i;

	image->layers = calloc(json_array_size(layers) + 1, sizeof(*image->layers));
	if (!image->layers)
		return -ENOMEM;
	json_array_foreach(layers, i, layer)
	{
		struct image_layer *to = &image->layers[i];
		int r;

		if (!record_digest(layer, "diff_id", &to->diff_id) ||
		    !record_digest(layer, "branch", &to->branch))
			return -EUCLEAN;
		r = store_has_layer(txn, &to->branch, &to->size);
		if (r <= 0)
			return r < 0 ? r : -EUCLEAN;
	}
	image->n_layers = json_array_size(layers);
	return 0;
}

static int parse(struct index_txn *txn, const struct digest *id, struct index_value value,
		 struct image *ret)
{
	CLEANUP(image_done) struct image image = { .id = *id };
	cleanup_json json_t *json = json_loadb(value.data, value.size, 0, NULL);
	const json_t *layers = json_object_get(json, "layers");
	int r;

	if (!json_array_size(layers) || !record_digest(json, "chain_id", &image.chain))
		return -EUCLEAN;
	image.has_manifest = record_digest(json, "manifest", &image.manifest);
	r = record_string(json, "architecture", &image.architecture);
	if (r == 0)
		r = record_string(json, "os", &image.os);
	if (r == 0)
		r = record_string(json, "created", &image.created);
	if (r == 0)
		r = parse_layers(txn, layers, &image);
	if (r < 0)
		return r;
	*ret = image;
	image = (struct image){ 0 };
	return 0;
}

int image_load(struct index_txn *txn, const struct digest *id, struct image *ret)
{
	struct index_value value;
	int r = index_get(txn, STORE_IMAGES, id->hex, strlen(id->hex), &value);

	if (r != INDEX_FOUND)
		return r;
	r = parse(txn, id, value, ret);
	return r < 0 ? r : IMAGE_FOUND;
}

int image_save(struct index_txn *txn, const struct image *image)
{
	cleanup_json json_t *layers = json_array();
	cleanup_json json_t *json = NULL;

	for (size_t i = 0; i < image->n_layers; i++) {
		const struct image_layer *layer = &image->layers[i];
		json_t *item = json_pack("{s:s, s:s}", "diff_id", layer->diff_id.hex, "branch",
					 layer->branch.hex);

		if (json_array_append_new(layers, item) < 0)
			return -ENOMEM;
	}
	json = json_pack("{s:s?, s:s?, s:s?, s:s?, s:s, s:O}", "manifest",
			 image->has_manifest ? image->manifest.hex : NULL, "architecture",
			 image->architecture, "os", image->os, "created", image->created,
			 "chain_id", image->chain.hex, "layers", layers);
	return record_put(txn, STORE_IMAGES, image->id.hex, json);
}

struct each_image {
	struct index_txn *txn;
	int (*each)(void *context, const struct image *image);
	void *context;
};

static int give_image(void *context, struct index_value key, struct index_value value)
{
	CLEANUP(image_done) struct image image = { 0 };
	struct each_image *each = context;
	struct digest id;
	int r;

	if (!record_key(key, &id))
		return -EUCLEAN;
	r = parse(each->txn, &id, value, &image);
	return r < 0 ? r : each->each(each->context, &image);
}

int image_each(struct index_txn *txn, int (*each)(void *context, const struct image *image),
	       void *context)
{
	struct each_image all = { .txn = txn, .each = each, .context = context };

	return index_each(txn, STORE_IMAGES, "", 0, give_image, &all);
}

struct each_tag {
	int (*each)(void *context, const char *tag, const struct digest *id);
	void *context;
};

static int give_tag(void *context, struct index_value key, struct index_value value)
{
	struct each_tag *each = context;
	char tag[INDEX_MAX_KEY + 1];
	struct digest id;

	if (key.size > INDEX_MAX_KEY || !record_key(value, &id))
		return -EUCLEAN;
	memcpy(tag, key.data, key.size);
	tag[key.size] = '\0';
	return each->each(each->context, tag, &id);
}

int image_each_tag(struct index_txn *txn,
		   int (*each)(void *context, const char *tag, const struct digest *id),
		   void *context)
{
	struct each_tag all = { .each = each, .context = context };

	return index_each(txn, STORE_TAGS, "", 0, give_tag, &all);
}
