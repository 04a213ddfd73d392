/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One process under load, and what it does with files. */
#include "powerloss.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

void work_failed(const char *what, const char *path)
{
	wrong("under load: %s %s: %s", what, path, strerror(errno));
	atomic_store(&shared->failed, true);
	atomic_store(&shared->stop, true);
	_exit(1);
}

static void must(int r, const char *what, const char *path)
{
	if (r < 0)
		work_failed(what, path);
}

static int must_open(int root, const char *path, int flags, mode_t mode)
{
	int fd = openat(root, path, flags, mode);

	must(fd, "open", path);
	return fd;
}

/* --- syncing --- */

void sync_path(int root, const char *path, bool data_only)
{
	int fd = must_open(root, path, O_RDONLY, 0);

	must(data_only ? fdatasync(fd) : fsync(fd), "fsync", path);
	close(fd);
}

void sync_names(int root, struct slot *slot)
{
	char path[PATH_SIZE];

	for (unsigned i = 0; i < N_NAMES; i++) {
		if (!(slot->unsynced_dirs & 1 << i))
			continue;
		slot_dir(slot, i, path);
		sync_path(root, path, false);
	}
	slot->unsynced_dirs = 0;
	DURABLE(slot->names, slot->n_names, tick());
}

static void sync_life(int root, struct life *life, const char *path)
{
	bool data_only = chance(4) == 0;

	sync_path(root, path, data_only);
	DURABLE(life->datas, life->n_datas, tick());
	if (!data_only)
		DURABLE(life->attrs, life->n_attrs, tick());
}

static void maybe_sync_names(int root, struct slot *slot)
{
	if (chance(2))
		sync_names(root, slot);
}

/* --- events --- */

bool names_full(const struct slot *slot)
{
	return slot->n_names == MAX_EVENTS || slot->n_lives == MAX_LIVES;
}

struct names_event *names_now(struct slot *slot)
{
	return &slot->names[slot->n_names - 1];
}

struct names_event *names_next(struct slot *slot)
{
	slot->names[slot->n_names] = *names_now(slot);
	return &slot->names[slot->n_names];
}

void names_begin(struct slot *slot)
{
	struct names_event *event = &slot->names[slot->n_names];

	for (unsigned i = 0; i < N_NAMES; i++) {
		if (event->life[i] != names_now(slot)->life[i])
			slot->unsynced_dirs |= 1 << i;
	}
	begin(&event->when);
	slot->n_names++;
}

struct attr_event *attr_next(struct life *life)
{
	life->attrs[life->n_attrs] = life->attrs[life->n_attrs - 1];
	return &life->attrs[life->n_attrs];
}

void attr_begin(struct life *life)
{
	begin(&life->attrs[life->n_attrs].when);
	life->n_attrs++;
}

static off_t size_now(const struct life *life)
{
	return life->datas[life->n_datas - 1].size;
}

static struct data_event *data_begin(struct life *life, struct data_event event)
{
	struct data_event *ret = &life->datas[life->n_datas];

	*ret = event;
	begin(&ret->when);
	life->n_datas++;
	return ret;
}

static unsigned pick_name(struct slot *slot, bool used)
{
	unsigned start = chance(N_NAMES);

	for (unsigned i = 0; i < N_NAMES; i++) {
		unsigned name = (start + i) % N_NAMES;

		if ((names_now(slot)->life[name] != NO_LIFE) == used)
			return name;
	}
	return N_NAMES;
}

unsigned used_name(struct slot *slot)
{
	return pick_name(slot, true);
}

unsigned free_name(struct slot *slot)
{
	return pick_name(slot, false);
}

/* --- attributes --- */

void change_attributes(int root, struct slot *slot, struct life *life, const char *path)
{
	struct attr_event *event = attr_next(life);
	char value[16];
	int fd;

	if (life->n_attrs == MAX_EVENTS)
		return;
	switch (chance(3)) {
	case 0:
		event->mode = slot->is_dir ? 0700 + chance(64) : 0600 + chance(64);
		attr_begin(life);
		must(fchmodat(root, path, event->mode, 0), "chmod", path);
		break;
	case 1:
		event->uid = chance(5000);
		event->gid = chance(5000);
		attr_begin(life);
		must(fchownat(root, path, event->uid, event->gid, 0), "chown", path);
		break;
	default:
		event->tag = (int)chance(100000);
		attr_begin(life);
		snprintf(value, sizeof(value), "%d", event->tag);
		fd = must_open(root, path, O_RDONLY, 0);
		must(fsetxattr(fd, "user.tag", value, strlen(value), 0), "setxattr", path);
		close(fd);
	}
}

