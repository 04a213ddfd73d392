/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Nodes: how long they live, their names, and threads. */
#include "node/node.h"

#include <malloc.h>

#include "scratch.h"

static struct fdcache fds;
static struct nodes nodes;
static unsigned int n_gone;
static uint64_t last_gone;

static void gone(void *context, uint64_t ino)
{
	assert(context == &nodes);
	n_gone++;
	last_gone = ino;
}

static void begin(void)
{
	fdcache_init(&fds, 4);
	nodes_init(&nodes, &fds, gone, &nodes);
	n_gone = 0;
}

static void end(void)
{
	nodes_done(&nodes);
	fdcache_done(&fds);
}

static struct node *make(uint64_t ino, mode_t type)
{
	const struct node made = {
		.ino = ino, .type = type, .has_upper = true, .real = ino + 1000
	};
	bool is_new;
	struct node *node = nodes_get_or_add(&nodes, &made, &is_new);

	assert(node && is_new);
	return node;
}

static bool is_known(uint64_t ino)
{
	struct node *node = nodes_get(&nodes, ino);

	node_unref(node);
	return node != NULL;
}

static void test_references(void)
{
	struct node *node, *same;
	bool is_new;

	begin();
	assert(!is_known(5));
	node = make(5, S_IFREG);
	assert_eq(node->real, 1005);
	assert(node_has_upper(node));
	assert(!node_is_removed(node));
	same = nodes_get_or_add(&nodes, &(struct node){ .ino = 5, .type = S_IFDIR }, &is_new);
	assert(same == node && !is_new);
	assert_eq(node->type, S_IFREG);
	node_unref(same);
	same = node_ref(node);
	node_unref(same);
	assert(is_known(5));
	node_unref(node);
	assert(!is_known(5));
	node_unref(NULL);
	end();
}

static void test_lookups(void)
{
	struct node *node;

	begin();
	node = make(5, S_IFREG);
	node_looked_up(node);
	node_looked_up(node);
	node_looked_up(node);
	node_unref(node);
	node = nodes_get(&nodes, 5);
	node_forget(node, 2);
	node_unref(node);
	node = nodes_get(&nodes, 5);
	assert(node);
	node_forget(node, 100); /* more than there were */
	assert(is_known(5));
	node_unref(node);
	assert(!is_known(5));
	end();
}

/* A directory is kept by what is in it, up to the root; it goes when that goes. */
static void test_directories_are_kept_by_names(void)
{
	struct node *root, *dir, *sub, *file;

	begin();
	root = make(1, S_IFDIR);
	dir = make(2, S_IFDIR);
	sub = make(3, S_IFDIR);
	file = make(4, S_IFREG);
	assert_eq(node_add_alias(dir, root, "d"), 0);
	assert_eq(node_add_alias(sub, dir, "s"), 0);
	assert_eq(node_add_alias(file, sub, "f"), 0);
	assert_eq(node_add_alias(file, sub, "f"), 0); /* twice is once */
	node_looked_up(file);
	node_unref(root);
	node_unref(dir);
	node_unref(sub);
	node_unref(file);
	assert(is_known(1) && is_known(2) && is_known(3) && is_known(4));
	file = nodes_get(&nodes, 4);
	node_forget(file, 1);
	node_unref(file);
	assert(!is_known(1) && !is_known(2) && !is_known(3) && !is_known(4));
	end();
}

static void test_aliases(void)
{
	struct node *a, *b, *file, *parent;
	char *name;

	begin();
	a = make(2, S_IFDIR);
	b = make(3, S_IFDIR);
	file = make(4, S_IFREG);
	assert_eq(node_alias(file, 0, &parent, &name), 0);
	assert_eq(node_add_alias(file, a, "x"), 0);
	assert_eq(node_add_alias(file, b, "x"), 0);
	assert_eq(node_add_alias(file, b, "y"), 0);
	assert_eq(node_alias(file, 2, &parent, &name), 1);
	free(name);
	node_unref(parent);
	assert_eq(node_alias(file, 3, &parent, &name), 0);
	node_remove_alias(file, b, "z");
	node_remove_alias(file, a, "y");
	node_remove_alias(file, a, "x");
	node_unref(a);
	assert(!is_known(2));
	assert_eq(node_alias(file, 0, &parent, &name), 1);
	assert(parent == b);
	assert_streq(name, "x");
	free(name);
	node_unref(parent);
	node_remove_alias(file, b, "x");
	node_remove_alias(file, b, "y");
	node_remove_alias(file, b, "y");
	assert_eq(node_alias(file, 0, &parent, &name), 0);
	node_unref(b);
	node_unref(file);
	assert_eq(nodes.table.count, 0);
	end();
}

/* A file with very many names: each is found without a look at the others, or this would not end
 * soon. */
static void test_many_names(void)
{
	enum { N = 200000 };
	struct node *dir, *file, *parent;
	char name[32], *first;

	begin();
	dir = make(2, S_IFDIR);
	file = make(3, S_IFREG);
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < N; i++) {
			snprintf(name, sizeof(name), "n%d", i);
			assert_eq(node_add_alias(file, dir, name), 0);
		}
	}
	for (int i = N - 1; i > 0; i--) {
		snprintf(name, sizeof(name), "n%d", i);
		node_remove_alias(file, dir, name);
	}
	assert_eq(node_alias(file, 1, &parent, &first), 0);
	assert_eq(node_alias(file, 0, &parent, &first), 1);
	assert_streq(first, "n0");
	free(first);
	node_unref(parent);
	node_unref(dir);
	node_unref(file);
	assert_eq(nodes.table.count, 0);
	assert_eq(nodes.aliases.count, 0);
	end();
}

