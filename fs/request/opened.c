/* SPDX-License-Identifier: GPL-3.0-or-later */
#define FUSE_USE_VERSION 318
#include "request/opened.h"

#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/table.h"
#include "host/backing.h"
#include "request/supervised.h"
#include "survive/ledger.h"
#include "verb/verbs.h"

/* How a file is served while it is open. */
enum service {
	CACHED, /* by requests, with the kernel's pages */
	BELOW, /* by the kernel, from the lower file */
	UPPER, /* by the kernel, from the file in upper */
};

/* As it is kept in the ledger, where 0 is CACHED and nothing else. */
struct note {
	enum service service;
	bool may_be_mapped; /* it was opened so that a mapping can change it, of which nobody tells
			     */
	bool is_written; /* somebody who has it open may write to it */
	int backing; /* what the kernel has given it as an id; 0: none */
};

enum {
	SERVICE_BITS = 2,
	MAPPED_BIT = 1 << SERVICE_BITS,
	WRITTEN_BIT = MAPPED_BIT << 1,
	BACKING_SHIFT = 8
};

struct opened {
	struct table_link link;
	uint64_t id;
	unsigned int
		refs; /* of those who work on it; guarded by the table's lock, as what follows */
	uint64_t n_open;
	struct note note; /* changed with `opening` held too */
	struct ledger_entry *noted; /* or NULL */
	pthread_mutex_t opening;
};

struct opened_files {
	struct fs *fs;
	struct backings *backings;
	bool is_allowed;
	pthread_mutex_t lock; /* guards what follows */
	struct table table;
	struct ledger *ledger; /* or NULL */
};

static uint64_t pack(const struct note *note)
{
	return (uint64_t)note->backing << BACKING_SHIFT | (note->may_be_mapped ? MAPPED_BIT : 0) |
	       (note->is_written ? WRITTEN_BIT : 0) | note->service;
}

static struct note unpack(uint64_t packed)
{
	return (struct note){ .service = packed & (MAPPED_BIT - 1),
			      .may_be_mapped = packed & MAPPED_BIT,
			      .is_written = packed & WRITTEN_BIT,
			      .backing = (int)(packed >> BACKING_SHIFT) };
}

int opened_init(struct fs *fs, const struct supervised *supervised, struct opened_files **ret)
{
	struct opened_files *files = calloc(1, sizeof(*files));
	int r;

	if (!files)
		return -ENOMEM;
	files->fs = fs;
	/* By a connection of this worker's own, what it has got would go with it. */
	files->backings = backings_new(supervised->fuse_fd, supervised->helper_fd, NULL);
	r = !files->backings ? -ENOMEM : 0;
	if (r == 0 && supervised->opened_fd >= 0)
		r = ledger_open(supervised->opened_fd, &files->ledger);
	if (r < 0) {
		backings_free(files->backings);
		free(files);
		return r;
	}
	pthread_mutex_init(&files->lock, NULL);
	*ret = files;
	return 0;
}

/* It fails where a worker died that had done it, and was about to note so. */
static void give_back(const struct opened_files *files, int backing)
{
	if (backing)
		backing_close(files->backings, backing);
}

static void opened_free(struct opened *opened)
{
	pthread_mutex_destroy(&opened->opening);
	free(opened);
}

void opened_done(struct opened_files *files, bool is_over)
{
	struct table_link *link;

	if (!files)
		return;
	while ((link = table_pop(&files->table))) {
		struct opened *opened = TABLE_OBJECT(link, struct opened, link);

		if (is_over)
			give_back(files, opened->note.backing);
		opened_free(opened);
	}
	table_done(&files->table);
	ledger_close(files->ledger);
	backings_free(files->backings);
	pthread_mutex_destroy(&files->lock);
	free(files);
}

void opened_allow(struct opened_files *files, bool is_allowed)
{
	files->is_allowed = is_allowed;
}

/* --- the table, with its lock held --- */

static struct opened *find_here(struct opened_files *files, uint64_t id)
{
	struct table_link *link = table_find(&files->table, table_hash_u64(id));

