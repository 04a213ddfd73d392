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
	struct mark mark = { htole64(ino), htole64(fs->stack_id), htole64(real) };

	return fs->caps.origin_xattr && number_is_lasting(ino) &&
	       xattr_set(fd, fs->caps.origin_xattr, &mark, sizeof(mark), 0) == 0;
}

uint64_t origin_get(struct fs *fs, int fd, ino_t real)
{
	struct mark mark;

	if (!fs->caps.origin_xattr ||
	    xattr_get(fd, fs->caps.origin_xattr, &mark, sizeof(mark)) != sizeof(mark))
		return 0;
	if ((le64toh(mark.stack_id) != fs->stack_id &&
	     le64toh(mark.stack_id) != fs->old_stack_id) ||
	    le64toh(mark.real) != real)
		return 0;
	return number_is_lasting(le64toh(mark.ino)) ? le64toh(mark.ino) : 0;
}
