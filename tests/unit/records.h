/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Records of the state file that say whose they are, for its tests and its fuzzer. */
#ifndef TEST_RECORDS_H
#define TEST_RECORDS_H

#include "branch/number.h"
#include "scratch.h"
#include "survive/state_file.h"

static inline struct state_record record_of(ino_t real)
{
	return (struct state_record){ .ino = LOWER_INO_END + real * 7, .stack = real & 1 };
}

static inline bool has(struct state_file *file, ino_t real)
{
	struct state_record got, want = record_of(real);
	int r = state_file_find(file, real, &got);

	assert(r == STATE_FILE_ABSENT || r == STATE_FILE_FOUND);
	if (r == STATE_FILE_FOUND)
		assert(got.ino == want.ino && got.stack == want.stack);
	return r == STATE_FILE_FOUND;
}

static inline void put(struct state_file *file, ino_t real)
{
	assert(state_file_put(file, real, record_of(real)) >= 0);
}

#endif
