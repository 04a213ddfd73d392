/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The file format of LMDB 0.9 (mdb.c, "Page Headers" and "Meta Page Format"), of which only its
 * own machine's form is of interest: numbers are in host order, and as wide as size_t where they
 * count pages.
 *
 * A page has a head of 16 bytes; then, for a branch or a leaf, the places of its nodes in the order
 * of their keys, and at its end the nodes. A value that is too large for a leaf has pages of its
 * own. Pages 0 and 1 tell where the trees begin, the one that was written last counting: that of
 * the free pages, and that of the tables, whose values say where a table's own tree begins.
 */
#include "index/index_check.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "index/index.h"

enum {
	IS_BRANCH = 1,
	IS_LEAF = 2,
	IS_OVERFLOW = 4,
	IS_META = 8,
};
enum {
	NODE_HAS_PAGES = 1, /* the value is the number of the first */
	NODE_IS_TABLE = 2,
	NODE_FLAGS = 3, /* that we use */
};
enum {
	INTEGER_KEYS = 8,
	TREE_FLAGS = 0x7e, /* all that say how keys and values are kept */
	MAX_DEPTH = 32,
	MIN_PAGE = 512,
	MAX_PAGE = 1 << 15,
	FIRST_FREE_PAGE = 2, /* that a tree can have */
};
#define MAGIC UINT32_C(0xbeefc0de)
#define VERSION 1
#define NO_PAGE SIZE_MAX
#define MAX_FILE (UINT64_C(1) << 40) /* far larger than any index */

struct page_head {
	size_t number;
	uint16_t pad, flags;
	uint16_t lower, upper; /* ends of the places, and beginning of the nodes */
};

struct page_node {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	uint16_t low, high; /* size of the value, or lower bits of the page of a branch */
#else
	uint16_t high, low;
#endif
	uint16_t flags; /* or the upper bits */
	uint16_t key_size;
};

struct tree {
	uint32_t pad;
	uint16_t flags, depth;
	size_t n_branches, n_leaves, n_overflow, n_records;
	size_t root;
};

struct meta_page {
	uint32_t magic, version;
	size_t address, map_size;
	struct tree free, main;
	size_t last_page, txn;
};

/* A key that was seen, and whether the next may be the same. */
struct bound {
	size_t size;
	bool is_set, may_equal;
	uint8_t bytes[INDEX_MAX_KEY];
};

struct check {
	int fd;
	size_t page_size;
	uint64_t n_pages; /* of which the file has all that were written */
	uint8_t *is_used; /* a bit for each page */
	struct bound bound; /* of the tree that is being looked at */
	const struct tree *tree;
	bool is_main;
};

/* A page, and where its node `i` is. */
struct page_view {
	struct page_head head;
	unsigned int n_nodes;
	uint8_t *bytes;
};

#define RETURN_IF_NOT(good)                                                                        \
	do {                                                                                       \
		if (!(good))                                                                       \
			return INDEX_CHECK_BAD;                                                    \
	} while (0)

/* --- pages --- */

static int read_at(const struct check *check, uint64_t page, void *ret, size_t size)
{
	ssize_t n = fd_pread_all(check->fd, ret, size, (off_t)(page * check->page_size));

	return n < 0 ? (int)n : (size_t)n == size ? 0 : INDEX_CHECK_BAD;
}

/* Each page has one place. */
static bool claim(struct check *check, uint64_t page)
{
	uint8_t bit = (uint8_t)(1 << (page & 7));

	if (page < FIRST_FREE_PAGE || page >= check->n_pages || check->is_used[page / 8] & bit)
		return false;
	check->is_used[page / 8] |= bit;
	return true;
}

static struct page_node node_at(const struct page_view *page, unsigned int i,
				const uint8_t **ret_data)
{
	struct page_node node;
	uint16_t place;

	memcpy(&place, page->bytes + sizeof(struct page_head) + i * sizeof(place), sizeof(place));
	memcpy(&node, page->bytes + place, sizeof(node));
	*ret_data = page->bytes + place + sizeof(node);
	return node;
}

static size_t value_size(const struct page_node *node)
{
	return node->low | (size_t)node->high << 16;
}

static uint64_t child_of(const struct page_node *node)
{
	return node->low | (uint64_t)node->high << 16 | (uint64_t)node->flags << 32;
}

/* What the node takes of its page, which is an even number of bytes. */
static size_t node_size(const struct page_view *page, const struct page_node *node)
{
	size_t size = sizeof(*node) + node->key_size;

	if (page->head.flags == IS_LEAF)
		size += node->flags & NODE_HAS_PAGES ? sizeof(size_t) : value_size(node);
	return (size + 1) & ~(size_t)1;
}

