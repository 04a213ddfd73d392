/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The archive of `docker save` and `podman save`: manifest.json is an array of
 * { Config, RepoTags, Layers }, whose strings are names of members.  Its blobs
 * have no digests of their own; the config's diff IDs vouch for the layers.
 */
#include <errno.h>
#include <string.h>

#include "archive/manifest_impl.h"
#include "value/entry_name.h"

/* The digest that a config's name promises: `HEX.json`, `sha256:HEX` or `blobs/sha256/HEX`. */
static bool named_digest(const char *name, struct digest *ret)
{
	const char *last = entry_name_last(name);
	size_t len = strcspn(last, ".");
	char hex[80];

	if (len >= sizeof(hex) || (last[len] && strcmp(last + len, ".json") != 0))
		return false;
	memcpy(hex, last, len);
	hex[len] = '\0';
	return digest_parse(hex, ret);
}

static const char here[] = "'manifest.json' in the archive";

static int add_layers(struct manifest_reader *reader, const json_t *layers,
		      struct manifest *manifest)
{
	const json_t *value;
	size_t i;

	json_array_foreach(layers, i, value)
	{
		int r;

		if (!json_is_string(value))
			return error_set(reader->error, -EBADMSG, "%s: a layer has no name", here);
		r = manifest_add_layer(manifest, json_string_value(value), NULL);
		if (r < 0)
			return error_errno(reader->error, r, "%s", here);
	}
	return 0;
}

/* Of its names those that are wanted; all of an image that is wanted by its digest. */
static int add_tags(struct manifest_reader *reader, const json_t *tags, const struct digest *id,
		    struct manifest *manifest)
{
	bool has_all = reader->choice->name && manifest_is_wanted(reader, NULL, id);
	const json_t *value;
	size_t i;

	json_array_foreach(tags, i, value)
	{
		const char *tag = json_string_value(value);

		if (!tag || (!has_all && !manifest_is_wanted(reader, tag, NULL)))
			continue;
		if (manifest_add_tag(manifest, tag, NULL) < 0)
			return error_errno(reader->error, -ENOMEM, "%s", here);
	}
	return 0;
}

static bool is_wanted(struct manifest_reader *reader, const json_t *tags, const struct digest *id)
{
	const json_t *value;
	size_t i;

	json_array_foreach(tags, i, value)
	{
		if (json_is_string(value) &&
		    manifest_is_wanted(reader, json_string_value(value), NULL))
			return true;
	}
	return manifest_is_wanted(reader, NULL, id);
}

/* `document` is the whole manifest.json, which all its images have for their manifest. */
static int read_image(struct manifest_reader *reader, const json_t *item, const char *text,
		      const struct document *document)
{
	const char *config = json_string_value(json_object_get(item, "Config"));
	const json_t *layers = json_object_get(item, "Layers");
	const json_t *tags = json_object_get(item, "RepoTags");
	struct manifest *manifest;
	struct digest named, *digest;
	int r;

	/* Of an image without layers they may be null. */
	if (!config || (layers && !json_is_null(layers) && !json_is_array(layers)))
		return error_set(reader->error, -EBADMSG, "%s: an image without Config or Layers",
				 here);
	digest = named_digest(config, &named) ? &named : NULL;
	if (!is_wanted(reader, tags, digest))
		return 0;
	r = manifest_begin(reader, &manifest);
	if (r < 0)
		return r;
	manifest->text = text;
	manifest->text_size = document->size;
	manifest->digest = document->digest;
	r = add_layers(reader, layers, manifest);
	if (r == 0)
		r = add_tags(reader, tags, digest, manifest);
	return r < 0 ? r : manifest_end(reader, config, digest);
}

int manifest_read_docker(struct manifest_reader *reader)
{
	cleanup_document struct document document = { 0 };
	const char *text;
	const json_t *item;
	size_t i;
	int r = document_read(&reader->documents, "manifest.json", NULL, &document);

	if (r < 0)
		return r;
	if (!json_is_array(document.json))
		return error_set(reader->error, -EBADMSG, "%s: no array", here);
	r = manifest_list_keep(reader->list, document.text);
	if (r < 0)
		return error_errno(reader->error, r, "%s", here);
	text = take_ptr(document.text);
	json_array_foreach(document.json, i, item)
	{
		r = read_image(reader, item, text, &document);
		if (r < 0)
			return r;
	}
	return 0;
}
