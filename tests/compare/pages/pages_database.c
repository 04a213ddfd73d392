/* SPDX-License-Identifier: GPL-3.0-or-later */
/* pages: the database, its versions, its writer and its readers. */
#include "pages.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

#define WORDS (PAGE / sizeof(uint64_t))
#define MAX_PAGES (1 << 16)
#define MAX_TRANSACTION 400
#define N_READERS 2

/* ---- pages ---- */

/* The file of versions, which all processes map. */
struct state {
	uint32_t n_pages;
	_Atomic bool stop;
	_Atomic uint32_t n_warm; /* readers that have read the file before the first change */
	_Atomic uint32_t at; /* where the writer is */
	_Atomic uint64_t n_read;
	_Atomic uint32_t begun[MAX_PAGES], complete[MAX_PAGES];
};

static uint64_t word_of(uint32_t number, uint32_t version, size_t i)
{
	uint64_t head = (uint64_t)number << 32 | version;

	return i == 0 ? head : mix(head * WORDS + i);
}

static void make_page(uint32_t number, uint32_t version, uint64_t *page)
{
	size_t i;

	for (i = 0; i < WORDS; i++)
		page[i] = word_of(number, version, i);
}

/* All words are of versions from low to high; so, of one if these are the same. */
static void check_page(const char *through, uint32_t number, const uint64_t *page, uint32_t low,
		       uint32_t high)
{
	uint32_t version;
	size_t i;

	for (i = 0; i < WORDS; i++) {
		for (version = low; version <= high; version++)
			if (page[i] == word_of(number, version, i))
				break;
		if (version > high)
			fail("%s: page %u at byte %zu is 0x%016lx, not of version %u to %u "
			     "(0x%016lx)",
			     through, number, i * sizeof(*page), page[i], low, high,
			     word_of(number, low, i));
	}
}

static struct state *state_map(const char *path)
{
	cleanup_fd int fd = open_or_fail(path, O_RDWR | O_CREAT);

	if (ftruncate(fd, sizeof(struct state)) < 0)
		fail("%s: %s", path, strerror(errno));
	return map_or_fail(fd, sizeof(struct state), PROT_READ | PROT_WRITE);
}

void database_make(char **args)
{
	cleanup_fd int fd = open_or_fail(args[0], O_WRONLY | O_CREAT | O_EXCL);
	struct state *state = state_map(args[1]);
	uint64_t page[WORDS];
	uint32_t i;

	state->n_pages = (uint32_t)strtoul(args[2], NULL, 10);
	if (state->n_pages == 0 || state->n_pages > MAX_PAGES)
		fail("too many pages");
	for (i = 0; i < state->n_pages; i++) {
		make_page(i, 0, page);
		write_at(fd, page, PAGE, (off_t)i * PAGE);
	}
}

void database_verify(char **args)
{
	cleanup_fd int fd = open_or_fail(args[0], O_RDONLY);
	struct state *state = state_map(args[1]);
	uint64_t page[WORDS], *map;
	struct stat st;
	uint32_t i;

	if (fstat(fd, &st) < 0 || st.st_size != (off_t)state->n_pages * PAGE)
		fail("%s has %ld bytes, not %u pages", args[0], (long)st.st_size, state->n_pages);
	map = map_or_fail(fd, (size_t)state->n_pages * PAGE, PROT_READ);
	for (i = 0; i < state->n_pages; i++) {
		if (pread(fd, page, PAGE, (off_t)i * PAGE) != PAGE)
			fail("%s: page %u cannot be read", args[0], i);
		check_page("verifying", i, page, state->begun[i], state->begun[i]);
		check_page("verifying, mapped", i, map + i * WORDS, state->begun[i],
			   state->begun[i]);
	}
}

/* ---- readers ---- */

struct reader {
	const char *path;
	struct state *state;
	uint64_t random;
	int before, fd;
	const uint64_t *map_before, *map;
};

