/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Requests about names. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "node/dir.h"
#include "request/op.h"

/* Answers with what was found, or that there is nothing, which the kernel remembers too. */
static void reply_found(fuse_req_t req, int r, struct node *changed, const struct entry *entry)
{
	if (r < 0)
		fuse_reply_err(req, -r);
	else
		op_reply_entry(req, changed, entry);
}

/* "." and ".." are asked for by NFS servers and open_by_handle_at(2), of any number. */
static int lookup_dots(struct fs *fs, struct node *node, bool is_up, struct entry *ret)
{
	int r;

	ret->node = is_up ? node_parent(node) : node_ref(node);
	r = fs_getattr(fs, ret->node, &ret->st);
	/* Asked for by number is what the kernel has forgotten; that we may not have heard of yet.
	 */
	if (r == 0 && !is_up && node_is_removed(node) && ret->st.st_nlink == 0)
		return -ESTALE;
	return r;
}

void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	bool is_up = strcmp(name, "..") == 0, is_dots = is_up || strcmp(name, ".") == 0;
	cleanup_node struct node *dir = is_dots ? op_found_node(req, parent) : op_node(req, parent);
	cleanup_entry struct entry entry = { 0 };
	int r;

	if (!dir)
		return;
	r = is_dots ? lookup_dots(op_fs(req), dir, is_up, &entry)
		    : fs_lookup(op_fs(req), dir, name, &entry);
	if (r >= 0 && is_dots && !is_up)
		op_reply_same(req, parent, &entry);
	else
		reply_found(req, r, NULL, &entry);
}

/* After -EEXIST: whether it is there because an earlier worker had carried the request out. */
static int made_before(struct fs *fs, struct node *dir, const char *name, struct entry *ret)
{
	int r = attempt_was_begun(NULL) ? fs_lookup(fs, dir, name, ret) : -EEXIST;

	return r == FS_FOUND ? 0 : r < 0 ? r : -EEXIST;
}

int op_make(fuse_req_t req, struct node *dir, const char *name, const struct newborn *newborn,
	    struct entry *ret)
{
	struct caller caller;
	int r = op_caller(req, &caller);

	/* What an earlier worker has noted of this request holds. */
	if (r == 0 && !attempt_was_begun(NULL))
		attempt_begin(0);
	if (r == 0)
		r = fs_create(op_fs(req), dir, name, newborn, &caller, ret);
	return r == -EEXIST ? made_before(op_fs(req), dir, name, ret) : r;
}

static void make(fuse_req_t req, fuse_ino_t parent, const char *name, const struct newborn *newborn)
{
	cleanup_node struct node *dir = op_dir_node(req, parent);
	cleanup_entry struct entry entry = { 0 };

	if (dir)
		reply_found(req, op_make(req, dir, name, newborn, &entry), dir, &entry);
}

void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
	make(req, parent, name, &(struct newborn){ .mode = mode, .rdev = rdev });
}

void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	make(req, parent, name, &(struct newborn){ .mode = S_IFDIR | mode });
}

void op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
	make(req, parent, name, &(struct newborn){ .mode = S_IFLNK | 0777, .target = target });
}

void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name)
{
	cleanup_node struct node *node = op_node(req, ino);
	cleanup_node struct node *dir = node ? op_dir_node(req, parent) : NULL;
	cleanup_entry struct entry entry = { 0 };
	int r;

	if (!dir)
		return;
	attempt_begin(0);
	r = fs_link(op_fs(req), node, dir, name, &entry);
	if (r == -EEXIST) {
		r = made_before(op_fs(req), dir, name, &entry);
		if (r == 0 && entry.node != node)
			r = -EEXIST;
	}
	if (r < 0)
		fuse_reply_err(req, -r);
	else
		op_reply_link(req, dir, &entry);
}

static void take(fuse_req_t req, fuse_ino_t parent, const char *name,
		 int (*verb)(struct fs *fs, struct node *dir, const char *name))
{
	cleanup_node struct node *dir = op_dir_node(req, parent);
	int r;

	if (!dir)
		return;
	attempt_begin(0);
	r = verb(op_fs(req), dir, name);
	op_reply(req, r == -ENOENT && attempt_was_begun(NULL) ? 0 : r);
}