/* Nodes are within the page, behind the places, and apart from each other. */
static int check_nodes(const struct check *check, const struct page_view *page)
{
	uint8_t is_taken[MAX_PAGE / 2] = { 0 };

	for (unsigned int i = 0; i < page->n_nodes; i++) {
		const uint8_t *data;
		struct page_node node;
		uint16_t place;
		size_t size;

		memcpy(&place, page->bytes + sizeof(struct page_head) + i * sizeof(place),
		       sizeof(place));
		RETURN_IF_NOT(place % 2 == 0 && place >= page->head.upper &&
			      place + sizeof(node) <= check->page_size);
		node = node_at(page, i, &data);
		size = node_size(page, &node);
		RETURN_IF_NOT(size <= check->page_size - place);
		for (size_t at = place / 2; at < (place + size) / 2; at++) {
			RETURN_IF_NOT(!is_taken[at]);
			is_taken[at] = 1;
		}
	}
	return 0;
}

static int check_head(const struct check *check, uint64_t number, struct page_view *page)
{
	struct page_head *head = &page->head;

	memcpy(head, page->bytes, sizeof(*head));
	RETURN_IF_NOT(head->number == number);
	RETURN_IF_NOT(head->flags == IS_BRANCH || head->flags == IS_LEAF);
	RETURN_IF_NOT(head->lower >= sizeof(*head) && head->lower <= head->upper);
	RETURN_IF_NOT(head->upper <= check->page_size && head->lower % 2 == 0);
	page->n_nodes = (unsigned int)(head->lower - sizeof(*head)) / 2;
	RETURN_IF_NOT(page->n_nodes >= (head->flags == IS_BRANCH ? 2 : 1));
	return check_nodes(check, page);
}

static void page_done(struct page_view *page)
{
	free(page->bytes);
}

static int read_page(struct check *check, uint64_t number, struct page_view *page)
{
	int r;

	RETURN_IF_NOT(claim(check, number));
	page->bytes = malloc(check->page_size);
	r = page->bytes ? read_at(check, number, page->bytes, check->page_size) : -ENOMEM;
	return r == 0 ? check_head(check, number, page) : r;
}

/* --- keys and values --- */

static int compare_keys(const struct check *check, const uint8_t *key, size_t size)
{
	const struct bound *bound = &check->bound;
	size_t common = size < bound->size ? size : bound->size;
	int order;

	if (check->tree->flags & INTEGER_KEYS) {
		size_t a, b;

		memcpy(&a, key, sizeof(a));
		memcpy(&b, bound->bytes, sizeof(b));
		return a < b ? -1 : a > b;
	}
	order = memcmp(key, bound->bytes, common);
	return order ? order : size < bound->size ? -1 : size > bound->size;
}

/* Keys come in their order; the one of a branch is at most that of the first record below it. */
static int check_key(struct check *check, const uint8_t *key, size_t size, bool is_branch)
{
	struct bound *bound = &check->bound;

	RETURN_IF_NOT(size > 0 && size <= INDEX_MAX_KEY);
	RETURN_IF_NOT(!(check->tree->flags & INTEGER_KEYS) || size == sizeof(size_t));
	if (bound->is_set) {
		int order = compare_keys(check, key, size);

		RETURN_IF_NOT(order > 0 || (order == 0 && bound->may_equal));
	}
	bound->size = size;
	bound->is_set = true;
	bound->may_equal = is_branch;
	memcpy(bound->bytes, key, size);
	return 0;
}

/* The value in pages of its own, which must be large enough; allocated. */
static int read_overflow(struct check *check, uint64_t first, size_t size, uint8_t **ret)
{
	struct page_head head;
	uint32_t n_pages;
	cleanup_free uint8_t *bytes = NULL;
	int r;

	RETURN_IF_NOT(claim(check, first));
	r = read_at(check, first, &head, sizeof(head));
	if (r != 0)
		return r;
	memcpy(&n_pages, &head.lower, sizeof(n_pages));
	RETURN_IF_NOT(head.number == first && head.flags == IS_OVERFLOW && n_pages > 0);
	RETURN_IF_NOT(n_pages <= check->n_pages &&
		      size <= n_pages * check->page_size - sizeof(head));
	for (uint32_t i = 1; i < n_pages; i++)
		RETURN_IF_NOT(claim(check, first + i));
	bytes = malloc(sizeof(head) + size);
	r = bytes ? read_at(check, first, bytes, sizeof(head) + size) : -ENOMEM;
	if (r != 0)
		return r;
	memmove(bytes, bytes + sizeof(head), size);
	*ret = take_ptr(bytes);
	return 0;
}

/* A list of free pages: their number, and they themselves, the largest first. */
static int check_free_pages(struct check *check, const uint8_t *value, size_t size)
{
	size_t n, page, above = NO_PAGE;

	RETURN_IF_NOT(size >= sizeof(n) && size % sizeof(n) == 0);
	memcpy(&n, value, sizeof(n));
	RETURN_IF_NOT(n <= size / sizeof(n) - 1);
	for (size_t i = 1; i <= n; i++, above = page) {
		memcpy(&page, value + i * sizeof(page), sizeof(page));
		RETURN_IF_NOT(page < above && claim(check, page));
	}
	return 0;
}

static int check_tree(struct check *check, const struct tree *tree, bool is_main);

