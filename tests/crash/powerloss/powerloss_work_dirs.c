/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a process does with directories; and the one that has pages written back. */
#include "powerloss.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void must(int r, const char *what, const char *path)
{
	if (r < 0)
		work_failed(what, path);
}

static uint32_t mask_now(const struct life *life)
{
	return life->masks[life->n_masks - 1].mask;
}

static void mask_begin(struct life *life, uint32_t mask)
{
	life->masks[life->n_masks] = (struct mask_event){ .mask = mask };
	begin(&life->masks[life->n_masks].when);
	life->n_masks++;
}

static void sync_dir(int root, struct life *life, const char *dir)
{
	char sub[PATH_SIZE];

	if (mask_now(life) & 1 << SUB) {
		child_path(dir, SUB, sub);
		sync_path(root, sub, false);
	}
	sync_path(root, dir, false);
	DURABLE(life->masks, life->n_masks, tick());
	DURABLE(life->attrs, life->n_attrs, tick());
}

static void create_child(int root, struct slot *slot, int number, const char *dir)
{
	struct life *life = &slot->lives[number];
	char path[PATH_SIZE];
	unsigned char *bytes;
	size_t size;
	unsigned child = FIRST_NEW_CHILD;
	int fd;

	while (child < N_CHILDREN && slot->children[child].life)
		child++;
	if (child == N_CHILDREN)
		return;
	slot->children[child].life = number + 1;
	child_path(dir, child, path);
	size = child_size(slot, number, child);
	bytes = malloc(size);
	if (!bytes)
		die("out of memory");
	fill(bytes, size, child_key(slot, number, child), 0);
	mask_begin(life, mask_now(life) | 1U << child);
	fd = openat(root, path, O_CREAT | O_EXCL | O_WRONLY, 0640);
	must(fd, "create", path);
	if (write(fd, bytes, size) != (ssize_t)size)
		work_failed("write", path);
	must(fsync(fd), "fsync", path);
	close(fd);
	free(bytes);
	atomic_store(&slot->children[child].durable, tick());
	sync_dir(root, life, dir);
}

static void remove_child(int root, struct life *life, const char *dir, unsigned child)
{
	uint32_t mask = mask_now(life);
	char path[PATH_SIZE];

	if (child == SUB && mask & 1 << SUB_CHILD)
		child = SUB_CHILD;
	if (!(mask & 1U << child) || life->n_masks == MAX_EVENTS)
		return;
	child_path(dir, child, path);
	mask_begin(life, mask & ~(1U << child));
	must(unlinkat(root, path, child == SUB ? AT_REMOVEDIR : 0), "remove", path);
}

/* Everything in it, and the directory. */
static void remove_dir(int root, struct slot *slot, unsigned name, const char *path)
{
	struct life *life = &slot->lives[names_now(slot)->life[name]];
	struct names_event *event;

	for (unsigned child = N_CHILDREN; child-- > 0;) {
		remove_child(root, life, path, child);
		if (child == SUB)
			remove_child(root, life, path, SUB);
	}
	if (mask_now(life))
		return; /* there was no room for more events */
	event = names_next(slot);
	event->life[name] = NO_LIFE;
	names_begin(slot);
	must(unlinkat(root, path, AT_REMOVEDIR), "rmdir", path);
	if (chance(2))
		sync_names(root, slot);
}

static void make_dir(int root, struct slot *slot, unsigned name)
{
	struct names_event *event = names_next(slot);
	struct life *life = &slot->lives[slot->n_lives];
	char path[PATH_SIZE];

	slot_path(slot, name, path);
	memset(life, 0, sizeof(*life));
	life->n_attrs = life->n_masks = 1;
	life->attrs[0].when.durable = life->masks[0].when.durable = 1;
	life->attrs[0].mode = 0700 + chance(64);
	life->attrs[0].tag = NO_TAG;
	event->life[name] = (int8_t)slot->n_lives++;
	names_begin(slot);
	must(mkdirat(root, path, life->attrs[0].mode), "mkdir", path);
	if (chance(2))
		sync_names(root, slot);
}

static void rename_dir(int root, struct slot *slot, unsigned from, unsigned to)
{
	struct names_event *event = names_next(slot);
	char path[PATH_SIZE], new_path[PATH_SIZE];

	slot_path(slot, from, path);
	slot_path(slot, to, new_path);
	event->life[to] = event->life[from];
	event->life[from] = NO_LIFE;
	names_begin(slot);
	must(renameat(root, path, root, new_path), "rename", path);
	if (chance(2))
		sync_names(root, slot);
}

/* Copies a child up. */
static void touch_child(int root, struct life *life, const char *dir, unsigned child)
{
	char path[PATH_SIZE];

	if (child == SUB || !(mask_now(life) & 1U << child))
		return;
	child_path(dir, child, path);
	must(fchmodat(root, path, 0604, 0), "chmod", path);
}

static void change_dir(int root, struct slot *slot, unsigned name, const char *path)
{
	int number = names_now(slot)->life[name];
	struct life *life = &slot->lives[number];
	unsigned other = free_name(slot);

	switch (chance(8)) {
	case 0:
	case 1:
		if (!names_full(slot) && other < N_NAMES)
			rename_dir(root, slot, name, other);
		break;
	case 2:
		if (life->n_masks < MAX_EVENTS)
			create_child(root, slot, number, path);
		break;
	case 3:
		remove_child(root, life, path, chance(N_CHILDREN));
		if (chance(2))
			sync_dir(root, life, path);
		break;
	case 4:
		touch_child(root, life, path, chance(FIRST_NEW_CHILD));
		break;
	case 5:
		if (!names_full(slot) && chance(3) == 0)
			remove_dir(root, slot, name, path);
		break;
	default:
		change_attributes(root, slot, life, path);
		if (chance(2))
			sync_dir(root, life, path);
	}
}

void work_on_dir(int root, struct slot *slot)
{
	unsigned name = used_name(slot);
	char path[PATH_SIZE];

	if (name < N_NAMES) {
		slot_path(slot, name, path);
		change_dir(root, slot, name, path);
	} else if (!names_full(slot)) {
		make_dir(root, slot, free_name(slot));
	}
}

/* --- writing back --- */

/* The kernel may write any page at any time; so some pages of the file now. */
static void write_pages(const char *path, off_t size)
{
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);

	if (fd < 0)
		return;
	sync_file_range(fd, (off_t)chance((unsigned)(size / 4096 + 1)) * 4096,
			4096 * (1 + (off_t)chance(8)),
			SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER);
	close(fd);
	usleep(chance(1000));
}

static int write_some(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)ftw;
	if (type == FTW_F && chance(8) == 0)
		write_pages(path, st->st_size);
	return atomic_load(&shared->stop_writing_back);
}

void write_back(int disk)
{
	chance_seed(settings.seed << 8 | 255);
	if (fchdir(disk) < 0)
		die("fchdir: %s", strerror(errno));
	while (!atomic_load(&shared->stop_writing_back)) {
		struct stat st;

		for (unsigned i = 0; i < 4 && stat("work/state.map", &st) == 0; i++)
			write_pages("work/state.map", st.st_size);
		nftw(".", write_some, 32, FTW_PHYS);
		usleep(1000);
	}
	_exit(0);
}
