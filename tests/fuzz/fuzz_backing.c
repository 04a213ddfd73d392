/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a peer sends to cairn-backing: messages of any length, with any number of descriptors. What
 * is taken for a request is one, and no descriptor is left over.
 */
#include <sys/socket.h>

#include "../unit/descriptors.h"
#include "backing/message.h"
#include "fuzz.h"

enum { MOST_MESSAGES = 16, MOST_FDS = 16, MOST_BYTES = 64 };

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	return 0;
}

/* One message, as the input has it: how many descriptors, how many bytes, and whether they begin
 * well. */
static void send_one(int socket, struct input *input)
{
	size_t n_fds = take_byte(input) % (MOST_FDS + 1), size = take_byte(input) % MOST_BYTES;
	struct backing_request good = { BACKING_MAGIC, take_byte(input) % 5, 0, 0, 0 };
	bool is_good = take_byte(input) % 2;
	char bytes[MOST_BYTES];

	for (size_t i = 0; i < size; i++)
		bytes[i] = take_byte(input);
	if (is_good)
		memcpy(bytes, &good, 8);
	assert(send_copies(socket, bytes, size, socket, n_fds) == (ssize_t)size);
}

static void receive_one(int socket)
{
	struct message message;
	int r = message_receive(socket, &message);

	assert(r == 1 || r == 0 || r == -EPROTO);
	if (r != 1)
		return;
	assert(message.request.magic == BACKING_MAGIC && message.request.zero == 0);
	assert(message.request.op >= BACKING_HELLO && message.request.op <= BACKING_CLOSE);
	assert((message.fd < 0) == (message.request.op == BACKING_CLOSE));
	if (message.fd >= 0)
		assert(close(message.fd) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = { data, size };
	int pair[2], next;

	assert(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
	for (int n = 0; input.size > 0 && n < MOST_MESSAGES; n++) {
		send_one(pair[0], &input);
		receive_one(pair[1]);
	}
	/* Descriptors are given from the lowest on: the next is the one behind these. */
	next = dup(pair[0]);
	assert(next == (pair[0] > pair[1] ? pair[0] : pair[1]) + 1);
	close(next);
	close(pair[0]);
	close(pair[1]);
	return 0;
}
