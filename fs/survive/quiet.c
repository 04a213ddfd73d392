/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "survive/quiet.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct quiet_note *quiet_begin(struct quiet_note *notes, uint64_t ino,
			       const struct timespec times[2], mode_t mode)
{
	for (size_t i = 0; notes && i < QUIET_NOTES; i++) {
		struct quiet_note *note = &notes[i];
		uint64_t none = 0;

		/* All of it is there before the number is: until then it says nothing. */
		if (!__atomic_compare_exchange_n(&note->ino, &none, UINT64_MAX, false,
						 __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
			continue;
		note->mode = mode;
		if (!mode)
			memcpy(note->times, times, sizeof(note->times));
		__atomic_store_n(&note->ino, ino, __ATOMIC_RELEASE);
		return note;
	}
	return NULL;
}

void quiet_end(struct quiet_note *note)
{
	if (note)
		__atomic_store_n(&note->ino, 0, __ATOMIC_RELEASE);
}
