/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The bytes of a chain index, as doc/index-format.md gives them: every number
 * little-endian and of stated width, except in keys, where big-endian numbers
 * make the order of keys the order of numbers.  Private to fs/lower/.
 *
 * All functions may be called from any thread.
 */
#ifndef LOWER_CHAIN_FORMAT_H
#define LOWER_CHAIN_FORMAT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "index/index.h"

enum { CHAIN_FORMAT_VERSION = 1 };

enum chain_table { CHAIN_META, CHAIN_INODE, CHAIN_DIRENT, CHAIN_NAME, CHAIN_LINK };
extern const char *const chain_tables[];

/* What an inode record holds. Pointers of a decoded record point into its bytes. */
struct chain_inode {
	struct stat st; /* mode, nlink, uid, gid, rdev, size, blocks, times */
	uint32_t branch; /* the topmost branch that has it */
	uint8_t hash[16]; /* XXH3-128 of a regular file's content, canonical form */
	struct index_value path; /* in its branch; or a place, for which see chain_place_decode */
	struct index_value target; /* of a symbolic link */
	struct index_value xattrs; /* as chain_xattr_next reads them */
};

struct chain_inode_key {
	uint8_t bytes[8];
};
struct chain_inode_key chain_inode_key(uint64_t ino);

/* The key of a directory entry: parent and name; also of a name record: inode, parent, name. */
struct chain_name_key {
	size_t size;
	uint8_t bytes[16 + 255];
};
struct chain_name_key chain_dirent_key(uint64_t parent, const char *name);
struct chain_name_key chain_name_key(uint64_t ino, uint64_t parent, const char *name);

/* Parses the key of a name record; false if it is none. `name` is not NUL ended. */
int chain_name_parse(struct index_value key, uint64_t *parent, struct index_value *name);

/* The value of a directory entry. */
struct chain_dirent {
	uint64_t ino;
	uint8_t type; /* DT_ of readdir(3) */
};
enum { CHAIN_DIRENT_SIZE = 9 };
void chain_dirent_encode(const struct chain_dirent *dirent, uint8_t ret[CHAIN_DIRENT_SIZE]);

/* 0, or CHAIN_BAD: not what it should be. */
enum { CHAIN_BAD = 1 };
int chain_dirent_decode(struct index_value value, struct chain_dirent *ret);

/* The record's bytes, allocated; its size in *size. NULL: out of memory. */
uint8_t *chain_inode_encode(const struct chain_inode *inode, size_t *size);

/* 0, or CHAIN_BAD when the length, a bound or the checksum does not hold. */
int chain_inode_decode(struct index_value value, struct chain_inode *ret);

/*
 * In place of a long path that is the merged one: the directory and the name there.  The directory
 * has a smaller number.  The bytes are allocated; NULL: out of memory.
 */
struct chain_place {
	uint64_t parent;
	const char *name;
};
char *chain_place_encode(const struct chain_place *place, size_t *size);
/* 1, 0 if it is a path, or CHAIN_BAD_PLACE.  `name` is not NUL ended. */
enum { CHAIN_BAD_PLACE = 2 };
int chain_place_decode(struct index_value path, uint64_t *parent, struct index_value *name);

/* Appends one attribute to a growing block; 0 or -ENOMEM. */
int chain_xattr_add(uint8_t **block, size_t *size, const char *name, const void *value,
		    size_t value_size);

/* The attribute at *at, moving *at past it: 1, or 0 at the end or where the block is bad. */
int chain_xattr_next(struct index_value block, size_t *at, const char **name,
		     struct index_value *value);

/*
 * A finished chain index ends with a seal: the XXH3-128 of all bytes before
 * it, so that damage anywhere is seen before LMDB trusts its own pointers.
 */
int chain_seal(int fd);
/* 0, CHAIN_BAD, or negative errno. */
int chain_check_seal(int fd);

#endif
