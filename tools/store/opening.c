/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/opening.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "store/sweep.h"

static const char format_key[] = "format";
static const char format_version[] = "2";
static const char unsealed_version[] = "1"; /* the same, without the seal */

DEFINE_CLEANUP(struct store *, store, store_free)

/* mkdir -p, for a path that the user gave and that is followed as any other. */
static int make_path(char *path)
{
	for (char *slash = path + 1;; slash++) {
		char kept;

		slash += strcspn(slash, "/");
		kept = *slash;
		*slash = '\0';
		if (mkdir(path, kept ? 0755 : 0700) < 0 && errno != EEXIST)
			return -errno;
		*slash = kept;
		if (!kept)
			return 0;
	}
}

static int open_directory(int dirfd, const char *name, int *ret)
{
	int fd;

	if (mkdirat(dirfd, name, 0700) < 0 && errno != EEXIST)
		return -errno;
	fd = fd_open_beneath(dirfd, name, O_RDONLY | O_DIRECTORY);
	if (fd < 0)
		return fd;
	*ret = fd;
	return 0;
}

static int open_directories(struct store *store)
{
	cleanup_fd int blobs = -1;
	int r;

	store->root = open(store->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (store->root < 0)
		return -errno;
	r = open_directory(store->root, "layers", &store->layers);
	if (r == 0)
		r = open_directory(store->root, "chains", &store->chains);
	if (r == 0)
		r = open_directory(store->root, "containers", &store->containers);
	if (r == 0)
		r = open_directory(store->root, "tmp", &store->tmp);
	if (r == 0)
		r = open_directory(store->root, "blobs", &blobs);
	return r < 0 ? r : open_directory(blobs, "sha256", &store->blobs);
}

/* Writes the format into a new store, or one of an earlier version. */
static int write_format(struct store *store, struct error *error)
{
	struct index_txn txn;
	int r = store_begin(store, true, error, &txn);

	if (r < 0)
		return r;
	index_put(&txn, STORE_META, format_key, strlen(format_key), format_version,
		  strlen(format_version));
	return store_commit(&txn, error);
}

/* Whether a directory of the store has something in it. */
static bool has_any(int dirfd)
{
	cleanup_dir DIR *stream = NULL;
	struct dirent *entry;

	if (fd_opendir(dirfd, &stream) < 0)
		return false;
	while ((entry = readdir(stream))) {
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			return true;
	}
	return false;
}

/* Whether somebody has removed store.mdb alone: what is there would all be thrown away. */
static bool is_lost(const struct store *store)
{
	struct stat st;

	return fd_stat(store->root, "store.mdb", &st) == -ENOENT &&
	       fd_stat(store->root, "store.mdb.old", &st) == 0 &&
	       (has_any(store->layers) || has_any(store->containers));
}

static bool is(struct index_value value, const char *text)
{
	return value.size == strlen(text) && memcmp(value.data, text, value.size) == 0;
}

enum { CURRENT = 0, TO_BE_WRITTEN = 1 };

/* Refuses a store of another format, and one that has lost what damage is seen by. */
static int check_format(struct store *store, struct error *error)
{
	bool is_sealed = index_is_sealed(store->index);
	struct index_txn txn;
	struct index_value value;
	int r = store_begin(store, false, error, &txn);

	if (r < 0)
		return r;
	r = index_get(&txn, STORE_META, format_key, strlen(format_key), &value);
	if (r < 0)
		r = error_errno(error, r, "store %s", store->path);
	else if (r == INDEX_ABSENT)
		r = TO_BE_WRITTEN;
	else if (is(value, is_sealed ? format_version : unsealed_version))
		r = is_sealed ? CURRENT : TO_BE_WRITTEN;
	else if (is(value, format_version) || is(value, unsealed_version))
		r = store_refuse_damaged(store, error);
	else
		r = error_set(error, -EPROTONOSUPPORT, "store %s: its format is %.*s, not %s",
			      store->path, (int)value.size, (const char *)value.data,
			      format_version);
	index_abort(&txn);
	return r;
}

static int open_index(struct store *store, enum index_mode mode, struct error *error)
{
	static const char *const tables[] = {
		"meta", "images", "tags", "layers", "containers", NULL
	};
	int r = index_open(store->root, "store.mdb", mode, tables, &store->index);

	if (r == INDEX_DAMAGED)
		return store_refuse_damaged(store, error);
	if (r < 0)
		return error_errno(error, r, "store %s: store.mdb", store->path);
	r = check_format(store, error);
	return r == TO_BE_WRITTEN ? mode == INDEX_WRITE ? write_format(store, error) : 0 : r;
}

static struct store *store_new(const char *path)
{
	struct store *store = calloc(1, sizeof(*store));

	if (!store)
		return NULL;
	store->root = store->layers = store->chains = store->blobs = -1;
	store->containers = store->tmp = -1;
	store->path = strdup(path);
	return store->path ? store : (store_free(store), NULL);
}

int store_open(const char *path, struct error *error, struct store **ret)
{
	CLEANUP(cleanup_store) struct store *store = store_new(path);
	int r = store ? make_path(store->path) : -ENOMEM;

	if (r == 0)
		r = open_directories(store);
	if (r < 0)
		return error_errno(error, r, "store %s", path);
	if (is_lost(store))
		return error_set(error, -ENOENT,
				 "store %s: store.mdb is missing; store.mdb.old, from before the "
				 "last change, can take its place: see DAMAGE in cairn(1)",
				 path);
	r = open_index(store, INDEX_WRITE, error);
	if (r == 0)
		r = store_sweep(store, error);
	if (r < 0)
		return r;
	*ret = take_ptr(store);
	return 0;
}

int store_open_to_read(const char *path, struct error *error, struct store **ret)
{
	CLEANUP(cleanup_store) struct store *store = store_new(path);
	struct stat st;
	int r;

	if (!store)
		return error_errno(error, -ENOMEM, "store %s", path);
	store->root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (store->root < 0 && errno != ENOENT)
		return error_errno(error, -errno, "store %s", path);
	/* One that is not there, or has never been used, is made. */
	if (store->root < 0 || fd_stat(store->root, "store.mdb", &st) == -ENOENT)
		return store_open(path, error, ret);
	r = open_index(store, INDEX_SHARED_READ, error);
	if (r < 0)
		return r;
	*ret = take_ptr(store);
	return 0;
}
