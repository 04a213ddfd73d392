/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How the content of a file that was made in the work directory gets to the disk before a name in
 * upper shows it, whenever the power fails.
 *
 * fsync(2) does it everywhere, and waits for the journal too. A filesystem that has all changes of
 * metadata in one journal, in the order in which they were made, needs less: the name comes last,
 * so where that is, all before it is. Only what is written beside the journal is waited for: data
 * that were copied (as soon as they are written, the journal has where they are and how many), but
 * not those that were cloned, which are on the disk already (FICLONE has the source written first).
 * The journal's own flush, before it has the name, covers what the disk's cache holds.
 *
 * That holds for xfs without a realtime device, and for ext4 with a journal on the same disk. btrfs
 * syncs single files out of that order (its log tree), so that a name may come before its content.
 */
#ifndef UPPER_SETTLE_H
#define UPPER_SETTLE_H

/* SETTLE_NOT: nobody asked for it (fsync=0). */
enum settling { SETTLE_BY_FSYNC = 0, SETTLE_BY_ORDER, SETTLE_NOT };

/* What files need that are made in the open directory `dir`. From any thread. */
enum settling settling_of(int dir);

/*
 * Before the file `fd` (open for writing) gets a name: waits as long as needed. `copied`: what
 * copy_data() said of its content. 0 or negative errno. From any thread.
 */
int settle(enum settling how, int fd, int copied);

#endif