/* Where a table's tree begins; the tree that is being looked at meanwhile is put aside. */
static int check_table(struct check *check, const uint8_t *value, size_t size)
{
	struct bound bound = check->bound;
	const struct tree *above = check->tree;
	struct tree tree;
	int r;

	RETURN_IF_NOT(size == sizeof(tree));
	memcpy(&tree, value, sizeof(tree));
	RETURN_IF_NOT(!(tree.flags & TREE_FLAGS));
	r = check_tree(check, &tree, false);
	check->bound = bound;
	check->tree = above;
	check->is_main = true;
	return r;
}

static int check_record(struct check *check, const struct page_node *node, const uint8_t *data)
{
	cleanup_free uint8_t *large = NULL;
	const uint8_t *value = data + node->key_size;
	size_t size = value_size(node);
	bool is_table = node->flags & NODE_IS_TABLE;
	size_t first;
	int r = check_key(check, data, node->key_size, false);

	RETURN_IF_NOT(!(node->flags & ~NODE_FLAGS) && is_table == check->is_main);
	if (r == 0 && node->flags & NODE_HAS_PAGES) {
		memcpy(&first, value, sizeof(first));
		r = read_overflow(check, first, size, &large);
		value = large;
	}
	if (r == 0 && is_table)
		r = check_table(check, value, size);
	else if (r == 0 && check->tree->flags & INTEGER_KEYS)
		r = check_free_pages(check, value, size);
	return r;
}

/* --- trees --- */

/* `depth` is how many pages there are from this one down. */
static int check_page(struct check *check, uint64_t number, unsigned int depth)
{
	CLEANUP(page_done) struct page_view page = { 0 };
	int r = read_page(check, number, &page);

	if (r == 0 && (page.head.flags == IS_LEAF) != (depth == 1))
		return INDEX_CHECK_BAD;
	for (unsigned int i = 0; r == 0 && i < page.n_nodes; i++) {
		const uint8_t *data;
		struct page_node node = node_at(&page, i, &data);

		if (depth == 1) {
			r = check_record(check, &node, data);
			continue;
		}
		/* The first key of a branch means nothing. */
		if (i > 0)
			r = check_key(check, data, node.key_size, true);
		if (r == 0)
			r = check_page(check, child_of(&node), depth - 1);
	}
	return r;
}

static int check_tree(struct check *check, const struct tree *tree, bool is_main)
{
	if (tree->root == NO_PAGE)
		return tree->depth == 0 ? 0 : INDEX_CHECK_BAD;
	RETURN_IF_NOT(tree->depth > 0 && tree->depth <= MAX_DEPTH);
	check->bound = (struct bound){ 0 };
	check->tree = tree;
	check->is_main = is_main;
	return check_page(check, tree->root, tree->depth);
}

/* --- the whole --- */

/* The `i`-th of the two pages that begin the file; its page size becomes the check's. */
static int read_meta(struct check *check, unsigned int i, struct meta_page *meta)
{
	struct page_head head;
	uint8_t bytes[sizeof(head) + sizeof(*meta)];
	int r = read_at(check, i, bytes, sizeof(bytes));

	if (r != 0)
		return r;
	memcpy(&head, bytes, sizeof(head));
	memcpy(meta, bytes + sizeof(head), sizeof(*meta));
	RETURN_IF_NOT(head.number == i && head.flags == IS_META);
	RETURN_IF_NOT(meta->magic == MAGIC && meta->version == VERSION);
	/* There, the size of pages. */
	check->page_size = meta->free.pad;
	RETURN_IF_NOT(check->page_size >= MIN_PAGE && check->page_size <= MAX_PAGE &&
		      !(check->page_size & (check->page_size - 1)));
	RETURN_IF_NOT((meta->free.flags & TREE_FLAGS) == INTEGER_KEYS &&
		      !(meta->main.flags & TREE_FLAGS));
	return 0;
}

/* The one that counts is where the next but one will be written. */
static int find_meta(struct check *check, struct meta_page *ret)
{
	struct meta_page metas[2];
	size_t page_size;
	unsigned int newest;
	int r = read_meta(check, 0, &metas[0]);

	page_size = check->page_size;
	if (r == 0)
		r = read_meta(check, 1, &metas[1]);
	if (r != 0)
		return r;
	newest = metas[1].txn > metas[0].txn;
	*ret = metas[newest];
	RETURN_IF_NOT(page_size == check->page_size && (ret->txn & 1) == newest);
	RETURN_IF_NOT(ret->last_page >= FIRST_FREE_PAGE - 1 &&
		      ret->last_page < MAX_FILE / page_size && ret->map_size <= MAX_FILE);
	check->n_pages = ret->last_page + 1;
	return 0;
}

int index_check(int fd)
{
	cleanup_free uint8_t *is_used = NULL;
	struct check check = { .fd = fd };
	struct meta_page meta;
	int r = find_meta(&check, &meta);

	if (r != 0)
		return r;
	check.is_used = is_used = calloc(1, check.n_pages / 8 + 1);
	if (!is_used)
		return -ENOMEM;
	/* First the trees, as no page that they have may be free. */
	r = check_tree(&check, &meta.main, true);
	return r == 0 ? check_tree(&check, &meta.free, false) : r;
}
