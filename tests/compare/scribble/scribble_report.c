/* SPDX-License-Identifier: GPL-3.0-or-later */
/* scribble: comparing with the model; what is said when a byte is wrong; chance. */
#include "scribble.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define N_SHOWN 20

struct entry *current;

/* ---- reporting ---- */

static void show_entry(const struct entry *entry)
{
	fprintf(stderr, "  %8lu process %u: %-13s %8ld +%-6zu", entry->number, entry->worker,
		entry->op, (long)entry->off, entry->len);
	if (entry->to >= 0)
		fprintf(stderr, " to %ld", (long)entry->to);
	fprintf(stderr, "%s\n", entry->done ? "" : "  (not finished)");
}

static bool touches(const struct entry *entry, off_t off)
{
	off_t from = entry->to >= 0 ? entry->to : entry->off;

	return off >= from && off < from + (off_t)entry->len;
}

/* The last operations; those that touched a byte, if off is not -1. */
void show_log(off_t off)
{
	const struct entry *shown[N_SHOWN];
	uint64_t i, end = shared->n_ops;
	unsigned n = 0;

	for (i = end; i > 0 && i + N_LOG > end && n < N_SHOWN; i--)
		if (off < 0 || touches(&shared->log[(i - 1) % N_LOG], off))
			shown[n++] = &shared->log[(i - 1) % N_LOG];
	if (off < 0)
		fprintf(stderr, " the last operations:\n");
	else
		fprintf(stderr, " the last that touched offset %ld:\n", (long)off);
	while (n > 0)
		show_entry(shown[--n]);
}

void fail_at(off_t off, const char *format, ...)
{
	va_list ap;

	if (atomic_exchange(&shared->reported, true))
		_exit(1);
	fprintf(stderr, "scribble: ");
	plan_show(stderr);
	if (current)
		fprintf(stderr, ": process %u, %s", current->worker, current->op);
	fprintf(stderr, ": ");
	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	fprintf(stderr, "; size %ld\n", (long)shared->size);
	if (off >= 0)
		show_log(off);
	show_log(-1);
	_exit(1);
}

void compare(const char *through, off_t off, const unsigned char *got, size_t len,
	     const unsigned char *want)
{
	size_t i, n_wrong = 0;

	if (!memcmp(got, want, len))
		return;
	for (i = len; i-- > 0;)
		n_wrong += got[i] != want[i];
	for (i = 0; got[i] == want[i];)
		i++;
	fail_at(off + (off_t)i,
		"%s: offset %ld is 0x%02x, not 0x%02x; %zu wrong of the %zu bytes at %ld", through,
		(long)(off + (off_t)i), got[i], want[i], n_wrong, len, (long)off);
}

void check(const char *through, off_t off, const unsigned char *got, size_t len)
{
	compare(through, off, got, len, shared->data + off);
}

/* ---- chance ---- */

static uint64_t next_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

off_t below(uint64_t *state, off_t n)
{
	return (off_t)(next_random(state) % (uint64_t)n);
}

void fill(uint64_t *state, unsigned char *p, size_t len)
{
	uint64_t word;

	for (; len >= sizeof(word); p += sizeof(word), len -= sizeof(word)) {
		word = next_random(state);
		memcpy(p, &word, sizeof(word));
	}
	word = next_random(state);
	memcpy(p, &word, len);
}

off_t least(off_t a, off_t b)
{
	return a < b ? a : b;
}
