/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What is changed for a moment only, so that nobody is to see it: the times of a directory in which
 * a name is made, those of a file that is written to (copyup/mtime.h), the mode of a file that we
 * may not open as it is (copyup/file.h). A note in memory that workers share says what it was; if
 * the worker dies in that moment, the next one puts it back (verb/recover.c).
 *
 * All functions may be called from any thread.
 */
#ifndef SURVIVE_QUIET_H
#define SURVIVE_QUIET_H

#include <stdint.h>
#include <sys/stat.h>
#include <time.h>

enum { QUIET_NOTES = 128 }; /* two for each request that is worked on, so that there is room */

struct quiet_note {
	uint64_t ino; /* 0: free; UINT64_MAX: it is being written */
	struct timespec times[2]; /* of a directory, or a file whose content is changed */
	mode_t mode; /* of a file; 0: the times count */
};

/*
 * Notes in `notes`, QUIET_NOTES of them (NULL: nobody will follow), that `times` of the object
 * `ino` (and mode 0), or the `mode` of the file, is to be put back. The note, for quiet_end; NULL:
 * there is no room or nobody to follow, which is no failure.
 */
struct quiet_note *quiet_begin(struct quiet_note *notes, uint64_t ino,
			       const struct timespec times[2], mode_t mode);

/* It has been put back. Accepts NULL. */
void quiet_end(struct quiet_note *note);

#endif