void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	take(req, parent, name, fs_unlink);
}

void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	take(req, parent, name, fs_rmdir);
}

/* The number of what stands at a name; 0: nothing. */
static uint64_t number_at(struct fs *fs, struct node *dir, const char *name)
{
	cleanup_entry struct entry entry = { 0 };

	return fs_lookup(fs, dir, name, &entry) == FS_FOUND ? entry.node->ino : 0;
}

/* Whether a file that moves can have both names for a moment (rename.c: move_by_link). */
static bool can_have_both(struct fs *fs)
{
	return fs->upper.caps.style.format == WHITEOUT_XATTR;
}

/* What is to move, for the worker after; 0 if that must not think so, of two names of one file. */
static uint64_t moving(struct fs *fs, struct node *olddir, const char *name, struct node *newdir,
		       const char *newname)
{
	uint64_t ino = number_at(fs, olddir, name);

	return can_have_both(fs) && number_at(fs, newdir, newname) == ino ? 0 : ino;
}

/*
 * Whether an earlier worker has done it: what was to move, the number *ino that it noted, is
 * where it was to go and, but for one case, not where it was.
 */
static bool has_moved(struct fs *fs, struct node *olddir, const char *name, struct node *newdir,
		      const char *newname, uint64_t *ino)
{
	return attempt_was_begun(ino) && *ino && number_at(fs, newdir, newname) == *ino &&
	       (can_have_both(fs) || number_at(fs, olddir, name) != *ino);
}

/*
 * What stands at the old name then is an empty directory, if the two had changed places first; or
 * still the file that moved (rename.c: move_by_link).
 */
static int finish_move(struct fs *fs, struct node *olddir, const char *name, uint64_t ino,
		       unsigned int flags)
{
	int r;

	if (flags & RENAME_EXCHANGE)
		return 0;
	r = number_at(fs, olddir, name) == ino ? fs_unlink(fs, olddir, name)
					       : fs_rmdir(fs, olddir, name);
	return r == -ENOENT ? 0 : r;
}

void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t newparent,
	       const char *newname, unsigned int flags)
{
	cleanup_node struct node *olddir = op_dir_node(req, parent);
	cleanup_node struct node *newdir = olddir ? op_dir_node(req, newparent) : NULL;
	struct fs *fs = op_fs(req);
	uint64_t ino;

	if (!newdir)
		return;
	if (has_moved(fs, olddir, name, newdir, newname, &ino)) {
		op_reply(req, finish_move(fs, olddir, name, ino, flags));
		return;
	}
	attempt_begin(moving(fs, olddir, name, newdir, newname));
	op_reply(req, fs_rename(fs, olddir, name, newdir, newname, flags));
}

/* --- listings --- */

/* The answer to one READDIR or READDIRPLUS while it is put together. */
struct dir_page {
	fuse_req_t req;
	bool is_plus;
	unsigned int reading; /* the number of the reading it is part of (node/dir.h) */
	char *bytes;
	size_t size, used;
	int error; /* why it has no more names; that they are too many is none */
};

/* A position as the kernel has it: the number of a reading, and a cookie. */
static off_t position(unsigned int reading, uint64_t cookie)
{
	return (off_t)((uint64_t)reading << LISTING_COOKIE_BITS | cookie);
}

/* False when the page is full. */
static bool add(struct dir_page *page, const char *name, const struct fuse_entry_param *param,
		uint64_t cookie)
{
	off_t after = position(page->reading, cookie);
	char *at = page->bytes + page->used;
	size_t left = page->size - page->used;
	size_t n = page->is_plus
			   ? fuse_add_direntry_plus(page->req, at, left, name, param, after)
			   : fuse_add_direntry(page->req, at, left, name, &param->attr, after);

	if (n > left)
		return false;
	page->used += n;
	return true;
}