	while (link && TABLE_OBJECT(link, struct opened, link)->id != id)
		link = table_next(link);
	return link ? TABLE_OBJECT(link, struct opened, link) : NULL;
}

static struct opened *add(struct opened_files *files, uint64_t id, struct ledger_entry *noted)
{
	struct opened *opened = calloc(1, sizeof(*opened));

	if (!opened)
		return NULL;
	opened->id = id;
	opened->noted = noted;
	if (noted) {
		opened->n_open = noted->n_lookups - 1;
		opened->note = unpack(noted->parent);
	}
	if (table_add(&files->table, &opened->link, table_hash_u64(id)) < 0) {
		free(opened);
		return NULL;
	}
	pthread_mutex_init(&opened->opening, NULL);
	return opened;
}

/* What is known of an id, of this worker or an earlier one; NULL with *error -ENOMEM or 0. */
static struct opened *find(struct opened_files *files, uint64_t id, int *error)
{
	struct opened *opened = find_here(files, id);
	struct ledger_entry *noted;

	*error = 0;
	if (opened || !files->ledger)
		return opened;
	noted = ledger_find(files->ledger, id);
	if (!noted)
		return NULL;
	opened = add(files, id, noted);
	if (opened)
		ledger_claim(files->ledger, id);
	else
		*error = -ENOMEM;
	return opened;
}

/* The same; one that is new is noted, if another worker may follow. */
static struct opened *find_or_add(struct opened_files *files, uint64_t id)
{
	struct ledger_entry *noted = NULL;
	int error;
	struct opened *opened = find(files, id, &error);

	if (opened || error < 0)
		return opened;
	if (files->ledger) {
		noted = ledger_add(files->ledger, id, 1, 0);
		if (!noted)
			return NULL;
	}
	opened = add(files, id, noted);
	if (!opened && noted)
		ledger_remove(files->ledger, noted);
	return opened;
}

static void count(struct opened *opened, int change)
{
	opened->n_open += (uint64_t)(int64_t)change;
	if (opened->noted)
		__atomic_store_n(&opened->noted->n_lookups, opened->n_open + 1, __ATOMIC_RELEASE);
}

static void set_note(struct opened *opened, struct note note)
{
	opened->note = note;
	if (opened->noted)
		__atomic_store_n(&opened->noted->parent, pack(&note), __ATOMIC_RELEASE);
}

static void drop(struct opened_files *files, struct opened *opened)
{
	table_remove(&files->table, &opened->link);
	if (opened->noted)
		ledger_remove(files->ledger, opened->noted);
	opened_free(opened);
}

/* Whether there is still something to know of it, if nobody works on it. */
static bool is_needed(const struct opened *opened)
{
	return opened->refs > 0 || opened->n_open > 0 || opened->note.backing ||
	       opened->note.may_be_mapped || opened->id & OPENED_SECOND;
}

/* --- with `opening` held --- */

static struct opened *hold(struct opened_files *files, uint64_t id)
{
	struct opened *opened;

	pthread_mutex_lock(&files->lock);
	opened = find_or_add(files, id);
	if (opened)
		opened->refs++;
	pthread_mutex_unlock(&files->lock);
	if (opened)
		pthread_mutex_lock(&opened->opening);
	return opened;
}

static void let_go(struct opened_files *files, struct opened *opened)
{
	pthread_mutex_unlock(&opened->opening);
	pthread_mutex_lock(&files->lock);
	opened->refs--;
	if (!is_needed(opened))
		drop(files, opened);
	pthread_mutex_unlock(&files->lock);
}

static void note(struct opened_files *files, struct opened *opened, struct note note)
{
	pthread_mutex_lock(&files->lock);
	set_note(opened, note);
	pthread_mutex_unlock(&files->lock);
}

static uint64_t n_open(struct opened_files *files, struct opened *opened)
{
	uint64_t n;

	pthread_mutex_lock(&files->lock);
	n = opened->n_open;
	pthread_mutex_unlock(&files->lock);
	return n;
}