/* Mostly where the writer is. */
static uint32_t choose_page(struct reader *r)
{
	uint32_t i = (uint32_t)below(&r->random, r->state->n_pages);

	return below(&r->random, 3) ? r->state->at : i;
}

static void read_page(struct reader *r)
{
	static const char *const names[] = { "a descriptor of before", "a new descriptor",
					     "a mapping of before", "a new mapping" };
	size_t through = below(&r->random, 4);
	uint32_t number = choose_page(r), low = r->state->complete[number];
	const uint64_t *map = through == 2 ? r->map_before : r->map;
	uint64_t page[WORDS];

	if (through >= 2)
		memcpy(page, map + number * WORDS, PAGE);
	else if (pread(through ? r->fd : r->before, page, PAGE, (off_t)number * PAGE) != PAGE)
		fail("%s: page %u: %s", names[through], number, strerror(errno));
	atomic_thread_fence(memory_order_seq_cst);
	check_page(names[through], number, page, low, r->state->begun[number]);
	r->state->n_read++;
}

static void reopen(struct reader *r)
{
	size_t len = (size_t)r->state->n_pages * PAGE;

	if (r->fd >= 0) {
		munmap((void *)r->map, len);
		close(r->fd);
	}
	r->fd = open_or_fail(r->path, O_RDONLY);
	r->map = map_or_fail(r->fd, len, PROT_READ);
}

static _Noreturn void read_pages(struct reader *r)
{
	uint32_t i;

	reopen(r);
	for (i = 0; !r->state->stop; i++) {
		if (i == 1000)
			r->state->n_warm++;
		if (i % 500 == 0)
			reopen(r);
		read_page(r);
		/* On a machine with few processors, the daemon and the writer want some too. */
		if (i % 20 == 0)
			usleep(200);
	}
	_exit(0);
}

/* ---- the writer ---- */

struct writer {
	struct state *state;
	uint64_t random;
	int fd;
	uint64_t *map;
	char journal[PATH_MAX];
	uint32_t pages[MAX_TRANSACTION], n; /* of a transaction */
	unsigned n_transactions;
};

/* The old pages, each after its number; they are as they were written. */
static void write_journal(struct writer *w)
{
	cleanup_fd int fd = open_or_fail(w->journal, O_RDWR | O_CREAT);
	uint64_t page[WORDS];
	off_t off = 512;
	uint32_t i;

	write_at(fd, &w->n, sizeof(w->n), 0);
	for (i = 0; i < w->n; i++) {
		uint32_t number = w->pages[i], version = w->state->begun[number];

		if (pread(w->fd, page, PAGE, (off_t)number * PAGE) != PAGE)
			fail("page %u: %s", number, strerror(errno));
		check_page("the writer", number, page, version, version);
		write_at(fd, &number, sizeof(number), off);
		write_at(fd, page, PAGE, off + (off_t)sizeof(number));
		off += (off_t)sizeof(number) + PAGE;
	}
	if (fsync(fd) < 0)
		fail("fsync: %s", strerror(errno));
}

/* What a rollback would find. */
static void check_journal(struct writer *w)
{
	cleanup_fd int fd = open_or_fail(w->journal, O_RDONLY);
	uint64_t page[WORDS];
	uint32_t i, n, number;
	off_t off = 512;

	if (pread(fd, &n, sizeof(n), 0) != sizeof(n) || n != w->n)
		fail("journal: a wrong head");
	for (i = 0; i < n; i++) {
		if (pread(fd, &number, sizeof(number), off) != sizeof(number) ||
		    number != w->pages[i] ||
		    pread(fd, page, PAGE, off + (off_t)sizeof(number)) != PAGE)
			fail("journal: wrong at %ld", (long)off);
		check_page("journal", number, page, w->state->begun[number],
			   w->state->begun[number]);
		off += (off_t)sizeof(number) + PAGE;
	}
}

