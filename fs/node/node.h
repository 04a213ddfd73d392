/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Nodes: what the kernel knows of the mount, by inode number.
 *
 * A node is found by its number (nodes_get), and lives while the kernel has
 * looked it up, while someone works on it (a reference), and while it is the
 * directory of another node's name.
 * Locks and their order: node/fs.h.
 */
#ifndef NODE_NODE_H
#define NODE_NODE_H

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/cleanup.h"
#include "base/fdcache.h"
#include "base/lock.h"
#include "base/table.h"
#include "branch/listing.h"
#include "lower/lower.h"
#include "node/answer.h"
#include "survive/ledger.h"

/* One name of a node: directories have one, other objects as many as are known. */
struct alias {
	struct alias *next;
	struct node *parent; /* a reference */
	bool is_further; /* part of a further_alias */
	char name[];
};

/*
 * One that came to be when the node had others: it is found without a look at those, so that n
 * names cost n. Most nodes have one name, and nothing to be found by. All but the first are such.
 */
struct further_alias {
	struct table_link link; /* by node, parent and name */
	struct node *node;
	struct alias *previous;
	struct alias alias;
};

/*
 * How many there are of something, which is counted once and then kept by those who change it. As
 * it may change while it is counted, each change has a beginning and an end, and a count is kept
 * only if none was under way.
 */
struct tally {
	int n; /* -1: not known */
	unsigned int n_changing; /* changes under way */
	unsigned int n_changes; /* that have begun or ended */
};

/* In this order it has no holes: there are as many as the kernel knows files. */
struct node {
	struct table_link link; /* guarded by nodes->lock */
	struct nodes *nodes;
	uint64_t ino;
	uint64_t n_lookups; /* of the kernel; guarded by nodes->lock */
	struct ledger_entry *noted; /* the same for the next worker, or NULL; guarded by it too */
	struct alias *aliases, *last_alias; /* guarded by nodes->lock */
	struct held_mtime
		*held_mtime; /* guarded by names (copyup/mtime.c); NULL: nobody keeps it */
	unsigned int refs; /* guarded by nodes->lock */

	struct lock copyup;
	struct lock names; /* of a file: held while its mode or times change */
	struct lock lock; /* guards what follows */
	ino_t real; /* its inode number in upper, if has_upper */
	struct lower_obj *lower; /* what upper does not have or merges with; NULL: nothing */
	bool has_upper;
	bool is_orphan; /* its content is kept in the orphan directory */
	bool is_removed; /* it has no name any more */
	bool has_data_place; /* of a file in upper: `lower` says where its data are
				(node/data_place.h) */
	unsigned char protection; /* of copyup/protect.h; 0: not asked for yet */

	struct fd_slot path; /* O_PATH, of the object in upper */
	struct fd_slot data; /* O_RDWR, of the file in upper */
	struct fd_slot read_data; /* O_RDONLY, of the same */
	struct fd_slot lower_data; /* O_RDONLY, of the file in its branch */
	uint16_t type; /* S_IFMT part of the mode; constant */
};

/* A node that is a directory. */
struct node_dir {
	struct node node;
	_Atomic uint32_t answered; /* whom its attributes (answer.h) */
	struct node_dir *next_moved; /* guarded by fs->moved_lock, as is_moved is (names.c) */
	bool is_moved;
	/* What follows is guarded by node.lock. */
	bool was_read; /* to its end, so that the kernel has it */
	unsigned int reading; /* the number of the last reading (dir.c) */
	uint64_t names_version; /* counts changes of its names */
	uint64_t listing_version; /* what that was when the listing was begun */
	uint64_t reading_version; /* the same of the last reading */
	struct listing *listing; /* or NULL */
	struct tally tally; /* of one that merges: the directories in it */
};

/* What there is more of a node that is a directory. */
static inline struct node_dir *node_dir(struct node *node)
{
	return (struct node_dir *)node;
}

enum { READING_BITS = 12 }; /* of the number of a reading (dir.c) */

struct nodes {
	pthread_mutex_t lock;
	struct table table;
	struct table aliases; /* further ones */
	struct fdcache *fds;
	unsigned int first_reading; /* other than an earlier worker's: the kernel remembers those */
	struct ledger *ledger; /* guarded by lock; NULL: no other worker will follow */
	bool is_restart; /* one has served the kernel before */
	atomic_ulong n_changes; /* of names anywhere, whichever node was not in memory */
	/* Called, with no lock held, when an orphan is known to nobody any more. */
	void (*orphan_gone)(void *context, uint64_t ino);
	void *context;
	/* Called, with no lock held, when the kernel has forgotten a number; may be NULL. */
	void (*forgotten)(void *context, uint64_t ino);
	void *forgotten_context;
	/*
	 * Called, with no lock held, when the names in a directory or of a file have changed;
	 * may be NULL.
	 */
	void (*changed)(void *context, uint64_t ino);
	void *changed_context;
};