/* What malloc has given, but for the table's buckets, which come by doubling. */
static size_t memory(void)
{
	struct mallinfo2 info = mallinfo2();

	return info.uordblks + info.hblkhd - nodes.table.n_buckets * sizeof(*nodes.table.buckets);
}

/* What a node with one name takes, to the byte: of what the kernel knows there may be millions. */
static void test_memory(void)
{
	enum { N = 1 << 14, NODE = 128, ALIAS = 48 };
	struct node *dir;
	size_t before;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	return; /* whose malloc has its own ideas */
#endif
	begin();
	dir = make(1, S_IFDIR);
	before = memory();
	for (uint64_t i = 2; i < N + 2; i++) {
		struct node *file = make(i, S_IFREG);
		char name[32];

		snprintf(name, sizeof(name), "a-name-%015d", (int)i);
		assert_eq(node_add_alias(file, dir, name), 0);
		node_looked_up(file);
		node_unref(file);
	}
	assert_eq(nodes.aliases.n_buckets, 0);
	assert((memory() - before) / N <= NODE + ALIAS);
	node_unref(dir);
	end();
}

/* Who knew an orphan last is told, once, and only for orphans. */
static void test_orphans(void)
{
	struct node *orphan, *other;

	begin();
	orphan = make(7, S_IFREG);
	other = make(8, S_IFREG);
	lock_take(&orphan->lock);
	orphan->is_orphan = true;
	lock_release(&orphan->lock);
	node_looked_up(orphan);
	node_unref(orphan);
	node_unref(other);
	assert_eq(n_gone, 0);
	orphan = nodes_get(&nodes, 7);
	node_forget(orphan, 1);
	assert_eq(n_gone, 0);
	node_unref(orphan);
	assert_eq(n_gone, 1);
	assert_eq(last_gone, 7);
	end();
}

/* At the end of a mount the kernel still knows a lot. */
static void test_done_with_nodes_left(void)
{
	struct node *root, *file;

	begin();
	root = make(1, S_IFDIR);
	for (uint64_t i = 2; i < 1000; i++) {
		char name[32];

		snprintf(name, sizeof(name), "n%d", (int)i);
		file = make(i, S_IFREG);
		assert_eq(node_add_alias(file, root, name), 0);
		assert_eq(node_add_alias(file, root, "other"), 0);
		node_looked_up(file);
		node_unref(file);
	}
	end();
}

/* --- threads --- */

enum { N_THREADS = 6, N_INODES = 20, N_ROUNDS = 20000 };
static struct node *shared_root;

static void *use(void *context)
{
	unsigned int seed = *(unsigned int *)context;

	for (int i = 0; i < N_ROUNDS; i++) {
		uint64_t ino = 2 + (uint64_t)rand_r(&seed) % N_INODES;
		const struct node made = { .ino = ino, .type = S_IFREG, .has_upper = true };
		bool is_new;
		struct node *node = nodes_get_or_add(&nodes, &made, &is_new);
		struct node *parent;
		char *name;

		assert(node && node->ino == ino);
		node_looked_up(node);
		assert_eq(node_add_alias(node, shared_root, "x"), 0);
		if (node_alias(node, 0, &parent, &name) == 1) {
			assert(parent == shared_root);
			node_unref(parent);
			free(name);
		}
		if (rand_r(&seed) % 4 == 0)
			node_remove_alias(node, shared_root, "x");
		node_forget(node, 1);
		node_unref(node);
	}
	return NULL;
}

static void test_threads(void)
{
	pthread_t threads[N_THREADS];
	unsigned int seeds[N_THREADS];

	begin();
	shared_root = make(1, S_IFDIR);
	for (unsigned int i = 0; i < N_THREADS; i++) {
		seeds[i] = i;
		assert(pthread_create(&threads[i], NULL, use, &seeds[i]) == 0);
	}
	for (int i = 0; i < N_THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_eq(nodes.table.count, 1);
	assert_eq(shared_root->refs, 1);
	node_unref(shared_root);
	assert_eq(nodes.table.count, 0);
	end();
}

static void test_tally(void)
{
	struct node *dir;
	unsigned int mark;

	begin();
	dir = make(1, S_IFDIR);
	assert_eq(node_tally(dir, &mark), -1);
	/* What comes while they are counted may be counted or not. */
	node_tally_begin(dir);
	node_tally_keep(dir, mark, 2);
	node_tally_end(dir, 1);
	node_tally_keep(dir, mark, 2);
	assert_eq(node_tally(dir, &mark), -1);
	node_tally_keep(dir, mark, 2);
	assert_eq(node_tally(dir, &mark), 2);
	node_tally_begin(dir);
	node_tally_end(dir, 1);
	assert_eq(node_tally(dir, &mark), 3);
	node_tally_begin(dir);
	node_tally_end(dir, TALLY_LOST);
	assert_eq(node_tally(dir, &mark), -1);
	node_unref(dir);
	end();
}

int main(void)
{
	scratch_begin();
	test_tally();
	test_references();
	test_lookups();
	test_directories_are_kept_by_names();
	test_aliases();
	test_many_names();
	test_memory();
	test_orphans();
	test_done_with_nodes_left();
	test_threads();
	return 0;
}
