/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "cmd.h"
#include "store/image.h"
#include "value/printable.h"

/* Tags point at images; the listing goes the other way. */
struct image_table {
	struct index_txn *txn;
	json_t *json; /* NULL: a table */
	const struct image *image;
	json_t *tags; /* of `image` */
	unsigned int n_tags;
};

static void print_row(const struct image *image, const char *tag)
{
	cleanup_free char *shown = printable_copy(tag);
	const char *colon = shown ? strrchr(shown, ':') : NULL;
	int len = colon ? (int)(colon - shown) : -1;
	bool is_date = image->created && printable_is_date(image->created);
	char size[16];

	printf("%-32.*s %-16s %.12s %6zu %10s  %s\n", len, shown ? shown : "?",
	       colon   ? colon + 1
	       : shown ? shown
		       : "?",
	       image->id.hex, image->n_layers, cmd_size(size, image_size(image)),
	       is_date ? image->created : "-");
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
		print_row(listing->image, tag);
	return 0;
}

/* Takes the reference to `tags`. */
static json_t *describe(const struct image *image, json_t *tags)
{
	json_t *layers = json_array();

	for (size_t i = 0; i < image->n_layers; i++)
		json_array_append_new(layers, json_pack("{s:s+, s:s, s:I}", "diff_id",
							"sha256:", image->layers[i].diff_id.hex,
							"directory", image->layers[i].branch.hex,
							"size", (json_int_t)image->layers[i].size));
	return json_pack("{s:s, s:o, s:s+, s:s?, s:s?, s:s?, s:I, s:o}", "id", image->id.hex,
			 "tags", tags, "chain_id", "sha256:", image->chain.hex, "architecture",
			 image->architecture, "os", image->os, "created", image->created, "size",
			 (json_int_t)image_size(image), "layers", layers);
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
		json_array_append_new(listing->json, describe(image, listing->tags));
	else if (r == 0 && listing->n_tags == 0)
		print_row(image, "<none>");
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
	if (!as_json)
		printf("%-32s %-16s %-12s %6s %10s  %s\n", "NAME", "TAG", "IMAGE ID", "LAYERS",
		       "SIZE", "CREATED");
	r = image_each(&txn, show_image, &listing);
	index_abort(&txn);
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
	.help = "Lists names, ids, layers and sizes: a line for each name.\n\n"
		"  --json  an array of objects with full ids, layers and sizes",
	.run = run,
};
