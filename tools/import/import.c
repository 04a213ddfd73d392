/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a source is shows only when all of it is known: a tar of layers with
 * manifest.json at its end begins as a root filesystem might.  A plain tar
 * file is listed first, which costs a seek for each member.  Anything else,
 * a pipe or a compressed file, is unpacked as the single layer of a root
 * filesystem; if that turns out to hold a manifest, then the directory made is
 * the spool in which an image archive's members wait, and none of the stream
 * was kept in memory for it.
 */
#include "import/import.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "import/import_impl.h"

enum { MAX_ATTEMPTS = 8 };

static void imported_done(struct imported *imported)
{
	for (size_t i = 0; i < imported->n_tags; i++)
		free(imported->tags[i]);
	free(imported->tags);
}

void import_result_done(struct import_result *result)
{
	for (size_t i = 0; i < result->n_images; i++)
		imported_done(&result->images[i]);
	free(result->images);
	free(result->others);
	*result = (struct import_result){ 0 };
}

static int step(void *context, uint64_t bytes)
{
	struct import *import = context;
	const struct import_watch *watch = import->request->watch;

	import->done += bytes;
	return watch ? watch->step(watch->context, import->done, import->total) : 0;
}

static void import_done(struct import *import)
{
	for (size_t i = 0; import->prepared && i < import->manifests.n_items; i++)
		image_done(&import->prepared[i].image);
	free(import->prepared);
	free(import->staged);
	manifest_list_done(&import->manifests);
	bundle_free(import->bundle);
	if (import->spool >= 0)
		close(import->spool);
	workspace_end(&import->workspace);
}

/* A root filesystem is an image of one layer with the least config there is. */
static int describe_root(struct import *import, const struct unpacked *root)
{
	struct manifest_list *list = &import->manifests;
	struct manifest *manifest = manifest_list_add(list);
	const struct platform *platform = &import->choice.platform;
	cleanup_free char *text = NULL;
	char id[80] = "sha256:";
	json_t *config;

	if (!manifest)
		return -ENOMEM;
	manifest->layers = calloc(1, sizeof(*manifest->layers));
	strcat(id, root->diff_id.hex);
	config = json_pack("{s:s, s:s, s:{}, s:{s:s, s:[s]}}", "architecture",
			   platform->architecture, "os", platform->os, "config", "rootfs", "type",
			   "layers", "diff_ids", id);
	text = json_dumps(config, JSON_COMPACT);
	json_decref(config);
	manifest->architecture = strdup(platform->architecture);
	manifest->os = strdup(platform->os);
	if (!manifest->layers || !text || !manifest->architecture || !manifest->os ||
	    manifest_list_keep(list, text) < 0)
		return -ENOMEM;
	manifest->config = take_ptr(text);
	manifest->layers[0].diff_id = root->diff_id;
	manifest->n_layers = 1;
	manifest->config_size = strlen(manifest->config);
	return digest_of(manifest->config, manifest->config_size, &manifest->image_id);
}

static int has_layer(struct import *import, const struct digest *branch)
{
	struct index_txn txn;
	uint64_t size;
	int r = index_begin(import->store->index, false, &txn);

	if (r < 0)
		return r;
	r = store_has_layer(&txn, branch, &size);
	index_abort(&txn);
	return r;
}

/* Takes "new" for the layer of a root filesystem. */
static int take_root(struct import *import, const struct unpacked *root)
{
	int r;

	if (root->summary.n_entries == 0)
		return error_set(import->error, -EBADMSG, "no archive: there is nothing in it");
	r = describe_root(import, root);
	if (r == 0)
		r = has_layer(import, &root->diff_id);
	if (r < 0)
		return error_errno(import->error, r, "the image cannot be described");
	if (r > 0)
		return 0; /* what is in "new" is in the store already */
	return import_stage(import, &root->diff_id, root->summary.size);
}

static int read_manifests(struct import *import, enum form form)
{
	int r = manifest_list_read(import->bundle, form, &import->choice, import->error,
				   &import->manifests);

	return r < 0 ? r : import_count_bytes(import);
}

/* The form of the source, which is one that can be read, or FORM_NONE; or negative errno. */
static int find_form(struct import *import)
{
	const char *words = NULL;
	int r = form_of(import->bundle, &words);

	if (r < 0)
		return error_errno(import->error, r, "the archive cannot be looked into");
	return r == FORM_FOREIGN ? error_set(import->error, -EOPNOTSUPP, "this is %s", words) : r;
}

/* Makes "new" the spool of an image archive, if it is one. */
static int take_unpacked(struct import *import, const struct unpacked *unpacked)
{
	cleanup_fd int fd = fd_open(import->workspace.fd, "new", O_PATH | O_DIRECTORY, 0);
	int r = fd, form;

	if (r >= 0)
		r = import->spool = fd_open(fd, "diff", O_RDONLY | O_DIRECTORY, 0);
	if (r >= 0)
		r = bundle_of_directory(import->spool, &import->bundle);
	if (r < 0)
		return error_errno(import->error, r, "the archive cannot be unpacked");
	form = find_form(import);
	if (form < 0)
		return form;
	if (form == FORM_NONE)
		return take_root(import, unpacked);
	r = fd_rename(import->workspace.fd, "new", import->workspace.fd, "spool", 0);
	if (r < 0)
		return error_errno(import->error, r, "the archive cannot be unpacked");
	import->done = import->total = 0;
	*import->site.loss = (struct loss){ 0 }; /* members of the archive need no attributes */
	return read_manifests(import, (enum form)form);
}

