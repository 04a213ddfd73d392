/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Layers are unpacked lowest first, so that one which links to a file of a
 * lower layer finds it.  A layer is known by its diff ID, or, if it took
 * something from below, by its chain ID: the same layer above others may then
 * be another branch.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "import/import_impl.h"
#include "lower/chain.h"

DEFINE_CLEANUP(struct stream *, stream, stream_free)

static int open_new(struct import *import)
{
	cleanup_fd int fd = -1;

	if (mkdirat(import->workspace.fd, "new", 0700) < 0)
		return -errno;
	fd = fd_open(import->workspace.fd, "new", O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0)
		return fd;
	if (mkdirat(fd, "diff", 0755) < 0)
		return -errno;
	return fd_open(fd, "diff", O_RDONLY | O_DIRECTORY, 0);
}

int import_unpack(struct import *import, const struct extent *extent, const int below[],
		  size_t n_below, struct unpacked *ret)
{
	CLEANUP(cleanup_stream) struct stream *stream = NULL;
	cleanup_fd int fd = open_new(import);
	int r;

	if (fd < 0)
		return error_errno(import->error, fd, "store %s: tmp", import->store->path);
	r = stream_open(extent, &import->watch, import->error, &stream);
	if (r == 0)
		r = layer_unpack(stream, fd, &import->site, below, n_below, import->error,
				 &ret->summary);
	if (r == 0)
		r = stream_finish(stream, &ret->blob, &ret->diff_id);
	return r;
}

static void name_staged(char name[80], const struct digest *branch)
{
	snprintf(name, 80, "layer-%s", branch->hex);
}

int import_stage(struct import *import, const struct digest *branch, uint64_t size)
{
	struct staged_branch *more = realloc(import->staged,
					     (import->n_staged + 1) * sizeof(*more));
	char name[80];
	int r;

	if (!more)
		return error_errno(import->error, -ENOMEM, "layer sha256:%s", branch->hex);
	import->staged = more;
	name_staged(name, branch);
	r = fd_rename(import->workspace.fd, "new", import->workspace.fd, name, 0);
	if (r < 0)
		return error_errno(import->error, r, "layer sha256:%s", branch->hex);
	more[import->n_staged++] = (struct staged_branch){ .branch = *branch, .size = size };
	return 0;
}

void import_unstage(struct import *import, size_t i)
{
	char name[80];

	name_staged(name, &import->staged[i].branch);
	fd_remove_tree(import->workspace.fd, name);
	import->staged[i] = import->staged[--import->n_staged];
}

static int open_staged(struct import *import, const struct digest *branch)
{
	char name[90];
	cleanup_fd int fd = -1;

	name_staged(name, branch);
	fd = fd_open(import->workspace.fd, name, O_PATH | O_DIRECTORY, 0);
	return fd < 0 ? fd : fd_open(fd, "diff", O_RDONLY | O_DIRECTORY, 0);
}

/* The branches of one image while they are being gathered, lowest first. */
struct stack {
	struct image_layer *layers;
	int *fds;
	size_t n;
};

static void stack_done(struct stack *stack)
{
	for (size_t i = 0; i < stack->n; i++)
		close(stack->fds[i]);
	free(stack->fds);
}

static int stack_reverse(const struct stack *stack, int **ret)
{
	int *fds = malloc((stack->n + 1) * sizeof(*fds));

	if (!fds)
		return -ENOMEM;
	for (size_t i = 0; i < stack->n; i++)
		fds[i] = stack->fds[stack->n - 1 - i];
	*ret = fds;
	return 0;
}

enum { ELSEWHERE = 0, IN_STORE = 1, IN_STAGING = 2 };

