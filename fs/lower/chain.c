/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Building a chain index: a walk over the merged tree of the branch
 * directories (lower/lower.h), one record at a time.
 *
 * Inodes are numbered in the order of the walk, which follows listing order
 * and so depends on the branches' content alone.  A file with several names
 * is recognised by its number in the branch: the LINK table maps that to the
 * number given here.  It is on disk like the rest, so memory grows with the
 * depth of the tree and not with its size.
 */
#include "lower/chain.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/fd.h"
#include "lower/chain_format.h"
#include "lower/lower.h"
#include "lower/tour.h"

enum {
	HASH_BUFFER = 1 << 20,
	BATCH = 20000, /* records in one transaction: bounds the dirty pages held in memory */
};

struct build {
	struct index *index;
	struct index_txn txn;
	uint64_t last_ino;
	uint64_t n_written;
	unsigned int n_branches;
	void *buffer; /* of HASH_BUFFER bytes */
	XXH3_state_t *hash;
};

static void build_done(struct build *build)
{
	free(build->buffer);
	XXH3_freeState(build->hash);
}

static void put_inode(struct build *build, uint64_t ino, const struct chain_inode *inode)
{
	struct chain_inode_key key = chain_inode_key(ino);
	size_t size;
	cleanup_free uint8_t *bytes = chain_inode_encode(inode, &size);

	if (!bytes && build->txn.error == 0)
		build->txn.error = -ENOMEM;
	index_put(&build->txn, CHAIN_INODE, key.bytes, sizeof(key.bytes), bytes, bytes ? size : 0);
}

static void put_name(struct build *build, uint64_t ino, uint64_t parent, const char *name,
		     unsigned char type)
{
	struct chain_name_key by_parent = chain_dirent_key(parent, name);
	struct chain_name_key by_ino = chain_name_key(ino, parent, name);
	struct chain_dirent dirent = { .ino = ino, .type = type };
	uint8_t bytes[CHAIN_DIRENT_SIZE];

	chain_dirent_encode(&dirent, bytes);
	index_put(&build->txn, CHAIN_DIRENT, by_parent.bytes, by_parent.size, bytes, sizeof(bytes));
	index_put(&build->txn, CHAIN_NAME, by_ino.bytes, by_ino.size, "", 0);
}

static int commit_batch(struct build *build)
{
	int r;

	if (++build->n_written % BATCH != 0)
		return build->txn.error;
	r = index_commit(&build->txn);
	return r < 0 ? r : index_begin(build->index, true, &build->txn);
}

static int hash_content(struct build *build, struct lower_obj *obj, off_t size, uint8_t ret[16])
{
	cleanup_fd int fd = size ? lower_open(obj, O_RDONLY) : -1;
	XXH128_canonical_t hash;
	off_t at = 0;

	if (size && fd < 0)
		return fd;
	XXH3_128bits_reset(build->hash);
	while (at < size) {
		size_t want = size - at < HASH_BUFFER ? (size_t)(size - at) : HASH_BUFFER;
		ssize_t n = fd_pread_all(fd, build->buffer, want, at);

		if (n <= 0)
			return n < 0 ? (int)n : -EIO; /* the branch changes under us */
		XXH3_128bits_update(build->hash, build->buffer, (size_t)n);
		at += n;
	}
	XXH128_canonicalFromHash(&hash, XXH3_128bits_digest(build->hash));
	memcpy(ret, &hash, 16);
	return 0;
}

static int gather_xattrs(struct lower_obj *obj, uint8_t **block, size_t *size)
{
	cleanup_free char *names = NULL;
	ssize_t n = lower_xattr_list_kept(obj, &names);

	if (n < 0)
		return (int)n;
	for (const char *name = names; name < names + n; name += strlen(name) + 1) {
		ssize_t length = lower_xattr_get_kept(obj, name, NULL, 0);
		cleanup_free char *value = malloc(length > 0 ? (size_t)length : 1);
		int r;

		if (length < 0 || !value)
			return length < 0 ? (int)length : -ENOMEM;
		if (length > 0)
			length = lower_xattr_get_kept(obj, name, value, (size_t)length);
		if (length < 0)
			return (int)length;
		r = chain_xattr_add(block, size, name, value, (size_t)length);
		if (r < 0)
			return r;
	}
	return 0;
}

/*
 * The path in the branch, always: a lookup of data is then one descent and one open.  Where that
 * would make the index grow as the square of the depth, it is what the directory has, and a name.
 */
static int find_source(struct lower_obj *obj, const struct chain_place *place,
		       struct chain_inode *inode, char **ret)
{
	int r = lower_source(obj, &inode->branch, ret);

	if (r < 0)
		return r;
	if (*ret) {
		inode->path = (struct index_value){ *ret, strlen(*ret) };
		return 0;
	}
	*ret = chain_place_encode(place, &inode->path.size);
	inode->path.data = *ret;
	return *ret ? 0 : -ENOMEM;
}

/* Writes the record of an object that has not been met before; `place`: where, NULL for the root.
 */
