/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which run of the machine this is: what was written in an earlier one may have lost its latest
 * part.
 *
 * All functions may be called from any thread.
 */
#ifndef HOST_BOOT_H
#define HOST_BOOT_H

struct boot_id {
	char s[40]; /* "" where it cannot be known */
};

/* The kernel's word, /proc/sys/kernel/random/boot_id. */
struct boot_id boot_id(void);

#endif
