/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The state of a mount (survive/state_file.h), damaged: an inode's record is the one that was put or
 * none, and whatever is put from then on is found.
 */
#include "survive/state_file.h"

#include "../unit/records.h"
#include "branch/number.h"
#include "fuzz.h"

enum { N_RECORDS = 700, N_MORE = 200 };

static struct bytes whole;

static struct state_file *open_file(void)
{
	struct state_file *file;

	assert_eq(state_file_open(scratch, &file), 0);
	assert(state_file_next(file) >= LOWER_INO_END);
	return file;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	struct state_file *file;

	(void)argc;
	(void)argv;
	fuzz_begin();
	case_begin();
	file = open_file();
	for (ino_t real = 1; real <= N_RECORDS; real++)
		put(file, real);
	for (ino_t real = 1; real <= N_RECORDS; real += 9)
		assert_eq(state_file_delete(file, real), 0);
	assert_eq(state_file_reserve(file, state_file_next(file) + N_RECORDS), 0);
	state_file_close(file);
	whole = bytes_of_file(scratch, "state.map");
	case_end();
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = { data, size };
	struct bytes bytes = damaged(&whole, &input);
	struct state_file *file;

	case_begin();
	bytes_to_file(scratch, "state.map", bytes);
	free(bytes.data);
	file = open_file();
	for (ino_t real = 1; real <= N_RECORDS; real++)
		has(file, real);
	for (ino_t real = 1; real <= N_RECORDS + N_MORE; real += 3)
		put(file, real);
	for (ino_t real = 1; real <= N_RECORDS; real += 6)
		assert_eq(state_file_delete(file, real), 0);
	state_file_close(file);
	file = open_file();
	for (ino_t real = 1; real <= N_RECORDS + N_MORE; real++) {
		bool is_there = has(file, real);

		if (real % 3 == 1)
			assert_eq(is_there, real > N_RECORDS || real % 6 != 1);
	}
	state_file_close(file);
	case_end();
	return 0;
}
