/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "archive/manifest_impl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/reference.h"
#include "value/printable.h"

enum { MAX_IMAGES = 1024, MAX_WORD = 255 };

/* Of the tar that has nothing in it, as docker gives it to images that have no layer. */
static const struct digest empty_tar = {
	"5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"
};

void manifest_done(struct manifest *manifest)
{
	for (size_t i = 0; i < manifest->n_tags; i++)
		free(manifest->tags[i]);
	for (size_t i = 0; i < manifest->n_layers; i++)
		free(manifest->layers[i].member);
	free(manifest->tags);
	free(manifest->layers);
	free(manifest->config_name);
	free(manifest->architecture);
	free(manifest->os);
	free(manifest->variant);
	free(manifest->created);
}

void manifest_list_done(struct manifest_list *list)
{
	for (size_t i = 0; i < list->n_items; i++)
		manifest_done(&list->items[i]);
	for (size_t i = 0; i < list->n_texts; i++)
		free(list->texts[i]);
	free(list->items);
	free(list->texts);
	free(list->others);
	*list = (struct manifest_list){ 0 };
}

struct manifest *manifest_list_add(struct manifest_list *list)
{
	struct manifest *more = realloc(list->items, (list->n_items + 1) * sizeof(*more));

	if (!more)
		return NULL;
	list->items = more;
	more += list->n_items++;
	*more = (struct manifest){ 0 };
	return more;
}

int manifest_list_keep(struct manifest_list *list, char *text)
{
	char **more = realloc(list->texts, (list->n_texts + 1) * sizeof(*more));

	if (!more)
		return -ENOMEM;
	list->texts = more;
	more[list->n_texts++] = text;
	return 0;
}

int manifest_begin(struct manifest_reader *reader, struct manifest **ret)
{
	struct manifest *manifest;

	if (reader->list->n_items >= MAX_IMAGES)
		return error_set(reader->error, -E2BIG, "more than %d images in the archive",
				 MAX_IMAGES);
	manifest = manifest_list_add(reader->list);
	if (!manifest)
		return error_errno(reader->error, -ENOMEM, "the archive's images");
	*ret = manifest;
	return 0;
}

int manifest_add_layer(struct manifest *manifest, const char *name, const struct digest *digest)
{
	struct manifest_layer *more = realloc(manifest->layers,
					      (manifest->n_layers + 1) * sizeof(*more));

	if (!more)
		return -ENOMEM;
	manifest->layers = more;
	more += manifest->n_layers;
	*more = (struct manifest_layer){ .member = name ? strdup(name) : NULL,
					 .has_digest = digest != NULL };
	if (name && !more->member)
		return -ENOMEM;
	if (digest)
		more->digest = *digest;
	manifest->n_layers++;
	return 0;
}

static int add_tag(struct manifest *manifest, char *tag)
{
	char **more = tag ? realloc(manifest->tags, (manifest->n_tags + 1) * sizeof(*more)) : NULL;

	if (!more) {
		free(tag);
		return -ENOMEM;
	}
	manifest->tags = more;
	manifest->tags[manifest->n_tags++] = tag;
	return 0;
}

int manifest_add_tag(struct manifest *manifest, const char *tag, const struct digest *digest)
{
	const char *at = strchr(tag, '@');
	size_t length = at ? (size_t)(at - tag) : 0;
	struct digest named;

	if (!at)
		return add_tag(manifest, strdup(tag));
	if (reference_has_tag(tag, length))
		return add_tag(manifest, strndup(tag, length));
	if (digest && digest_parse(at + 1, &named) && digest_equal(&named, digest))
		return add_tag(manifest, strdup(tag));
	return 0;
}

void name_list_add(struct name_list *list, const char *name)
{
	size_t at = strlen(list->text), room = sizeof(list->text) - at;

	if (at > sizeof(list->text) / 2)
		snprintf(list->text + at, room, "%s",
			 strcmp(list->text + at - 3, "...") == 0 ? "" : " ...");
	else
		snprintf(list->text + at, room, "%s%.100s", at ? " " : "", name);
}

void offered_add(struct offered *offered, const struct platform *platform)
{
	char text[96];

	name_list_add(&offered->names, platform_text(text, platform));
}

int manifest_not_offered(struct manifest_reader *reader, const struct offered *offered)
{
	char text[96];

	return error_set(reader->error, -ENOENT, "no image for %s, only %s",
			 platform_text(text, &reader->choice->platform), offered->names.text);
}

/* Whether the user may mean the image that is called `ref` by `name`. */
static bool is_meant(const struct manifest_choice *choice, const char *ref)
{
	const char *name = choice->name;
	cleanup_free char *whole = NULL, *wanted = NULL;
	const char *last;

	if (strcmp(ref, name) == 0)
		return true;
	if (reference_of_archive(ref, choice->file, &whole) < 0 ||
	    reference_complete(name, &wanted) < 0)
		return false;
	last = strrchr(whole, '/');
	return strcmp(whole, wanted) == 0 || (last && strcmp(last + 1, wanted) == 0);
}

bool manifest_is_wanted(struct manifest_reader *reader, const char *ref,
			const struct digest *digest)
{
	struct digest named;

	if (!reader->choice->name || (ref && is_meant(reader->choice, ref)) ||
	    (digest && digest_parse(reader->choice->name, &named) && digest_equal(&named, digest)))
		return true;
	if (ref || digest)
		name_list_add(&reader->names, ref ? ref : digest->hex);
	return false;
}