/* An entry that says no more than number and type. */
static struct fuse_entry_param bare(const struct dir_page *page, uint64_t ino, unsigned char type)
{
	return (struct fuse_entry_param){ .attr = { .st_ino = op_listed(page->req, ino),
						    .st_mode = DTTOIF(type) } };
}

static bool add_dots(struct dir_page *page, struct node *dir, uint64_t cookie)
{
	cleanup_node struct node *parent = node_parent(dir);
	struct fuse_entry_param self = bare(page, dir->ino, DT_DIR);
	struct fuse_entry_param up = bare(page, parent->ino, DT_DIR);

	if (cookie < LISTING_DOT && !add(page, ".", &self, LISTING_DOT))
		return false;
	return cookie >= LISTING_DOTDOT || add(page, "..", &up, LISTING_DOTDOT);
}

static bool add_bare(struct dir_page *page, const struct listing_entry *listed)
{
	struct fuse_entry_param param = bare(page, listed->ino, listed->type);

	return add(page, listed->name, &param, listed->cookie);
}

/* Adds a name with everything a lookup gives; the kernel then knows the node. */
static bool add_looked_up(struct dir_page *page, struct node *dir,
			  const struct listing_entry *listed)
{
	cleanup_entry struct entry entry = { 0 };
	struct fuse_entry_param param;
	int r = fs_lookup(op_fs(page->req), dir, listed->name, &entry);

	if (r == FS_ABSENT)
		return true; /* removed since it was listed */
	if (r < 0)
		return add_bare(page, listed);
	if (!attempt_tell(entry.node)) {
		page->error = -ENOMEM;
		return false;
	}
	if (op_entry_param(page->req, &entry, &param) < 0) {
		attempt_untell(entry.node);
		return add_bare(page, listed);
	}
	if (add(page, listed->name, &param, listed->cookie))
		return true;
	attempt_untell(entry.node);
	return false;
}

static void fill(struct dir_page *page, struct node *dir, const struct listing *listing,
		 uint64_t cookie)
{
	if (!add_dots(page, dir, cookie))
		return;
	for (size_t i = listing_after(listing, cookie); i < listing_count(listing); i++) {
		const struct listing_entry *listed = listing_at(listing, i);
		bool is_added = page->is_plus ? add_looked_up(page, dir, listed)
					      : add_bare(page, listed);

		if (!is_added)
			return;
	}
}

/*
 * Makes the kernel discard the names of a directory that it has kept.  It waits
 * for no request: what it locks are pages, and those only while a name is put
 * into them.
 */
static void discard_kept(fuse_req_t req, fuse_ino_t ino)
{
	fuse_lowlevel_notify_inval_inode(op_mount(req)->session, ino, 0, 0);
}

static void list(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, bool is_plus)
{
	cleanup_node struct node *dir = op_dir_node(req, ino);
	cleanup_listing struct listing *listing = NULL;
	cleanup_free char *bytes = malloc(size);
	struct dir_page page = { .req = req, .is_plus = is_plus, .bytes = bytes, .size = size };
	bool is_outdated = false;
	int r;

	if (!dir)
		return;
	page.reading = (unsigned int)((uint64_t)offset >> LISTING_COOKIE_BITS);
	if (offset == 0)
		is_outdated = dir_reading_begin(dir, &page.reading);
	r = bytes ? dir_list(op_fs(req), dir, offset == 0, &listing) : -ENOMEM;
	if (r < 0) {
		fuse_reply_err(req, -r);
		return;
	}
	fill(&page, dir, listing, (uint64_t)offset & ((1ULL << LISTING_COOKIE_BITS) - 1));
	/* An empty page would be the end. */
	if (page.used == 0 && page.error < 0) {
		fuse_reply_err(req, -page.error);
		return;
	}
	if (page.used == 0)
		is_outdated = dir_reading_end(dir, page.reading);
	if (is_outdated)
		discard_kept(req, ino);
	fuse_reply_buf(req, page.bytes, page.used);
}

void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	(void)fi;
	list(req, ino, size, off, false);
}

void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		    struct fuse_file_info *fi)
{
	(void)fi;
	list(req, ino, size, off, true);
}
