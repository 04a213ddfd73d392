/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A hash table with linear probing, read and written by system calls: what is mapped into memory
 * raises SIGBUS where a file has become shorter, or a disk does not answer. A record stands in one
 * of the WINDOW slots from its home on, so that one read finds it, whatever the file holds; where
 * these are full the table grows, into another file that takes its place.
 *
 * Homes are in the order of the hashes' upper bits, so that growing goes through both files once.
 * The room of a file is taken when it is made: records are kept also on a disk that is full by
 * then.
 */
#include "survive/state_file.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/random.h"
#include "base/table.h"
#include "branch/number.h"
#include "host/boot.h"

enum {
	WINDOW = 64, /* slots that a record may be in */
	FIRST_SLOTS = 1 << 10,
	CHUNK = 1 << 11, /* slots that are read at a time when all are */
	HEAD = 4096, /* bytes before the slots */
	PATIENCE = 1 << 10, /* records for which there was no room, before it is tried again */
};
enum { FULL = 1 }; /* an answer: some window is */
#define MAX_SLOTS (UINT64_C(1) << 40)
/* Numbers that are given out in one run of the machine: as many as no filesystem has inodes. */
#define NEVER_REACHED (UINT64_C(1) << 32)
#define BEGINNINGS_BITS 29 /* numbers that a new file can begin with, so far apart */
#define RUNS_BITS 16 /* and that a run of the machine can go on with */

static const char file_name[] = "state.map";
static const char new_name[] = "state.new";
static const char magic[8] = "cairnst2";
/* What earlier versions kept there. */
static const char *const old_names[] = { "state.mdb", "state.mdb-lock", "state.seal", "state.log" };

/* All in the file is little-endian, hashes (XXH3) too. */
struct state_head {
	char magic[8];
	uint64_t seed; /* of all hashes of slots */
	uint64_t n_slots; /* of homes, a power of two; there are WINDOW more */
	uint64_t next;
	uint64_t boot; /* in which run of the machine that was written; 0: not known */
	uint64_t check; /* hash of what is before */
};

/* All zero: none has been here. Of a wrong check: free, but others may be behind it. */
struct state_slot {
	uint64_t real, ino, stack, birth;
	uint64_t boot; /* in which run of the machine it was put here; 0: not known */
	uint64_t check; /* hash of the seed and what is before */
};

struct state_file {
	int workdir, fd;
	uint64_t seed, n_slots, next;
	uint64_t boot; /* which run of the machine it is now */
	unsigned int n_refused; /* records since it could not grow; 0: it was not tried in vain */
};

/* --- slots --- */

static uint64_t check_of(const struct state_file *file, const struct state_slot *slot)
{
	const uint64_t parts[] = { htole64(file->seed), slot->real,  slot->ino,
				   slot->stack,		slot->birth, slot->boot };

	return htole64(table_hash_bytes(parts, sizeof(parts)));
}

static bool is_empty(const struct state_slot *slot)
{
	return !(slot->real | slot->ino | slot->stack | slot->birth | slot->boot | slot->check);
}

static bool is_record(const struct state_file *file, const struct state_slot *slot)
{
	return !is_empty(slot) && slot->check == check_of(file, slot);
}

static uint64_t home_of(const struct state_file *file, uint64_t n_slots, ino_t real)
{
	const uint64_t parts[] = { htole64(file->seed), htole64(real) };

	return table_hash_bytes(parts, sizeof(parts)) >> (64 - __builtin_ctzll(n_slots));
}

static off_t place_of(uint64_t slot)
{
	return (off_t)(HEAD + slot * sizeof(struct state_slot));
}

/* What is behind the end is empty. */
static int read_slots(int fd, uint64_t first, size_t n, struct state_slot *ret)
{
	ssize_t got = fd_pread_all(fd, ret, n * sizeof(*ret), place_of(first));

	if (got < 0)
		return (int)got;
	memset((char *)ret + got, 0, n * sizeof(*ret) - (size_t)got);
	return 0;
}

static int write_slots(int fd, uint64_t first, size_t n, const struct state_slot *slots)
{
	ssize_t done = fd_pwrite_all(fd, slots, n * sizeof(*slots), place_of(first));

	if (done < 0)
		return (int)done;
	return done == (ssize_t)(n * sizeof(*slots)) ? 0 : -ENOSPC;
}

