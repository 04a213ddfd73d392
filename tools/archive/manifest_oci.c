/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The OCI image layout: index.json leads by digests to manifests, or to more
 * indexes, whose depth is limited because nothing else stops a loop that a
 * broken hash would allow, or an index that is merely absurd.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "archive/manifest_impl.h"

enum { MAX_DEPTH = 4 };

struct descriptor {
	struct digest digest;
	char member[80]; /* blobs/sha256/HEX */
	json_int_t size; /* -1: not said */
};

static int read_descriptor(const json_t *json, const char *what, struct error *error,
			   struct descriptor *ret)
{
	const char *digest = json_string_value(json_object_get(json, "digest"));
	const json_t *size = json_object_get(json, "size");

	if (!digest || !digest_parse(digest, &ret->digest))
		return error_set(error, -EBADMSG, "%s: a descriptor has no sha256 digest: %s", what,
				 digest ? digest : "none at all");
	snprintf(ret->member, sizeof(ret->member), "blobs/sha256/%s", ret->digest.hex);
	ret->size = size ? json_integer_value(size) : -1;
	if (size && (!json_is_integer(size) || ret->size < 0))
		return error_set(error, -EBADMSG, "%s: the size of %s is no number of bytes", what,
				 ret->member);
	return 0;
}

/* That the blob is there, and of the size its descriptor gives. */
static int check_blob(struct manifest_reader *reader, const struct descriptor *blob)
{
	struct extent extent;
	int r = bundle_find(reader->bundle, blob->member, &extent);

	if (r <= 0)
		return error_errno(reader->error, r < 0 ? r : -ENOENT, "'%s' in the archive",
				   blob->member);
	if (blob->size >= 0 && (uint64_t)blob->size != extent.size)
		return error_set(reader->error, -EBADMSG,
				 "'%s' in the archive: %llu bytes long, not %lld", blob->member,
				 (unsigned long long)extent.size, (long long)blob->size);
	return 0;
}

static int add_layers(struct manifest_reader *reader, const json_t *layers, const char *name,
		      struct manifest *manifest)
{
	struct descriptor layer;
	const json_t *value;
	size_t i;
	int r;

	json_array_foreach(layers, i, value)
	{
		r = read_descriptor(value, name, reader->error, &layer);
		if (r == 0)
			r = check_blob(reader, &layer);
		if (r < 0)
			return r;
		r = manifest_add_layer(manifest, layer.member, &layer.digest);
		if (r < 0)
			return error_errno(reader->error, r, "'%s' in the archive", name);
	}
	return 0;
}

/* `document` is the manifest's own; its text is taken. */
static int add_image(struct manifest_reader *reader, const struct descriptor *self,
		     struct document *document, const char *ref)
{
	struct manifest *manifest;
	struct descriptor config;
	int r = read_descriptor(json_object_get(document->json, "config"), self->member,
				reader->error, &config);

	if (r == 0)
		r = check_blob(reader, &config);
	if (r == 0)
		r = manifest_begin(reader, &manifest);
	if (r < 0)
		return r;
	if ((ref && manifest_add_tag(manifest, ref) < 0) ||
	    manifest_list_keep(reader->list, document->text) < 0)
		return error_errno(reader->error, -ENOMEM, "'%s' in the archive", self->member);
	manifest->text = take_ptr(document->text);
	manifest->text_size = document->size;
	manifest->digest = self->digest;
	r = add_layers(reader, json_object_get(document->json, "layers"), self->member, manifest);
	return r < 0 ? r : manifest_end(reader, config.member, &config.digest);
}

/* One that was read already, as an image has an item for each of its tags. */
static struct manifest *find_manifest(const struct manifest_list *list, const struct digest *digest)
{
	for (size_t i = 0; i < list->n_items; i++) {
		if (digest_equal(&list->items[i].digest, digest))
			return &list->items[i];
	}
	return NULL;
}

enum platform { OTHER, UNSAID, OURS };

static enum platform platform_of(const struct manifest_reader *reader, const json_t *descriptor)
{
	const json_t *platform = json_object_get(descriptor, "platform");
	const char *os = json_string_value(json_object_get(platform, "os"));
	const char *architecture = json_string_value(json_object_get(platform, "architecture"));

	if (!os || !architecture)
		return UNSAID;
	return strcmp(os, "linux") == 0 && strcmp(architecture, reader->architecture) == 0 ? OURS
											   : OTHER;
}

