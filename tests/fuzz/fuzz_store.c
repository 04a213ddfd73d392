/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The store's records (store.mdb), damaged: they are listed, looked up and changed, or refused.
 * There are so many that the tables have branch pages, some values have pages of their own, and
 * some pages are free.
 */
#include "store/opening.h"

#include "fuzz.h"
#include "store/container.h"
#include "store/image.h"
#include "store/reference.h"

enum { N_IMAGES = 40, N_LAYERS = 25, N_CONTAINERS = 20 };

static struct bytes whole;
static char store_path[sizeof(scratch_path) + 16];

static struct digest digest(unsigned int n)
{
	struct digest d;

	snprintf(d.hex, sizeof(d.hex), "%064x", n * 2654435761U);
	return d;
}

static int put_image(struct index_txn *txn, unsigned int n)
{
	struct image_layer layers[N_LAYERS];
	struct image image = { .id = digest(n),
			       .chain = digest(n + 1),
			       .layers = layers,
			       .n_layers = n % 4 ? n % 4 : N_LAYERS,
			       .created = "2020-01-02T03:04:05Z" };
	char tag[32];

	for (unsigned int i = 0; i < N_LAYERS; i++) {
		layers[i] = (struct image_layer){ .diff_id = digest(1000 + i),
						  .branch = digest(1000 + i) };
		store_put_layer(txn, &layers[i].branch, i);
	}
	snprintf(tag, sizeof(tag), "host/app:%u", n);
	index_put(txn, STORE_TAGS, tag, strlen(tag), image.id.hex, 64);
	return image_save(txn, &image);
}

static void put_container(struct index_txn *txn, unsigned int n)
{
	char name[32];
	struct container container = { .name = name,
				       .image = digest(n),
				       .image_name = "host/app:1",
				       .created = "2020-01-02T03:04:05Z" };

	snprintf(container.id, sizeof(container.id), "%016x", n * 2654435761U);
	snprintf(name, sizeof(name), "c%u", n);
	assert_eq(container_save(txn, &container), 0);
}

static void fill(struct store *store)
{
	struct index_txn txn;
	struct error error;

	for (unsigned int n = 0; n < N_IMAGES; n++) {
		assert_eq(store_begin(store, true, &error, &txn), 0);
		assert_eq(put_image(&txn, n), 0);
		if (n < N_CONTAINERS)
			put_container(&txn, n);
		assert_eq(store_commit(&txn, &error), 0);
	}
	for (unsigned int n = 0; n < N_IMAGES; n += 5) {
		assert_eq(store_begin(store, true, &error, &txn), 0);
		index_delete(&txn, STORE_IMAGES, digest(n).hex, 64);
		assert_eq(store_commit(&txn, &error), 0);
	}
}

/*
 * As an earlier version would have written it: with the seal, every damage is refused at once, so
 * that nothing behind it would be tried.
 */
static void remove_seal(struct bytes *bytes)
{
	char *format = memmem(bytes->data, bytes->size, "format2", 7);

	assert(format && bytes->size % 4096 == 32);
	format[6] = '1';
	bytes->size -= 32;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	struct store *store;
	struct error error;

	(void)argc;
	(void)argv;
	fuzz_begin();
	snprintf(store_path, sizeof(store_path), "%s/case", scratch_path);
	case_begin();
	assert_eq(store_open(store_path, &error, &store), 0);
	fill(store);
	store_free(store);
	whole = bytes_of_file(scratch, "store.mdb");
	remove_seal(&whole);
	case_end();
	return 0;
}

/* --- looking --- */

static int any_image(void *context, const struct image *image)
{
	*(uint64_t *)context += image_size(image) + image->n_layers;
	return 0;
}

static int any_tag(void *context, const char *tag, const struct digest *id)
{
	*(uint64_t *)context += strlen(tag) + strlen(id->hex);
	return 0;
}

static int any_container(void *context, const struct container *container)
{
	*(uint64_t *)context += strlen(container->id);
	return 0;
}

static void list(struct store *store)
{
	struct index_txn txn;
	struct error error;
	struct reference reference;
	struct container container;
	uint64_t sum = 0;

	if (store_begin(store, false, &error, &txn) < 0)
		return;
	image_each(&txn, any_image, &sum);
	image_each_tag(&txn, any_tag, &sum);
	container_each(&txn, any_container, &sum);
	reference_find(&txn, "app:1", &error, &reference);
	reference_find(&txn, digest(3).hex, &error, &reference);
	if (container_find(&txn, "c3", &container) == CONTAINER_FOUND)
		container_done(&container);
	index_abort(&txn);
}

/* What is put into a store that was taken for good can be read. */
static void change(struct store *store, unsigned int from)
{
	struct index_txn txn;
	struct error error;
	struct image image;
	struct digest id = digest(from);

	for (unsigned int n = from; n < from + 6; n++) {
		if (store_begin(store, true, &error, &txn) < 0)
			return;
		index_delete(&txn, STORE_IMAGES, digest(n + 7).hex, 64);
		index_delete(&txn, STORE_TAGS, "host/app:3", strlen("host/app:3"));
		assert_eq(put_image(&txn, n), 0);
		if (store_commit(&txn, &error) < 0)
			return;
	}
	assert_eq(store_begin(store, false, &error, &txn), 0);
	assert_eq(image_load(&txn, &id, &image), IMAGE_FOUND);
	image_done(&image);
	index_abort(&txn);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = { data, size };
	unsigned int from = take_byte(&input);
	struct bytes bytes = damaged(&whole, &input);
	struct store *store;
	struct error error;

	case_begin();
	bytes_to_file(scratch, "store.mdb", bytes);
	free(bytes.data);
	if (store_open_to_read(store_path, &error, &store) == 0) {
		list(store);
		store_free(store);
	}
	if (store_open(store_path, &error, &store) == 0) {
		list(store);
		change(store, from);
		list(store);
		store_free(store);
	}
	case_end();
	return 0;
}
