/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "node/node.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <time.h>

void nodes_init(struct nodes *nodes, struct fdcache *fds,
		void (*orphan_gone)(void *context, uint64_t ino), void *context)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	*nodes = (struct nodes){ .fds = fds, .orphan_gone = orphan_gone, .context = context };
	nodes->first_reading = (unsigned int)(now.tv_nsec >> 10) % (1U << READING_BITS);
	pthread_mutex_init(&nodes->lock, NULL);
}

static struct node *find_node(struct nodes *nodes, uint64_t ino)
{
	struct table_link *link = table_find(&nodes->table, table_hash_u64(ino));

	while (link && TABLE_OBJECT(link, struct node, link)->ino != ino)
		link = table_next(link);
	return link ? TABLE_OBJECT(link, struct node, link) : NULL;
}

struct node *nodes_get(struct nodes *nodes, uint64_t ino)
{
	struct node *node;

	pthread_mutex_lock(&nodes->lock);
	node = find_node(nodes, ino);
	if (node)
		node->refs++;
	pthread_mutex_unlock(&nodes->lock);
	return node;
}

static void dir_init(struct node_dir *dir)
{
	const struct nodes *nodes = dir->node.nodes;

	dir->tally.n = -1;
	dir->reading = nodes->first_reading;
	/* What an earlier worker answered is not known. */
	dir->answered = nodes->is_restart ? ANSWERED_MANY : ANSWERED_NOBODY;
}

static struct node *node_new(struct nodes *nodes, const struct node *made)
{
	bool is_dir = S_ISDIR(made->type);
	struct node *node = calloc(1, is_dir ? sizeof(struct node_dir) : sizeof(*node));

	if (!node)
		return NULL;
	node->nodes = nodes;
	node->ino = made->ino;
	node->type = made->type;
	node->has_upper = made->has_upper;
	node->real = made->real;
	node->has_data_place = made->has_data_place;
	node->protection = made->protection;
	node->lower = made->lower ? lower_ref(made->lower) : NULL;
	node->refs = 1;
	if (is_dir)
		dir_init(node_dir(node));
	return node;
}

/* Frees a node that is in no table and has no aliases. */
static void node_free(struct node *node)
{
	fdcache_drop(node->nodes->fds, &node->path);
	fdcache_drop(node->nodes->fds, &node->data);
	fdcache_drop(node->nodes->fds, &node->read_data);
	fdcache_drop(node->nodes->fds, &node->lower_data);
	lower_unref(node->lower);
	if (S_ISDIR(node->type))
		listing_unref(node_dir(node)->listing);
	free(node);
}

/* With the lock held: what an earlier worker told the kernel of the node counts on. */
static void take_over(struct nodes *nodes, struct node *node)
{
	if (!nodes->ledger)
		return;
	node->noted = ledger_claim(nodes->ledger, node->ino);
	if (node->noted)
		node->n_lookups = node->noted->n_lookups;
}

/* With the lock held: writes the count down. False: no room. */
static bool note(struct node *node)
{
	struct ledger *ledger = node->nodes->ledger;

	if (!ledger)
		return true;
	if (!node->noted && node->n_lookups)
		node->noted = ledger_add(ledger, node->ino, node->n_lookups,
					 node->aliases ? node->aliases->parent->ino : 0);
	if (node->noted && node->n_lookups)
		__atomic_store_n(&node->noted->n_lookups, node->n_lookups, __ATOMIC_RELAXED);
	else if (node->noted)
		ledger_remove(ledger, take_ptr(node->noted));
	return node->noted || !node->n_lookups;
}

struct node *nodes_get_or_add(struct nodes *nodes, const struct node *made, bool *is_new)
{
	struct node *node = nodes_get(nodes, made->ino), *spare;

	*is_new = false;
	if (node)
		return node;
	spare = node_new(nodes, made);
	if (!spare)
		return NULL;
	pthread_mutex_lock(&nodes->lock);
	node = find_node(nodes, made->ino);
	*is_new = !node;
	if (node) {
		node->refs++;
	} else if (table_add(&nodes->table, &spare->link, table_hash_u64(made->ino)) == 0) {
		node = take_ptr(spare);
		take_over(nodes, node);
	}
	pthread_mutex_unlock(&nodes->lock);
	if (spare)
		node_free(spare);
	return node;
}

