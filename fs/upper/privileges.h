/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a write of ours takes from a file although nobody meant it to: setuid, setgid and file
 * capabilities, to be given back afterwards.
 *
 * All functions may be called from any thread.
 */
#ifndef UPPER_PRIVILEGES_H
#define UPPER_PRIVILEGES_H

#include <sys/types.h>

struct privileges {
	mode_t mode;
	ssize_t size; /* of the capability, in bytes; none if not above 0 */
	char capability[64];
};

/* Notes those of the open file `fd`. 0 or negative errno. */
int privileges_get(int fd, struct privileges *ret);

/* Gives them back: 0 or negative errno. */
int privileges_restore(int fd, const struct privileges *privileges);

#endif