/* Finds the branch `id`: an open descriptor in `*ret_fd`, and where it was. */
static int find_branch(struct import *import, const struct digest *id, uint64_t *ret_size,
		       int *ret_fd)
{
	struct index_txn txn;
	int fd, r;

	for (size_t i = 0; i < import->n_staged; i++) {
		if (!digest_equal(&import->staged[i].branch, id))
			continue;
		fd = open_staged(import, id);
		*ret_size = import->staged[i].size;
		*ret_fd = fd;
		return fd < 0 ? fd : IN_STAGING;
	}
	r = index_begin(import->store->index, false, &txn);
	if (r < 0)
		return r;
	r = store_has_layer(&txn, id, ret_size);
	index_abort(&txn);
	if (r <= 0)
		return r < 0 ? r : ELSEWHERE;
	fd = store_open_layer(import->store, id);
	if (fd == -ENOENT) /* removed between the two */
		return ELSEWHERE;
	*ret_fd = fd;
	return fd < 0 ? fd : IN_STORE;
}

static int check_digests(struct import *import, const struct manifest_layer *layer,
			 const struct unpacked *found)
{
	if (layer->has_digest && !digest_equal(&layer->digest, &found->blob))
		return error_set(import->error, -EBADMSG, "its digest is sha256:%s, not as named",
				 found->blob.hex);
	if (!digest_equal(&layer->diff_id, &found->diff_id))
		return error_set(import->error, -EBADMSG,
				 "its diff ID is sha256:%s, but the config says sha256:%s",
				 found->diff_id.hex, layer->diff_id.hex);
	return 0;
}

/* The tar that the layer of an image without layers stands for: 1, or negative errno. */
static int make_empty(int *ret_fd, struct extent *ret)
{
	cleanup_fd int fd = memfd_create("cairn layer", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, MANIFEST_EMPTY_TAR) < 0)
		return -errno;
	*ret_fd = take_fd(&fd);
	*ret = (struct extent){ .fd = *ret_fd, .size = MANIFEST_EMPTY_TAR };
	return 1;
}

/* Unpacks a layer above `stack` and stages it; fills in the branch and its size. */
static int add_new(struct import *import, const struct manifest_layer *layer,
		   const struct digest *chain, const struct stack *stack, struct image_layer *to)
{
	cleanup_free int *below = NULL;
	cleanup_fd int zeros = -1;
	struct unpacked found;
	struct extent extent;
	int r = layer->member ? bundle_find(import->bundle, layer->member, &extent)
		: manifest_layer_is_empty(layer) ? make_empty(&zeros, &extent)
						 : 0;

	if (r <= 0)
		return error_errno(import->error, r < 0 ? r : -ENOENT, "cannot be found");
	r = stack_reverse(stack, &below);
	if (r < 0)
		return error_errno(import->error, r, "cannot be unpacked");
	r = import_unpack(import, &extent, below, stack->n, &found);
	if (r == 0)
		r = check_digests(import, layer, &found);
	if (r < 0)
		return r;
	to->branch = found.summary.borrowed ? *chain : layer->diff_id;
	to->size = found.summary.size;
	return import_stage(import, &to->branch, to->size);
}

/* Adds one layer to the stack; `*ret_new` if it is not in the store. */
static int add_layer(struct import *import, const struct manifest_layer *layer,
		     const struct digest *chain, struct stack *stack, bool *ret_new)
{
	struct image_layer *to = &stack->layers[stack->n];
	int fd = -1, r;

	to->diff_id = to->branch = layer->diff_id;
	r = find_branch(import, &to->branch, &to->size, &fd);
	if (r == ELSEWHERE) {
		to->branch = *chain;
		r = find_branch(import, &to->branch, &to->size, &fd);
	}
	if (r == ELSEWHERE) {
		r = add_new(import, layer, chain, stack, to);
		if (r < 0)
			return r;
		fd = open_staged(import, &to->branch);
		r = fd < 0 ? fd : IN_STAGING;
	}
	if (r < 0)
		return error_errno(import->error, r, "cannot be opened");
	*ret_new = r == IN_STAGING;
	stack->fds[stack->n++] = fd;
	return 0;
}

static int is_of_chain(void *chain, const struct image *image)
{
	return digest_equal(chain, &image->chain);
}

int import_has_chain(struct index_txn *txn, const struct digest *chain)
{
	struct digest wanted = *chain;

	return image_each(txn, is_of_chain, &wanted);
}

/*
 * An index in the store can be used if some image has it and no branch under
 * it is new: it knows the files of its branches by their inode numbers.
 */
