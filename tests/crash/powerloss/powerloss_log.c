/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The clock, events, contents, chance, reports. */
#include "powerloss.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

struct shared *shared;

uint64_t tick(void)
{
	return atomic_fetch_add(&shared->clock, 1);
}

void begin(struct when *when)
{
	atomic_store(&when->durable, 0);
	atomic_store(&when->begun, tick());
	atomic_fetch_add(&shared->n_ops, 1);
}

static struct when *at(struct when *first, unsigned i, size_t size)
{
	return (struct when *)((char *)first + i * size);
}

void make_durable(struct when *first, unsigned n, size_t size, uint64_t time)
{
	while (n-- > 0 && atomic_load(&at(first, n, size)->durable) == 0)
		atomic_store(&at(first, n, size)->durable, time);
}

struct window window_of(struct when *first, unsigned n, size_t size, const struct loss *loss)
{
	struct window ret = { 0 };

	for (unsigned i = 0; i < n; i++) {
		uint64_t durable = atomic_load(&at(first, i, size)->durable);

		if (durable && durable <= loss->before)
			ret.first = i;
		if (atomic_load(&at(first, i, size)->begun) <= loss->after)
			ret.last = i;
	}
	return ret;
}

/* --- contents --- */

static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return x ^ x >> 31;
}

void fill(unsigned char *bytes, size_t length, uint64_t key, off_t offset)
{
	for (size_t i = 0; i < length; i++) {
		uint64_t position = (uint64_t)offset + i;
		static const unsigned int bits = 8;

		bytes[i] = (unsigned char)(mix(key ^ mix(position / 8)) >> position % 8 * bits) | 1;
	}
}

uint64_t data_key(const struct slot *slot, uint32_t version)
{
	return (uint64_t)(slot->process * N_SLOTS + slot->number + 1) << 40 | version;
}

uint64_t child_key(const struct slot *slot, int life, unsigned child)
{
	return data_key(slot, 0) | (uint64_t)1 << 38 | (uint64_t)life << 8 | child;
}

size_t child_size(const struct slot *slot, int life, unsigned child)
{
	return 100 + mix(child_key(slot, life, child)) % 9000;
}

/* --- chance --- */

static uint64_t chance_state;

void chance_seed(uint64_t seed)
{
	chance_state = mix(seed);
}

unsigned chance(unsigned n)
{
	chance_state = mix(chance_state);
	return (unsigned)(chance_state >> 20) % n;
}

/* --- reports --- */

static void say(const char *first, const char *format, va_list args)
{
	char line[1000];

	vsnprintf(line, sizeof(line), format, args);
	fprintf(stderr, "%s%s\n", first, line);
}

void wrong(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say("WRONG: ", format, args);
	va_end(args);
}

void die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say("powerloss: ", format, args);
	va_end(args);
	exit(3);
}
