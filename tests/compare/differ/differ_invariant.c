/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What has to be so in a tree that several workers have been at. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "differ_shared.h"

#define BLOCK 4096

static bool wrong_at(struct text *text, const char *path, const char *what)
{
	text_add_word(text, path);
	text_add(text, ": %s", what);
	return false;
}

/* ---- names and numbers ---- */

static bool is_child(const char *path, const char *dir)
{
	size_t len = strcmp(dir, ".") ? strlen(dir) : 0;

	if (!strcmp(path, ".") || (len && (strncmp(path, dir, len) != 0 || path[len] != '/')))
		return false;
	return !strchr(path + (len ? len + 1 : 0), '/');
}

/* Of a directory 2 and its subdirectories, of anything else its names. */
static nlink_t count_links(const struct tree *tree, const struct node *node)
{
	bool is_dir = S_ISDIR(node->st.st_mode);
	nlink_t n = is_dir ? 2 : 0;
	size_t i;

	for (i = 0; i < tree->count; i++) {
		const struct node *other = &tree->nodes[i];

		n += is_dir ? S_ISDIR(other->st.st_mode) && is_child(other->path, node->path)
			    : other->st.st_ino == node->st.st_ino;
	}
	return n;
}

bool invariant_tree(const struct tree *tree, struct text *wrong)
{
	cleanup_free char *links = NULL;
	size_t i;

	for (i = 0; i < tree->count; i++) {
		const struct node *node = &tree->nodes[i];

		if (node->problems)
			return wrong_at(wrong, node->path, node->problems);
		if (i && !strcmp(node->path, tree->nodes[i - 1].path))
			return wrong_at(wrong, node->path, "listed twice");
		if (strcmp(node->twin, node->path) != 0 && S_ISDIR(node->st.st_mode))
			return wrong_at(wrong, node->path, "a directory with another's number");
		if (node->st.st_nlink == count_links(tree, node))
			continue;
		links = xformat("st_nlink %ju, but there are %ju", (uintmax_t)node->st.st_nlink,
				(uintmax_t)count_links(tree, node));
		return wrong_at(wrong, node->path, links);
	}
	return true;
}

bool invariant_same(const struct tree *before, const struct tree *after, struct text *wrong)
{
	cleanup_text struct text signature = { 0 };
	size_t i;

	/* No time is "now": they must be the same. */
	if (!tree_equal(before, after, INT64_MAX, COMPARE_LINKS, wrong, &signature))
		return false;
	for (i = 0; i < before->count; i++)
		if (before->nodes[i].st.st_ino != after->nodes[i].st.st_ino)
			return wrong_at(wrong, before->nodes[i].path, "another inode number");
	return true;
}

/* ---- content ---- */

static size_t zeros_from(const unsigned char *block, size_t len)
{
	while (len && !block[len - 1])
		len--;
	return len;
}

static bool is_tagged(const unsigned char *block, size_t len)
{
	uint64_t tag;
	size_t i;

	memcpy(&tag, block, sizeof(tag));
	/* What is left of it may be less than a tag. */
	if (len < sizeof(tag))
		return len == 0 || block[0] == 0xc5;
	for (i = 0; i < len; i++)
		if (block[i] != block[i % 8])
			return false;
	return tag_is_one(tag);
}

static bool is_of_branch(const struct stack *stack, const unsigned char *block, size_t len,
			 off_t off)
{
	unsigned char want[BLOCK];
	size_t i;

	for (i = 0; i < stack->count; i++) {
		if (stack->entries[i].type != ENTRY_FILE)
			continue;
		data_fill(want, 8, stack->entries[i].seed, off);
		if (memcmp(want, block, len < 8 ? len : 8) != 0)
			continue;
		data_fill(want, len, stack->entries[i].seed, off);
		if (!memcmp(want, block, len))
			return true;
	}
	return false;
}

/* What one put there, cut off perhaps and followed by zeros. */
static bool is_block_of_one(const struct stack *stack, const unsigned char *block, size_t len,
			    off_t off)
{
	size_t used = zeros_from(block, len);

	/* A lower file's own data may end with zeros. */
	return is_tagged(block, used) || is_of_branch(stack, block, used, off);
}

static bool check_file(const struct node *node, const struct stack *stack, int rootfd,
		       struct text *wrong)
{
	cleanup_fd int fd = fd_open_beneath(rootfd, node->path, O_RDONLY);
	unsigned char block[BLOCK];
	off_t off;
	ssize_t n;

	if (fd < 0)
		return wrong_at(wrong, node->path, "cannot be opened");
	for (off = 0; (n = pread(fd, block, sizeof(block), off)) > 0; off += n) {
		cleanup_free char *what = xformat("the block at %jd is of no one writer",
						  (intmax_t)off);

		if (!is_block_of_one(stack, block, n, off))
			return wrong_at(wrong, node->path, what);
	}
	return n < 0 ? wrong_at(wrong, node->path, "cannot be read") : true;
}

bool invariant_content(const struct tree *tree, const struct stack *stack, int rootfd,
		       struct text *wrong)
{
	size_t i;

	for (i = 0; i < tree->count; i++)
		if (S_ISREG(tree->nodes[i].st.st_mode) &&
		    !check_file(&tree->nodes[i], stack, rootfd, wrong))
			return false;
	return true;
}

/* ---- the work directory ---- */

bool invariant_work_empty(const char *work, struct text *wrong)
{
	cleanup_fd int fd = open(work, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct tree tree = { 0 };
	bool empty = true;
	size_t i;
	int r = tree_read(fd, false, &tree);

	if (r < 0)
		return wrong_at(wrong, work, "cannot be read");
	for (i = 0; empty && i < tree.count; i++)
		/* At its top is what stays: the state, whose it is, the directories to work in. */
		if (strchr(tree.nodes[i].path, '/'))
			empty = wrong_at(wrong, tree.nodes[i].path, "left in the work directory");
	tree_done(&tree);
	return empty;
}
