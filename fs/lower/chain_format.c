/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "lower/chain_format.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "index/seal.h"
#include "lower/chain.h"

const char *const chain_tables[] = { "meta", "inode", "dirent", "name", "link", NULL };

static const char seal_magic[SEAL_MAGIC_SIZE] = "cairn chain seal";

/* Writes numbers to memory that is known to be large enough. */
static uint8_t *put(uint8_t *at, uint64_t n, size_t width)
{
	for (size_t i = 0; i < width; i++)
		at[i] = (uint8_t)(n >> (8 * i));
	return at + width;
}

static uint64_t get(const uint8_t **at, size_t width)
{
	uint64_t n = 0;

	for (size_t i = 0; i < width; i++)
		n |= (uint64_t)(*at)[i] << (8 * i);
	*at += width;
	return n;
}

static void put_big_endian(uint8_t *at, uint64_t n)
{
	for (size_t i = 0; i < 8; i++)
		at[i] = (uint8_t)(n >> (56 - 8 * i));
}

struct chain_inode_key chain_inode_key(uint64_t ino)
{
	struct chain_inode_key key;

	put_big_endian(key.bytes, ino);
	return key;
}

/* A name too long for any filesystem makes a key that no record has. */
static void add_name(struct chain_name_key *key, size_t at, const char *name)
{
	size_t length = strnlen(name, 255);

	memcpy(key->bytes + at, name, length);
	key->size = at + length;
}

struct chain_name_key chain_dirent_key(uint64_t parent, const char *name)
{
	struct chain_name_key key;

	put_big_endian(key.bytes, parent);
	add_name(&key, 8, name);
	return key;
}

struct chain_name_key chain_name_key(uint64_t ino, uint64_t parent, const char *name)
{
	struct chain_name_key key;

	put_big_endian(key.bytes, ino);
	put_big_endian(key.bytes + 8, parent);
	add_name(&key, 16, name);
	return key;
}

int chain_name_parse(struct index_value key, uint64_t *parent, struct index_value *name)
{
	const uint8_t *bytes = key.data;

	if (key.size <= 16 || key.size > 16 + 255)
		return 0;
	*parent = 0;
	for (size_t i = 0; i < 8; i++)
		*parent = *parent << 8 | bytes[8 + i];
	*name = (struct index_value){ bytes + 16, key.size - 16 };
	return 1;
}

void chain_dirent_encode(const struct chain_dirent *dirent, uint8_t ret[CHAIN_DIRENT_SIZE])
{
	put(put(ret, dirent->ino, 8), dirent->type, 1);
}

int chain_dirent_decode(struct index_value value, struct chain_dirent *ret)
{
	const uint8_t *at = value.data;

	if (value.size != CHAIN_DIRENT_SIZE)
		return CHAIN_BAD;
	ret->ino = get(&at, 8);
	ret->type = (uint8_t)get(&at, 1);
	return 0;
}

enum { FIXED_SIZE = 4 * 7 + 8 * 2 + 3 * 12 + 16 + 3 * 4, CHECKSUM_SIZE = 8 };

static uint8_t *put_time(uint8_t *at, struct timespec time)
{
	return put(put(at, (uint64_t)time.tv_sec, 8), (uint64_t)time.tv_nsec, 4);
}

static struct timespec get_time(const uint8_t **at)
{
	struct timespec time;

	time.tv_sec = (time_t)get(at, 8);
	time.tv_nsec = (long)get(at, 4);
	return time;
}

uint8_t *chain_inode_encode(const struct chain_inode *inode, size_t *size)
{
	const struct stat *st = &inode->st;
	const struct index_value *parts[] = { &inode->path, &inode->target, &inode->xattrs };
	size_t total = FIXED_SIZE + inode->path.size + inode->target.size + inode->xattrs.size;
	uint8_t *bytes = malloc(total + CHECKSUM_SIZE);
	uint8_t *at = bytes;

	if (!bytes)
		return NULL;
	at = put(at, st->st_mode, 4);
	at = put(at, st->st_nlink, 4);
	at = put(at, st->st_uid, 4);
	at = put(at, st->st_gid, 4);
	at = put(at, major(st->st_rdev), 4);
	at = put(at, minor(st->st_rdev), 4);
	at = put(at, inode->branch, 4);
	at = put(at, (uint64_t)st->st_size, 8);
	at = put(at, (uint64_t)st->st_blocks, 8);
	at = put_time(at, st->st_atim);
	at = put_time(at, st->st_mtim);
	at = put_time(at, st->st_ctim);
	at = mempcpy(at, inode->hash, sizeof(inode->hash));
	for (size_t i = 0; i < 3; i++)
		at = put(at, parts[i]->size, 4);
	for (size_t i = 0; i < 3; i++) {
		if (parts[i]->size)
			at = mempcpy(at, parts[i]->data, parts[i]->size);
	}
	put(at, XXH3_64bits(bytes, total), CHECKSUM_SIZE);
	*size = total + CHECKSUM_SIZE;
	return bytes;
}

