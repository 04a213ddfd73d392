/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * LMDB behind a small face.  Why its options are as they are:
 *
 * - MDB_NOSUBDIR: an index is one file, which can be renamed into place.
 * - MDB_NOTLS: readers belong to transactions, so that a thread may hold several.
 * - MDB_NOLOCK: a chain index never changes once it is in place, and is written by one process.
 *   For a file that several processes use, flock(2) of one beside it, which only its owner can
 * open, takes the place of LMDB's own locks: shared while one reads, exclusive while one writes. A
 *   process that is killed leaves nothing behind then, neither a reader that keeps pages from
 *   being used again nor a mutex: of LMDB's, waiters were seen to sleep for ever after their like
 *   had been killed.
 * - MDB_NOSYNC: what is made durable is the file as a whole (sealed.h). LMDB maps its files and
 *   trusts what it finds there, so that a flipped bit is a wrong answer, or the process's end. It
 *   only sees what has been checked: a chain index (chain_format.h), or, of a file that several
 *   processes use, a copy in memory, that is written back when a transaction is committed.
 * - The map is far larger than any index; it costs address space only, because
 *   the file grows by what is written.  So there is no growing to get wrong.
 */
#include "index/index.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
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
#include "index/index_check.h"
#include "index/sealed.h"

enum { PART_OF_MEMORY = 4 }; /* of what a limit allows, for each index */
static const size_t map_size = (size_t)1 << 36;
static const size_t min_map_size = (size_t)1 << 24;

struct index {
	MDB_env *env;
	MDB_dbi tables[INDEX_MAX_TABLES];
	/* Of a file that several processes use: */
	int dir; /* where it is; -1: it is no such file */
	int lock; /* -1: nobody can write there */
	unsigned int n_begun; /* transactions that hold it */
	char *name;
	const char *const *table_names;
	bool is_reader;
	struct sealed content;
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
	sealed_done(&index->content);
	if (index->lock >= 0)
		close(index->lock);
	if (index->dir >= 0)
		close(index->dir);
	free(index->name);
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
	if (index->dir < 0 || index->n_begun++ > 0)
		return 0;
	while (index->lock >= 0 && flock(index->lock, write ? LOCK_EX : LOCK_SH) < 0) {
		if (errno == EINTR)
			continue;
		index->n_begun--;
		return -errno;
	}
	return 0;
}

static void unlock(struct index *index)
{
	if (index->dir >= 0 && --index->n_begun == 0 && index->lock >= 0)
		flock(index->lock, LOCK_UN);
}

