/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Operations on names and attributes. */
#include "differ_perform.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/statfs.h>
#include <unistd.h>

void op_linkfd(struct performer *p, const struct op *op, struct text *text)
{
	answer_say(text,
		   linkat(slot_fd(p, op->slot), "", at_fd(p, op->at), op->path, AT_EMPTY_PATH));
}

void op_name(struct performer *p, const struct op *op, struct text *text)
{
	int at = at_fd(p, op->at), at2 = at_fd(p, op->at2);
	struct timespec times[2];
	char target[8192];
	ssize_t n;

	times_of(op, times);
	switch (op->kind) {
	case OP_MKDIR:
		answer_say(text, mkdirat(at, op->path, op->mode));
		break;
	case OP_RMDIR:
		answer_say(text, unlinkat(at, op->path, AT_REMOVEDIR));
		break;
	case OP_UNLINK:
		answer_say(text, unlinkat(at, op->path, 0));
		break;
	case OP_RENAME:
		answer_say(text, redirect_rename(p, op, at, at2));
		break;
	case OP_LINK:
		answer_say(text, linkat(at, op->path, at2, op->path2, op->flags));
		break;
	case OP_SYMLINK:
		answer_say(text, symlinkat(op->path2, at, op->path));
		break;
	case OP_MKNOD:
		answer_say(text, mknodat(at, op->path, op->mode, op->rdev));
		break;
	case OP_CHMOD:
		answer_say(text, fchmodat(at, op->path, op->mode, 0));
		break;
	case OP_CHOWN:
		answer_say(text, fchownat(at, op->path, op->uid, op->gid, op->flags));
		break;
	case OP_UTIMENS:
		answer_say(text, utimensat(at, op->path, times, op->flags));
		break;
	case OP_ACCESS:
		answer_say(text, faccessat(at, op->path, op->mode, op->flags));
		break;
	case OP_READLINK:
		n = readlinkat(at, op->path, target, op->len ? io_len(op) % sizeof(target) : 4096);
		if (answer_say(text, n))
			say_bytes(text, target, n);
		break;
	default:
		abort();
	}
}

void op_truncate(struct performer *p, const struct op *op, struct text *text)
{
	struct stat st;

	if (p->side->options->writeback && stat(op->path, &st) == 0 && st.st_size == op->len)
		text_add(text, "left out: it has that size");
	else
		answer_say(text, truncate(op->path, op->len));
}

void op_stat(struct performer *p, const struct op *op, struct text *text)
{
	struct stat st;

	if (answer_say(text, fstatat(at_fd(p, op->at), op->path, &st, op->flags)))
		say_stat(p, text, &st);
}

void op_statx(struct performer *p, const struct op *op, struct text *text)
{
	struct statx sx;

	if (answer_say(text, statx(at_fd(p, op->at), op->path, op->flags, STATX_BASIC_STATS, &sx)))
		text_add(text, " mask=%x mode=%o uid=%u gid=%u nlink=%u",
			 sx.stx_mask & (STATX_BASIC_STATS & ~STATX_ATIME), sx.stx_mode, sx.stx_uid,
			 sx.stx_gid, sx.stx_nlink);
}

void op_statfs(struct performer *p, const struct op *op, struct text *text)
{
	struct statfs sf;

	(void)p;
	if (answer_say(text, statfs(op->path, &sf)))
		text_add(text, " namelen=%ld bsize=%ld blocks=%ju", (long)sf.f_namelen,
			 (long)sf.f_bsize, (uintmax_t)sf.f_blocks);
}
