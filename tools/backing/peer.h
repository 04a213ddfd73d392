/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One connection: a FUSE daemon, what it may have made known, and the ids it got. */
#ifndef BACKING_PEER_H
#define BACKING_PEER_H

/*
 * Serves the connection `socket`, which is closed in the end, by a thread of its own, until it ends
 * or something comes that is no request. Then the ids it got are closed.
 */
void peer_start(int socket);

/*
 * Gives up all privileges but those that peers need: to make the call, and to become their user.
 * 0 or negative errno. Once, before peer_start.
 */
int peer_reduce_privileges(void);

#endif