struct node *node_ref(struct node *node)
{
	pthread_mutex_lock(&node->nodes->lock);
	node->refs++;
	pthread_mutex_unlock(&node->nodes->lock);
	return node;
}

/* --- names; all with the lock held --- */

static uint64_t hash_alias(const struct node *node, const struct node *parent, const char *name)
{
	return table_hash_name(name, table_hash_u64(node->ino) ^ parent->ino);
}

static struct further_alias *further(struct alias *alias)
{
	return TABLE_OBJECT(alias, struct further_alias, alias);
}

static bool alias_is(const struct alias *alias, const struct node *parent, const char *name)
{
	return alias->parent == parent && strcmp(alias->name, name) == 0;
}

static struct alias *find_alias(struct node *node, struct node *parent, const char *name)
{
	struct table_link *link;

	if (!node->aliases || alias_is(node->aliases, parent, name))
		return node->aliases;
	if (node->aliases == node->last_alias)
		return NULL;
	link = table_find(&node->nodes->aliases, hash_alias(node, parent, name));
	for (; link; link = table_next(link)) {
		struct further_alias *found = TABLE_OBJECT(link, struct further_alias, link);

		if (found->node == node && alias_is(&found->alias, parent, name))
			return &found->alias;
	}
	return NULL;
}

/* For a node without names. NULL: out of memory. */
static struct alias *first_new(size_t size)
{
	return calloc(1, offsetof(struct alias, name) + size);
}

/* For a node that has some; in the table, but not yet one of the node's. NULL: out of memory. */
static struct alias *further_new(struct node *node, size_t size, uint64_t hash)
{
	struct further_alias *made = calloc(1, offsetof(struct further_alias, alias.name) + size);

	if (!made)
		return NULL;
	made->node = node;
	made->previous = node->last_alias;
	made->alias.is_further = true;
	if (table_add(&node->nodes->aliases, &made->link, hash) == 0)
		return &made->alias;
	free(made);
	return NULL;
}

/* Behind the others of its node: the first is the one that was known first. 0 or -ENOMEM. */
static int append_alias(struct node *node, struct node *parent, const char *name)
{
	size_t size = strlen(name) + 1;
	struct alias *alias = node->aliases
				      ? further_new(node, size, hash_alias(node, parent, name))
				      : first_new(size);

	if (!alias)
		return -ENOMEM;
	memcpy(alias->name, name, size);
	alias->parent = parent;
	parent->refs++;
	*(node->last_alias ? &node->last_alias->next : &node->aliases) = alias;
	node->last_alias = alias;
	return 0;
}

/* Takes it out, too; its parent's reference is the caller's then. */
static void alias_free(struct node *node, struct alias *alias)
{
	struct alias *previous = alias->is_further ? further(alias)->previous : NULL;

	*(previous ? &previous->next : &node->aliases) = alias->next;
	*(alias->next ? &further(alias->next)->previous : &node->last_alias) = previous;
	if (!alias->is_further) {
		free(alias);
		return;
	}
	table_remove(&node->nodes->aliases, &further(alias)->link);
	free(further(alias));
}

/*
 * Gives back one reference with the lock held.  A node that nobody needs is
 * taken out and put on *dead; so are directories that only its names held.
 */
static void put_locked(struct node *node, struct node **dead)
{
	while (node && --node->refs == 0 && node->n_lookups == 0) {
		struct alias *alias = node->aliases;
		struct node *parent = NULL;

		table_remove(&node->nodes->table, &node->link);
		/* All but one name: their directories cannot be held by this name alone. */
		while (alias) {
			struct alias *next = alias->next;

			if (parent)
				put_locked(parent, dead);
			parent = alias->parent;
			alias_free(node, alias);
			alias = next;
		}
		node->link.next = *dead ? &(*dead)->link : NULL;
		*dead = node;
		node = parent;
	}
}