/* The slots in which an inode's record may be. */
struct window {
	uint64_t first;
	struct state_slot slots[WINDOW];
};

static int read_window(const struct state_file *file, ino_t real, struct window *ret)
{
	ret->first = home_of(file, file->n_slots, real);
	return read_slots(file->fd, ret->first, WINDOW, ret->slots);
}

/* The record's slot, or -1; *room is the first that another may be put into, or -1. */
static int look(const struct state_file *file, const struct state_slot slots[WINDOW], ino_t real,
		int *room)
{
	*room = -1;
	for (int i = 0; i < WINDOW; i++) {
		bool is_used = is_record(file, &slots[i]);

		if (is_used && slots[i].real == htole64(real))
			return i;
		if (!is_used && *room < 0)
			*room = i;
		if (is_empty(&slots[i]))
			return -1;
	}
	return -1;
}

/* --- a file from nothing --- */

static int write_head(const struct state_file *file, int fd, uint64_t n_slots)
{
	struct state_head head = { .seed = htole64(file->seed),
				   .n_slots = htole64(n_slots),
				   .next = htole64(file->next),
				   .boot = htole64(file->boot) };
	ssize_t n;

	memcpy(head.magic, magic, sizeof(magic));
	head.check = htole64(table_hash_bytes(&head, offsetof(struct state_head, check)));
	n = fd_pwrite_all(fd, &head, sizeof(head), 0);
	return n < 0 ? (int)n : n == sizeof(head) ? 0 : -ENOSPC;
}

/* Takes the room of a table, where the filesystem can do that. */
static int take_room(int fd, uint64_t n_slots)
{
	int error = posix_fallocate(fd, 0, place_of(n_slots + WINDOW));

	if (error == 0 || error == ENOSPC || error == EDQUOT || error == EFBIG)
		return -error;
	return ftruncate(fd, place_of(n_slots + WINDOW)) < 0 ? -errno : 0;
}

/* An empty table, under a name that is not its own yet. A descriptor, or negative errno. */
static int make_table(const struct state_file *file, uint64_t n_slots)
{
	cleanup_fd int fd = -1;
	int r;

	unlinkat(file->workdir, new_name, 0);
	fd = fd_open_own(file->workdir, new_name, O_RDWR | O_CREAT | O_EXCL, 0600);
	if (fd < 0)
		return take_fd(&fd);
	r = take_room(fd, n_slots);
	if (r == 0)
		r = write_head(file, fd, n_slots);
	if (r < 0) {
		unlinkat(file->workdir, new_name, 0);
		return r;
	}
	return take_fd(&fd);
}

/* The table that was made becomes the file's; `fd` is taken over, also on failure. */
static int put_in_place(struct state_file *file, int fd, uint64_t n_slots)
{
	int r = fd_rename(file->workdir, new_name, file->workdir, file_name, 0);

	if (r < 0) {
		unlinkat(file->workdir, new_name, 0);
		close(fd);
		return r;
	}
	if (file->fd >= 0)
		close(file->fd);
	file->fd = fd;
	file->n_slots = n_slots;
	return 0;
}

static int begin_file(struct state_file *file)
{
	int fd;

	file->seed = random_u64();
	file->next = LOWER_INO_END + (random_u64() >> (64 - BEGINNINGS_BITS)) * NEVER_REACHED;
	fd = make_table(file, FIRST_SLOTS);
	return fd < 0 ? fd : put_in_place(file, fd, FIRST_SLOTS);
}

/* --- opening --- */

/* 0: it cannot be known. */
static uint64_t this_boot(void)
{
	struct boot_id boot = boot_id();

	return *boot.s ? table_hash_bytes(boot.s, strlen(boot.s)) : 0;
}

