/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A file that was copied up keeps the number of the lower object.  It carries
 * it in an xattr of 24 bytes, little-endian: the number, the identity of the
 * stack of branches it is a number of, and the inode number of the file
 * itself, so that a copy of the file made behind our back is no second claim.
 */
#include <endian.h>
#include <string.h>

#include "base/xattr.h"
#include "upper.h"

struct mark {
	uint64_t ino, stack_id, real;
};

bool origin_set(struct fs *fs, int fd, ino_t real, uint64_t ino)
{
	struct mark mark = { htole64(ino), htole64(fs->stack_id.now), htole64(real) };

	return fs->caps.origin_xattr && fs->stack_id.now && number_is_lasting(ino) &&
	       xattr_set(fd, fs->caps.origin_xattr, &mark, sizeof(mark), 0) == 0;
}

/*
 * What earlier versions wrote says where they counted as we do. Other numbers of theirs were made
 * in the order in which objects were met, so two files may carry one: these are void.
 */
static bool is_old_mark(const struct fs *fs, uint64_t ino, uint64_t stack_id)
{
	return stack_id == fs->stack_id.before && number_is_old(ino);
}

uint64_t origin_get(struct fs *fs, int fd, ino_t real)
{
	struct mark mark;
	uint64_t ino, stack_id;

	if (!fs->caps.origin_xattr ||
	    xattr_get(fd, fs->caps.origin_xattr, &mark, sizeof(mark)) != sizeof(mark))
		return 0;
	ino = le64toh(mark.ino);
	stack_id = le64toh(mark.stack_id);
	if (!stack_id || le64toh(mark.real) != real || ino <= LOWER_ROOT_INO ||
	    ino >= LOWER_INO_END)
		return 0;
	return stack_id == fs->stack_id.now || is_old_mark(fs, ino, stack_id) ? ino : 0;
}
