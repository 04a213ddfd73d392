/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "archive/manifest.h"

#include <errno.h>
#include <string.h>

#include "archive/manifest_impl.h"

/* What a platform that is asked for leaves of images, of which each says what it is for. */
static int keep_wanted(struct manifest_reader *reader)
{
	struct manifest_list *list = reader->list;
	struct offered offered = { 0 };
	size_t n = 0;

	for (size_t i = 0; i < list->n_items; i++) {
		struct manifest *manifest = &list->items[i];
		struct platform platform;

		platform_set(&platform, manifest->os, manifest->architecture, manifest->variant);
		if (!manifest->architecture || !manifest->os ||
		    platform_rank(&reader->choice->platform, &platform) != PLATFORM_NONE) {
			list->items[n++] = *manifest;
			continue;
		}
		offered_add(&offered, &platform);
		manifest_done(manifest);
	}
	list->n_items = n;
	return n > 0 ? 0 : manifest_not_offered(reader, &offered);
}

static int nothing_there(const struct manifest_reader *reader, const struct name_list *names)
{
	const struct manifest_list *list = reader->list;

	if (list->n_others > 0)
		return error_set(reader->error, -EBADMSG, "the archive holds no image, but %s",
				 list->others);
	if (reader->choice->name)
		return error_set(reader->error, -ENOENT, "the archive holds no image '%s'%s%s",
				 reader->choice->name, *names->text ? ", but " : "", names->text);
	return error_set(reader->error, -EBADMSG, "the archive holds no image");
}

int manifest_list_read(struct bundle *bundle, enum form form, const struct manifest_choice *choice,
		       struct error *error, struct manifest_list *ret)
{
	struct manifest_list list = { 0 };
	struct manifest_reader reader = {
		.documents = { .bundle = bundle, .error = error },
		.bundle = bundle,
		.choice = choice,
		.error = error,
		.list = &list,
	};
	int r = form == FORM_DOCKER ? manifest_read_docker(&reader)
		: form == FORM_DIR  ? manifest_read_dir(&reader)
				    : manifest_read_oci(&reader);

	if (r == 0 && list.n_items == 0)
		r = nothing_there(&reader, &reader.names);
	if (r == 0 && choice->is_strict)
		r = keep_wanted(&reader);
	if (r < 0)
		manifest_list_done(&list);
	else
		*ret = list;
	return r;
}
