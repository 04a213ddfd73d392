/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "image/manifest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "image/printable.h"
#include "manifest_impl.h"

static void manifest_done(struct manifest *manifest)
{
	for (size_t i = 0; i < manifest->n_tags; i++)
		free(manifest->tags[i]);
	for (size_t i = 0; i < manifest->n_layers; i++)
		free(manifest->layers[i].member);
	free(manifest->tags);
	free(manifest->layers);
	free(manifest->text);
	free(manifest->config);
	free(manifest->architecture);
	free(manifest->os);
	free(manifest->created);
}

void manifest_list_done(struct manifest_list *list)
{
	for (size_t i = 0; i < list->n_items; i++)
		manifest_done(&list->items[i]);
	free(list->items);
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

int manifest_add_layer(struct manifest *manifest, const char *name, const struct digest *digest)
{
	struct manifest_layer *more = realloc(manifest->layers,
					      (manifest->n_layers + 1) * sizeof(*more));

	if (!more)
		return -ENOMEM;
	manifest->layers = more;
	more += manifest->n_layers;
	*more = (struct manifest_layer){ .member = strdup(name), .has_digest = digest != NULL };
	if (!more->member)
		return -ENOMEM;
	if (digest)
		more->digest = *digest;
	manifest->n_layers++;
	return 0;
}

int manifest_add_tag(struct manifest *manifest, const char *tag)
{
	char **more = realloc(manifest->tags, (manifest->n_tags + 1) * sizeof(*more));

	if (!more)
		return -ENOMEM;
	manifest->tags = more;
	more[manifest->n_tags] = strdup(tag);
	if (!more[manifest->n_tags])
		return -ENOMEM;
	manifest->n_tags++;
	return 0;
}

int manifest_load(struct bundle *bundle, const char *name, const struct digest *digest,
		  struct error *error, json_t **ret, char **ret_text, size_t *ret_size)
{
	cleanup_free char *text = NULL;
	struct digest found;
	json_error_t where;
	json_t *json;
	size_t size;
	int r = bundle_read(bundle, name, error, &text, &size);

	if (r < 0)
		return r;
	r = digest_of(text, size, &found);
	if (r < 0)
		return error_errno(error, r, "'%s' in the archive", name);
	if (digest && !digest_equal(digest, &found))
		return error_set(error, -EBADMSG, "'%s' in the archive: its digest is sha256:%s",
				 name, found.hex);
	json = json_loadb(text, size, 0, &where);
	if (!json)
		return error_set(error, -EBADMSG, "'%s' in the archive: line %d: %s", name,
				 where.line, where.text);
	if (ret_text) {
		*ret_text = take_ptr(text);
		*ret_size = size;
	}
	*ret = json;
	return 0;
}

static int copy_string(const json_t *json, const char *key, char **ret)
{
	const char *text = json_string_value(json_object_get(json, key));

	if (!text || !*text)
		return 0;
	*ret = strdup(text);
	return *ret ? 0 : -ENOMEM;
}

static int read_diff_ids(const json_t *config, const char *name, struct error *error,
			 struct manifest *manifest)
{
	const json_t *ids = json_object_get(json_object_get(config, "rootfs"), "diff_ids");

	if (!json_is_array(ids))
		return error_set(
			error, -EBADMSG,
			"'%s' in the archive: no container image: it has no rootfs.diff_ids", name);
	if (json_array_size(ids) != manifest->n_layers)
		return error_set(error, -EBADMSG,
				 "'%s' in the archive: %zu diff IDs for %zu layers", name,
				 json_array_size(ids), manifest->n_layers);
	for (size_t i = 0; i < manifest->n_layers; i++) {
		const char *id = json_string_value(json_array_get(ids, i));

		if (!id || !digest_parse(id, &manifest->layers[i].diff_id))
			return error_set(error, -EBADMSG,
					 "'%s' in the archive: diff ID %zu is no sha256 digest",
					 name, i + 1);
	}
	return 0;
}

int manifest_read_config(struct bundle *bundle, const char *name, const struct digest *digest,
			 struct error *error, struct manifest *manifest)
{
	cleanup_json json_t *config = NULL;
	int r = manifest_load(bundle, name, digest, error, &config, &manifest->config,
			      &manifest->config_size);

	if (r < 0)
		return r;
	r = digest_of(manifest->config, manifest->config_size, &manifest->image_id);
	if (r == 0)
		r = copy_string(config, "architecture", &manifest->architecture);
	if (r == 0)
		r = copy_string(config, "os", &manifest->os);
	if (r == 0)
		r = copy_string(config, "created", &manifest->created);
	if (r == 0 && manifest->created && !printable_is_date(manifest->created))
		free(take_ptr(manifest->created));
	if (r < 0)
		return error_errno(error, r, "'%s' in the archive", name);
	return read_diff_ids(config, name, error, manifest);
}

int manifest_list_read(struct bundle *bundle, const char *architecture, struct error *error,
		       struct manifest_list *ret)
{
	struct manifest_list list = { 0 };
	int kind = bundle_kind(bundle);
	int r;

	if (kind < 0)
		return error_errno(error, kind, "cannot look into the archive");
	if (kind == BUNDLE_DOCKER)
		r = manifest_read_docker(bundle, error, &list);
	else
		r = manifest_read_oci(bundle, architecture, error, &list);
	for (size_t i = 0; r == 0 && i < list.n_items; i++) {
		if (list.items[i].n_layers == 0)
			r = error_set(error, -EBADMSG, "image sha256:%s has no layers",
				      list.items[i].image_id.hex);
	}
	if (r == 0 && list.n_items == 0)
		r = error_set(error, -EBADMSG, "the archive holds no image");
	if (r < 0)
		manifest_list_done(&list);
	else
		*ret = list;
	return r;
}

const char *manifest_architecture(void)
{
	static const struct {
		const char *machine, *name;
	} names[] = {
		{ "x86_64", "amd64" }, { "aarch64", "arm64" },	     { "armv7l", "arm" },
		{ "armv6l", "arm" },   { "armv8l", "arm" },	     { "i386", "386" },
		{ "i686", "386" },     { "riscv64", "riscv64" },     { "ppc64le", "ppc64le" },
		{ "s390x", "s390x" },  { "loongarch64", "loong64" }, { "mips64", "mips64le" },
	};
	struct utsname system;

	if (uname(&system) < 0)
		return "unknown";
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		if (strcmp(system.machine, names[i].machine) == 0)
			return names[i].name;
	}
	return "unknown";
}
