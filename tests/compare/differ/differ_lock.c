/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Operations that lock: flock, POSIX and open-file-description locks, leases.  All are
 * tried and none is waited for; they meet each other in the descriptors of one program.
 */
#include "differ_perform.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

void op_flock(struct performer *p, const struct op *op, struct text *text)
{
	answer_say(text, flock(slot_fd(p, op->slot), op->flags | LOCK_NB));
}

static struct flock lock_of(const struct op *op)
{
	static const short types[] = { F_RDLCK, F_WRLCK, F_UNLCK };

	return (struct flock){ .l_type = types[op->mode % 3],
			       .l_whence = SEEK_SET,
			       .l_start = op->off,
			       .l_len = op->len };
}

void op_lock(struct performer *p, const struct op *op, struct text *text)
{
	struct flock lock = lock_of(op);

	answer_say(text, fcntl(slot_fd(p, op->slot), op->flags ? F_OFD_SETLK : F_SETLK, &lock));
}

/* Who holds it is not said: the process has another number on the other side. */
void op_getlock(struct performer *p, const struct op *op, struct text *text)
{
	struct flock lock = lock_of(op);

	if (answer_say(text, fcntl(slot_fd(p, op->slot), op->flags ? F_OFD_GETLK : F_GETLK, &lock)))
		text_add(text, " type=%d start=%jd len=%jd owner=%s", lock.l_type,
			 (intmax_t)lock.l_start, (intmax_t)lock.l_len,
			 lock.l_type == F_UNLCK ? "none"
			 : lock.l_pid == -1	? "file"
						: "process");
}

/* Given back at once: what breaks it would wait for us. */
void op_lease(struct performer *p, const struct op *op, struct text *text)
{
	int fd = slot_fd(p, op->slot);

	/*
	 * To read: one to write is refused while anything else refers to the file, and ext4's
	 * writeback does at times.
	 */
	if (!answer_say(text, fcntl(fd, F_SETLEASE, F_RDLCK)))
		return;
	text_add(text, " lease=%d", fcntl(fd, F_GETLEASE));
	text_add(text, " back=%d", fcntl(fd, F_SETLEASE, F_UNLCK));
}