static bool read_head(struct state_file *file)
{
	struct state_head head;

	if (fd_pread_all(file->fd, &head, sizeof(head), 0) != sizeof(head) ||
	    memcmp(head.magic, magic, sizeof(magic)) != 0 ||
	    le64toh(head.check) != table_hash_bytes(&head, offsetof(struct state_head, check)))
		return false;
	file->seed = le64toh(head.seed);
	file->n_slots = le64toh(head.n_slots);
	file->next = le64toh(head.next);
	/*
	 * What an earlier run has given out since may be in records, and no head: no two runs that
	 * begin with one head go on with the same numbers.
	 */
	if (!file->boot || le64toh(head.boot) != file->boot)
		file->next += NEVER_REACHED * (1 + (random_u64() >> (64 - RUNS_BITS)));
	return file->n_slots >= FIRST_SLOTS && file->n_slots <= MAX_SLOTS &&
	       !(file->n_slots & (file->n_slots - 1)) && file->next >= LOWER_INO_END &&
	       file->next < (UINT64_C(1) << 63) - NEVER_REACHED;
}

int state_file_open(int workdir, struct state_file **ret)
{
	struct state_file *file = malloc(sizeof(*file));
	int r = 0;

	if (!file)
		return -ENOMEM;
	*file = (struct state_file){ .workdir = workdir, .boot = this_boot() };
	for (size_t i = 0; i < sizeof(old_names) / sizeof(*old_names); i++)
		unlinkat(workdir, old_names[i], 0);
	file->fd = fd_open_own(workdir, file_name, O_RDWR, 0);
	if (file->fd == -ENOENT || (file->fd >= 0 && !read_head(file)))
		r = begin_file(file);
	else if (file->fd < 0)
		r = file->fd;
	if (r < 0) {
		state_file_close(file);
		return r == -EPERM ? STATE_FILE_FOREIGN : r;
	}
	*ret = file;
	return 0;
}

void state_file_close(struct state_file *file)
{
	if (file && file->fd >= 0)
		close(file->fd);
	free(file);
}

/* --- growing --- */

/* A part of a table, while what belongs there is put in. */
struct region {
	uint64_t first, n_homes;
	size_t n; /* slots */
	struct state_slot *slots;
};

static int put_in_region(const struct state_file *file, const struct region *region,
			 uint64_t n_slots, const struct state_slot *slot)
{
	uint64_t home = home_of(file, n_slots, le64toh(slot->real)) - region->first;
	int room;

	/* Who stands where it does not belong is not found, and counts for nothing. */
	if (home >= region->n_homes ||
	    look(file, &region->slots[home], le64toh(slot->real), &room) >= 0)
		return 0;
	if (room < 0)
		return FULL;
	region->slots[home + (uint64_t)room] = *slot;
	return 0;
}

/*
 * Puts the records of a part of the table, of `n` slots, into another. They are those of the same
 * part of the homes, and of a few before.
 */
static int copy_chunk(const struct state_file *file, const struct state_slot *from, uint64_t first,
		      size_t n, int fd, uint64_t n_slots)
{
	uint64_t ratio = n_slots / file->n_slots;
	uint64_t before = first < WINDOW ? first : WINDOW;
	struct region region = { .first = (first - before) * ratio,
				 .n_homes = (before + n) * ratio };
	cleanup_free struct state_slot *slots = NULL;
	int r;

	if (region.first + region.n_homes > n_slots)
		region.n_homes = n_slots - region.first;
	region.n = region.n_homes + WINDOW;
	region.slots = slots = malloc(region.n * sizeof(*slots));
	r = slots ? read_slots(fd, region.first, region.n, slots) : -ENOMEM;
	for (size_t i = 0; r == 0 && i < n; i++) {
		if (is_record(file, &from[i]))
			r = put_in_region(file, &region, n_slots, &from[i]);
	}
	return r == 0 ? write_slots(fd, region.first, region.n, slots) : r;
}

/* How many records there are, or, with an `fd`, puts them into that table. FULL or -errno. */
static int go_through(const struct state_file *file, int fd, uint64_t n_slots, uint64_t *n_records)
{
	cleanup_free struct state_slot *chunk = malloc(CHUNK * sizeof(*chunk));
	uint64_t end = file->n_slots + WINDOW;
	int r = chunk ? 0 : -ENOMEM;

	for (uint64_t first = 0; r == 0 && first < end; first += CHUNK) {
		size_t n = end - first < CHUNK ? end - first : CHUNK;

		r = read_slots(file->fd, first, n, chunk);
		for (size_t i = 0; r == 0 && n_records && i < n; i++)
			*n_records += is_record(file, &chunk[i]);
		if (r == 0 && fd >= 0)
			r = copy_chunk(file, chunk, first, n, fd, n_slots);
	}
	return r;
}

