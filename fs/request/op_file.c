/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Requests about the content of files. */
#include <errno.h>

#include "base/fd.h"
#include "copyup/file.h"
#include "request/op.h"

/* The file that an earlier worker made for this request. */
static int find_tmpfile(struct fs *fs, uint64_t ino, struct entry *ret)
{
	int r = fs_find(fs, ino, &ret->node);

	return r == FS_FOUND ? fs_getattr(fs, ret->node, &ret->st) : r < 0 ? r : -ESTALE;
}

/* The one file that the kernel opens with a request, and closes with another. */
void op_tmpfile(fuse_req_t req, fuse_ino_t parent, mode_t mode, struct fuse_file_info *fi)
{
	cleanup_node struct node *dir = op_node(req, parent);
	cleanup_entry struct entry entry = { 0 };
	struct fuse_entry_param param;
	struct caller caller;
	uint64_t ino;
	int r;

	if (!dir)
		return;
	r = op_caller(req, &caller);
	if (r == 0 && attempt_was_begun(&ino) && ino)
		r = find_tmpfile(op_fs(req), ino, &entry);
	else if (r == 0)
		r = fs_tmpfile(op_fs(req), dir, mode & 07777, &caller, &entry);
	if (r == 0) {
		attempt_begin(entry.node->ino);
		r = op_entry_param(req, &entry, &param);
	}
	if (r == 0 && !attempt_tell(entry.node))
		r = -ENOMEM;
	if (r < 0) {
		fuse_reply_err(req, -r);
		return;
	}
	fi->keep_cache = 1;
	fi->noflush = 1;
	if (fuse_reply_create(req, &param, fi) < 0)
		attempt_untell(entry.node);
}

void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	(void)fi;
	fuse_reply_err(req, 0);
}

void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	cleanup_node struct node *node = op_node(req, ino);
	cleanup_fd_ref struct fd_ref *ref = NULL;
	cleanup_free char *data = NULL;
	ssize_t n;
	int r;

	(void)fi;
	if (!node)
		return;
	ref = file_get(op_fs(req), node, false, &r);
	data = ref ? malloc(size) : NULL;
	n = data ? fd_pread_all(ref->fd, data, size, off) : ref ? -ENOMEM : r;
	if (n < 0)
		fuse_reply_err(req, (int)-n);
	else
		fuse_reply_buf(req, data, (size_t)n);
}

void op_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t off,
	      struct fuse_file_info *fi)
{
	cleanup_node struct node *node = op_node(req, ino);
	struct op_killer killer = op_killer(req);

	if (!node)
		return;
	if (fi->writepage)
		op_reply_size(req, fs_write_back(op_fs(req), node, data, size, off));
	else
		op_reply_size(req, fs_write(op_fs(req), node, data, size, off,
					    fi->kill_suidgid ? &killer.base : NULL));
}

void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	cleanup_node struct node *node = op_node(req, ino);

	(void)fi;
	if (node)
		op_reply(req, fs_sync(op_fs(req), node, datasync));
}

/* For these two the kernel does not say whether setuid and setgid are to go: root keeps them. */
static const struct killer *killer_of(fuse_req_t req, const struct op_killer *killer)
{
	return fuse_req_ctx(req)->uid == 0 ? NULL : &killer->base;
}

void op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t length,
		  struct fuse_file_info *fi)
{
	cleanup_node struct node *node = op_node(req, ino);
	struct op_killer killer = op_killer(req);

	(void)fi;
	if (node)
		op_reply(req, fs_fallocate(op_fs(req), node, mode, offset, length,
					   killer_of(req, &killer)));
}

void op_copy_file_range(fuse_req_t req, fuse_ino_t ino_in, off_t off_in,
			struct fuse_file_info *fi_in, fuse_ino_t ino_out, off_t off_out,
			struct fuse_file_info *fi_out, size_t len, int flags)
{
	cleanup_node struct node *in = op_node(req, ino_in);
	cleanup_node struct node *out = in ? op_node(req, ino_out) : NULL;
	struct op_killer killer = op_killer(req);

	(void)fi_in;
	(void)fi_out;
	(void)flags;
	if (out)
		op_reply_size(req, fs_copy_range(op_fs(req), in, off_in, out, off_out, len,
						 killer_of(req, &killer)));
}