/* A file that ends before its last page would raise SIGBUS when read. */
static bool is_whole(MDB_env *env, int fd, const char *name)
{
	MDB_envinfo info;
	MDB_stat stat;
	struct stat st;

	return mdb_env_info(env, &info) == 0 && mdb_env_stat(env, &stat) == 0 &&
	       fd_stat(fd, name, &st) == 0 &&
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

/* Opens `name` in `dirfd`, or what `dirfd` is, as LMDB has it; of `max_size` bytes at most, 0: as
 * it says. */
static int open_env(struct index *index, int dirfd, const char *name, unsigned int flags,
		    size_t max_size)
{
	char path[320];
	int r = mdb_env_create(&index->env);

	snprintf(path, sizeof(path), "%s%s%s", fd_path(dirfd).s, name ? "/" : "", name ? name : "");
	if (r == 0)
		r = mdb_env_set_maxdbs(index->env, INDEX_MAX_TABLES);
	if (r == 0 && max_size)
		r = mdb_env_set_mapsize(index->env, max_size);
	if (r == 0)
		r = mdb_env_open(index->env, path, MDB_NOSUBDIR | MDB_NOTLS | MDB_NOLOCK | flags,
				 0600);
	return r == 0 && !is_whole(index->env, dirfd, name) ? MDB_CORRUPTED : r;
}

static int open_alone(struct index *index, int dirfd, const char *name, bool is_reader,
		      const char *const names[])
{
	size_t allowed = allowed_map_size();
	struct stat st;
	int r;

	if (is_reader && fd_stat(dirfd, name, &st) == 0 && st.st_size == 0)
		return INDEX_DAMAGED;
	/* A reader takes the size of who wrote last, unless that is too much. */
	r = open_env(index, dirfd, name, is_reader ? MDB_RDONLY : MDB_NOSYNC,
		     is_reader && allowed == map_size ? 0 : allowed);
	if (r == 0)
		r = open_tables(index, names, !is_reader);
	return is_damage(r) ? INDEX_DAMAGED : error_of(r);
}

/* --- a file that several processes use; with its lock held --- */

/* Committed in memory, to be committed to the disk. */
static int write_back(struct index *index)
{
	char old[NAME_MAX + 5];

	snprintf(old, sizeof(old), "%s.old", index->name);
	return sealed_write(&index->content, index->dir, index->name, old);
}

static int open_content(struct index *index)
{
	size_t allowed = allowed_map_size();
	bool is_new = false;
	int r = sealed_read(index->dir, index->name, &index->content);

	if (r == -ENOENT && !index->is_reader) {
		is_new = true;
		r = sealed_begin(&index->content);
	}
	/* One of an earlier version is looked at as well as can be. */
	if (r == 0 && !is_new && !index->content.has_seal && index_check(index->content.fd) != 0)
		return INDEX_DAMAGED;
	if (r != 0)
		return r == SEAL_BAD ? INDEX_DAMAGED : r;
	r = open_env(index, index->content.fd, NULL, index->is_reader ? MDB_RDONLY : MDB_NOSYNC,
		     allowed < SEALED_MAX_SIZE ? allowed : SEALED_MAX_SIZE);
	if (r == 0)
		r = open_tables(index, index->table_names, is_new);
	if (r == 0 && is_new)
		return write_back(index);
	return is_damage(r) ? INDEX_DAMAGED : error_of(r);
}

/* Has the content be the file's, which another process may have written. */
static int renew(struct index *index)
{
	int r;

	if (index->dir < 0 || index->n_begun > 1 ||
	    (index->env && sealed_is_current(&index->content, index->dir, index->name)))
		return 0;
	mdb_env_close(take_ptr(index->env));
	sealed_done(&index->content);
	r = open_content(index);
	if (r != 0 && index->env)
		mdb_env_close(take_ptr(index->env));
	return r;
}

/* Who only reads makes one only where an earlier version has made the file. */
static int open_lock(struct index *index)
{
	char name[NAME_MAX + 6];
	int fd = -ENOENT;

	snprintf(name, sizeof(name), "%s.lock", index->name);
	if (index->is_reader)
		fd = fd_open(index->dir, name, O_RDONLY | O_NONBLOCK, 0);
	if (fd == -ENOENT)
		fd = fd_open(index->dir, name, O_RDWR | O_CREAT | O_NONBLOCK, 0600);
	if (index->is_reader && fd == -EROFS)
		return 0;
	index->lock = fd;
	return fd < 0 ? fd : 0;
}

static int open_shared(struct index *index, int dirfd, const char *name, bool is_reader,
		       const char *const names[])
{
	int r;

	index->name = strdup(name);
	index->table_names = names;
	index->is_reader = is_reader;
	if (!index->name)
		return -ENOMEM;
	index->dir = fd_open(dirfd, ".", O_RDONLY | O_DIRECTORY, 0);
	if (index->dir < 0)
		return index->dir;
	r = open_lock(index);
	if (r == 0)
		r = lock(index, !is_reader);
	if (r < 0)
		return r;
	r = renew(index);
	unlock(index);
	return r;
}

int index_open(int dirfd, const char *name, enum index_mode mode, const char *const names[],
	       struct index **ret)
{
	CLEANUP(cleanup_index) struct index *index = calloc(1, sizeof(*index));
	bool is_reader = mode == INDEX_READ || mode == INDEX_SHARED_READ;
	int r;

	if (!index)
		return -ENOMEM;
	index->dir = index->lock = -1;
	index->content.fd = -1;
	if (mode == INDEX_WRITE || mode == INDEX_SHARED_READ)
		r = open_shared(index, dirfd, name, is_reader, names);
	else
		r = open_alone(index, dirfd, name, is_reader, names);
	if (r == 0)
		*ret = take_ptr(index);
	return r;
}

int index_look(int dirfd, const char *name)
{
	CLEANUP(sealed_done) struct sealed content = { .fd = -1 };
	int r = sealed_read(dirfd, name, &content);

	return r == SEAL_BAD || (r == 0 && !content.has_seal) ? INDEX_DAMAGED : r;
}

bool index_is_sealed(const struct index *index)
{
	return index->content.has_seal;
}

int index_begin(struct index *index, bool write, struct index_txn *ret)
{
	MDB_txn *txn;
	int r = lock(index, write);

	if (r < 0)
		return r;
	r = renew(index);
	if (r == 0)
		r = error_of(mdb_txn_begin(index->env, NULL, write ? 0 : MDB_RDONLY, &txn));
	if (r != 0) {
		unlock(index);
		return r == INDEX_DAMAGED ? -EUCLEAN : r;
	}
	*ret = (struct index_txn){ .index = index, .handle = txn };
	return 0;
}

/* A commit that changes nothing does not count. */
static size_t last_change(struct index *index)
{
	MDB_envinfo info;

	return mdb_env_info(index->env, &info) == 0 ? info.me_last_txnid : 0;
}

int index_commit(struct index_txn *txn)
{
	size_t before = last_change(txn->index);
	int r = txn->error;

	if (r < 0) {
		index_abort(txn);
		return r;
	}
	r = error_of(mdb_txn_commit(txn->handle));
	txn->handle = NULL;
	if (r == 0 && txn->index->dir >= 0 && last_change(txn->index) != before)
		r = write_back(txn->index);
	if (r < 0)
		txn->index->content.has_seal = false; /* to be read again: it is not the file's */
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
