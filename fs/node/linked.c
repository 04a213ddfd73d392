/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "node/linked.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

struct linked_file {
	struct table_link link;
	uint64_t ino;
	int n; /* names that show; -1: not known */
	bool has_no_copy;
};

void linked_init(struct linked *linked)
{
	memset(linked, 0, sizeof(*linked));
	pthread_mutex_init(&linked->lock, NULL);
}

void linked_done(struct linked *linked)
{
	struct table_link *link;

	while ((link = table_pop(&linked->files)))
		free(TABLE_OBJECT(link, struct linked_file, link));
	table_done(&linked->files);
	pthread_mutex_destroy(&linked->lock);
}

/* With the lock held; NULL: nothing is known of it. */
static struct linked_file *find_file(struct linked *linked, uint64_t ino)
{
	struct table_link *link = table_find(&linked->files, table_hash_u64(ino));

	while (link && TABLE_OBJECT(link, struct linked_file, link)->ino != ino)
		link = table_next(link);
	return link ? TABLE_OBJECT(link, struct linked_file, link) : NULL;
}

/* With the lock held; NULL: out of memory. */
static struct linked_file *find_or_add_file(struct linked *linked, uint64_t ino)
{
	struct linked_file *file = find_file(linked, ino);

	if (file)
		return file;
	file = malloc(sizeof(*file));
	if (!file)
		return NULL;
	*file = (struct linked_file){ .ino = ino, .n = -1 };
	if (table_add(&linked->files, &file->link, table_hash_u64(ino)) < 0) {
		free(file);
		return NULL;
	}
	return file;
}

bool linked_has_no_copy(struct linked *linked, uint64_t ino)
{
	struct linked_file *file;
	bool has_no_copy;

	pthread_mutex_lock(&linked->lock);
	file = find_file(linked, ino);
	has_no_copy = file && file->has_no_copy;
	pthread_mutex_unlock(&linked->lock);
	return has_no_copy;
}

void linked_note_no_copy(struct linked *linked, uint64_t ino)
{
	struct linked_file *file;

	pthread_mutex_lock(&linked->lock);
	file = find_or_add_file(linked, ino);
	if (file)
		file->has_no_copy = true;
	pthread_mutex_unlock(&linked->lock);
}

static size_t bucket_of(uint64_t ino)
{
	return table_hash_u64(ino) % LINKED_BUCKETS;
}

void linked_begin(struct linked *linked, uint64_t ino)
{
	pthread_mutex_lock(&linked->lock);
	linked->changes[bucket_of(ino)].n_now++;
	linked->changes[bucket_of(ino)].n++;
	pthread_mutex_unlock(&linked->lock);
}

void linked_end(struct linked *linked, uint64_t ino, int change)
{
	struct linked_file *file;

	pthread_mutex_lock(&linked->lock);
	linked->changes[bucket_of(ino)].n_now--;
	linked->changes[bucket_of(ino)].n++;
	file = find_file(linked, ino);
	if (file && change == LINKED_LOST)
		file->n = -1;
	else if (file && file->n >= 0)
		file->n += change;
	pthread_mutex_unlock(&linked->lock);
}

int linked_count(struct linked *linked, uint64_t ino, unsigned int *mark)
{
	struct linked_file *file;
	int n;

	pthread_mutex_lock(&linked->lock);
	file = find_file(linked, ino);
	n = file ? file->n : -1;
	*mark = linked->changes[bucket_of(ino)].n;
	pthread_mutex_unlock(&linked->lock);
	return n;
}

void linked_keep(struct linked *linked, uint64_t ino, unsigned int mark, int n)
{
	size_t bucket = bucket_of(ino);
	struct linked_file *file = NULL;

	pthread_mutex_lock(&linked->lock);
	if (linked->changes[bucket].n_now == 0 && linked->changes[bucket].n == mark)
		file = find_or_add_file(linked, ino);
	if (file && file->n < 0)
		file->n = n;
	pthread_mutex_unlock(&linked->lock);
}