static int read_stream(struct import *import)
{
	struct extent all = { .fd = import->request->fd, .offset = -1, .size = UINT64_MAX };
	struct unpacked unpacked;
	struct stat st;
	int r = fd_stat(all.fd, NULL, &st);

	if (r == 0 && S_ISREG(st.st_mode))
		import->total = (uint64_t)st.st_size;
	r = import_unpack(import, &all, NULL, 0, &unpacked);
	return r < 0 ? r : take_unpacked(import, &unpacked);
}

static int read_directory(struct import *import)
{
	int r = bundle_of_directory(import->request->fd, &import->bundle);

	if (r < 0)
		return error_errno(import->error, r, "the directory cannot be read");
	r = find_form(import);
	if (r == FORM_NONE)
		return error_set(import->error, -EINVAL,
				 "the directory is no image layout: it has no index.json");
	return r < 0 ? r : read_manifests(import, (enum form)r);
}

/* Finds out what the source is, and either stages its one layer or reads its manifests. */
static int read_source(struct import *import)
{
	struct stat st;
	int r = fd_stat(import->request->fd, NULL, &st);

	if (r < 0)
		return error_errno(import->error, r, "the source cannot be read");
	if (S_ISDIR(st.st_mode))
		return read_directory(import);
	r = bundle_of_tar(import->request->fd, import->error, &import->bundle);
	if (r < 0)
		return r;
	if (r == BUNDLE_NOT_PLAIN)
		return read_stream(import);
	r = find_form(import);
	if (r != FORM_NONE)
		return r < 0 ? r : read_manifests(import, (enum form)r);
	bundle_free(take_ptr(import->bundle));
	return read_stream(import);
}

/* What was staged and is now in the store by another's hand is not needed any more. */
static void drop_stale(struct import *import)
{
	for (size_t i = import->n_staged; i-- > 0;) {
		if (has_layer(import, &import->staged[i].branch) > 0)
			import_unstage(import, i);
	}
	for (size_t i = 0; i < import->manifests.n_items; i++) {
		char name[80];

		snprintf(name, sizeof(name), "%s.mdb", import->prepared[i].image.chain.hex);
		unlinkat(import->workspace.fd, name, 0);
	}
}

static int prepare_and_publish(struct import *import, struct import_result *result)
{
	size_t n = import->manifests.n_items;

	for (int attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
		int r = 0;

		for (size_t i = 0; r == 0 && i < n; i++)
			r = import_prepare(import, i);
		if (r == 0)
			r = import_publish(import, result);
		if (r != IMPORT_CHANGED)
			return r;
		drop_stale(import);
	}
	return error_set(import->error, -EAGAIN, "the store keeps changing: try again");
}

static int choose_all_tags(struct import *import, struct import_result *result)
{
	size_t n = import->manifests.n_items;
	int r = 0;

	if (import->request->tag && n > 1)
		return error_set(import->error, -EINVAL,
				 "the archive holds %zu images, which cannot all have one name", n);
	result->images = calloc(n, sizeof(*result->images));
	import->prepared = calloc(n, sizeof(*import->prepared));
	if (!result->images || !import->prepared)
		return error_errno(import->error, -ENOMEM, "the images cannot be named");
	result->n_images = n;
	for (size_t i = 0; r == 0 && i < n; i++)
		r = import_choose_tags(import, i, &result->images[i]);
	return r;
}

static int run(struct import *import, struct import_result *result)
{
	int r = workspace_begin(import->store, import->error, &import->workspace);

	if (r < 0)
		return r;
	r = layer_probe(import->workspace.fd, &import->site);
	if (r < 0)
		return error_errno(import->error, r, "store %s cannot hold layers",
				   import->store->path);
	import->site.lossy = import->request->lossy;
	import->site.loss = &result->loss;
	r = read_source(import);
	if (r == 0)
		r = choose_all_tags(import, result);
	if (r == 0)
		r = prepare_and_publish(import, result);
	for (size_t i = 0; r == 0 && i < result->n_images; i++) {
		result->images[i].id = import->prepared[i].image.id;
		result->images[i].n_layers = import->prepared[i].image.n_layers;
		result->images[i].n_new = import->prepared[i].n_new;
	}
	return r;
}

int import_run(struct store *store, const struct import_request *request, struct error *error,
	       struct import_result *ret)
{
	struct import import = {
		.store = store,
		.request = request,
		.error = error,
		.workspace = { .fd = -1 },
		.choice = { .is_strict = request->platform != NULL,
			    .name = request->only,
			    .file = request->name },
		.watch = { .step = step, .context = &import },
		.spool = -1,
	};
	struct import_result result = { 0 };
	int r;

	if (request->platform)
		import.choice.platform = *request->platform;
	else
		platform_of_machine(&import.choice.platform);
	r = run(&import, &result);
	result.others = take_ptr(import.manifests.others);

	import_done(&import);
	if (r < 0)
		import_result_done(&result);
	else
		*ret = result;
	return r;
}
