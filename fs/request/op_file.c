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

/* Counts an open, and says in *fi how the file is served. As opened_open. */
static int open_file(fuse_req_t req, struct node *node, fuse_ino_t id, struct fuse_file_info *fi)
{
	struct mount *mount = op_mount(req);
	uint64_t ino = 0;
	/* By an earlier worker, for this very request. */
	bool was_counted = attempt_was_begun(&ino) && ino;
	bool keeps = opened_keeps_attributes(mount->opened, id);
	int r = 0;

	if (mount->opened) {
		r = opened_open(mount->opened, node, id, was_counted, fi);
	} else {
		fi->keep_cache = 1;
		fi->noflush = 1;
	}
	if (r == 0)
		attempt_begin(node->ino);
	/* What it has been told of them is not to be kept any more. */
	if (keeps && !opened_keeps_attributes(mount->opened, id))
		op_changed(mount, node->ino);
	return r;
}

void op_open(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *fi)
{
	cleanup_node struct node *node = op_node(req, id);
	struct opened_files *opened = op_mount(req)->opened;
	int r;

	if (!node)
		return;
	r = open_file(req, node, id, fi);
	if (r < 0)
		fuse_reply_err(req, -r);
	else if (fuse_reply_open(req, fi) < 0)
		opened_close(opened, id);
}

/* Answers with a file that has just been made, in `changed` if it has a name, and is open. */
static void reply_made(fuse_req_t req, struct node *changed, const struct entry *entry,
		       struct fuse_file_info *fi)
{
	const struct mount *mount = op_mount(req);
	struct node *node = entry->node;
	struct fuse_entry_param param;
	bool is_told = attempt_tell(node), is_open = false;
	uint64_t id = node->ino;
	int r = is_told ? 0 : -ENOMEM;

	if (r == 0) {
		id = opened_id(mount->opened, node->ino);
		r = open_file(req, node, id, fi);
		is_open = r == 0;
	}
	if (r == 0)
		r = op_entry_param(req, entry, &param);
	if (r < 0 && changed)
		node_attributes_changed(changed, NAMES_UNASKED);
	if (r < 0)
		fuse_reply_err(req, -r);
	else
		r = fuse_reply_create(req, &param, fi);
	if (r < 0 && is_open && mount->opened)
		opened_close(mount->opened, id);
	if (r < 0 && is_told)
		attempt_untell(node);
}

void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
	       struct fuse_file_info *fi)
{
	cleanup_node struct node *dir = op_dir_node(req, parent);
	cleanup_entry struct entry entry = { 0 };
	int r;

	if (!dir)
		return;
	r = op_make(req, dir, name, &(struct newborn){ .mode = S_IFREG | (mode & 07777) }, &entry);
	if (r < 0)
		fuse_reply_err(req, -r);
	else
		reply_made(req, dir, &entry, fi);
}

/* The one file that the kernel opens with a request in each mode, and closes with another. */
void op_tmpfile(fuse_req_t req, fuse_ino_t parent, mode_t mode, struct fuse_file_info *fi)
{
	cleanup_node struct node *dir = op_dir_node(req, parent);
	cleanup_entry struct entry entry = { 0 };
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
	if (r < 0)
		fuse_reply_err(req, -r);
	else
		reply_made(req, NULL, &entry, fi);
}

void op_release(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *fi)
{
	struct opened_files *opened = op_mount(req)->opened;
	bool was_counted = attempt_was_begun(NULL);

	(void)fi;
	/* Noted first: one too many is better than one too few. */
	attempt_begin(0);
	if (opened && !was_counted)
		opened_close(opened, id);
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
