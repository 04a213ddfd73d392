/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * LMDB behind a small face.  Why its options are as they are:
 *
 * - MDB_NOSUBDIR: an index is one file, which can be renamed into place.
 * - MDB_NOTLS: readers belong to transactions, so that a thread may hold several.
 * - MDB_NOLOCK: a chain index never changes once it is in place, and is written by one process.
 *   For a file that several processes use, flock(2) of the file itself, which only its owner can
 *   open, takes the place of LMDB's own locks: shared while one reads, exclusive while one writes.
 *   A process that is killed leaves nothing behind then, neither a reader that keeps pages from
 *   being used again nor a mutex: of LMDB's, waiters were seen to sleep for ever after their like
 *   had been killed.
 * - The map is far larger than any index; it costs address space only, because
 *   the file grows by what is written.  So there is no growing to get wrong.
 */
#include "core/index.h"

#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "index_check.h"

enum { PART_OF_MEMORY = 4 }; /* of what a limit allows, for each index */
static const size_t map_size = (size_t)1 << 36;
static const size_t min_map_size = (size_t)1 << 24;

struct index {
	MDB_env *env;
	MDB_dbi tables[INDEX_MAX_TABLES];
	int lock; /* the file, if several processes use it; or -1 */
	unsigned int n_begun; /* transactions that hold it */
};

/* LMDB's own codes, which are negative, and errno, which it gives positive, as -errno. */
static int error_of(int r)
{
	if (r >= 0)
		return -r;
	if (r == MDB_MAP_FULL || r == MDB_TXN_FULL)
		return -ENOSPC;
	if (r == MDB_BAD_VALSIZE)
		return -ENAMETOOLONG;
	return -EIO;
}

static bool is_damage(int r)
{
	return r == MDB_INVALID || r == MDB_CORRUPTED || r == MDB_VERSION_MISMATCH ||
	       r == MDB_PAGE_NOTFOUND || r == MDB_INCOMPATIBLE || r == MDB_NOTFOUND;
}

void index_close(struct index *index)
{
	if (!index)
		return;
	mdb_env_close(index->env);
	if (index->lock >= 0)
		close(index->lock);
	free(index);
}
DEFINE_CLEANUP(struct index *, index, index_close)

/* Opens the tables in one transaction; made as needed, it is one that writes. */
static int try_tables(struct index *index, const char *const names[], bool create)
{
	MDB_txn *txn = NULL;
	int r = mdb_txn_begin(index->env, NULL, create ? 0 : MDB_RDONLY, &txn);

	for (unsigned int i = 0; r == 0 && names[i]; i++)
		r = mdb_dbi_open(txn, names[i], create ? MDB_CREATE : 0, &index->tables[i]);
	if (r == 0)
		return mdb_txn_commit(txn);
	if (txn)
		mdb_txn_abort(txn);
	return r;
}

static int open_tables(struct index *index, const char *const names[], bool create)
{
	int r = try_tables(index, names, false);

	return r == MDB_NOTFOUND && create ? try_tables(index, names, true) : r;
}

/* Waits for those who may not be at work at the same time. */
static int lock(struct index *index, bool write)
{
	if (index->lock < 0 || index->n_begun++ > 0)
		return 0;
	while (flock(index->lock, write ? LOCK_EX : LOCK_SH) < 0) {
		if (errno == EINTR)
			continue;
		index->n_begun--;
		return -errno;
	}
	return 0;
}

static void unlock(struct index *index)
{
	if (index->lock >= 0 && --index->n_begun == 0)
		flock(index->lock, LOCK_UN);
}

/* A file that ends before its last page would raise SIGBUS when read. */
static bool is_whole(MDB_env *env, int dirfd, const char *name)
{
	MDB_envinfo info;
	MDB_stat stat;
	struct stat st;

	return mdb_env_info(env, &info) == 0 && mdb_env_stat(env, &stat) == 0 &&
	       fd_stat(dirfd, name, &st) == 0 &&
	       (uint64_t)st.st_size >= (uint64_t)(info.me_last_pgno + 1) * stat.ms_psize;
}

/* Where a process may have little address space, a map has its part of that. */
static size_t allowed_map_size(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_AS, &limit) < 0 || limit.rlim_cur / PART_OF_MEMORY >= map_size)
		return map_size;
	limit.rlim_cur /= PART_OF_MEMORY;
	return limit.rlim_cur < min_map_size ? min_map_size
					     : (size_t)limit.rlim_cur & ~(min_map_size - 1);
}

static bool is_reader(enum index_mode mode)
{
	return mode == INDEX_READ || mode == INDEX_SHARED_READ;
}

/*
 * Before LMDB sees it. What has just been made, or is there for the first time, is whole; a
 * finished file has a seal of its caller's.
 */
static int check_file(int dirfd, const char *name, enum index_mode mode)
{
	cleanup_fd int fd = -1;
	struct stat st;
	int r = fd_stat(dirfd, name, &st);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	if (st.st_size == 0)
		return is_reader(mode) ? INDEX_DAMAGED : 0;
	if (mode != INDEX_WRITE && mode != INDEX_SHARED_READ)
		return 0;
	fd = fd_open(dirfd, name, O_RDONLY, 0);
	r = fd < 0 ? fd : index_check(fd);
	return r == INDEX_CHECK_BAD ? INDEX_DAMAGED : r;
}

