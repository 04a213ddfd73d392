/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/fdcache.h"

void fdcache_init(struct fdcache *cache, size_t limit)
{
	*cache = (struct fdcache){ .limit = limit };
	pthread_mutex_init(&cache->lock, NULL);
}

void fdcache_done(struct fdcache *cache)
{
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

/* The list functions are called with the lock held. */
static void unlink_slot(struct fdcache *cache, struct fd_slot *slot)
{
	*(slot->newer ? &slot->newer->older : &cache->newest) = slot->older;
	*(slot->older ? &slot->older->newer : &cache->oldest) = slot->newer;
	cache->count--;
}

static void link_newest(struct fdcache *cache, struct fd_slot *slot)
{
	slot->newer = NULL;
	slot->older = cache->newest;
	*(cache->newest ? &cache->newest->newer : &cache->oldest) = slot;
	cache->newest = slot;
	cache->count++;
}

static struct fd_ref *empty_slot(struct fdcache *cache, struct fd_slot *slot)
{
	unlink_slot(cache, slot);
	return take_ptr(slot->ref);
}

struct fd_ref *fdcache_get(struct fdcache *cache, struct fd_slot *slot)
{
	struct fd_ref *ref = NULL;

	pthread_mutex_lock(&cache->lock);
	if (slot->ref) {
		ref = fd_ref_get(slot->ref);
		if (cache->newest != slot) {
			unlink_slot(cache, slot);
			link_newest(cache, slot);
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
	if (!slot->ref) {
		if (cache->count >= cache->limit && cache->oldest)
			evicted = empty_slot(cache, cache->oldest);
		slot->ref = take_ptr(mine);
		link_newest(cache, slot);
	}
	ref = fd_ref_get(slot->ref);
	pthread_mutex_unlock(&cache->lock);
	fd_ref_put(evicted);
	fd_ref_put(mine);
	return ref;
}

void fdcache_drop(struct fdcache *cache, struct fd_slot *slot)
{
	struct fd_ref *ref = NULL;

	pthread_mutex_lock(&cache->lock);
	if (slot->ref)
		ref = empty_slot(cache, slot);
	pthread_mutex_unlock(&cache->lock);
	fd_ref_put(ref);
}