static int add_inode(struct build *build, uint64_t ino, struct lower_obj *obj,
		     const struct stat *st, const struct chain_place *place)
{
	struct chain_inode inode = { .st = *st };
	cleanup_free uint8_t *xattrs = NULL;
	cleanup_free char *target = NULL;
	cleanup_free char *path = NULL;
	int r = gather_xattrs(obj, &xattrs, &inode.xattrs.size);

	inode.xattrs.data = xattrs;
	if (r == 0 && S_ISREG(st->st_mode))
		r = hash_content(build, obj, st->st_size, inode.hash);
	if (r == 0 && S_ISLNK(st->st_mode)) {
		r = lower_readlink(obj, &target);
		if (r == 0)
			inode.target = (struct index_value){ target, strlen(target) };
	}
	if (r == 0)
		r = find_source(obj, place, &inode, &path);
	if (r < 0)
		return r;
	/* Reading the branch, as we do, may move it: the index depends on content alone. */
	inode.st.st_atim = st->st_mtim;
	put_inode(build, ino, &inode);
	return 0;
}

/*
 * The number for a file that may have been met under another name: found in
 * LINK, in which case *is_new is false, or the next one.
 */
static int number_of(struct build *build, struct lower_obj *obj, const struct stat *st,
		     uint64_t *ret, bool *is_new)
{
	struct chain_inode_key key = chain_inode_key(obj->ino);
	struct index_value value;
	int r = INDEX_ABSENT;

	if (st->st_nlink > 1 && !S_ISDIR(st->st_mode))
		r = index_get(&build->txn, CHAIN_LINK, key.bytes, sizeof(key.bytes), &value);
	if (r < 0)
		return r;
	*is_new = r == INDEX_ABSENT;
	if (!*is_new) {
		memcpy(ret, value.data, sizeof(*ret));
		return 0;
	}
	*ret = ++build->last_ino;
	if (st->st_nlink > 1 && !S_ISDIR(st->st_mode))
		index_put(&build->txn, CHAIN_LINK, key.bytes, sizeof(key.bytes), ret, sizeof(*ret));
	return 0;
}

static int add_child(struct build *build, struct tour *tour, const char *name)
{
	cleanup_lower_obj struct lower_obj *obj = NULL;
	uint64_t parent = tour->number, ino;
	struct stat st;
	bool is_new;
	int r = lower_lookup(tour->dir, name, &obj, &st);

	if (r != LOWER_FOUND)
		return r < 0 ? r : -EIO; /* listed, and not there: the branch changes under us */
	r = number_of(build, obj, &st, &ino, &is_new);
	if (r == 0 && is_new)
		r = add_inode(build, ino, obj, &st, &(struct chain_place){ parent, name });
	if (r < 0)
		return r;
	put_name(build, ino, parent, name, (unsigned char)IFTODT(st.st_mode));
	r = commit_batch(build);
	return r == 0 && S_ISDIR(st.st_mode) ? tour_enter(tour, obj, ino) : r;
}

static int add_children(struct build *build, struct lower_obj *root)
{
	CLEANUP(tour_done) struct tour tour = { 0 };
	const struct listing_entry *entry;
	int r = tour_enter(&tour, root, LOWER_ROOT_INO);

	while (r == 0 && (entry = tour_next(&tour)))
		r = add_child(build, &tour, entry->name);
	return r;
}

static int build_tree(struct build *build, struct lower *lower, const char *chain_id)
{
	cleanup_lower_obj struct lower_obj *root = lower_root(lower);
	char version[32], branches[32];
	struct stat st;
	int r = index_begin(build->index, true, &build->txn);

	if (r < 0)
		return r;
	snprintf(version, sizeof(version), "%d", CHAIN_FORMAT_VERSION);
	snprintf(branches, sizeof(branches), "%u", build->n_branches);
	index_put(&build->txn, CHAIN_META, "version", 7, version, strlen(version));
	index_put(&build->txn, CHAIN_META, "chain", 5, chain_id, strlen(chain_id));
	index_put(&build->txn, CHAIN_META, "branches", 8, branches, strlen(branches));
	build->last_ino = LOWER_ROOT_INO;
	r = lower_stat(root, &st);
	if (r == 0)
		r = add_inode(build, LOWER_ROOT_INO, root, &st, NULL);
	if (r == 0)
		r = add_children(build, root);
	if (r < 0) {
		index_abort(&build->txn);
		return r;
	}
	return index_commit(&build->txn);
}

static int build_index(struct lower *lower, size_t n_branches, const char *chain_id, int dirfd,
		       const char *name)
{
	CLEANUP(build_done)
	struct build build = { .n_branches = (unsigned int)n_branches,
			       .buffer = malloc(HASH_BUFFER),
			       .hash = XXH3_createState() };
	cleanup_fd int fd = -1;
	int r = -ENOMEM;

	if (build.buffer && build.hash)
		r = index_open(dirfd, name, INDEX_WRITE_ALONE, chain_tables, &build.index);
	if (r != 0)
		return r < 0 ? r : -EIO;
	r = build_tree(&build, lower, chain_id);
	index_close(build.index);
	if (r < 0)
		return r;
	fd = fd_open(dirfd, name, O_RDWR, 0);
	return fd < 0 ? fd : chain_seal(fd);
}

int chain_build(const int branches[], size_t n_branches, const char *chain_id, int dirfd,
		const char *name)
{
	struct lower *lower = NULL;
	struct fdcache fds;
	struct stat st;
	int r = fd_stat(dirfd, name, &st);

	if (r != -ENOENT)
		return r < 0 ? r : -EEXIST;
	fdcache_init(&fds, 256);
	r = lower_of_dirs(branches, n_branches, &fds, &lower);
	if (r == 0)
		r = build_index(lower, n_branches, chain_id, dirfd, name);
	lower_free(lower);
	fdcache_done(&fds);
	if (r < 0)
		unlinkat(dirfd, name, 0);
	return r;
}
