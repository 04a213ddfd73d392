/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "branch/number.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

enum {
	INO_BITS = 52,
	MAX_DEVICES = 1 << 9,
};
#define HASHED (UINT64_C(1) << 61)
#define FLEETING                                                                                   \
	(UINT64_C(1) << 60) /* of hashed ones: of a filesystem that is known by its number */

/* A number that was made by hashing, and what for. */
struct hashed {
	struct table_link link; /* by the number */
	dev_t device;
	ino_t real;
	uint64_t number;
};

int lower_numbers_init(struct lower_numbers *numbers, const int branches[], size_t n_branches)
{
	*numbers = (struct lower_numbers){ .devices = calloc(n_branches + 1, sizeof(dev_t)) };
	pthread_mutex_init(&numbers->lock, NULL);
	if (!numbers->devices)
		return -ENOMEM;
	for (size_t i = 0; i < n_branches; i++) {
		size_t at = 0;
		struct stat st;

		if (fstat(branches[i], &st) < 0)
			return -errno;
		while (at < numbers->n_devices && numbers->devices[at] != st.st_dev)
			at++;
		numbers->devices[at] = st.st_dev;
		numbers->n_devices += at == numbers->n_devices;
	}
	return 0;
}

void lower_numbers_done(struct lower_numbers *numbers)
{
	struct table_link *link;

	while ((link = table_pop(&numbers->hashed)))
		free(TABLE_OBJECT(link, struct hashed, link));
	table_done(&numbers->hashed);
	pthread_mutex_destroy(&numbers->lock);
	free(numbers->devices);
}

/* With the lock held: notes whose number it is. False: another's, or out of memory. */
static bool claim(struct lower_numbers *numbers, uint64_t number, dev_t device, ino_t real)
{
	uint64_t hash = table_hash_u64(number);
	struct table_link *link = table_find(&numbers->hashed, hash);
	struct hashed *hashed;

	for (; link; link = table_next(link)) {
		hashed = TABLE_OBJECT(link, struct hashed, link);
		if (hashed->number == number)
			return hashed->device == device && hashed->real == real;
	}
	hashed = malloc(sizeof(*hashed));
	if (!hashed)
		return false;
	*hashed = (struct hashed){ .device = device, .real = real, .number = number };
	if (table_add(&numbers->hashed, &hashed->link, hash) == 0)
		return true;
	free(hashed);
	return false;
}

static uint64_t hashed_number(struct lower_numbers *numbers, size_t index, dev_t device, ino_t real)
{
	bool is_fleeting = index == numbers->n_devices;
	const uint64_t what[] = { is_fleeting ? (uint64_t)device : index, real };
	uint64_t number = HASHED | (is_fleeting ? FLEETING : 0) |
			  (table_hash_bytes(what, sizeof(what)) & (FLEETING - 1));
	bool is_ours;

	pthread_mutex_lock(&numbers->lock);
	is_ours = claim(numbers, number, device, real);
	pthread_mutex_unlock(&numbers->lock);
	return is_ours ? number : 0;
}

uint64_t lower_numbers_get(struct lower_numbers *numbers, dev_t device, ino_t real)
{
	size_t index = 0;

	while (index < numbers->n_devices && numbers->devices[index] != device)
		index++;
	if (index < numbers->n_devices && index < MAX_DEVICES && real > LOWER_ROOT_INO &&
	    real < UINT64_C(1) << INO_BITS)
		return (uint64_t)index << INO_BITS | real;
	return hashed_number(numbers, index, device, real);
}

bool number_is_lasting(uint64_t number)
{
	return number >= LOWER_INO_END || (number & (HASHED | FLEETING)) != (HASHED | FLEETING);
}

bool number_is_old(uint64_t number)
{
	return number < UINT64_C(1) << INO_BITS;
}