/* Nobody has it open. */
static void end(struct opened_files *files, struct opened *opened)
{
	if (!opened->note.backing)
		return;
	give_back(files, opened->note.backing);
	note(files, opened,
	     (struct note){ .service = CACHED, .may_be_mapped = opened->note.may_be_mapped });
}

/* The kernel has a second inode of the number from now on. */
static int make_second(struct opened_files *files, uint64_t ino)
{
	struct opened *second;

	pthread_mutex_lock(&files->lock);
	second = find_or_add(files, ino | OPENED_SECOND);
	pthread_mutex_unlock(&files->lock);
	return second ? -ESTALE : -ENOMEM;
}

static bool has_second(struct opened_files *files, uint64_t ino)
{
	struct opened *second;
	int error;

	pthread_mutex_lock(&files->lock);
	second = find(files, ino | OPENED_SECOND, &error);
	pthread_mutex_unlock(&files->lock);
	return second || error < 0;
}

/* How a file whose content is where `at` says may be served to the kernel's inode `id`. */
static enum service service_of(const struct opened_files *files, uint64_t id, enum fs_content at)
{
	const struct fs_config *config = files->fs->config;

	if (!files->is_allowed || !backings_usable(files->backings) || at == FS_CONTENT_LATER)
		return CACHED;
	/* Reading it must not leave its atime, and the kernel would open it to do so. */
	if (at == FS_CONTENT_UPPER)
		return config->no_atime ? CACHED : UPPER;
	return config->guards_lower && !(id & OPENED_SECOND) ? BELOW : CACHED;
}

/* Begins to serve a file that nobody has open. */
static void begin(struct opened_files *files, struct opened *opened, enum service service, int fd)
{
	struct note new = opened->note;

	/* An earlier worker may have died before it closed this. */
	end(files, opened);
	new.service = service;
	new.is_written = false;
	new.backing = service == CACHED ? 0 : backing_open(files->backings, fd);
	if (new.backing <= 0) {
		new.service = CACHED;
		new.backing = 0;
	}
	note(files, opened, new);
}

static bool is_to_write(const struct fuse_file_info *fi)
{
	return (fi->flags & O_ACCMODE) != O_RDONLY;
}

/* What the answer is, once it is known how the file is served. */
static void answer(struct opened_files *files, struct opened *opened, bool by_us,
		   struct fuse_file_info *fi)
{
	struct note new = opened->note;

	fi->noflush = 1;
	/* A mapping of the backing may have outlived the open that it came by. */
	fi->keep_cache = new.service == CACHED && !new.may_be_mapped;
	fi->backing_id = new.service == CACHED ? 0 : new.backing;
	/* With both, what is mapped is the backing, and what is read and written comes to us. */
	fi->direct_io = by_us && new.service == UPPER;
	new.may_be_mapped |= new.service == UPPER && (fi->flags & O_ACCMODE) == O_RDWR;
	new.is_written |= is_to_write(fi);
	if (pack(&new) != pack(&opened->note))
		note(files, opened, new);
}

/*
 * Whether the kernel opens a file for itself, for an ioctl say: it looks nothing up again then, and
 * does not care how the file is served.
 */
static bool is_internal(const struct fuse_file_info *fi)
{
	/* What programs open has O_LARGEFILE at least, but for those of 32 bits. */
	return fi->flags == 0;
}

/* What an open finds of a file's content. */
struct content {
	enum fs_content at;
	struct fd_ref *ref; /* or NULL */
	bool by_us; /* each write must be checked */
};

static int find_content(const struct opened_files *files, struct node *node,
			const struct fuse_file_info *fi, struct content *ret)
{
	int r = fs_content_open(files->fs, node, fi->flags, &ret->ref, &ret->by_us);

	if (r < 0)
		return r;
	ret->at = (enum fs_content)r;
	return 0;
}

static void content_done(struct content *content)
{
	fd_ref_put(content->ref);
}

