/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The slots of each process N, by number:
 *
 *   0, 1   a lower file with one name        7      an empty lower file
 *   2, 3   a lower file with two names       8, 9   a lower directory
 *   4      a big lower file                  10     a lower directory in another
 *   5      nothing at first                  11     no directory at first
 *   6      a file in upper
 *
 * Name 0 of a slot is in pN, name 1 in common, which all processes share, name
 * 2 in pN/e.
 */
#include "powerloss.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { BIG = 4, NOTHING = 5, EARLY = 6, EMPTY = 7, FIRST_DIR = 8, DEEP_DIR = 10, NO_DIR = 11 };

void slot_dir(const struct slot *slot, unsigned name, char ret[PATH_SIZE])
{
	if (name == 1)
		snprintf(ret, PATH_SIZE, "common");
	else
		snprintf(ret, PATH_SIZE, "p%u%s", slot->process, name ? "/e" : "");
}

void slot_path(const struct slot *slot, unsigned name, char ret[PATH_SIZE])
{
	char dir[PATH_SIZE];

	slot_dir(slot, name, dir);
	snprintf(ret, PATH_SIZE, "%.30s/%u.%u.%u", dir, slot->process, slot->number, name);
}

void child_name(unsigned child, char ret[PATH_SIZE])
{
	if (child == SUB)
		snprintf(ret, PATH_SIZE, "sub");
	else if (child == SUB_CHILD)
		snprintf(ret, PATH_SIZE, "sub/file");
	else
		snprintf(ret, PATH_SIZE, "%s%u", child < SUB ? "lower" : "new", child);
}

void child_path(const char *dir, unsigned child, char ret[PATH_SIZE])
{
	char name[PATH_SIZE];

	child_name(child, name);
	snprintf(ret, PATH_SIZE, "%.60s/%.30s", dir, name);
}

static bool has_lower(unsigned number)
{
	return number != NOTHING && number != EARLY && number != NO_DIR;
}

static unsigned first_name(unsigned number)
{
	return number == DEEP_DIR ? 2 : 0;
}

static off_t first_size(unsigned process, unsigned number)
{
	if (number == EMPTY)
		return 0;
	if (number == BIG)
		return 3000000 + 1000001 * (off_t)process;
	return 700 + (off_t)(process * 5 + number) * 1913;
}

static void init_slot(struct slot *slot, unsigned process, unsigned number)
{
	struct life *life = &slot->lives[0];
	off_t size = first_size(process, number);

	memset(slot, 0, sizeof(*slot));
	slot->process = process;
	slot->number = number;
	slot->is_dir = number >= FIRST_DIR;
	slot->n_names = 1;
	slot->names[0].when.durable = 1;
	for (unsigned i = 0; i < N_NAMES; i++)
		slot->names[0].life[i] = NO_LIFE;
	if (number == NOTHING || number == NO_DIR)
		return;
	slot->n_lives = 1;
	slot->names[0].life[first_name(number)] = 0;
	if (number == 2 || number == 3)
		slot->names[0].life[1] = 0;
	life->is_lower = has_lower(number);
	life->n_attrs = life->n_datas = life->n_masks = 1;
	life->attrs[0] = (struct attr_event){ .when = { .durable = 1 },
					      .mode = slot->is_dir ? 0751 : 0610 + process,
					      .uid = 1000 + number,
					      .gid = 2000 + process,
					      .tag = 7 };
	life->datas[0] = (struct data_event){
		.when = { .durable = 1 }, .kind = WHOLE, .length = size, .size = size
	};
	life->masks[0] = (struct mask_event){ .when = { .durable = 1 },
					      .mask = (1 << FIRST_NEW_CHILD) - 1 };
}

static void add_fixed(const char *format, unsigned process)
{
	struct fixed_dir *dir = &shared->fixed[shared->n_fixed++];

	snprintf(dir->path, sizeof(dir->path), format, process);
}

void layout_init(void)
{
	shared->clock = 2;
	shared->n_fixed = 0;
	for (unsigned i = 0; i < settings.n_processes; i++) {
		for (unsigned j = 0; j < N_SLOTS; j++)
			init_slot(&shared->slots[i][j], i, j);
		add_fixed("p%u", i);
		add_fixed("p%u/e", i);
	}
	add_fixed("common", 0);
}

/* --- making it --- */

static void must(int r, const char *what, const char *path)
{
	if (r < 0)
		die("%s %s: %s", what, path, strerror(errno));
}

