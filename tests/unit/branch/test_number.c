/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Numbers of lower objects: a function of what they are, whoever asks, in whatever order. */
#include "branch/number.h"

#include "scratch.h"

static int branches[2];
static dev_t device;

static void begin(struct lower_numbers *numbers)
{
	assert_eq(lower_numbers_init(numbers, branches, 2), 0);
}

static void test_plain(void)
{
	struct lower_numbers numbers;

	begin(&numbers);
	assert_eq(lower_numbers_get(&numbers, device, 2), 2);
	assert_eq(lower_numbers_get(&numbers, device, (UINT64_C(1) << 52) - 1),
		  (UINT64_C(1) << 52) - 1);
	assert(number_is_lasting(2));
	lower_numbers_done(&numbers);
}

/* Those that do not fit: 0, the root's, too long ones, and those of filesystems that are no
 * branch's. */
static void test_hashed(void)
{
	enum { N = 3000 };
	static uint64_t first[N];
	struct lower_numbers numbers;

	for (int round = 0; round < 2; round++) {
		begin(&numbers);
		for (uint64_t k = 0; k < N; k++) {
			/* The other way round the second time: no worker asks as another did. */
			uint64_t i = round ? N - 1 - k : k;
			ino_t real = i % 3 == 0	  ? (UINT64_C(1) << 52) + i
				     : i % 3 == 1 ? (UINT64_C(1) << 62) + i
						  : UINT64_MAX - i;
			uint64_t number = lower_numbers_get(&numbers, device + i % 2, real);

			assert(number >= UINT64_C(1) << 61 && number < LOWER_INO_END);
			assert_eq(number_is_lasting(number), i % 2 == 0);
			if (round)
				assert_eq(number, first[i]);
			first[i] = number;
			assert_eq(lower_numbers_get(&numbers, device + i % 2, real), number);
		}
		lower_numbers_done(&numbers);
	}
	for (size_t i = 0; i < N; i++) {
		for (size_t j = 0; j < i; j++)
			assert(first[i] != first[j]);
	}
	begin(&numbers);
	assert(lower_numbers_get(&numbers, device, LOWER_ROOT_INO) > LOWER_ROOT_INO);
	assert(lower_numbers_get(&numbers, device, 0) > LOWER_ROOT_INO);
	assert(!number_is_lasting(lower_numbers_get(&numbers, device + 1, 2)));
	lower_numbers_done(&numbers);
}

int main(void)
{
	scratch_begin();
	branches[0] = branches[1] = scratch;
	device = stat_of(scratch, ".").st_dev;
	test_plain();
	test_hashed();
	return 0;
}