static void free_dead(struct nodes *nodes, struct node *dead)
{
	while (dead) {
		struct table_link *next = dead->link.next;
		bool was_orphan = dead->is_orphan;
		uint64_t ino = dead->ino;

		node_free(dead);
		if (was_orphan)
			nodes->orphan_gone(nodes->context, ino);
		dead = next ? TABLE_OBJECT(next, struct node, link) : NULL;
	}
}

void node_unref(struct node *node)
{
	struct nodes *nodes;
	struct node *dead = NULL;

	if (!node)
		return;
	nodes = node->nodes;
	pthread_mutex_lock(&nodes->lock);
	put_locked(node, &dead);
	pthread_mutex_unlock(&nodes->lock);
	free_dead(nodes, dead);
}

int node_looked_up(struct node *node)
{
	bool is_noted;

	pthread_mutex_lock(&node->nodes->lock);
	node->n_lookups++;
	is_noted = note(node);
	if (!is_noted)
		node->n_lookups--;
	pthread_mutex_unlock(&node->nodes->lock);
	return is_noted ? 0 : -ENOMEM;
}

/* With the lock held: of a number that is no node; true when the kernel knows it no more. */
static bool forget_unclaimed(struct nodes *nodes, uint64_t ino, uint64_t n)
{
	struct ledger_entry *entry = nodes->ledger ? ledger_find(nodes->ledger, ino) : NULL;

	if (!entry)
		return false;
	if (entry->n_lookups > n) {
		__atomic_store_n(&entry->n_lookups, entry->n_lookups - n, __ATOMIC_RELAXED);
		return false;
	}
	ledger_remove(nodes->ledger, entry);
	return true;
}

/* With the lock held. */
static bool is_told(struct nodes *nodes, uint64_t ino)
{
	struct node *node = find_node(nodes, ino);

	return node ? node->n_lookups > 0 : nodes->ledger && ledger_find(nodes->ledger, ino);
}

bool nodes_is_told(struct nodes *nodes, uint64_t ino)
{
	bool is;

	pthread_mutex_lock(&nodes->lock);
	is = is_told(nodes, ino);
	pthread_mutex_unlock(&nodes->lock);
	return is;
}

void nodes_forget(struct nodes *nodes, uint64_t ino, uint64_t n)
{
	struct node *dead = NULL, *node;
	bool was_last = false, is_forgotten;

	pthread_mutex_lock(&nodes->lock);
	node = find_node(nodes, ino);
	if (node) {
		node->refs++;
		node->n_lookups -= n < node->n_lookups ? n : node->n_lookups;
		note(node);
		put_locked(node, &dead);
	} else {
		was_last = forget_unclaimed(nodes, ino, n);
	}
	is_forgotten = nodes->forgotten && !is_told(nodes, ino);
	pthread_mutex_unlock(&nodes->lock);
	free_dead(nodes, dead);
	if (is_forgotten)
		nodes->forgotten(nodes->forgotten_context, ino);
	if (was_last)
		nodes->orphan_gone(nodes->context, ino);
}

bool nodes_was_told(struct nodes *nodes, uint64_t ino, uint64_t *parent)
{
	struct ledger_entry *entry;

	pthread_mutex_lock(&nodes->lock);
	entry = nodes->ledger ? ledger_find(nodes->ledger, ino) : NULL;
	if (entry)
		*parent = entry->parent;
	pthread_mutex_unlock(&nodes->lock);
	return entry;
}

int node_add_alias(struct node *node, struct node *parent, const char *name)
{
	int r = 0;

	pthread_mutex_lock(&node->nodes->lock);
	if (!find_alias(node, parent, name))
		r = append_alias(node, parent, name);
	if (r == 0 && node->noted)
		__atomic_store_n(&node->noted->parent, parent->ino, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&node->nodes->lock);
	return r;
}

