/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Operations on extended attributes. */
#include "differ_perform.h"

#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#include "base/cleanup.h"

static size_t xattr_value(const struct performer *p, const struct op *op, char **ret)
{
	size_t len = io_len(op);

	*ret = malloc(len > 64 ? len : 64);
	if (op->path2 && !strncmp(op->path2, "system.posix_acl_", 17))
		return acl_make(op->seed, p->side->options->has_ids, *ret);
	data_fill(*ret, len, op->seed, 0);
	return len;
}

void op_setxattr(struct performer *p, const struct op *op, struct text *text)
{
	cleanup_free char *value = NULL;
	size_t len = xattr_value(p, op, &value);

	answer_say(text, op->kind == OP_FSETXATTR
				 ? fsetxattr(slot_fd(p, op->slot), op->path2, value, len, op->flags)
			 : op->check & 2 ? setxattr(op->path, op->path2, value, len, op->flags)
					 : lsetxattr(op->path, op->path2, value, len, op->flags));
}

void op_getxattr(struct performer *p, const struct op *op, struct text *text)
{
	char value[65536];
	size_t len = op->len ? io_len(op) % sizeof(value) : sizeof(value);
	ssize_t n = op->kind == OP_FGETXATTR
			    ? fgetxattr(slot_fd(p, op->slot), op->path2, value, len)
		    : op->check & 2 ? getxattr(op->path, op->path2, value, len)
				    : lgetxattr(op->path, op->path2, value, len);

	if (answer_say(text, n))
		say_bytes(text, value, n);
}

void op_listxattr(struct performer *p, const struct op *op, struct text *text)
{
	char names[65536];
	size_t len = op->len ? io_len(op) % sizeof(names) : sizeof(names);
	ssize_t n = op->kind == OP_FLISTXATTR ? flistxattr(slot_fd(p, op->slot), names, len)
					      : llistxattr(op->path, names, len);

	if (answer_say(text, n))
		say_names(text, names, n);
}

void op_removexattr(struct performer *p, const struct op *op, struct text *text)
{
	answer_say(text, op->kind == OP_FREMOVEXATTR ? fremovexattr(slot_fd(p, op->slot), op->path2)
						     : lremovexattr(op->path, op->path2));
}