/* --- data --- */

static void put(const struct slot *slot, int fd, const struct data_event *event, const char *path)
{
	unsigned char *bytes = malloc((size_t)event->length + 1);

	if (!bytes)
		die("out of memory");
	fill(bytes, (size_t)event->length, data_key(slot, event->version), event->offset);
	if (pwrite(fd, bytes, (size_t)event->length, event->offset) != event->length)
		work_failed("write", path);
	free(bytes);
}

static off_t some_length(void)
{
	return 1 + (off_t)(chance(3) ? chance(6000) : chance(70000));
}

static void append(int root, struct slot *slot, struct life *life, const char *path)
{
	off_t size = size_now(life), length = some_length();
	const struct data_event *event = data_begin(life,
						    (struct data_event){ .kind = WRITE,
									 .version = ++slot->version,
									 .offset = size,
									 .length = length,
									 .size = size + length });
	int fd = must_open(root, path, O_WRONLY | O_APPEND, 0);

	put(slot, fd, event, path);
	close(fd);
}

static void overwrite(int root, struct slot *slot, struct life *life, const char *path)
{
	off_t size = size_now(life), length = some_length(), offset;
	const struct data_event *event;
	int fd;

	if (size == 0)
		return;
	offset = (off_t)chance((unsigned)size);
	length = length < size - offset ? length : size - offset;
	event = data_begin(life, (struct data_event){ .kind = WRITE,
						      .version = ++slot->version,
						      .offset = offset,
						      .length = length,
						      .size = size });
	fd = must_open(root, path, O_WRONLY, 0);
	put(slot, fd, event, path);
	close(fd);
}

static void rewrite(int root, struct slot *slot, struct life *life, const char *path)
{
	off_t length = some_length();
	const struct data_event *event = data_begin(life,
						    (struct data_event){ .kind = REWRITE,
									 .version = ++slot->version,
									 .length = length,
									 .size = length });
	int fd = must_open(root, path, O_WRONLY | O_TRUNC, 0);

	put(slot, fd, event, path);
	close(fd);
}

/* --- names --- */

static struct life *new_life(struct slot *slot, int *ret)
{
	struct life *life = &slot->lives[slot->n_lives];

	memset(life, 0, sizeof(*life));
	*ret = (int)slot->n_lives++;
	life->n_attrs = life->n_datas = life->n_masks = 1;
	life->attrs[0].when.durable = life->datas[0].when.durable = life->masks[0].when.durable = 1;
	life->attrs[0].tag = NO_TAG;
	return life;
}

/* Writes a new file beside and renames it over a name. */
static void replace(int root, struct slot *slot, unsigned name)
{
	char path[PATH_SIZE], temporary[PATH_SIZE], dir[PATH_SIZE], value[16];
	struct names_event *event = names_next(slot);
	off_t length = some_length();
	struct life *life;
	int fd, number;

	life = new_life(slot, &number);
	life->attrs[0].mode = 0600 + chance(64);
	life->attrs[0].uid = chance(5000);
	life->attrs[0].tag = (int)chance(100000);
	life->datas[0].kind = WHOLE;
	life->datas[0].version = ++slot->version;
	life->datas[0].length = life->datas[0].size = length;
	slot_path(slot, name, path);
	slot_dir(slot, name, dir);
	snprintf(temporary, sizeof(temporary), "%.60s/temp.%u.%u", dir, slot->process, number);
	fd = must_open(root, temporary, O_CREAT | O_EXCL | O_WRONLY, 0600);
	put(slot, fd, &life->datas[0], temporary);
	snprintf(value, sizeof(value), "%d", life->attrs[0].tag);
	must(fsetxattr(fd, "user.tag", value, strlen(value), 0), "setxattr", temporary);
	must(fchown(fd, life->attrs[0].uid, 0), "chown", temporary);
	must(fchmod(fd, life->attrs[0].mode), "chmod", temporary);
	must(fsync(fd), "fsync", temporary);
	close(fd);
	event->life[name] = (int8_t)number;
	names_begin(slot);
	must(renameat(root, temporary, root, path), "rename", temporary);
	maybe_sync_names(root, slot);
}

