/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "request/op.h"

#include <errno.h>

#include "survive/ino32.h"

struct node *op_found_node(fuse_req_t req, fuse_ino_t ino)
{
	struct node *node = NULL;
	int r = fs_find(op_fs(req), ino, &node);

	if (r != FS_FOUND)
		fuse_reply_err(req, r < 0 ? -r : ESTALE);
	return node;
}

struct node *op_node(fuse_req_t req, fuse_ino_t ino)
{
	struct nodes *nodes = &op_fs(req)->nodes;
	struct node *node;

	/* What the kernel knows is in memory, unless it was another worker that told it. */
	if (nodes->is_restart)
		return op_found_node(req, ino);
	node = nodes_get(nodes, ino);
	if (!node)
		fuse_reply_err(req, ESTALE);
	return node;
}

void op_reply(fuse_req_t req, int r)
{
	fuse_reply_err(req, r < 0 ? -r : 0);
}

void op_reply_size(fuse_req_t req, ssize_t n)
{
	if (n < 0)
		fuse_reply_err(req, (int)-n);
	else
		fuse_reply_write(req, (size_t)n);
}

int op_entry_param(fuse_req_t req, const struct entry *entry, struct fuse_entry_param *ret)
{
	double timeout = op_mount(req)->timeout;

	*ret = (struct fuse_entry_param){ .ino = entry->node ? entry->node->ino : 0,
					  .attr_timeout = timeout,
					  .entry_timeout = timeout };
	return op_shown(req, &entry->st, &ret->attr);
}

static void reply_entry(fuse_req_t req, struct node *changed, const struct entry *entry,
			bool is_link)
{
	struct fuse_entry_param param;
	int r = op_entry_param(req, entry, &param);

	if (is_link)
		param.attr_timeout = 0;
	/* Counted before the answer: the kernel may forget the node as soon as it has it. */
	if (r == 0 && entry->node && !attempt_tell(entry->node))
		r = -ENOMEM;
	if (r < 0 && changed)
		node_attributes_changed(changed, NAMES_UNASKED);
	if (r < 0)
		fuse_reply_err(req, -r);
	else if (fuse_reply_entry(req, &param) < 0 && entry->node)
		attempt_untell(entry->node);
}

void op_reply_entry(fuse_req_t req, struct node *changed, const struct entry *entry)
{
	reply_entry(req, changed, entry, false);
}

void op_reply_link(fuse_req_t req, struct node *changed, const struct entry *entry)
{
	reply_entry(req, changed, entry, true);
}

/*
 * An id of the caller as it is stored. The host's root has none in a container, but makes things
 * there, and then gives them away. Nobody else may: a file with setuid or setgid would be somebody
 * else's from the first.
 */
static bool store_callers(const struct fuse_ctx *ctx, const struct idmap *map, uint32_t id,
			  uint32_t *ret)
{
	if (idmap_store(map, id, ret))
		return true;
	*ret = IDMAP_NOBODY;
	return ctx->uid == 0;
}

int op_caller(fuse_req_t req, struct caller *ret)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);
	struct mount *mount = op_mount(req);

	ret->umask = ctx->umask;
	if (!store_callers(ctx, &mount->ids->uids, ctx->uid, &ret->uid) ||
	    !store_callers(ctx, &mount->ids->gids, ctx->gid, &ret->gid))
		return -EOVERFLOW;
	/* Each thread may be making something. */
	return numbers_has_room(&mount->fs->numbers, ATTEMPT_PLACES) ? 0 : -ENOSPC;
}

bool op_is_member(fuse_req_t req, gid_t shown)
{
	gid_t groups[256];
	int n = fuse_req_getgroups(req, 256, groups);

	for (int i = 0; i < n && i < 256; i++) {
		if (groups[i] == shown)
			return true;
	}
	return fuse_req_ctx(req)->gid == shown;
}

static bool is_member(const struct killer *killer, gid_t gid)
{
	fuse_req_t req = ((const struct op_killer *)killer)->req;

	/* The kernel says "kill" for every chown; a caller with CAP_FSETID keeps setgid there. */
	return fuse_req_ctx(req)->uid == 0 ||
	       op_is_member(req, idmap_show(&op_mount(req)->ids->gids, gid));
}

/*
 * The kernel keeps the mode it knew before a write.  Told before the answer, or
 * the writer could still see it; attributes alone, for which no lock is taken
 * that a request of the same inode could hold.
 */
static void killed(const struct killer *killer, struct node *node)
{
	fuse_req_t req = ((const struct op_killer *)killer)->req;

	fuse_lowlevel_notify_inval_inode(op_mount(req)->session, node->ino, -1, 0);
}

struct op_killer op_killer(fuse_req_t req)
{
	return (struct op_killer){ .base = { .is_member = is_member, .killed = killed },
				   .req = req };
}

int op_shown(fuse_req_t req, const struct stat *st, struct stat *ret)
{
	struct mount *mount = op_mount(req);
	uint64_t ino;
	int r = numbers_show(&mount->fs->numbers, st->st_ino, &ino);

	if (r < 0)
		return r;
	*ret = *st;
	ret->st_uid = idmap_show(&mount->ids->uids, st->st_uid);
	ret->st_gid = idmap_show(&mount->ids->gids, st->st_gid);
	ret->st_ino = ino;
	return 0;
}

uint64_t op_listed(fuse_req_t req, uint64_t ino)
{
	uint64_t shown;

	return numbers_show(&op_fs(req)->numbers, ino, &shown) < 0 ? INO32_NONE : shown;
}

/*
 * An answer with the attributes of a directory or file that was on its way while
 * names in it or of it changed may reach the kernel's cache after the change did, and would stay.
 * This makes it discard what was asked for before.  Like the notice in killed() it
 * concerns attributes alone.
 */
void op_changed(void *session, uint64_t ino)
{
	fuse_lowlevel_notify_inval_inode(session, ino, -1, 0);
}
