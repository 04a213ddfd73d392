/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What comes out of a peer's socket. */
#ifndef BACKING_MESSAGE_H
#define BACKING_MESSAGE_H

#include "host/backing_protocol.h"

struct message {
	struct backing_request request;
	int fd; /* that came with it; -1: none */
};

/*
 * Waits for a request, of whatever content, that is well-formed: all of it, of this version, with
 * the descriptor that goes with its op and no other. 1, and *ret, whose descriptor is the caller's;
 * 0: the peer has gone; -EPROTO: something else came, whose descriptors are closed; or another
 * negative errno.
 */
int message_receive(int socket, struct message *ret);

#endif