/* Empty, for one thread. `orphan_gone` as of the struct, called with `context`. */
void nodes_init(struct nodes *nodes, struct fdcache *fds,
		void (*orphan_gone)(void *context, uint64_t ino), void *context);
/* Frees every node, whoever still knew it, and leaves the ledger alone. */
void nodes_done(struct nodes *nodes);

/* The node of a number, with a reference, or NULL. */
struct node *nodes_get(struct nodes *nodes, uint64_t ino);

/*
 * The node of `made->ino`, with a reference: the one that is there, or one
 * with the type, upper and lower part of `made`.  *is_new says which.
 * Takes a reference to made->lower of its own.  NULL: out of memory.
 */
struct node *nodes_get_or_add(struct nodes *nodes, const struct node *made, bool *is_new);

/* A reference more, which is returned; and one less, with which the node may go. */
struct node *node_ref(struct node *node);
/* Accepts NULL. */
void node_unref(struct node *node);
DEFINE_CLEANUP(struct node *, node_at, node_unref)
#define cleanup_node CLEANUP(cleanup_node_at)

/*
 * The kernel is told of the node once more: 0, or -ENOMEM where that cannot be noted
 * for the next worker, and it must not be.
 */
int node_looked_up(struct node *node);

/*
 * The kernel forgets `n` of the times that it was told of a number, by us or by
 * an earlier worker.  Nothing happens if it was not told.
 */
void nodes_forget(struct nodes *nodes, uint64_t ino, uint64_t n);

/* Whether the kernel knows a number, as far as we have heard. */
bool nodes_is_told(struct nodes *nodes, uint64_t ino);

static inline void node_forget(struct node *node, uint64_t n)
{
	nodes_forget(node->nodes, node->ino, n);
}

/*
 * What an earlier worker told the kernel of a number that is no node yet: true
 * with the directory that it was in (0: not known), or false.
 */
bool nodes_was_told(struct nodes *nodes, uint64_t ino, uint64_t *parent);

/* Notes that the node has this name; 0 or -ENOMEM. Noting it twice is noting it once. */
int node_add_alias(struct node *node, struct node *parent, const char *name);
/* Nothing happens if it is not noted. */
void node_remove_alias(struct node *node, struct node *parent, const char *name);

/*
 * Some name of the node, allocated, and its directory with a reference; `i`
 * counts from 0.  1, or 0 when there is no such name, or -ENOMEM.
 */
int node_alias(struct node *node, unsigned int i, struct node **parent, char **name);

/* The directory that `dir` is in, a reference; the root is in itself, as is one without a name. */
struct node *node_parent(struct node *dir);

/*
 * A file that had lost its names that were known turns out to have another.
 * Its name among the orphans stays until it is forgotten: to
 * take it away now could meet with a removal of the new name.
 */
void node_named_again(struct node *node);

/* Snapshots of the guarded fields. */
bool node_has_upper(struct node *node);
bool node_is_removed(struct node *node);
/* The lower part with a reference, or NULL. */
struct lower_obj *node_lower(struct node *node);

/* The directory's names have changed: listings made before are stale. */
void node_names_changed(struct node *dir);

/*
 * After that, and all that changes with the names: the kernel is told that its attributes of the
 * directory are stale, if need be. NAMES_ASKED: they changed as the request asks for, so that it
 * discards them itself when that is answered; NAMES_UNASKED: the request fails.
 */
enum names_change { NAMES_ASKED, NAMES_UNASKED };
void node_attributes_changed(struct node *dir, enum names_change change);

/*
 * Of what node->tally counts, one may come or go: before anything changes on disk, and after, when
 * `change` of them have come (or gone, if it is negative); TALLY_LOST: it is not known how many. On
 * 0 the count is what it was. Each beginning has its end.
 */
enum { TALLY_LOST = INT_MAX };
void node_tally_begin(struct node *node);
void node_tally_end(struct node *node, int change);

/* The number there are, as far as it is known; or -1, with *mark for node_tally_keep. */
int node_tally(struct node *node, unsigned int *mark);

/* So many were counted since node_tally gave `mark`. */
void node_tally_keep(struct node *node, unsigned int mark, int n);

/* The file has lost or got a name: what others were told of its link count meanwhile is stale. */
void node_links_changed(struct node *node);

#endif