int manifest_add_other(struct manifest_reader *reader, const struct digest *digest,
		       const char *what)
{
	enum { MOST = 3 };
	struct manifest_list *list = reader->list;
	char *text = NULL;
	int n = 0;

	if (list->n_others < MOST)
		n = asprintf(&text, "%s%s%.100s (sha256:%.12s)", list->others ? list->others : "",
			     list->others ? ", " : "", what, digest->hex);
	else if (list->n_others == MOST)
		n = asprintf(&text, "%s, and more", list->others);
	list->n_others++;
	if (n < 0)
		return error_errno(reader->error, -ENOMEM, "the archive's images");
	if (text) {
		free(list->others);
		list->others = text;
	}
	return 0;
}

/* --- configs --- */

bool manifest_layer_is_empty(const struct manifest_layer *layer)
{
	return !layer->member && digest_equal(&layer->diff_id, &empty_tar);
}

/* A word of the config, which goes into the image's record: one without end is none. */
static int copy_word(const json_t *json, const char *key, char **ret)
{
	const char *text = json_string_value(json_object_get(json, key));

	if (!text || !*text)
		return 0;
	if (strlen(text) > MAX_WORD)
		return -ENAMETOOLONG;
	*ret = strdup(text);
	return *ret ? 0 : -ENOMEM;
}

static bool has_no_layer(const struct manifest *manifest)
{
	return manifest->n_layers == 1 && manifest_layer_is_empty(&manifest->layers[0]);
}

static int read_diff_ids(const json_t *config, const char *name, struct error *error,
			 struct manifest *manifest)
{
	const json_t *root = json_object_get(config, "rootfs"),
		     *ids = json_object_get(root, "diff_ids");

	/* Of an image without layers they may be left out. */
	if (has_no_layer(manifest) && json_is_object(root) && json_array_size(ids) == 0)
		return 0;
	if (!json_is_array(ids))
		return error_set(
			error, -EBADMSG,
			"'%s' in the archive: no container image: it has no rootfs.diff_ids", name);
	if (has_no_layer(manifest) || json_array_size(ids) != manifest->n_layers)
		return error_set(
			error, -EBADMSG, "'%s' in the archive: %zu diff IDs for %zu layers", name,
			json_array_size(ids), has_no_layer(manifest) ? 0 : manifest->n_layers);
	for (size_t i = 0; i < manifest->n_layers; i++) {
		const char *id = json_string_value(json_array_get(ids, i));

		if (!id || !digest_parse(id, &manifest->layers[i].diff_id))
			return error_set(error, -EBADMSG,
					 "'%s' in the archive: diff ID %zu is no sha256 digest",
					 name, i + 1);
	}
	return 0;
}

static int read_config(const json_t *config, const char *name, struct error *error,
		       struct manifest *manifest)
{
	int r = copy_word(config, "architecture", &manifest->architecture);

	if (r == 0)
		r = copy_word(config, "os", &manifest->os);
	if (r == 0)
		r = copy_word(config, "variant", &manifest->variant);
	if (r == 0)
		r = copy_word(config, "created", &manifest->created);
	if (r == 0 && manifest->created && !printable_is_date(manifest->created))
		free(take_ptr(manifest->created));
	if (r < 0)
		return error_errno(error, r, "'%s' in the archive: its architecture, os or created",
				   name);
	return read_diff_ids(config, name, error, manifest);
}

/* The earlier manifest of the same image, by the config's name in the bundle, or its digest. */
static struct manifest *find_twin(const struct manifest_list *list, const char *name,
				  const struct digest *id)
{
	for (size_t i = 0; i + 1 < list->n_items; i++) {
		struct manifest *manifest = &list->items[i];

		if (id ? digest_equal(&manifest->image_id, id)
		       : strcmp(manifest->config_name, name) == 0)
			return manifest;
	}
	return NULL;
}

/* Has the tags of the manifest added last given to `twin`. */
static int join(struct manifest_reader *reader, struct manifest *twin, const char *name)
{
	struct manifest *last = &reader->list->items[reader->list->n_items - 1];

	if (last->n_layers != twin->n_layers)
		return error_set(reader->error, -EBADMSG,
				 "'%s' in the archive: %zu diff IDs for %zu layers", name,
				 twin->n_layers, last->n_layers);
	for (size_t i = 0; i < last->n_tags; i++) {
		if (add_tag(twin, strdup(last->tags[i])) < 0)
			return error_errno(reader->error, -ENOMEM, "'%s' in the archive", name);
	}
	manifest_done(last);
	reader->list->n_items--;
	return 0;
}

int manifest_end(struct manifest_reader *reader, const char *name, const struct digest *digest)
{
	struct manifest *manifest = &reader->list->items[reader->list->n_items - 1];
	struct manifest *twin = find_twin(reader->list, name, NULL);
	cleanup_document struct document document = { 0 };
	int r;

	if (manifest->n_layers == 0) {
		if (manifest_add_layer(manifest, NULL, NULL) < 0)
			return error_errno(reader->error, -ENOMEM, "'%s' in the archive", name);
		manifest->layers[0].diff_id = empty_tar;
	}
	if (twin)
		return join(reader, twin, name);
	r = document_read(&reader->documents, name, digest, &document);
	if (r < 0)
		return r;
	twin = find_twin(reader->list, NULL, &document.digest);
	if (twin)
		return join(reader, twin, name);
	manifest->config_name = strdup(name);
	if (!manifest->config_name || manifest_list_keep(reader->list, document.text) < 0)
		return error_errno(reader->error, -ENOMEM, "'%s' in the archive", name);
	manifest->config = take_ptr(document.text);
	manifest->config_size = document.size;
	manifest->image_id = document.digest;
	return read_config(document.json, name, reader->error, manifest);
}