int chain_inode_decode(struct index_value value, struct chain_inode *ret)
{
	const uint8_t *at = value.data, *sum = at + value.size - CHECKSUM_SIZE;
	struct chain_inode inode = { 0 };
	struct index_value *parts[] = { &inode.path, &inode.target, &inode.xattrs };
	uint64_t left = value.size - FIXED_SIZE - CHECKSUM_SIZE;
	uint32_t rdev_major;

	if (value.size < FIXED_SIZE + CHECKSUM_SIZE ||
	    get(&sum, CHECKSUM_SIZE) != XXH3_64bits(value.data, value.size - CHECKSUM_SIZE))
		return CHAIN_BAD;
	inode.st.st_mode = (mode_t)get(&at, 4);
	inode.st.st_nlink = (nlink_t)get(&at, 4);
	inode.st.st_uid = (uid_t)get(&at, 4);
	inode.st.st_gid = (gid_t)get(&at, 4);
	rdev_major = (uint32_t)get(&at, 4);
	inode.st.st_rdev = makedev(rdev_major, (uint32_t)get(&at, 4));
	inode.branch = (uint32_t)get(&at, 4);
	inode.st.st_size = (off_t)get(&at, 8);
	inode.st.st_blocks = (blkcnt_t)get(&at, 8);
	inode.st.st_atim = get_time(&at);
	inode.st.st_mtim = get_time(&at);
	inode.st.st_ctim = get_time(&at);
	memcpy(inode.hash, at, sizeof(inode.hash));
	at += sizeof(inode.hash);
	for (size_t i = 0; i < 3; i++)
		parts[i]->size = get(&at, 4);
	for (size_t i = 0; i < 3; i++) {
		if (parts[i]->size > left)
			return CHAIN_BAD;
		parts[i]->data = at;
		at += parts[i]->size;
		left -= parts[i]->size;
	}
	if (left != 0)
		return CHAIN_BAD;
	*ret = inode;
	return 0;
}

/* No path begins with a NUL. */
char *chain_place_encode(const struct chain_place *place, size_t *size)
{
	size_t length = strlen(place->name);
	uint8_t *bytes = malloc(9 + length);

	if (!bytes)
		return NULL;
	bytes[0] = 0;
	memcpy(put(bytes + 1, place->parent, 8), place->name, length);
	*size = 9 + length;
	return (char *)bytes;
}

int chain_place_decode(struct index_value path, uint64_t *parent, struct index_value *name)
{
	const uint8_t *at = path.data;

	if (path.size > 0 && *at != 0)
		return 0;
	if (path.size < 10)
		return CHAIN_BAD_PLACE;
	at++;
	*parent = get(&at, 8);
	*name = (struct index_value){ at, path.size - 9 };
	return 1;
}

int chain_xattr_add(uint8_t **block, size_t *size, const char *name, const void *value,
		    size_t value_size)
{
	size_t name_size = strlen(name) + 1;
	uint8_t *grown = realloc(*block, *size + 6 + name_size + value_size);
	uint8_t *at = grown + *size;

	if (!grown)
		return -ENOMEM;
	*block = grown;
	at = put(at, name_size, 2);
	at = put(at, value_size, 4);
	at = mempcpy(at, name, name_size);
	if (value_size)
		memcpy(at, value, value_size);
	*size += 6 + name_size + value_size;
	return 0;
}

int chain_xattr_next(struct index_value block, size_t *at, const char **name,
		     struct index_value *value)
{
	const uint8_t *bytes = (const uint8_t *)block.data + *at;
	uint64_t name_size, value_size;

	if (block.size - *at < 6)
		return 0;
	name_size = get(&bytes, 2);
	value_size = get(&bytes, 4);
	if (name_size == 0 || name_size + value_size > block.size - *at - 6 ||
	    bytes[name_size - 1] != '\0')
		return 0;
	*name = (const char *)bytes;
	*value = (struct index_value){ bytes + name_size, value_size };
	*at += 6 + name_size + value_size;
	return 1;
}

int chain_seal(int fd)
{
	return seal_put(fd, seal_magic);
}

int chain_check_seal(int fd)
{
	int r = seal_check(fd, seal_magic);

	return r == SEAL_BAD ? CHAIN_BAD : r;
}

int chain_identity(int fd, uint64_t *ret)
{
	struct stat st;
	ssize_t n;
	int r = fd_stat(fd, NULL, &st);

	if (r < 0)
		return r;
	if (st.st_size < (off_t)sizeof(*ret))
		return -EIO;
	/* The end of its seal. */
	n = fd_pread_all(fd, ret, sizeof(*ret), st.st_size - (off_t)sizeof(*ret));
	return n < 0 ? (int)n : n == sizeof(*ret) ? 0 : -EIO;
}
