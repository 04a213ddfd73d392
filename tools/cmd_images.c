/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "cmd.h"
#include "store/image.h"
#include "store/sharing.h"
#include "value/age.h"
#include "value/printable.h"

/* Tags point at images; the listing goes the other way. */
struct image_table {
	struct index_txn *txn;
	json_t *json; /* NULL: a table */
	const struct image *image;
	json_t *tags; /* of `image` */
	unsigned int n_tags;
	struct sharing sharing;
	time_t now;
};

/* A name with a digest in place of a tag has "@" and the beginning of that. */
static void print_name(const char *tag)
{
	cleanup_free char *shown = printable_copy(tag);
	const char *at = shown ? strchr(shown, '@') : NULL;
	const char *colon = shown ? strrchr(shown, ':') : NULL;

	if (at)
		printf("%-32.*s %-16.16s ", (int)(at - shown), shown, at);
	else if (colon)
		printf("%-32.*s %-16s ", (int)(colon - shown), shown, colon + 1);
	else
		printf("%-32s %-16s ", shown ? shown : "?", shown ? shown : "?");
}

static void print_row(const struct image_table *listing, const char *tag)
{
	const struct image *image = listing->image;
	bool is_date = image->created && printable_is_date(image->created);
	char size[16], shared[16], age[48];

	print_name(tag);
	printf("%.12s %6zu %10s %10s  %s\n", image->id.hex, image->n_layers,
	       cmd_size(size, image_size(image)),
	       cmd_size(shared, sharing_size(&listing->sharing, image)),
	       is_date ? age_text(age, image->created, listing->now) : "-");
}

static int show_tag(void *context, const char *tag, const struct digest *id)
{
	struct image_table *listing = context;

	if (!digest_equal(id, &listing->image->id))
		return 0;
	listing->n_tags++;
	if (listing->json)
		json_array_append_new(listing->tags, json_string(tag));
	else
		print_row(listing, tag);
	return 0;
}

/* Takes the reference to `tags`. */
static json_t *describe(const struct image_table *listing, json_t *tags)
{
	const struct image *image = listing->image;
	json_t *layers = json_array();

	for (size_t i = 0; i < image->n_layers; i++)
		json_array_append_new(layers, json_pack("{s:s+, s:s, s:I}", "diff_id",
							"sha256:", image->layers[i].diff_id.hex,
							"directory", image->layers[i].branch.hex,
							"size", (json_int_t)image->layers[i].size));
	return json_pack("{s:s, s:o, s:s+, s:s?, s:s?, s:s?, s:I, s:I, s:o}", "id", image->id.hex,
			 "tags", tags, "chain_id", "sha256:", image->chain.hex, "architecture",
			 image->architecture, "os", image->os, "created", image->created, "size",
			 (json_int_t)image_size(image), "shared",
			 (json_int_t)sharing_size(&listing->sharing, image), "layers", layers);
}

static int show_image(void *context, const struct image *image)
{
	struct image_table *listing = context;
	int r;

	listing->image = image;
	listing->n_tags = 0;
	listing->tags = listing->json ? json_array() : NULL;
	r = image_each_tag(listing->txn, show_tag, listing);
	if (listing->json)
		json_array_append_new(listing->json, describe(listing, listing->tags));
	else if (r == 0 && listing->n_tags == 0)
		print_row(listing, "<none>");
	return r;
}

static int list(bool as_json)
{
	cleanup_store struct store *store = NULL;
	struct image_table listing = { 0 };
	struct index_txn txn;
	struct error error;
	int r;

	if (cmd_open_store_to_read(&cmd_images, &store) < 0)
		return CMD_FAILED;
	if (store_begin(store, false, &error, &txn) < 0)
		return cmd_fail(&cmd_images, "%s", error.text);
	listing.txn = &txn;
	listing.json = as_json ? json_array() : NULL;
	listing.now = time(NULL);
	if (!as_json)
		printf("%-32s %-16s %-12s %6s %10s %10s  %s\n", "NAME", "TAG", "IMAGE ID", "LAYERS",
		       "SIZE", "SHARED", "CREATED");
	r = sharing_read(&txn, &listing.sharing);
	if (r == 0)
		r = image_each(&txn, show_image, &listing);
	index_abort(&txn);
	sharing_done(&listing.sharing);
	if (as_json && r == 0) {
		json_dumpf(listing.json, stdout, JSON_INDENT(2));
		putchar('\n');
	}
	json_decref(listing.json);
	return r < 0 ? cmd_fail(&cmd_images, "store %s: %s", store->path, strerror(-r)) : CMD_OK;
}

static int run(int argc, char *argv[])
{
	static const struct option options[] = { { "json", no_argument, NULL, 'j' }, { 0 } };
	bool as_json = false;
	int c, exit_code;

	while ((c = cmd_option(&cmd_images, argc, argv, options, &exit_code)) != -1) {
		if (c == CMD_STOP)
			return exit_code;
		as_json = true;
	}
	if (!cmd_check_operands(&cmd_images, argc, 0, 0))
		return CMD_USAGE;
	return list(as_json);
}

const struct cmd cmd_images = {
	.name = "images",
	.args = "[--json]",
	.summary = "list the images in the store",
	.help = "Lists names, ids, layers and sizes: a line for each name.  SHARED is what of "
		"SIZE\n"
		"other images have too.\n\n"
		"  --json  an array of objects with full ids, layers and sizes",
	.run = run,
};
