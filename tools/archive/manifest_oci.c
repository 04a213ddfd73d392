/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The OCI image layout: index.json leads by digests to manifests, or to more
 * indexes, whose depth is limited because nothing else stops a loop that a
 * broken hash would allow, or an index that is merely absurd.
 *
 * Not all that has a manifest is an image: signatures, lists of parts, charts
 * and what a build says of itself have one too.  These are noted and passed
 * over; that there is an image at all is asked at the end (manifest.c).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "archive/manifest_impl.h"
#include "archive/media.h"

enum { MAX_DEPTH = 4 };

/* What came of an item. */
enum { WAS_OTHER = 0, WAS_IMAGE = 1 };

struct descriptor {
	struct digest digest;
	char member[96]; /* its name in the bundle */
	json_int_t size; /* -1: not said */
};

static int read_descriptor(const struct manifest_reader *reader, const json_t *json,
			   const char *what, struct descriptor *ret)
{
	struct error *error = reader->error;
	const char *digest = json_string_value(json_object_get(json, "digest"));
	const json_t *size = json_object_get(json, "size");

	if (!digest || !digest_parse(digest, &ret->digest))
		return error_set(error, -EBADMSG, "%s: a descriptor has no sha256 digest: %s", what,
				 digest ? digest : "none at all");
	snprintf(ret->member, sizeof(ret->member), "%s%s", reader->is_flat ? "" : "blobs/sha256/",
		 ret->digest.hex);
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

static const char *string_of(const json_t *json, const char *key)
{
	return json_string_value(json_object_get(json, key));
}

/* One layer that cannot be unpacked, in an image that is one: `words` say what it is. */
static int refuse_layer(struct manifest_reader *reader, const char *name, size_t i,
			const char *words)
{
	return error_set(reader->error, -EOPNOTSUPP, "'%s' in the archive: layer %zu is %s", name,
			 i + 1, words);
}

/*
 * Whether a manifest is that of an image: WAS_IMAGE; or what else it is of, in *ret_what; or
 * negative errno, of an image that cannot be unpacked.
 */
static int judge(struct manifest_reader *reader, const json_t *json, const char *name,
		 const char **ret_what)
{
	const json_t *layers = json_object_get(json, "layers"), *layer;
	const char *kind = string_of(json, "artifactType");
	const char *config = string_of(json_object_get(json, "config"), "mediaType");
	size_t i;

	*ret_what = kind && *kind ? kind : config ? config : "?";
	if (media_of_config(kind) != MEDIA_FITS || media_of_config(config) != MEDIA_FITS)
		return WAS_OTHER;
	json_array_foreach(layers, i, layer)
	{
		const char *type = string_of(layer, "mediaType"), *words;
		const json_t *notes = json_object_get(layer, "annotations");
		enum media media = media_of_layer(type, &words);

		*ret_what = type;
		if (media == MEDIA_OTHER)
			return WAS_OTHER;
		if (media == MEDIA_UNREADABLE)
			return refuse_layer(reader, name, i, words);
		if (json_object_get(notes, "containerd.io/snapshot/nydus-bootstrap"))
			return refuse_layer(reader, name, i, media_nydus);
	}
	return WAS_IMAGE;
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
		r = read_descriptor(reader, value, name, &layer);
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
		     struct document *document, const char *ref, const struct digest *ref_digest)
{
	struct manifest *manifest;
	struct descriptor config;
	int r = read_descriptor(reader, json_object_get(document->json, "config"), self->member,
				&config);

	if (r == 0)
		r = check_blob(reader, &config);
	if (r == 0)
		r = manifest_begin(reader, &manifest);
	if (r < 0)
		return r;
	if ((ref && manifest_add_tag(manifest, ref, ref_digest) < 0) ||
	    manifest_list_keep(reader->list, document->text) < 0)
		return error_errno(reader->error, -ENOMEM, "'%s' in the archive", self->member);
	manifest->text = take_ptr(document->text);
	manifest->text_size = document->size;
	manifest->digest = self->digest;
	r = add_layers(reader, json_object_get(document->json, "layers"), self->member, manifest);
	if (r == 0)
		r = manifest_end(reader, config.member, &config.digest);
	return r < 0 ? r : WAS_IMAGE;
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

/* --- what an index has --- */

/* An item, and how much it is wanted. */
struct candidate {
	const json_t *item;
	const char *ref; /* its name, or that of the index it is in */
	const struct digest *ref_digest; /* what that name is a name of; NULL: the item */
	size_t at; /* in the index */
	int rank; /* of its platform */
	bool says_platform;
	bool is_taken;
};

/* containerd and Docker give the whole name beside the bare tag of the spec. */
static const char *ref_of(const json_t *descriptor)
{
	const json_t *notes = json_object_get(descriptor, "annotations");
	const char *name = string_of(notes, "io.containerd.image.name");

	return name ? name : string_of(notes, "org.opencontainers.image.ref.name");
}

/* The platform of an item: false, it says none. */
static bool platform_of(const json_t *item, struct platform *ret)
{
	const json_t *platform = json_object_get(item, "platform");
	const char *os = string_of(platform, "os");
	const char *architecture = string_of(platform, "architecture");

	platform_set(ret, os, architecture, string_of(platform, "variant"));
	return os && architecture;
}

/*
 * What an item says is no image, without a look at it; NULL: it may be one.  A build's own words
 * about it are for an unknown platform.
 */
static const char *other_by_item(const json_t *item)
{
	const char *kind = string_of(item, "artifactType"), *type = string_of(item, "mediaType");
	struct platform platform;

	if (media_of_config(kind) != MEDIA_FITS)
		return kind;
	if (media_of_manifest(type) == MEDIA_OTHER)
		return type;
	if (platform_of(item, &platform) && strcmp(platform.os, "unknown") == 0)
		return "an attestation";
	return NULL;
}

/* Features of a system that are asked for are those of some snapshotter: better is one without. */
static int rank_of(const struct manifest_reader *reader, const json_t *item,
		   const struct platform *platform)
{
	const json_t *features = json_object_get(json_object_get(item, "platform"), "os.features");
	int rank = platform_rank(&reader->choice->platform, platform);

	return rank == PLATFORM_NONE ? rank : json_array_size(features) > 0 ? 1 : rank + 1;
}

static int read_index(struct manifest_reader *reader, const json_t *index, const char *name,
		      const struct candidate *outer, int depth);

/* What could be read as either would be one image for us and another for the next reader. */
static int check_kind(struct manifest_reader *reader, const json_t *json, const char *name)
{
	bool is_index = json_object_get(json, "manifests");
	bool is_manifest = json_object_get(json, "layers") || json_object_get(json, "config");

	if (is_index && is_manifest)
		return error_set(reader->error, -EBADMSG,
				 "'%s' in the archive: both a manifest and an index", name);
	if (json_object_get(json, "fsLayers"))
		return error_set(reader->error, -EOPNOTSUPP, "'%s' in the archive: %s", name,
				 media_schema1);
	return 0;
}

/* A manifest, or an index, that has been read. */
static int take_document(struct manifest_reader *reader, const struct descriptor *self,
			 struct document *document, const struct candidate *of, int depth)
{
	const char *what = NULL;
	int r = check_kind(reader, document->json, self->member);

	if (r < 0)
		return r;
	if (json_is_array(json_object_get(document->json, "manifests")))
		return read_index(reader, document->json, self->member, of, depth + 1);
	if (!json_object_get(document->json, "layers") && !json_object_get(document->json, "blobs"))
		return error_set(reader->error, -EBADMSG,
				 "'%s' in the archive: neither a manifest nor an index",
				 self->member);
	r = judge(reader, document->json, self->member, &what);
	if (r == WAS_OTHER)
		return manifest_add_other(reader, &self->digest, what);
	return r < 0 ? r
		     : add_image(reader, self, document, of->ref,
				 of->ref_digest ? of->ref_digest : &self->digest);
}

/* One manifest, or one more index: WAS_IMAGE or WAS_OTHER. */
static int read_item(struct manifest_reader *reader, const struct candidate *of, const char *name,
		     int depth)
{
	cleanup_document struct document document = { 0 };
	const char *what = other_by_item(of->item);
	struct manifest *known;
	struct descriptor self;
	int r = read_descriptor(reader, of->item, name, &self);

	if (r < 0)
		return r;
	if (what)
		return manifest_add_other(reader, &self.digest, what);
	if (reader->is_flat)
		strcat(self.member, ".manifest.json");
	r = check_blob(reader, &self);
	known = r == 0 ? find_manifest(reader->list, &self.digest) : NULL;
	if (known && of->ref && manifest_add_tag(known, of->ref, &self.digest) < 0)
		return error_errno(reader->error, -ENOMEM, "'%s' in the archive", name);
	if (known)
		return WAS_IMAGE;
	if (r == 0)
		r = document_read(&reader->documents, self.member, &self.digest, &document);
	return r < 0 ? r : take_document(reader, &self, &document, of, depth);
}

static int no_platform(struct manifest_reader *reader, const struct candidate candidates[],
		       size_t n, const char *name)
{
	struct offered offered = { 0 };
	int r;

	for (size_t i = 0; i < n; i++) {
		struct platform platform;

		platform_of(candidates[i].item, &platform);
		if (!other_by_item(candidates[i].item))
			offered_add(&offered, &platform);
	}
	r = manifest_not_offered(reader, &offered);
	return error_within(reader->error, r, "'%s' in the archive", name);
}

static int compare_refs(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) : (a != NULL) - (b != NULL);
}

/* By name, the best of a name first, and those without a platform after those that fit. */
static int compare_candidates(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;
	int order = compare_refs(x->ref, y->ref);

	if (order == 0)
		order = (x->rank < y->rank) - (x->rank > y->rank);
	return order ? order : (x->at > y->at) - (x->at < y->at);
}

static int compare_places(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;

	return (x->at > y->at) - (x->at < y->at);
}

/* Items of the top index that have one name are one image for several platforms. */
static void take_best(struct candidate candidates[], size_t n)
{
	size_t first = 0;

	qsort(candidates, n, sizeof(*candidates), compare_candidates);
	for (size_t i = 0; i < n; i++) {
		struct candidate *candidate = &candidates[i], *best;

		if (compare_refs(candidate->ref, candidates[first].ref) != 0)
			first = i;
		best = &candidates[first];
		candidate->is_taken = candidate->says_platform
					      ? candidate->rank == best->rank && candidate->rank > 0
					      : !candidate->ref || !best->says_platform ||
							best->rank == 0;
	}
	qsort(candidates, n, sizeof(*candidates), compare_places);
}

/* Lists what an index has and is wanted; the number, or negative errno. */
static ssize_t list_candidates(struct manifest_reader *reader, const json_t *items,
			       const char *name, const struct candidate *outer,
			       struct candidate **ret)
{
	bool is_single = json_array_size(items) == 1 && !reader->choice->is_strict;
	struct candidate *list = calloc(json_array_size(items) + 1, sizeof(*list));
	const json_t *item;
	size_t i, n = 0;

	if (!list)
		return error_errno(reader->error, -ENOMEM, "'%s' in the archive", name);
	*ret = list;
	json_array_foreach(items, i, item)
	{
		const char *ref = ref_of(item);
		struct candidate *to = &list[n];
		struct platform platform;
		struct descriptor self;
		int r = read_descriptor(reader, item, name, &self);

		if (r < 0)
			return r;
		if (!outer && !manifest_is_wanted(reader, ref, &self.digest))
			continue;
		n++;
		*to = (struct candidate){ .item = item, .ref = ref, .at = i };
		if (!ref && outer) {
			to->ref = outer->ref;
			to->ref_digest = outer->ref_digest;
		}
		to->says_platform = platform_of(item, &platform) && !is_single;
		if (other_by_item(item))
			to->says_platform = false; /* noted, as it is read */
		to->rank = to->says_platform ? rank_of(reader, item, &platform) : 0;
	}
	return (ssize_t)n;
}

/* A nested index is one image for several platforms: the best that is one. */
static int read_best(struct manifest_reader *reader, struct candidate candidates[], size_t n,
		     const char *name, int depth)
{
	size_t n_read = 0, n_others = 0;

	qsort(candidates, n, sizeof(*candidates), compare_candidates);
	for (size_t i = 0; i < n; i++) {
		int r;

		if (candidates[i].says_platform && candidates[i].rank == PLATFORM_NONE)
			continue;
		r = read_item(reader, &candidates[i], name, depth);
		if (r != WAS_OTHER)
			return r;
		n_read++;
		n_others += other_by_item(candidates[i].item) != NULL;
	}
	return n_read > n_others || n == n_others ? WAS_OTHER
						  : no_platform(reader, candidates, n, name);
}

/* The top index lists images. */
static int read_all(struct manifest_reader *reader, struct candidate candidates[], size_t n,
		    const char *name)
{
	size_t n_read = 0, n_others = 0;

	take_best(candidates, n);
	for (size_t i = 0; i < n; i++) {
		int r = candidates[i].is_taken ? read_item(reader, &candidates[i], name, 0) : 0;

		if (r < 0)
			return r;
		n_read += candidates[i].is_taken;
		n_others += other_by_item(candidates[i].item) != NULL;
	}
	return n_read > n_others || n == n_others ? WAS_OTHER
						  : no_platform(reader, candidates, n, name);
}

/* `outer`: the item that leads to it; NULL: it is the top index. */
static int read_index(struct manifest_reader *reader, const json_t *index, const char *name,
		      const struct candidate *outer, int depth)
{
	const json_t *items = json_object_get(index, "manifests");
	cleanup_free struct candidate *candidates = NULL;
	ssize_t n;

	if (!json_is_array(items))
		return error_set(reader->error, -EBADMSG, "'%s' in the archive: no index", name);
	if (depth > MAX_DEPTH)
		return error_set(reader->error, -ELOOP,
				 "'%s' in the archive: indexes nested too deep", name);
	n = list_candidates(reader, items, name, outer, &candidates);
	if (n < 0)
		return (int)n;
	return outer ? read_best(reader, candidates, (size_t)n, name, depth)
		     : read_all(reader, candidates, (size_t)n, name);
}

int manifest_read_oci(struct manifest_reader *reader)
{
	cleanup_document struct document document = { 0 };
	int r = document_read(&reader->documents, "index.json", NULL, &document);

	if (r == 0)
		r = check_kind(reader, document.json, "index.json");
	if (r == 0)
		r = read_index(reader, document.json, "index.json", NULL, 0);
	return r < 0 ? r : 0;
}

/* The manifest itself lies at the top, and has no name there. */
int manifest_read_dir(struct manifest_reader *reader)
{
	const struct candidate of = { .ref = NULL };
	struct descriptor self = { .member = "manifest.json", .size = -1 };
	cleanup_document struct document document = { 0 };
	int r = document_read(&reader->documents, self.member, NULL, &document);

	reader->is_flat = true;
	self.digest = document.digest;
	if (r == 0 && manifest_is_wanted(reader, NULL, &self.digest))
		r = take_document(reader, &self, &document, &of, 0);
	return r < 0 ? r : 0;
}
