/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The end of an import.  Files are made durable first, with no lock held.
 * Then, in one write transaction, which keeps other writers out: check that
 * the store still is what the images were prepared for, rename the staged
 * directories into place, write the records, commit.  A crash before the
 * commit leaves directories that no record mentions, and a dead staging
 * directory that makes the next command look for them.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "import/import_impl.h"
#include "store/reference.h"

static int add_tag(struct imported *imported, char *tag)
{
	char **more = realloc(imported->tags, (imported->n_tags + 1) * sizeof(*more));

	if (!more)
		return -ENOMEM;
	imported->tags = more;
	more[imported->n_tags++] = tag;
	return 0;
}

int import_choose_tags(struct import *import, size_t i, struct imported *ret)
{
	const struct manifest *manifest = &import->manifests.items[i];
	const char *fallback = import->manifests.n_items == 1 ? import->request->name : NULL;
	const char *const single[] = { import->request->tag ? import->request->tag : fallback };
	const char *const *from = (const char *const *)manifest->tags;
	size_t n = manifest->n_tags;

	if (import->request->tag || n == 0) {
		from = single;
		n = single[0] ? 1 : 0;
	}
	for (size_t k = 0; k < n; k++) {
		char *tag = NULL;
		int r = from == single ? reference_complete(from[k], &tag)
				       : reference_of_archive(from[k], import->request->name, &tag);

		if (r == -EINVAL)
			return error_set(import->error, r,
					 "'%s' is no name for an image: give one with --tag",
					 from[k]);
		if (r == 0)
			r = add_tag(ret, tag);
		if (r < 0) {
			free(tag);
			return error_errno(import->error, r, "image sha256:%s",
					   manifest->image_id.hex);
		}
	}
	return 0;
}

/* Images may share one, and what has its digest for a name is the same. */
static int stage_blob(struct import *import, const struct digest *digest, const char *text,
		      size_t size)
{
	char name[80];
	cleanup_fd int fd = -1;
	ssize_t n;

	snprintf(name, sizeof(name), "blob-%s", digest->hex);
	fd = fd_open(import->workspace.fd, name, O_WRONLY | O_CREAT | O_EXCL, 0600);
	if (fd < 0)
		return fd == -EEXIST ? 0 : fd;
	n = fd_pwrite_all(fd, text, size, 0);
	return n < 0 ? (int)n : (size_t)n != size ? -ENOSPC : 0;
}

static int stage_blobs(struct import *import)
{
	for (size_t i = 0; i < import->manifests.n_items; i++) {
		const struct manifest *manifest = &import->manifests.items[i];
		int r = stage_blob(import, &manifest->image_id, manifest->config,
				   manifest->config_size);

		if (r == 0 && manifest->text)
			r = stage_blob(import, &manifest->digest, manifest->text,
				       manifest->text_size);
		if (r < 0)
			return r;
	}
	return 0;
}

static bool is_staged(const struct import *import, const struct digest *branch)
{
	for (size_t i = 0; i < import->n_staged; i++) {
		if (digest_equal(&import->staged[i].branch, branch))
			return true;
	}
	return false;
}

/* Whether what was to be new is new still, and what was there is there. */
static int check_unchanged(struct import *import, struct index_txn *txn)
{
	uint64_t size;
	int r;

	for (size_t i = 0; i < import->n_staged; i++) {
		r = store_has_layer(txn, &import->staged[i].branch, &size);
		if (r != 0)
			return r < 0 ? r : IMPORT_CHANGED;
	}
	for (size_t i = 0; i < import->manifests.n_items; i++) {
		struct image *image = &import->prepared[i].image;

		for (size_t k = 0; k < image->n_layers; k++) {
			if (is_staged(import, &image->layers[k].branch))
				continue;
			r = store_has_layer(txn, &image->layers[k].branch, &size);
			if (r <= 0)
				return r < 0 ? r : IMPORT_CHANGED;
		}
		if (import->prepared[i].builds_chain)
			continue;
		r = import_has_chain(txn, &image->chain);
		if (r <= 0)
			return r < 0 ? r : IMPORT_CHANGED;
	}
	return 0;
}

static int publish_one(struct import *import, const char *prefix, const struct digest *id,
		       const char *suffix, int dirfd)
{
	char from[80], to[80];

	snprintf(from, sizeof(from), "%s%s%s", prefix, id->hex, suffix);
	snprintf(to, sizeof(to), "%s%s", id->hex, suffix);
	return workspace_publish(&import->workspace, from, dirfd, to);
}

static int publish_files(struct import *import)
{
	struct store *store = import->store;
	int r = 0;

	for (size_t i = 0; r == 0 && i < import->n_staged; i++)
		r = publish_one(import, "layer-", &import->staged[i].branch, "", store->layers);
	for (size_t i = 0; r == 0 && i < import->manifests.n_items; i++) {
		const struct manifest *manifest = &import->manifests.items[i];
		const struct prepared *prepared = &import->prepared[i];

		/* Two images of one archive may share any of these: the first took it. */
		if (prepared->builds_chain)
			r = publish_one(import, "", &prepared->image.chain, ".mdb", store->chains);
		if (r == 0 || r == -ENOENT)
			r = publish_one(import, "blob-", &manifest->image_id, "", store->blobs);
		if ((r == 0 || r == -ENOENT) && manifest->text)
			r = publish_one(import, "blob-", &manifest->digest, "", store->blobs);
		if (r == -ENOENT && i > 0)
			r = 0;
	}
	if (r == 0 &&
	    (fsync(store->layers) < 0 || fsync(store->chains) < 0 || fsync(store->blobs) < 0))
		r = -errno;
	return r;
}

static int write_records(struct import *import, const struct import_result *result,
			 struct index_txn *txn)
{
	int r;

	for (size_t i = 0; i < import->n_staged; i++)
		store_put_layer(txn, &import->staged[i].branch, import->staged[i].size);
	for (size_t i = 0; i < import->manifests.n_items; i++) {
		const struct imported *imported = &result->images[i];
		const struct digest *id = &import->manifests.items[i].image_id;

		r = image_save(txn, &import->prepared[i].image);
		if (r < 0)
			return r;
		for (size_t k = 0; k < imported->n_tags; k++)
			index_put(txn, STORE_TAGS, imported->tags[k], strlen(imported->tags[k]),
				  id->hex, strlen(id->hex));
	}
	return 0;
}

int import_publish(struct import *import, const struct import_result *result)
{
	struct store *store = import->store;
	struct index_txn txn;
	int r = stage_blobs(import);

	if (r == 0 && syncfs(store->root) < 0)
		r = -errno;
	if (r < 0)
		return error_errno(import->error, r, "store %s cannot be written", store->path);
	if (import->watch.step(import->watch.context, 0) != 0)
		return error_set(import->error, -ECANCELED, "interrupted");
	r = store_begin(store, true, import->error, &txn);
	if (r < 0)
		return r;
	r = check_unchanged(import, &txn);
	if (r == 0)
		r = publish_files(import);
	if (r == 0)
		r = write_records(import, result, &txn);
	if (r != 0) {
		index_abort(&txn);
		return r < 0 ? error_errno(import->error, r, "store %s cannot be written",
					   store->path)
			     : r;
	}
	return store_commit(&txn, import->error);
}
