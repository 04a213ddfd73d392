/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef BASE_RANDOM_H
#define BASE_RANDOM_H

#include <stdint.h>

/*
 * A number that is not to be had twice: the kernel's, or, while that has none yet at the start of a
 * machine, made of the time. It is no secret. From any thread.
 */
uint64_t random_u64(void);

#endif
