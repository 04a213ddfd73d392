/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/fdcache.h"

void fdcache_init(struct fdcache *cache, size_t limit)
{
	*cache = (struct fdcache){ .limit = limit };
	pthread_mutex_init(&cache->lock, NULL);
}

void fdcache_done(struct fdcache *cache)
{
	table_done(&cache->filled);
	pthread_mutex_destroy(&cache->lock);
}

struct fd_ref *fd_ref_new(int fd)
{
	struct fd_ref *ref = malloc(sizeof(*ref));

	if (!ref) {
		close(fd);
		return NULL;
	}
	*ref = (struct fd_ref){ .refs = 1, .fd = fd };
	return ref;
}

struct fd_ref *fd_ref_get(struct fd_ref *ref)
{
	atomic_fetch_add_explicit(&ref->refs, 1, memory_order_relaxed);
	return ref;
}

void fd_ref_put(struct fd_ref *ref)
{
	if (!ref || atomic_fetch_sub_explicit(&ref->refs, 1, memory_order_acq_rel) > 1)
		return;
	close(ref->fd);
	free(ref);
}

/* What follows is called with the lock held. */
static uint64_t hash_slot(const struct fd_slot *slot)
{
	return table_hash_u64((uintptr_t)slot);
}

/* What is in the slot, or NULL. */
static struct fd_ref *occupant(struct fdcache *cache, const struct fd_slot *slot)
{
	struct table_link *link = slot->is_filled ? table_find(&cache->filled, hash_slot(slot))
						  : NULL;

	while (link && TABLE_OBJECT(link, struct fd_ref, link)->slot != slot)
		link = table_next(link);
	return link ? TABLE_OBJECT(link, struct fd_ref, link) : NULL;
}

static void unlink_ref(struct fdcache *cache, struct fd_ref *ref)
{
	*(ref->newer ? &ref->newer->older : &cache->newest) = ref->older;
	*(ref->older ? &ref->older->newer : &cache->oldest) = ref->newer;
}

static void link_newest(struct fdcache *cache, struct fd_ref *ref)
{
	ref->newer = NULL;
	ref->older = cache->newest;
	*(cache->newest ? &cache->newest->newer : &cache->oldest) = ref;
	cache->newest = ref;
}

/* 0 or -ENOMEM. */
static int fill_slot(struct fdcache *cache, struct fd_slot *slot, struct fd_ref *ref)
{
	int r = table_add(&cache->filled, &ref->link, hash_slot(slot));

	if (r < 0)
		return r;
	link_newest(cache, ref);
	ref->slot = slot;
	slot->is_filled = true;
	return 0;
}

/* The slot's reference is the caller's then. */
static void empty_slot(struct fdcache *cache, struct fd_ref *ref)
{
	table_remove(&cache->filled, &ref->link);
	unlink_ref(cache, ref);
	ref->slot->is_filled = false;
}

struct fd_ref *fdcache_get(struct fdcache *cache, struct fd_slot *slot)
{
	struct fd_ref *ref;

	pthread_mutex_lock(&cache->lock);
	ref = occupant(cache, slot);
	if (ref) {
		fd_ref_get(ref);
		if (cache->newest != ref) {
			unlink_ref(cache, ref);
			link_newest(cache, ref);
		}
	}
	pthread_mutex_unlock(&cache->lock);
	return ref;
}

struct fd_ref *fdcache_put(struct fdcache *cache, struct fd_slot *slot, int fd)
{
	struct fd_ref *mine = fd_ref_new(fd), *ref, *evicted = NULL;

	if (!mine)
		return NULL;
	pthread_mutex_lock(&cache->lock);
	ref = occupant(cache, slot);
	if (!ref && fill_slot(cache, slot, mine) == 0) {
		ref = take_ptr(mine);
		if (cache->filled.count > cache->limit && cache->oldest != ref) {
			evicted = cache->oldest;
			empty_slot(cache, evicted);
		}
	}
	if (ref)
		fd_ref_get(ref);
	pthread_mutex_unlock(&cache->lock);
	fd_ref_put(evicted);
	fd_ref_put(mine);
	return ref;
}

void fdcache_drop(struct fdcache *cache, struct fd_slot *slot)
{
	struct fd_ref *ref;

	pthread_mutex_lock(&cache->lock);
	ref = occupant(cache, slot);
	if (ref)
		empty_slot(cache, ref);
	pthread_mutex_unlock(&cache->lock);
	fd_ref_put(ref);
}
