/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The archive of `docker save` and `podman save`: manifest.json is an array of
 * { Config, RepoTags, Layers }, whose strings are names of members.  Its blobs
 * have no digests of their own; the config's diff IDs vouch for the layers.
 */
#include <errno.h>
#include <string.h>

#include "image/entry_name.h"
#include "manifest_impl.h"

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

static int read_image(struct bundle *bundle, const json_t *item, struct error *error,
		      struct manifest *manifest)
{
	const char *config = json_string_value(json_object_get(item, "Config"));
	const json_t *layers = json_object_get(item, "Layers");
	const json_t *tags = json_object_get(item, "RepoTags"), *value;
	struct digest digest;
	size_t i;
	int r = 0;

	if (!config || !json_is_array(layers))
		return error_set(
			error, -EBADMSG,
			"'manifest.json' in the archive: an image without Config or Layers");
	json_array_foreach(layers, i, value)
	{
		if (!json_is_string(value))
			return error_set(error, -EBADMSG,
					 "'manifest.json' in the archive: a layer has no name");
		r = manifest_add_layer(manifest, json_string_value(value), NULL);
		if (r < 0)
			return error_errno(error, r, "'manifest.json' in the archive");
	}
	json_array_foreach(tags, i, value)
	{
		if (json_is_string(value))
			r = manifest_add_tag(manifest, json_string_value(value));
		if (r < 0)
			return error_errno(error, r, "'manifest.json' in the archive");
	}
	return manifest_read_config(bundle, config, named_digest(config, &digest) ? &digest : NULL,
				    error, manifest);
}

int manifest_read_docker(struct bundle *bundle, struct error *error, struct manifest_list *list)
{
	cleanup_json json_t *json = NULL;
	const json_t *item;
	size_t i;
	int r = manifest_load(bundle, "manifest.json", NULL, error, &json, NULL, NULL);

	if (r < 0)
		return r;
	if (!json_is_array(json))
		return error_set(error, -EBADMSG, "'manifest.json' in the archive: no array");
	json_array_foreach(json, i, item)
	{
		struct manifest *manifest = manifest_list_add(list);

		if (!manifest)
			return error_errno(error, -ENOMEM, "'manifest.json' in the archive");
		r = read_image(bundle, item, error, manifest);
		if (r == 0)
			r = bundle_read(bundle, "manifest.json", error, &manifest->text,
					&manifest->text_size);
		if (r == 0)
			r = digest_of(manifest->text, manifest->text_size, &manifest->digest);
		if (r < 0)
			return r;
	}
	return 0;
}
