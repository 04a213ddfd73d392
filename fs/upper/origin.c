/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "upper/origin.h"

#include <endian.h>
#include <string.h>

#include "base/xattr.h"
#include "branch/number.h"

struct origin_mark {
	uint64_t ino, stack_id, real;
};

bool origin_set(const struct upper *upper, int fd, ino_t real, uint64_t ino)
{
	struct origin_mark mark = { htole64(ino), htole64(upper->stack_id.now), htole64(real) };

	return upper->caps.origin_xattr && upper->stack_id.now && number_is_lasting(ino) &&
	       xattr_set(fd, upper->caps.origin_xattr, &mark, sizeof(mark), 0) == 0;
}

/*
 * What earlier versions wrote says where they counted as we do. Other numbers of theirs were made
 * in the order in which objects were met, so two files may carry one: these are void.
 */
static bool is_old_mark(const struct upper *upper, uint64_t ino, uint64_t stack_id)
{
	return stack_id == upper->stack_id.before && number_is_old(ino);
}

uint64_t origin_get(const struct upper *upper, int fd, ino_t real)
{
	struct origin_mark mark;
	uint64_t ino, stack_id;

	if (!upper->caps.origin_xattr ||
	    xattr_get(fd, upper->caps.origin_xattr, &mark, sizeof(mark)) != sizeof(mark))
		return 0;
	ino = le64toh(mark.ino);
	stack_id = le64toh(mark.stack_id);
	if (!stack_id || le64toh(mark.real) != real || ino <= LOWER_ROOT_INO ||
	    ino >= LOWER_INO_END)
		return 0;
	return stack_id == upper->stack_id.now || is_old_mark(upper, ino, stack_id) ? ino : 0;
}
