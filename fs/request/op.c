/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "request/op.h"

#include <errno.h>

#include "survive/ino32.h"

struct node *op_found_node(fuse_req_t req, fuse_ino_t ino)
{
	struct node *node = NULL;
	int r = fs_find(op_fs(req), opened_ino(ino), &node);

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
	node = nodes_get(nodes, opened_ino(ino));
	if (!node)
		fuse_reply_err(req, ESTALE);
	return node;
}

struct node *op_dir_node(fuse_req_t req, fuse_ino_t ino)
{
	struct node *node = op_node(req, ino);

	if (node && !S_ISDIR(node->type)) {
		node_unref(take_ptr(node));
		fuse_reply_err(req, ENOTDIR);
	}
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
	const struct mount *mount = op_mount(req);
	const struct node *node = entry->node;
	uint64_t id = node ? opened_id(mount->opened, node->ino) : 0;

	*ret = (struct fuse_entry_param){ .ino = id,
					  .attr_timeout = op_timeout(req, id),
					  .entry_timeout = mount->timeout };
	return op_shown(req, &entry->st, &ret->attr);
}

double op_timeout(fuse_req_t req, fuse_ino_t id)
{
	const struct mount *mount = op_mount(req);

	return opened_keeps_attributes(mount->opened, id) ? mount->timeout : 0;
}

/* An answer with an entry. */
struct reply {
	const struct entry *entry;
	struct node *changed; /* as of op_reply_entry */
	bool is_link;
	fuse_ino_t id; /* to be told; 0: the one to look it up by */
};

static void reply_entry(fuse_req_t req, const struct reply *reply)
{
	struct node *node = reply->entry->node;
	/* Counted before the answer: the kernel may forget the node as soon as it has it. */
	bool is_told = node && attempt_tell(node);
	struct fuse_entry_param param;
	int r = node && !is_told ? -ENOMEM : op_entry_param(req, reply->entry, &param);

	if (r < 0 && reply->changed)
		node_attributes_changed(reply->changed, NAMES_UNASKED);
	if (r == 0 && reply->is_link)
		param.attr_timeout = 0;
	if (r == 0 && reply->id)
		param.ino = reply->id;
	if (r < 0)
		fuse_reply_err(req, -r);
	else
		r = fuse_reply_entry(req, &param);
	if (r < 0 && is_told)
		attempt_untell(node);
}

void op_reply_entry(fuse_req_t req, struct node *changed, const struct entry *entry)
{
	reply_entry(req, &(struct reply){ .entry = entry, .changed = changed });
}

void op_reply_link(fuse_req_t req, struct node *changed, const struct entry *entry)
{
	reply_entry(req, &(struct reply){ .entry = entry, .changed = changed, .is_link = true });
}

void op_reply_same(fuse_req_t req, fuse_ino_t id, const struct entry *entry)
{
	reply_entry(req, &(struct reply){ .entry = entry, .id = id });
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
 * the writer could still see it.
 */
static void killed(const struct killer *killer, struct node *node)
{
	fuse_req_t req = ((const struct op_killer *)killer)->req;

	op_changed(op_mount(req), node->ino);
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
 * This makes it discard what was asked for before.
 */
void op_changed(void *context, uint64_t ino)
{
	const struct mount *mount = context;
	uint64_t id = opened_id(mount->opened, ino);

	fuse_lowlevel_notify_inval_inode(mount->session, id, -1, 0);
	/* The first inode may have been told of them before there was a second. */
	if (id != ino)
		fuse_lowlevel_notify_inval_inode(mount->session, ino, -1, 0);
}

void op_forgotten(void *mount, uint64_t ino)
{
	opened_forget(((const struct mount *)mount)->opened, ino);
}
