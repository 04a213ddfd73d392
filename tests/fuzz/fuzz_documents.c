/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The documents of an image (archive/manifest.h), as any text behind digests that are right: the
 * archive is made of them here.  It is imported or refused; a store that has refused it is as it
 * was, and one from which it was removed is empty.
 *
 * An input is a letter, `d` for the form of docker save, else OCI, and documents that are ended by
 * NULs, the last of which is manifest.json or index.json.  In each of them `@0` to `@9` stands for
 * the digest of an earlier one, `#0` to `#9` for its size, and `@L` and `#L` for those of a layer.
 */
#include "fuzz.h"
#include "import/import.h"
#include "store/image.h"
#include "store/opening.h"
#include "store/removal.h"

enum { MOST_DOCUMENTS = 10, MOST_IMAGES = 64 };

static char store_path[sizeof(scratch_path) + 32];
static uint8_t layer[2048]; /* a tar of one directory */

struct document {
	char *text;
	size_t size;
	struct digest digest;
};

static struct document layer_document;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	unsigned int sum = 8 * ' ';

	(void)argc;
	(void)argv;
	fuzz_begin();
	snprintf(store_path, sizeof(store_path), "%s/case/store", scratch_path);
	memcpy(layer, "dir/", 4);
	memcpy(layer + 100, "0000755\0000000000\0000000000\00000000000000\00000000000000", 48);
	memcpy(layer + 156, "5", 1);
	memcpy(layer + 257, "ustar\00000", 8);
	for (int i = 0; i < 512; i++)
		sum += layer[i];
	snprintf((char *)layer + 148, 8, "%06o", sum);
	layer_document = (struct document){ .text = (char *)layer, .size = sizeof(layer) };
	assert_eq(digest_of(layer, sizeof(layer), &layer_document.digest), 0);
	return 0;
}

/* --- the archive --- */

struct documents {
	struct document items[MOST_DOCUMENTS];
	size_t n;
};

/* What `@` or `#` followed by `c` is about; NULL: nothing. */
static const struct document *meant(const struct documents *documents, char c)
{
	size_t i = (size_t)(c - '0');

	if (c == 'L')
		return &layer_document;
	return c >= '0' && c <= '9' && i < documents->n ? &documents->items[i] : NULL;
}

static void add_document(struct documents *documents, const uint8_t *text, size_t size)
{
	struct document *to = &documents->items[documents->n];
	FILE *stream = open_memstream(&to->text, &to->size);

	assert(stream);
	for (size_t i = 0; i < size; i++) {
		bool is_mark = (text[i] == '@' || text[i] == '#') && i + 1 < size;
		const struct document *of = is_mark ? meant(documents, (char)text[i + 1]) : NULL;

		if (of && text[i] == '@')
			fputs(of->digest.hex, stream);
		else if (of)
			fprintf(stream, "%zu", of->size);
		else
			fputc(text[i], stream);
		i += of != NULL;
	}
	assert(fclose(stream) == 0);
	assert_eq(digest_of(to->text, to->size, &to->digest), 0);
	documents->n++;
}

static void write_blob(int at, const struct document *document, bool is_docker)
{
	char name[128];

	snprintf(name, sizeof(name), is_docker ? "%s.json" : "blobs/sha256/%s",
		 document->digest.hex);
	bytes_to_file(at, name, (struct bytes){ (uint8_t *)document->text, document->size });
}

static int write_archive(const struct documents *documents, bool is_docker)
{
	int at = make_dir_open(scratch, "archive");
	const struct document *last = &documents->items[documents->n - 1];

	make_dir(at, "blobs", 0755);
	make_dir(at, "blobs/sha256", 0755);
	make_file(at, "oci-layout", "{\"imageLayoutVersion\":\"1.0.0\"}");
	write_blob(at, &layer_document, false);
	if (is_docker)
		bytes_to_file(at, "layer.tar", (struct bytes){ layer, sizeof(layer) });
	for (size_t i = 0; i + 1 < documents->n; i++)
		write_blob(at, &documents->items[i], is_docker);
	bytes_to_file(at, is_docker ? "manifest.json" : "index.json",
		      (struct bytes){ (uint8_t *)last->text, last->size });
	return at;
}

/* --- the store --- */

static int count_names(int at)
{
	cleanup_dir DIR *dir = NULL;
	int n = 0;

	assert_eq(fd_opendir(at, &dir), 0);
	while (readdir(dir))
		n++;
	return n - 2;
}

static void check_empty(struct store *store)
{
	assert_eq(count_names(store->layers), 0);
	assert_eq(count_names(store->chains), 0);
	assert_eq(count_names(store->blobs), 0);
	assert_eq(count_names(store->tmp), 0);
}

static int note_id(void *context, const struct image *image)
{
	struct digest **next = context;

	*(*next)++ = image->id;
	return 0;
}

static void remove_images(struct store *store, size_t n)
{
	struct digest *ids = calloc(n + 1, sizeof(*ids)), *next = ids;
	const char **names = calloc(n + 1, sizeof(*names));
	struct index_txn txn;
	struct error error;

	assert(ids && names);
	assert_eq(store_begin(store, false, &error, &txn), 0);
	assert_eq(index_count(&txn, STORE_IMAGES) <= (int64_t)n, true);
	assert_eq(image_each(&txn, note_id, &next), 0);
	index_abort(&txn);
	for (size_t i = 0; i < (size_t)(next - ids); i++)
		names[i] = ids[i].hex;
	assert_eq(image_remove(store, names, (size_t)(next - ids), &error), 0);
	free(ids);
	free(names);
}

static void import(int archive)
{
	struct import_request request = { .fd = archive, .name = "archive" };
	struct import_result result = { 0 };
	struct error error = { "" };
	struct store *store;
	int r;

	assert_eq(store_open(store_path, &error, &store), 0);
	r = import_run(store, &request, &error, &result);
	assert(r == 0 || *error.text);
	for (const char *c = error.text; *c; c++)
		assert((unsigned char)*c >= ' ' && *c != 127);
	if (r == 0)
		remove_images(store, result.n_images);
	if (r == 0)
		import_result_done(&result);
	check_empty(store);
	store_free(store);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = { data, size };
	bool is_docker = take_byte(&input) == 'd';
	struct documents documents = { 0 };
	int archive;

	while (input.size > 0 && documents.n < MOST_DOCUMENTS) {
		size_t length = strnlen((const char *)input.data, input.size);

		add_document(&documents, input.data, length);
		length += length < input.size;
		input.data += length;
		input.size -= length;
	}
	if (documents.n == 0)
		return -1;
	case_begin();
	archive = write_archive(&documents, is_docker);
	import(archive);
	close(archive);
	case_end();
	for (size_t i = 0; i < documents.n; i++)
		free(documents.items[i].text);
	return 0;
}
