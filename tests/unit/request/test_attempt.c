/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Requests under way: what the worker after knows of them, wherever the one before
 * died; above all, how often the kernel was told of a node.
 */
#include <linux/fuse.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "request/attempt.h"
#include "scratch.h"

#define RESENT (UINT64_C(1) << 63)

static struct attempts *attempts;
static struct nodes nodes;
static struct fdcache fds;
static int fd;
static uint64_t gone; /* the last that orphan_gone was called with */

static void note_gone(void *context, uint64_t ino)
{
	(void)context;
	gone = ino;
}

/* A worker begins, and takes over what is there. */
static void begin(void)
{
	fdcache_init(&fds, 16);
	nodes_init(&nodes, &fds, note_gone, NULL);
	assert(ledger_open(fd, &nodes.ledger) == 0);
	gone = 0;
	attempts_take_over(attempts, &nodes);
}

/* It dies: the kernel's descriptors and our memory go, what is shared stays. */
static void die(void)
{
	nodes_done(&nodes);
	ledger_close(nodes.ledger);
	fdcache_done(&fds);
}

static struct node *add(uint64_t ino)
{
	struct node made = { .ino = ino, .type = S_IFREG };
	bool is_new;
	struct node *node = nodes_get_or_add(&nodes, &made, &is_new);

	assert(node);
	return node;
}

/* The answer to the request under way is going to tell the kernel of it. */
static void tell(uint64_t ino)
{
	struct node *node = add(ino);

	assert(attempt_tell(node));
	node_unref(node);
}

/* How often the kernel was told, as the next worker will find it. */
static uint64_t count(uint64_t ino)
{
	struct node *node = nodes_get(&nodes, ino);
	uint64_t n;

	if (node) {
		n = node->n_lookups;
		node_unref(node);
		return n;
	}
	return ledger_find(nodes.ledger, ino) ? ledger_find(nodes.ledger, ino)->n_lookups : 0;
}

/* A request is read into the first place. */
static struct attempt *receive(uint32_t opcode, uint64_t unique)
{
	struct attempt *place = &attempts->places[0];
	struct fuse_in_header header = { .len = sizeof(header),
					 .opcode = opcode,
					 .unique = unique };

	memcpy(place->request, &header, sizeof(header));
	return place;
}

static void test_answered(void)
{
	struct attempt *place;
	struct node *node;

	begin();
	place = receive(FUSE_LOOKUP, 2);
	assert(!attempt_start(attempts, place, &nodes));
	node = add(10);
	assert(attempt_tell(node));
	attempt_end(place, &nodes);
	node_unref(node);
	assert_eq(count(10), 1);
	die();
	begin();
	assert_eq(count(10), 1);
	die();
}

/* Once told for an answer that was lost, and once for the one that came: that is once. */
static void test_comes_again(void)
{
	struct attempt *place;
	struct node *node;
	uint64_t ino = 0;

	begin();
	place = receive(FUSE_MKDIR, 4);
	attempt_start(attempts, place, &nodes);
	attempt_begin(77);
	assert(!attempt_was_begun(NULL));
	tell(20);
	die();
	/* Twice: the second dies before it has come that far. */
	for (int i = 0; i < 2; i++) {
		begin();
		assert(attempts_await(attempts, 77));
		assert(!attempts_await(attempts, 20));
		place = receive(FUSE_MKDIR, 4 | RESENT);
		attempt_start(attempts, place, &nodes);
		assert(attempt_was_begun(&ino));
		assert_eq(ino, 77);
		assert_eq(count(20), 1);
		if (i == 0)
			die();
	}
	node = add(20);
	attempt_tell(node);
	attempt_end(place, &nodes);
	assert(!attempt_was_begun(NULL));
	node_unref(node);
	assert_eq(count(20), 1);
	assert_eq(gone, 0);
	die();
}

/* Told twice for answers that were both lost, the second time of another node too. */
static void test_lost_twice(void)
{
	struct attempt *place;

	begin();
	place = receive(FUSE_READDIRPLUS, 6);
	attempt_start(attempts, place, &nodes);
	tell(30);
	die();
	begin();
	place = receive(FUSE_READDIRPLUS, 6 | RESENT);
	attempt_start(attempts, place, &nodes);
	tell(30);
	tell(31);
	die();
	begin();
	assert_eq(count(30), 2);
	assert_eq(count(31), 1);
	place = receive(FUSE_READDIRPLUS, 6 | RESENT);
	attempt_start(attempts, place, &nodes);
	attempt_end(place, &nodes);
	assert_eq(count(30), 0);
	assert_eq(count(31), 0);
	die();
}