/* containerd and Docker give the whole name beside the bare tag of the spec. */
static const char *ref_of(const json_t *descriptor)
{
	const json_t *notes = json_object_get(descriptor, "annotations");
	const char *name = json_string_value(json_object_get(notes, "io.containerd.image.name"));

	return name ? name
		    : json_string_value(
			      json_object_get(notes, "org.opencontainers.image.ref.name"));
}

static int read_index(struct manifest_reader *reader, const json_t *index, const char *name,
		      const char *ref, int depth);

/* What could be read as either would be one image for us and another for the next reader. */
static int check_kind(struct manifest_reader *reader, const json_t *json, const char *name)
{
	bool is_index = json_object_get(json, "manifests");
	bool is_manifest = json_object_get(json, "layers") || json_object_get(json, "config");

	if (is_index && is_manifest)
		return error_set(reader->error, -EBADMSG,
				 "'%s' in the archive: both a manifest and an index", name);
	return 0;
}

/* One manifest, or one more index. */
static int read_item(struct manifest_reader *reader, const json_t *item, const char *name,
		     const char *ref, int depth)
{
	cleanup_document struct document document = { 0 };
	struct manifest *known;
	struct descriptor self;
	int r = read_descriptor(item, name, reader->error, &self);

	if (r == 0)
		r = check_blob(reader, &self);
	known = r == 0 ? find_manifest(reader->list, &self.digest) : NULL;
	if (known)
		return ref && manifest_add_tag(known, ref) < 0
			       ? error_errno(reader->error, -ENOMEM, "'%s' in the archive", name)
			       : 0;
	if (r == 0)
		r = document_read(&reader->documents, self.member, &self.digest, &document);
	if (r == 0)
		r = check_kind(reader, document.json, self.member);
	if (r < 0)
		return r;
	if (json_is_array(json_object_get(document.json, "manifests")))
		return read_index(reader, document.json, self.member, ref, depth + 1);
	if (!json_is_array(json_object_get(document.json, "layers")))
		return error_set(reader->error, -EBADMSG,
				 "'%s' in the archive: neither a manifest nor an index",
				 self.member);
	return add_image(reader, &self, &document, ref);
}

static int no_platform(struct manifest_reader *reader, const json_t *items, const char *name)
{
	char offered[256] = "";
	const json_t *item;
	size_t i, at = 0;

	json_array_foreach(items, i, item)
	{
		const json_t *platform = json_object_get(item, "platform");
		const char *os = json_string_value(json_object_get(platform, "os"));
		const char *machine = json_string_value(json_object_get(platform, "architecture"));

		if (at < sizeof(offered))
			at += (size_t)snprintf(offered + at, sizeof(offered) - at, " %s/%s",
					       os ? os : "?", machine ? machine : "?");
	}
	return error_set(reader->error, -ENOENT,
			 "'%s' in the archive: no image for linux/%s, only%s", name,
			 reader->architecture, offered);
}

/*
 * The top index lists images, and one without a platform is for every
 * machine; a nested index is one image for several, of which the first that
 * fits is taken.  A single item is taken whatever it is for.
 */
static int read_index(struct manifest_reader *reader, const json_t *index, const char *name,
		      const char *ref, int depth)
{
	const json_t *items = json_object_get(index, "manifests"), *item;
	bool single = json_array_size(items) == 1;
	size_t i, n_read = 0;

	if (!json_is_array(items))
		return error_set(reader->error, -EBADMSG, "'%s' in the archive: no index", name);
	if (depth > MAX_DEPTH)
		return error_set(reader->error, -ELOOP,
				 "'%s' in the archive: indexes nested too deep", name);
	json_array_foreach(items, i, item)
	{
		const char *own = ref_of(item);
		int r;

		if (!single && platform_of(reader, item) == OTHER)
			continue;
		r = read_item(reader, item, name, own ? own : ref, depth);
		if (r < 0)
			return r;
		n_read++;
		if (depth > 0)
			break;
	}
	return n_read == 0 && json_array_size(items) > 0 ? no_platform(reader, items, name) : 0;
}

int manifest_read_oci(struct manifest_reader *reader)
{
	cleanup_document struct document document = { 0 };
	int r = document_read(&reader->documents, "index.json", NULL, &document);

	if (r == 0)
		r = check_kind(reader, document.json, "index.json");
	return r < 0 ? r : read_index(reader, document.json, "index.json", NULL, 0);
}