/* As SQLite's journal modes do it: DELETE, TRUNCATE, PERSIST. */
static void end_journal(struct writer *w)
{
	static const char zeros[512];
	cleanup_fd int fd = -1;
	int r = 0;

	switch (w->n_transactions++ % 3) {
	case 0:
		r = unlink(w->journal);
		break;
	case 1:
		r = truncate(w->journal, 0);
		break;
	default:
		fd = open_or_fail(w->journal, O_WRONLY);
		write_at(fd, zeros, sizeof(zeros), 0);
	}
	if (r < 0)
		fail("%s: %s", w->journal, strerror(errno));
}

static void write_page(struct writer *w, uint32_t number)
{
	struct state *state = w->state;
	uint32_t version = ++state->begun[number];
	uint64_t page[WORDS];

	state->at = number;
	make_page(number, version, page);
	if (below(&w->random, 4) == 0)
		memcpy(w->map + number * WORDS, page, PAGE);
	else
		write_at(w->fd, page, PAGE, (off_t)number * PAGE);
	atomic_thread_fence(memory_order_seq_cst);
	state->complete[number] = version;
}

static void run_transaction(struct writer *w)
{
	uint32_t i;

	write_journal(w);
	check_journal(w);
	for (i = 0; i < w->n; i++)
		write_page(w, w->pages[i]);
	if (below(&w->random, 3) == 0 && fdatasync(w->fd) < 0)
		fail("fdatasync: %s", strerror(errno));
	end_journal(w);
}

static uint32_t *shuffled(uint64_t *random, uint32_t n)
{
	uint32_t *order = malloc(n * sizeof(*order)), i, j, old;

	if (!order)
		fail("no memory");
	for (i = 0; i < n; i++) {
		j = (uint32_t)below(random, i + 1);
		old = order[j];
		order[j] = i;
		order[i] = i == j ? i : old;
	}
	return order;
}

static void write_pages(struct writer *w)
{
	cleanup_free uint32_t *order = shuffled(&w->random, w->state->n_pages);
	uint32_t done, i, n;

	for (done = 0; done < w->state->n_pages; done += n) {
		n = 1 + (uint32_t)below(&w->random, MAX_TRANSACTION);
		if (n > w->state->n_pages - done)
			n = w->state->n_pages - done;
		w->n = n;
		for (i = 0; i < n; i++)
			w->pages[i] = order[done + i];
		run_transaction(w);
	}
	unlink(w->journal);
}

static void writer_open(struct writer *w, const char *path)
{
	w->fd = open_or_fail(path, O_RDWR);
	w->map = map_or_fail(w->fd, (size_t)w->state->n_pages * PAGE, PROT_READ | PROT_WRITE);
	snprintf(w->journal, sizeof(w->journal), "%s-journal", path);
}

void database_rewrite(char **args)
{
	struct state *state = state_map(args[1]);
	uint64_t seed = strtoull(args[2], NULL, 10);
	int before = open_or_fail(args[0], O_RDONLY);
	struct reader reader = { .path = args[0], .state = state, .before = before, .fd = -1 };
	struct writer writer = { .state = state, .random = seed };
	pid_t readers[N_READERS], pid;
	unsigned i;

	reader.map_before = map_or_fail(before, (size_t)state->n_pages * PAGE, PROT_READ);
	state->stop = false;
	state->n_warm = 0;
	state->n_read = 0;
	for (i = 0; i < N_READERS; i++) {
		reader.random = seed * 100 + i;
		readers[i] = begin();
		if (readers[i] == 0)
			read_pages(&reader);
	}
	pid = begin();
	if (pid == 0) {
		while (state->n_warm < N_READERS)
			usleep(1000);
		writer_open(&writer, args[0]);
		write_pages(&writer);
		_exit(0);
	}
	await("the writer", pid);
	state->stop = true;
	for (i = 0; i < N_READERS; i++)
		await("a reader", readers[i]);
	printf("pages: %u written, %lu read\n", state->n_pages, state->n_read);
}