void node_remove_alias(struct node *node, struct node *parent, const char *name)
{
	struct node *dead = NULL;
	struct alias *alias;

	pthread_mutex_lock(&node->nodes->lock);
	alias = find_alias(node, parent, name);
	if (alias) {
		alias_free(node, alias);
		if (node->noted && node->aliases)
			__atomic_store_n(&node->noted->parent, node->aliases->parent->ino,
					 __ATOMIC_RELAXED);
		put_locked(parent, &dead);
	}
	pthread_mutex_unlock(&node->nodes->lock);
	free_dead(node->nodes, dead);
}

int node_alias(struct node *node, unsigned int i, struct node **parent, char **name)
{
	struct alias *alias;
	int r = 0;

	pthread_mutex_lock(&node->nodes->lock);
	alias = node->aliases;
	while (alias && i--)
		alias = alias->next;
	if (alias) {
		*name = strdup(alias->name);
		r = *name ? 1 : -ENOMEM;
	}
	if (r == 1) {
		*parent = alias->parent;
		alias->parent->refs++;
	}
	pthread_mutex_unlock(&node->nodes->lock);
	return r;
}

struct node *node_parent(struct node *dir)
{
	struct node *parent;
	char *name;

	if (node_alias(dir, 0, &parent, &name) <= 0)
		return node_ref(dir);
	free(name);
	return parent;
}

static bool read_flag(struct node *node, const bool *flag)
{
	bool is_set;

	lock_take(&node->lock);
	is_set = *flag;
	lock_release(&node->lock);
	return is_set;
}

bool node_has_upper(struct node *node)
{
	return read_flag(node, &node->has_upper);
}

bool node_is_removed(struct node *node)
{
	return read_flag(node, &node->is_removed);
}

void node_named_again(struct node *node)
{
	lock_take(&node->lock);
	node->is_removed = false;
	lock_release(&node->lock);
}

struct lower_obj *node_lower(struct node *node)
{
	struct lower_obj *lower;

	lock_take(&node->lock);
	lower = node->lower ? lower_ref(node->lower) : NULL;
	lock_release(&node->lock);
	return lower;
}

void node_tally_begin(struct node *node)
{
	lock_take(&node->lock);
	node_dir(node)->tally.n_changing++;
	node_dir(node)->tally.n_changes++;
	lock_release(&node->lock);
}

void node_tally_end(struct node *node, int change)
{
	struct tally *tally = &node_dir(node)->tally;

	lock_take(&node->lock);
	tally->n_changing--;
	tally->n_changes++;
	if (change == TALLY_LOST)
		tally->n = -1;
	else if (tally->n >= 0)
		tally->n += change;
	lock_release(&node->lock);
}

int node_tally(struct node *node, unsigned int *mark)
{
	int n;

	lock_take(&node->lock);
	n = node_dir(node)->tally.n;
	*mark = node_dir(node)->tally.n_changes;
	lock_release(&node->lock);
	return n;
}

void node_tally_keep(struct node *node, unsigned int mark, int n)
{
	struct tally *tally = &node_dir(node)->tally;

	lock_take(&node->lock);
	if (tally->n < 0 && tally->n_changing == 0 && tally->n_changes == mark)
		tally->n = n;
	lock_release(&node->lock);
}

void node_names_changed(struct node *dir)
{
	lock_take(&dir->lock);
	node_dir(dir)->names_version++;
	lock_release(&dir->lock);
	atomic_fetch_add(&dir->nodes->n_changes, 1);
}

void node_attributes_changed(struct node *dir, enum names_change change)
{
	if (change == NAMES_UNASKED || answer_is_late(&node_dir(dir)->answered))
		node_links_changed(dir);
}

void node_links_changed(struct node *node)
{
	if (node->nodes->changed)
		node->nodes->changed(node->nodes->changed_context, node->ino);
}

void nodes_done(struct nodes *nodes)
{
	struct table_link *link;

	while ((link = table_pop(&nodes->table))) {
		struct node *node = TABLE_OBJECT(link, struct node, link);

		while (node->aliases)
			alias_free(node, node->aliases);
		if (node->is_orphan)
			nodes->orphan_gone(nodes->context, node->ino);
		node_free(node);
	}
	table_done(&nodes->table);
	table_done(&nodes->aliases);
	pthread_mutex_destroy(&nodes->lock);
}