static int open_env(struct index *index, int dirfd, const char *name, enum index_mode mode)
{
	unsigned int flags = MDB_NOSUBDIR | MDB_NOTLS | MDB_NOLOCK;
	char path[320];
	int r = mdb_env_create(&index->env);

	if (is_reader(mode))
		flags |= MDB_RDONLY;
	if (mode == INDEX_WRITE_ALONE)
		flags |= MDB_NOSYNC;
	snprintf(path, sizeof(path), "%s%s%s", fd_path(dirfd).s, name ? "/" : "", name ? name : "");
	if (r == 0)
		r = mdb_env_set_maxdbs(index->env, INDEX_MAX_TABLES);
	/* A reader takes the size of who wrote last, unless that is too much. */
	if (r == 0 && (!is_reader(mode) || allowed_map_size() < map_size))
		r = mdb_env_set_mapsize(index->env, allowed_map_size());
	return r == 0 ? mdb_env_open(index->env, path, flags, 0600) : r;
}

static int open_locked(struct index *index, int dirfd, const char *name, enum index_mode mode,
		       const char *const names[])
{
	int r = check_file(dirfd, name, mode);

	if (r != 0)
		return r;
	r = open_env(index, dirfd, name, mode);
	if (r == 0 && !is_whole(index->env, dirfd, name))
		return INDEX_DAMAGED;
	if (r == 0)
		r = open_tables(index, names, !is_reader(mode));
	if (is_damage(r))
		return INDEX_DAMAGED;
	return error_of(r);
}

int index_open(int dirfd, const char *name, enum index_mode mode, const char *const names[],
	       struct index **ret)
{
	CLEANUP(cleanup_index) struct index *index = calloc(1, sizeof(*index));
	int r;

	if (!index)
		return -ENOMEM;
	index->lock = -1;
	if (mode == INDEX_WRITE || mode == INDEX_SHARED_READ) {
		index->lock = mode == INDEX_WRITE ? fd_open(dirfd, name, O_RDWR | O_CREAT, 0600)
						  : fd_open(dirfd, name, O_RDONLY, 0);
		if (index->lock < 0)
			return index->lock;
	}
	r = lock(index, mode == INDEX_WRITE);
	if (r < 0)
		return r;
	r = open_locked(index, dirfd, name, mode, names);
	unlock(index);
	if (r == 0)
		*ret = take_ptr(index);
	return r;
}
int index_begin(struct index *index, bool write, struct index_txn *ret)
{
	MDB_txn *txn;
	int r = lock(index, write);

	if (r < 0)
		return r;
	r = mdb_txn_begin(index->env, NULL, write ? 0 : MDB_RDONLY, &txn);
	if (r != 0) {
		unlock(index);
		return error_of(r);
	}
	*ret = (struct index_txn){ .index = index, .handle = txn };
	return 0;
}

int index_commit(struct index_txn *txn)
{
	int r = txn->error;

	if (r < 0) {
		index_abort(txn);
		return r;
	}
	r = error_of(mdb_txn_commit(txn->handle));
	txn->handle = NULL;
	unlock(txn->index);
	return r;
}

void index_abort(struct index_txn *txn)
{
	if (!txn->handle)
		return;
	mdb_txn_abort(txn->handle);
	txn->handle = NULL;
	unlock(txn->index);
}

static MDB_val val(const void *data, size_t size)
{
	return (MDB_val){ .mv_size = size, .mv_data = (void *)data };
}

int index_get(struct index_txn *txn, unsigned int table, const void *key, size_t key_size,
	      struct index_value *ret)
{
	MDB_val k = val(key, key_size), v;
	int r = mdb_get(txn->handle, txn->index->tables[table], &k, &v);

	if (r == MDB_NOTFOUND)
		return INDEX_ABSENT;
	if (r != 0)
		return error_of(r);
	*ret = (struct index_value){ .data = v.mv_data, .size = v.mv_size };
	return INDEX_FOUND;
}

void index_put(struct index_txn *txn, unsigned int table, const void *key, size_t key_size,
	       const void *value, size_t value_size)
{
	MDB_val k = val(key, key_size), v = val(value, value_size);

	if (txn->error == 0)
		txn->error = error_of(mdb_put(txn->handle, txn->index->tables[table], &k, &v, 0));
}

void index_delete(struct index_txn *txn, unsigned int table, const void *key, size_t key_size)
{
	MDB_val k = val(key, key_size);
	int r;

	if (txn->error < 0)
		return;
	r = mdb_del(txn->handle, txn->index->tables[table], &k, NULL);
	if (r != MDB_NOTFOUND)
		txn->error = error_of(r);
}

static bool has_prefix(const MDB_val *key, const void *prefix, size_t size)
{
	return size == 0 || (key->mv_size >= size && memcmp(key->mv_data, prefix, size) == 0);
}

int index_each(struct index_txn *txn, unsigned int table, const void *prefix, size_t prefix_size,
	       int (*each)(void *context, struct index_value key, struct index_value value),
	       void *context)
{
	MDB_cursor *cursor;
	MDB_val k = val(prefix, prefix_size), v;
	int r = mdb_cursor_open(txn->handle, txn->index->tables[table], &cursor);

	if (r != 0)
		return error_of(r);
	r = mdb_cursor_get(cursor, &k, &v, prefix_size ? MDB_SET_RANGE : MDB_FIRST);
	while (r == 0 && has_prefix(&k, prefix, prefix_size)) {
		struct index_value key = { k.mv_data, k.mv_size };
		struct index_value value = { v.mv_data, v.mv_size };
		int answer = each(context, key, value);

		if (answer != 0) {
			mdb_cursor_close(cursor);
			return answer;
		}
		r = mdb_cursor_get(cursor, &k, &v, MDB_NEXT);
	}
	mdb_cursor_close(cursor);
	return r == MDB_NOTFOUND ? 0 : error_of(r);
}

int64_t index_count(struct index_txn *txn, unsigned int table)
{
	MDB_stat stat;
	int r = mdb_stat(txn->handle, txn->index->tables[table], &stat);

	return r != 0 ? error_of(r) : (int64_t)stat.ms_entries;
}
