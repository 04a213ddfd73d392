/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "node/searched.h"

#include <stdlib.h>

struct file {
	struct table_link link;
	uint64_t ino;
};

void searched_init(struct searched *searched)
{
	pthread_mutex_init(&searched->lock, NULL);
}

void searched_done(struct searched *searched)
{
	struct table_link *link;

	while ((link = table_pop(&searched->files)))
		free(TABLE_OBJECT(link, struct file, link));
	table_done(&searched->files);
	pthread_mutex_destroy(&searched->lock);
}

bool searched_has(struct searched *searched, uint64_t ino)
{
	struct table_link *link;

	pthread_mutex_lock(&searched->lock);
	link = table_find(&searched->files, table_hash_u64(ino));
	while (link && TABLE_OBJECT(link, struct file, link)->ino != ino)
		link = table_next(link);
	pthread_mutex_unlock(&searched->lock);
	return link;
}

void searched_add(struct searched *searched, uint64_t ino)
{
	struct file *file = malloc(sizeof(*file));

	if (!file)
		return;
	file->ino = ino;
	pthread_mutex_lock(&searched->lock);
	if (table_add(&searched->files, &file->link, table_hash_u64(ino)) < 0)
		free(file);
	pthread_mutex_unlock(&searched->lock);
}