static void create(int root, struct slot *slot, unsigned name)
{
	struct names_event *event = names_next(slot);
	char path[PATH_SIZE];
	struct life *life;
	int fd, number;

	slot_path(slot, name, path);
	life = new_life(slot, &number);
	life->attrs[0].mode = 0600 + chance(64);
	event->life[name] = (int8_t)number;
	names_begin(slot);
	fd = must_open(root, path, O_CREAT | O_EXCL | O_WRONLY, life->attrs[0].mode);
	put(slot, fd,
	    data_begin(life, (struct data_event){ .kind = WRITE,
						  .version = ++slot->version,
						  .length = 2000,
						  .size = 2000 }),
	    path);
	must(fsync(fd), "fsync", path);
	DURABLE(life->datas, life->n_datas, tick());
	close(fd);
	maybe_sync_names(root, slot);
}

static void remove_name(int root, struct slot *slot, unsigned name)
{
	struct names_event *event = names_next(slot);
	char path[PATH_SIZE];

	slot_path(slot, name, path);
	event->life[name] = NO_LIFE;
	names_begin(slot);
	must(unlinkat(root, path, 0), "unlink", path);
	maybe_sync_names(root, slot);
}

static void rename_or_link(int root, struct slot *slot, unsigned from, unsigned to, bool is_link)
{
	struct names_event *event = names_next(slot);
	char path[PATH_SIZE], new_path[PATH_SIZE];

	slot_path(slot, from, path);
	slot_path(slot, to, new_path);
	event->life[to] = event->life[from];
	if (!is_link)
		event->life[from] = NO_LIFE;
	names_begin(slot);
	if (is_link)
		must(linkat(root, path, root, new_path, 0), "link", path);
	else
		must(renameat(root, path, root, new_path), "rename", path);
	maybe_sync_names(root, slot);
}

static void change_names(int root, struct slot *slot, unsigned name)
{
	unsigned other = free_name(slot), what = chance(6);

	if (names_full(slot))
		return;
	if (what < 2)
		replace(root, slot, name);
	else if (what == 2)
		remove_name(root, slot, name);
	else if (other < N_NAMES)
		rename_or_link(root, slot, name, other, what == 3);
}

/* --- the process --- */

static void change_file(int root, struct slot *slot, struct life *life, const char *path)
{
	if (life->n_datas == MAX_EVENTS)
		return;
	switch (chance(4)) {
	case 0:
		append(root, slot, life, path);
		break;
	case 1:
		overwrite(root, slot, life, path);
		break;
	case 2:
		rewrite(root, slot, life, path);
		break;
	default:
		change_attributes(root, slot, life, path);
	}
	if (chance(3) == 0)
		sync_life(root, life, path);
}

static void work_on_file(int root, struct slot *slot)
{
	unsigned name = used_name(slot);
	char path[PATH_SIZE];

	if (name == N_NAMES) {
		if (!names_full(slot))
			create(root, slot, free_name(slot));
		return;
	}
	slot_path(slot, name, path);
	if (chance(5) < 3)
		change_file(root, slot, &slot->lives[names_now(slot)->life[name]], path);
	else
		change_names(root, slot, name);
}

void work(int root, unsigned process)
{
	chance_seed(settings.seed << 8 | process);
	umask(0);
	for (unsigned i = 0; i < N_OLD; i++) {
		char path[PATH_SIZE];

		snprintf(path, sizeof(path), "p%u/old%u", process, i);
		must(unlinkat(root, path, 0), "unlink", path);
	}
	while (!atomic_load(&shared->stop)) {
		struct slot *slot = &shared->slots[process][chance(N_SLOTS)];

		if (slot->is_dir)
			work_on_dir(root, slot);
		else
			work_on_file(root, slot);
		if (settings.pause)
			usleep(chance(settings.pause));
	}
	_exit(0);
}
