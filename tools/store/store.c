/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"

void store_free(struct store *store)
{
	if (!store)
		return;
	index_close(store->index);
	for (size_t i = 0; i < 6; i++) {
		int fds[] = { store->root,  store->layers,     store->chains,
			      store->blobs, store->containers, store->tmp };

		if (fds[i] >= 0)
			close(fds[i]);
	}
	free(store->path);
	free(store);
}
int store_refuse_damaged(struct store *store, struct error *error)
{
	if (index_look(store->root, "store.mdb.old") == 0)
		return error_set(error, -EUCLEAN,
				 "store %s: store.mdb is damaged; store.mdb.old, from before the "
				 "last change, can take its place: see DAMAGE in cairn(1)",
				 store->path);
	return error_set(error, -EUCLEAN,
			 "store %s: store.mdb is damaged; without it the images are to be "
			 "imported again: see DAMAGE in cairn(1)",
			 store->path);
}

int store_begin(struct store *store, bool write, struct error *error, struct index_txn *ret)
{
	int r = index_begin(store->index, write, ret);

	if (r == -EUCLEAN)
		return store_refuse_damaged(store, error);
	return r < 0 ? error_errno(error, r, "store %s: store.mdb", store->path) : 0;
}

int store_commit(struct index_txn *txn, struct error *error)
{
	int r = index_commit(txn);

	return r < 0 ? error_errno(error, r, "store.mdb cannot be written") : 0;
}

int store_open_layer(struct store *store, const struct digest *id)
{
	cleanup_fd int fd = fd_open(store->layers, id->hex, O_PATH | O_DIRECTORY, 0);

	return fd < 0 ? fd : fd_open(fd, "diff", O_RDONLY | O_DIRECTORY, 0);
}

int store_has_layer(struct index_txn *txn, const struct digest *id, uint64_t *ret_size)
{
	struct index_value value;
	char text[24];
	int r = index_get(txn, STORE_LAYERS, id->hex, strlen(id->hex), &value);

	if (r != INDEX_FOUND)
		return r;
	if (value.size >= sizeof(text))
		return -EUCLEAN;
	memcpy(text, value.data, value.size);
	text[value.size] = '\0';
	*ret_size = strtoull(text, NULL, 10);
	return 1;
}

void store_put_layer(struct index_txn *txn, const struct digest *id, uint64_t size)
{
	char text[24];
	int n = snprintf(text, sizeof(text), "%" PRIu64, size);

	index_put(txn, STORE_LAYERS, id->hex, strlen(id->hex), text, (size_t)n);
}