/* What was not sent again by the time that something new came, was answered. */
static void test_was_answered_after_all(void)
{
	struct attempt *place;

	begin();
	place = receive(FUSE_LOOKUP, 8);
	attempt_start(attempts, place, &nodes);
	tell(40);
	die();
	begin();
	place = receive(FUSE_GETATTR, 10);
	attempt_start(attempts, place, &nodes);
	attempt_end(place, &nodes);
	die();
	begin();
	assert_eq(count(40), 1);
	place = receive(FUSE_LOOKUP, 8 | RESENT);
	attempt_start(attempts, place, &nodes);
	attempt_end(place, &nodes);
	assert_eq(count(40), 1);
	die();
}

/* A worker that dies when it has taken over half of what there is. */
static void test_dies_while_taking_over(void)
{
	struct attempt *place;
	int status;
	pid_t pid;

	begin();
	/* New requests came, so that all that came again had been answered. */
	place = receive(FUSE_GETATTR, 12);
	attempt_start(attempts, place, &nodes);
	attempt_end(place, &nodes);
	place = receive(FUSE_MKNOD, 14);
	attempt_start(attempts, place, &nodes);
	attempt_begin(0);
	tell(70);
	die();
	pid = fork();
	if (pid == 0) {
		/* It cannot so much as clear the second place. */
		signal(SIGSEGV, SIG_DFL);
		mprotect(&attempts->places[1], 4096, PROT_READ);
		attempts_take_over(attempts, &nodes);
		_exit(0);
	}
	assert(waitpid(pid, &status, 0) == pid);
	assert(WIFSIGNALED(status));
	begin();
	place = receive(FUSE_MKNOD, 14 | RESENT);
	attempt_start(attempts, place, &nodes);
	assert(attempt_was_begun(NULL));
	attempt_end(place, &nodes);
	assert_eq(count(70), 0);
	die();
}

/* A FORGET is sent once: the worker after does what is left of it. */
static void test_forget(void)
{
	struct {
		struct fuse_in_header header;
		struct fuse_batch_forget_in batch;
		struct fuse_forget_one ones[3];
	} request = {
		.header = { .len = sizeof(request), .opcode = FUSE_BATCH_FORGET, .unique = 0 },
		.batch.count = 3,
		.ones = { { 50, 1 }, { 51, 2 }, { 52, 1 } }
	};
	struct attempt *place = &attempts->places[3];

	begin();
	for (uint64_t ino = 50; ino < 53; ino++) {
		struct node *node = add(ino);

		for (int i = 0; i < 2; i++)
			assert(node_looked_up(node) == 0);
		node_unref(node);
	}
	memcpy(place->request, &request, sizeof(request));
	/* It had come as far as the first. */
	nodes_forget(&nodes, 50, 1);
	place->n_forgotten = 1;
	die();
	begin();
	assert_eq(count(50), 1);
	assert_eq(count(51), 0);
	assert_eq(gone, 51);
	assert_eq(count(52), 1);
	/* And one that is not interrupted. */
	request.ones[0].nlookup = 1;
	memcpy(place->request, &request, sizeof(request));
	assert(attempt_start(attempts, place, &nodes));
	attempt_end(place, &nodes);
	assert_eq(count(50), 0);
	assert_eq(count(52), 0);
	die();
}

/* Without a request, as in tests of the verbs, counting works and nothing else is kept. */
static void test_no_request(void)
{
	struct node *node;

	begin();
	attempt_begin(5);
	assert(!attempt_was_begun(NULL));
	node = add(60);
	assert(attempt_tell(node));
	assert_eq(count(60), 1);
	attempt_untell(node);
	assert_eq(count(60), 0);
	node_unref(node);
	die();
}

int main(void)
{
	fd = memfd_create("test", 0);
	attempts = mmap(NULL, sizeof(*attempts), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			-1, 0);
	assert(fd >= 0 && attempts != MAP_FAILED);
	test_answered();
	test_comes_again();
	test_lost_twice();
	test_was_answered_after_all();
	test_dies_while_taking_over();
	test_forget();
	test_no_request();
	munmap(attempts, sizeof(*attempts));
	close(fd);
	return 0;
}