static int needs_chain(struct import *import, struct prepared *prepared)
{
	struct index_txn txn;
	int r;

	if (prepared->n_new > 0)
		return 1;
	r = store_begin(import->store, false, import->error, &txn);
	if (r < 0)
		return r;
	r = import_has_chain(&txn, &prepared->image.chain);
	index_abort(&txn);
	return r < 0 ? error_errno(import->error, r, "store %s", import->store->path) : !r;
}

static int build_chain(struct import *import, struct prepared *prepared, const struct stack *stack)
{
	const char *id = prepared->image.chain.hex;
	cleanup_free int *branches = NULL;
	char name[80];
	int r = needs_chain(import, prepared);

	prepared->builds_chain = r > 0;
	if (r <= 0)
		return r;
	r = stack_reverse(stack, &branches);
	snprintf(name, sizeof(name), "%s.mdb", id);
	if (r == 0)
		r = chain_build(branches, stack->n, id, import->workspace.fd, name);
	if (r == -EEXIST) /* another image of this run has the same */
		r = 0;
	return r < 0 ? error_errno(import->error, r, "index of chain sha256:%s", id) : 0;
}

static int copy_strings(const struct manifest *manifest, struct image *image)
{
	if ((manifest->architecture && !(image->architecture = strdup(manifest->architecture))) ||
	    (manifest->os && !(image->os = strdup(manifest->os))) ||
	    (manifest->created && !(image->created = strdup(manifest->created))))
		return -ENOMEM;
	return 0;
}

static int add_layers(struct import *import, const struct manifest *manifest,
		      struct prepared *prepared, struct stack *stack)
{
	struct digest *chain = &prepared->image.chain;
	int r;

	for (size_t i = 0; i < manifest->n_layers; i++) {
		const struct manifest_layer *layer = &manifest->layers[i];
		struct digest below = *chain;
		bool is_new = false;

		r = digest_chain(i > 0 ? &below : NULL, &layer->diff_id, chain);
		if (r < 0)
			return error_errno(import->error, r, "chain ID");
		r = add_layer(import, layer, chain, stack, &is_new);
		if (r < 0)
			return error_within(import->error, r, "layer %zu ('%s')", i + 1,
					    layer->member ? layer->member : layer->diff_id.hex);
		prepared->n_new += is_new;
	}
	prepared->image.n_layers = stack->n;
	return 0;
}

int import_prepare(struct import *import, size_t i)
{
	const struct manifest *manifest = &import->manifests.items[i];
	struct prepared *prepared = &import->prepared[i];
	struct image *image = &prepared->image;
	struct stack stack = { 0 };
	int r;

	image_done(image);
	prepared->n_new = 0;
	image->id = manifest->image_id;
	image->has_manifest = manifest->text != NULL;
	image->manifest = manifest->digest;
	image->layers = calloc(manifest->n_layers, sizeof(*image->layers));
	stack.layers = image->layers;
	stack.fds = calloc(manifest->n_layers, sizeof(*stack.fds));
	if (!image->layers || !stack.fds || copy_strings(manifest, image) < 0)
		r = error_errno(import->error, -ENOMEM, "image sha256:%s", image->id.hex);
	else
		r = add_layers(import, manifest, prepared, &stack);
	if (r == 0)
		r = build_chain(import, prepared, &stack);
	stack_done(&stack);
	return r;
}

int import_count_bytes(struct import *import)
{
	for (size_t i = 0; i < import->manifests.n_items; i++) {
		const struct manifest *manifest = &import->manifests.items[i];

		for (size_t k = 0; k < manifest->n_layers; k++) {
			struct extent extent;
			uint64_t size;
			int fd = -1, r;

			if (!manifest->layers[k].member)
				continue;
			r = find_branch(import, &manifest->layers[k].diff_id, &size, &fd);
			if (r > 0)
				close(fd);
			if (r == ELSEWHERE)
				r = bundle_find(import->bundle, manifest->layers[k].member,
						&extent) == BUNDLE_PRESENT
					    ? 0
					    : 1;
			if (r == 0)
				import->total += extent.size;
		}
	}
	return 0;
}