static void set_attributes(int fd, const char *path, const struct attr_event *attr)
{
	char value[16];

	snprintf(value, sizeof(value), "%d", attr->tag);
	must(fsetxattr(fd, "user.tag", value, strlen(value), 0), "setxattr", path);
	must(fchown(fd, attr->uid, attr->gid), "chown", path);
	must(fchmod(fd, attr->mode), "chmod", path);
}

static void make_file(int root, const char *path, uint64_t key, size_t size,
		      const struct attr_event *attr)
{
	static const struct timespec times[2] = { { 1000, 1 }, { 1100, 123456789 } };
	unsigned char *bytes = malloc(size + 1);
	int fd = openat(root, path, O_CREAT | O_EXCL | O_WRONLY, 0600);

	must(fd, "create", path);
	if (!bytes)
		die("out of memory");
	fill(bytes, size, key, 0);
	if (write(fd, bytes, size) != (ssize_t)size)
		die("write %s: %s", path, strerror(errno));
	set_attributes(fd, path, attr);
	futimens(fd, times);
	close(fd);
	free(bytes);
}

static void make_dir(int root, const char *path, const struct attr_event *attr)
{
	int fd;

	must(mkdirat(root, path, 0700), "mkdir", path);
	fd = openat(root, path, O_RDONLY | O_DIRECTORY);
	must(fd, "open", path);
	set_attributes(fd, path, attr);
	close(fd);
}

static void make_children(int root, struct slot *slot, const char *dir)
{
	const struct attr_event *attr = &slot->lives[0].attrs[0];

	for (unsigned i = 0; i < FIRST_NEW_CHILD; i++) {
		char path[PATH_SIZE];

		child_path(dir, i, path);
		if (i == SUB)
			make_dir(root, path, attr);
		else
			make_file(root, path, child_key(slot, 0, i), child_size(slot, 0, i), attr);
	}
}

static void make_slot(int root, struct slot *slot)
{
	char path[PATH_SIZE], other[PATH_SIZE];
	struct life *life = &slot->lives[0];

	slot_path(slot, first_name(slot->number), path);
	if (slot->is_dir) {
		make_dir(root, path, &life->attrs[0]);
		make_children(root, slot, path);
		return;
	}
	make_file(root, path, data_key(slot, 0), (size_t)life->datas[0].size, &life->attrs[0]);
	if (slot->names[0].life[1] == 0) {
		slot_path(slot, 1, other);
		must(linkat(root, path, root, other, 0), "link", other);
	}
}

static const struct attr_event fixed_attributes = { .mode = 0775, .uid = 11, .gid = 12, .tag = 9 };

void make_lower(int root)
{
	for (unsigned i = 0; i < shared->n_fixed; i++)
		make_dir(root, shared->fixed[i].path, &fixed_attributes);
	for (unsigned i = 0; i < settings.n_processes; i++) {
		for (unsigned j = 0; j < N_SLOTS; j++) {
			if (has_lower(j))
				make_slot(root, &shared->slots[i][j]);
		}
	}
}

void make_early(int root)
{
	static const struct attr_event attr = { .mode = 0644, .tag = 1 };

	for (unsigned i = 0; i < settings.n_processes; i++) {
		make_slot(root, &shared->slots[i][EARLY]);
		for (unsigned j = 0; j < N_OLD; j++) {
			char path[PATH_SIZE];

			snprintf(path, sizeof(path), "p%u/old%u", i, j);
			make_file(root, path, 1, 10, &attr);
		}
	}
}

static struct stat look(int root, const char *path)
{
	struct stat st;

	must(fstatat(root, path, &st, AT_SYMLINK_NOFOLLOW), "stat", path);
	return st;
}

void note_numbers(int root)
{
	for (unsigned i = 0; i < shared->n_fixed; i++)
		shared->fixed[i].ino = look(root, shared->fixed[i].path).st_ino;
	for (unsigned i = 0; i < settings.n_processes * N_SLOTS; i++) {
		struct slot *slot = &shared->slots[i / N_SLOTS][i % N_SLOTS];
		char path[PATH_SIZE], child[PATH_SIZE];
		struct stat st;

		if (!slot->n_lives)
			continue;
		slot_path(slot, first_name(slot->number), path);
		st = look(root, path);
		slot->lives[0].ino = st.st_ino;
		slot->lives[0].mtime = st.st_mtim;
		for (unsigned j = 0; slot->is_dir && j < FIRST_NEW_CHILD; j++) {
			child_path(path, j, child);
			slot->children[j].ino = look(root, child).st_ino;
		}
	}
}