static int serve(struct opened_files *files, struct opened *opened, const struct content *content,
		 struct fuse_file_info *fi)
{
	uint64_t ino = opened_ino(opened->id);
	enum service service = service_of(files, opened->id, content->at);
	bool is_first = n_open(files, opened) == 0;
	/* Another inode has what is written. */
	bool is_stale = !(opened->id & OPENED_SECOND) && has_second(files, ino);

	/* What the kernel knows of the mode there may be old, and setuid would outlive a write. */
	if (is_stale && (service != UPPER || is_to_write(fi)) && !is_internal(fi))
		return -ESTALE;
	if (is_first)
		begin(files, opened, service, content->ref ? content->ref->fd : -1);
	else if (opened->note.service == BELOW && service != BELOW && !is_internal(fi))
		return make_second(files, ino);
	if (is_stale && opened->note.service != UPPER && !is_internal(fi))
		return -ESTALE;
	answer(files, opened, content->by_us, fi);
	return 0;
}

int opened_open(struct opened_files *files, struct node *node, uint64_t id, bool has_begun,
		struct fuse_file_info *fi)
{
	CLEANUP(content_done) struct content content = { 0 };
	bool copies = is_to_write(fi);
	struct opened *opened;
	/* A copy takes long: before others that open or close the file have to wait. */
	int r = copies ? find_content(files, node, fi, &content) : 0;

	if (r < 0)
		return r;
	opened = hold(files, id);
	if (!opened)
		return -ENOMEM;
	/* A reader opens what those before it have copied. */
	if (!copies)
		r = find_content(files, node, fi, &content);
	if (r == 0)
		r = serve(files, opened, &content, fi);
	if (r == 0 && !has_begun) {
		pthread_mutex_lock(&files->lock);
		count(opened, 1);
		pthread_mutex_unlock(&files->lock);
	}
	let_go(files, opened);
	return r;
}

void opened_close(struct opened_files *files, uint64_t id)
{
	struct opened *opened = hold(files, id);
	bool is_last;

	if (!opened)
		return;
	pthread_mutex_lock(&files->lock);
	if (opened->n_open > 0)
		count(opened, -1);
	is_last = opened->n_open == 0;
	pthread_mutex_unlock(&files->lock);
	if (is_last)
		end(files, opened);
	let_go(files, opened);
}

/* --- what is told --- */

uint64_t opened_id(struct opened_files *files, uint64_t ino)
{
	return files && has_second(files, ino) ? ino | OPENED_SECOND : ino;
}

bool opened_keeps_attributes(struct opened_files *files, uint64_t id)
{
	struct opened *opened;
	bool may;
	int error;

	if (!files)
		return true;
	if (has_second(files, opened_ino(id)))
		return false;
	pthread_mutex_lock(&files->lock);
	opened = find(files, id, &error);
	may = error == 0 && !(opened && opened->note.may_be_mapped);
	pthread_mutex_unlock(&files->lock);
	return may;
}

bool opened_is_written(struct opened_files *files, uint64_t id)
{
	struct opened *opened;
	bool is;
	int error;

	if (!files)
		return false;
	pthread_mutex_lock(&files->lock);
	opened = find(files, id, &error);
	is = opened && opened->n_open > 0 && opened->note.is_written;
	pthread_mutex_unlock(&files->lock);
	return is;
}

void opened_forget(struct opened_files *files, uint64_t ino)
{
	const uint64_t ids[] = { ino, ino | OPENED_SECOND };
	int backings[2] = { 0, 0 };

	pthread_mutex_lock(&files->lock);
	for (size_t i = 0; i < 2 && !nodes_is_told(&files->fs->nodes, ino); i++) {
		int error;
		struct opened *opened = find(files, ids[i], &error);

		if (!opened || opened->refs > 0)
			continue;
		backings[i] = opened->note.backing;
		drop(files, opened);
	}
	pthread_mutex_unlock(&files->lock);
	/* Those that were counted once too often. */
	for (size_t i = 0; i < 2; i++)
		give_back(files, backings[i]);
}