static int rebuild(struct state_file *file, uint64_t n_slots)
{
	int fd = make_table(file, n_slots);
	int r = fd < 0 ? fd : go_through(file, fd, n_slots, NULL);

	if (r == 0)
		return put_in_place(file, fd, n_slots);
	if (fd >= 0) {
		unlinkat(file->workdir, new_name, 0);
		close(fd);
	}
	return r;
}

/*
 * Makes room. That of what is no record any more may do, unless it `doubles`: a file that was
 * damaged may be crowded in one part alone.
 */
static int grow(struct state_file *file, bool doubles)
{
	uint64_t n_slots = file->n_slots, n_records = 0;
	int r = go_through(file, -1, 0, &n_records);

	if (doubles || n_records > n_slots / 8 * 3)
		n_slots *= 2;
	r = r < 0 ? r : FULL;
	for (; r == FULL && n_slots <= file->n_slots * 8; n_slots *= 2)
		r = rebuild(file, n_slots);
	return r == FULL ? -ENOSPC : r;
}

static int try_to_grow(struct state_file *file, bool doubles)
{
	int r = -ENOSPC;

	/* It costs much on a large table, and in vain on a disk that is full. */
	if (file->n_refused % PATIENCE == 0)
		r = grow(file, doubles);
	file->n_refused = r < 0 ? file->n_refused + 1 : 0;
	return r;
}

/* --- use --- */

uint64_t state_file_next(const struct state_file *file)
{
	return file->next;
}

int state_file_reserve(struct state_file *file, uint64_t next)
{
	uint64_t before = file->next;
	int r;

	file->next = next;
	r = write_head(file, file->fd, file->n_slots);
	if (r < 0)
		file->next = before;
	return r;
}

int state_file_find(struct state_file *file, ino_t real, struct state_record *ret)
{
	struct window window;
	int room, at, r = read_window(file, real, &window);

	if (r < 0)
		return r;
	at = look(file, window.slots, real, &room);
	if (at < 0)
		return STATE_FILE_ABSENT;
	ret->ino = le64toh(window.slots[at].ino);
	ret->stack = le64toh(window.slots[at].stack);
	ret->birth = le64toh(window.slots[at].birth);
	return file->boot && le64toh(window.slots[at].boot) == file->boot ? STATE_FILE_FOUND
									  : STATE_FILE_EARLIER;
}

/* Where the record is or may be put, a slot of the table. FULL: nowhere. */
static int find_room(const struct state_file *file, ino_t real, uint64_t *ret)
{
	struct window window;
	int room, at, r = read_window(file, real, &window);

	if (r < 0)
		return r;
	at = look(file, window.slots, real, &room);
	if (at < 0)
		at = room;
	*ret = window.first + (uint64_t)at;
	return at < 0 ? FULL : 0;
}

int state_file_put(struct state_file *file, ino_t real, struct state_record record)
{
	struct state_slot slot = { .real = htole64(real),
				   .ino = htole64(record.ino),
				   .stack = htole64(record.stack),
				   .birth = htole64(record.birth),
				   .boot = htole64(file->boot) };
	bool has_grown = false;
	uint64_t at;
	int r = find_room(file, real, &at);

	for (int i = 0; r == FULL && i < 2; i++) {
		r = try_to_grow(file, i > 0);
		has_grown |= r == 0;
		if (r == 0)
			r = find_room(file, real, &at);
	}
	slot.check = check_of(file, &slot);
	if (r == 0)
		r = write_slots(file->fd, at, 1, &slot);
	if (r != 0)
		return r < 0 ? r : -ENOSPC;
	return has_grown ? STATE_FILE_GREW : 0;
}

int state_file_delete(struct state_file *file, ino_t real)
{
	static const struct state_slot gone = { .check = 1 };
	struct window window;
	int room, at, r = read_window(file, real, &window);

	/* Damage can have left more than one. */
	while (r == 0 && (at = look(file, window.slots, real, &room)) >= 0) {
		window.slots[at] = gone;
		r = write_slots(file->fd, window.first + (uint64_t)at, 1, &gone);
	}
	return r;
}
