/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What one worker writes down, the next one finds. */
#include "survive/ledger.h"

#include <sys/mman.h>

#include "scratch.h"

static int fd;

static struct ledger *begin(void)
{
	struct ledger *ledger;

	assert_eq(ledger_open(fd, &ledger), 0);
	return ledger;
}

static void test_next_worker(void)
{
	struct ledger *ledger = begin();
	struct ledger_entry *one = ledger_add(ledger, 1, 1, 0),
			    *two = ledger_add(ledger, 1ULL << 62, 1, 1);

	assert(one && two);
	one->n_lookups = 7;
	two->n_lookups = 3;
	/* What a worker has written itself it has, and does not look for. */
	assert(!ledger_find(ledger, 1));
	ledger_close(ledger);
	ledger = begin();
	one = ledger_find(ledger, 1);
	assert(one);
	assert_eq(one->n_lookups, 7);
	assert(ledger_claim(ledger, 1) == one);
	assert(!ledger_claim(ledger, 1));
	two = ledger_find(ledger, 1ULL << 62);
	assert(two);
	assert_eq(two->parent, 1);
	ledger_remove(ledger, one);
	ledger_remove(ledger, two);
	assert(!ledger_find(ledger, 1ULL << 62));
	ledger_close(ledger);
	ledger = begin();
	assert(!ledger_find(ledger, 1));
	assert(!ledger_find(ledger, 1ULL << 62));
	ledger_close(ledger);
}

/* Entries stay where they are while there come to be more, and freed ones are used again. */
static void test_growth(void)
{
	enum { N = 20000 };
	static struct ledger_entry *entries[N];
	struct ledger *ledger = begin();
	struct stat st;
	off_t size;

	for (uint64_t i = 0; i < N; i++) {
		entries[i] = ledger_add(ledger, i + 1, 1, i);
		assert(entries[i]);
		entries[i]->n_lookups = i + 1;
	}
	for (uint64_t i = 0; i < N; i++)
		assert(entries[i]->ino == i + 1 && entries[i]->n_lookups == i + 1);
	assert(fstat(fd, &st) == 0);
	size = st.st_size;
	for (int round = 0; round < 3; round++) {
		for (uint64_t i = 0; i < N; i += 2)
			ledger_remove(ledger, entries[i]);
		for (uint64_t i = 0; i < N; i += 2)
			entries[i] = ledger_add(ledger, 2 * N + i, 1, 5);
	}
	assert(fstat(fd, &st) == 0);
	assert_eq(st.st_size, size);
	ledger_close(ledger);
	ledger = begin();
	for (uint64_t i = 1; i < N; i += 2)
		assert_eq(ledger_find(ledger, i + 1)->n_lookups, i + 1);
	for (uint64_t i = 0; i < N; i += 2)
		assert_eq(ledger_find(ledger, 2 * N + i)->parent, 5);
	ledger_close(ledger);
}

int main(void)
{
	fd = memfd_create("test", 0);
	assert(fd >= 0);
	test_next_worker();
	test_growth();
	close(fd);
	return 0;
}
