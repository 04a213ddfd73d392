/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Numbers of objects in upper: kept, never given twice, and begun anew when they cannot be trusted.
 */
#include "state.h"

#include <sys/mman.h>
#include <sys/wait.h>

#include "core/index.h"
#include "core/lower.h"
#include "scratch.h"

static int work = -1;

static void begin(void)
{
	char name[32];
	static int count;

	snprintf(name, sizeof(name), "%d-%d", (int)getpid(), count++);
	work = make_dir_open(scratch, name);
}

static struct state *open_state(bool is_restart)
{
	struct state *state;

	assert_eq(state_open(work, is_restart, false, &state), 0);
	return state;
}

static void end(void)
{
	close(work);
}

static void test_numbers(void)
{
	struct state *state;
	uint64_t a, b;

	begin();
	state = open_state(false);
	assert_eq(state_find(state, 10), 0);
	a = state_set(state, 10, 0);
	b = state_set(state, 11, 0);
	assert(a >= LOWER_INO_END && b >= LOWER_INO_END && a != b);
	assert_eq(state_set(state, 10, 0), a);
	assert_eq(state_find(state, 10), a);
	assert_eq(state_set(state, 12, 77),
		  77); /* a lower object's number, which it brings along */
	assert_eq(state_find(state, 12), 77);
	state_drop(state, 10);
	assert_eq(state_find(state, 10), 0);
	assert(state_set(state, 10, 0) > b);
	/* A number that is brought along is the right one, whatever the inode had before. */
	assert_eq(state_set(state, 11, 78), 78);
	assert_eq(state_find(state, 11), 78);
	state_close(state);
	state_close(NULL);
	end();
}

static void test_kept_over_close_and_open(void)
{
	enum { N = 10000 }; /* more than are kept in memory */
	static uint64_t numbers[N];
	struct state *state;
	uint64_t fresh;

	begin();
	state = open_state(false);
	for (unsigned int i = 0; i < N; i++)
		numbers[i] = state_set(state, 1000 + i, 0);
	for (unsigned int i = 0; i < N; i++)
		assert_eq(state_find(state, 1000 + i), numbers[i]);
	for (unsigned int i = 0; i < N; i += 3)
		state_drop(state, 1000 + i);
	state_close(state);
	for (int round = 0; round < 2; round++) {
		state = open_state(false);
		for (unsigned int i = 0; i < N; i++)
			assert_eq(state_find(state, 1000 + i), i % 3 ? numbers[i] : 0);
		fresh = state_set(state, 5, 0);
		for (unsigned int i = 0; i < N; i++)
			assert(fresh != numbers[i]);
		state_drop(state, 5);
		state_close(state);
	}
	end();
}

/* Runs a mount that is killed. */
static void use_and_die(unsigned int n, uint64_t *last)
{
	int ends[2], status;
	pid_t pid;

	assert(pipe(ends) == 0);
	pid = fork();
	if (pid == 0) {
		struct state *state = open_state(false);
		uint64_t ino = 0;

		for (unsigned int i = 0; i < n; i++)
			ino = state_set(state, 100 + i, 0);
		assert(write(ends[1], &ino, sizeof(ino)) == sizeof(ino));
		kill(getpid(), SIGKILL);
	}
	close(ends[1]);
	assert(read(ends[0], last, sizeof(*last)) == sizeof(*last));
	close(ends[0]);
	assert(waitpid(pid, &status, 0) == pid);
}

/* What was noted outlives the process, whenever that ends, as long as the machine does not. */
static void test_killed(void)
{
	struct state *state;
	uint64_t last, ino;

	begin();
	use_and_die(10, &last);
	state = open_state(false);
	assert_eq(state_find(state, 109), last);
	assert_eq(state_find(state, 100), last - 9);
	ino = state_set(state, 200, 0);
	assert(ino > last);
	state_drop(state, 101);
	state_close(state);
	use_and_die(5000,
		    &last); /* some of it is in the tables, some in the log; 101 comes again */
	state = open_state(false);
	assert_eq(state_find(state, 200), ino);
	assert_eq(state_find(state, 5099), last);
	assert(state_find(state, 101) > ino);
	assert(state_set(state, 30000, 0) > last);
	state_close(state);
	end();
}

/* The machine goes down: the seal is of an earlier run of it. */
static void lose_power(void)
{
	cleanup_fd int fd = openat(work, "state.seal", O_WRONLY);

	assert(pwrite(fd, "another", 7, 16) == 7);
}

/* After that the file may hold anything: it is not looked into, and no number comes again. */
static void test_torn(void)
{
	char rubbish[65536];
	struct state *state;
	uint64_t last;

	begin();
	use_and_die(6000, &last);
	lose_power();
	memset(rubbish, 0x5a, sizeof(rubbish));
	{
		/* As long as it was, with a head that is right. */
		cleanup_fd int fd = openat(work, "state.mdb", O_WRONLY);

		assert(pwrite(fd, rubbish, sizeof(rubbish), 8192) == sizeof(rubbish));
	}
	state = open_state(false);
	assert_eq(state_find(state, 101), 0);
	assert_eq(state_find(state, 6099), 0);
	assert(state_set(state, 1, 0) > last);
	state_close(state);
	end();
}

static bool is_settled(void)
{
	cleanup_fd int fd = openat(work, "state.seal", O_RDONLY);
	uint64_t words[2] = { 0, 1 };

	return fd >= 0 && pread(fd, words, sizeof(words), 0) == sizeof(words) && !words[1];
}

/* When nothing has changed for a while, it outlives the machine too. */
static void test_settled(void)
{
	struct state *state;
	uint64_t ino, after;

	begin();
	state = open_state(false);
	ino = state_set(state, 1, 0);
	assert(!is_settled());
	while (!is_settled())
		usleep(10000);
	state_close(state);
	lose_power();
	state = open_state(false);
	assert_eq(state_find(state, 1), ino);
	/* The log goes on from there: what of it was written before the power went is good. */
	after = state_set(state, 2, 0);
	state_close(state);
	assert(after > ino);
	end();
}

/* What a torn record says is nothing. */
static void test_torn_log(void)
{
	struct state *state;
	uint64_t last, ino;

	begin();
	use_and_die(10, &last);
	{
		cleanup_fd int fd = openat(work, "state.log", O_WRONLY);

		/* The sixth, and with it all that come after. */
		assert(pwrite(fd, "torn", 4, 5 * 40 + 8) == 4);
	}
	state = open_state(false);
	assert_eq(state_find(state, 104), last - 5);
	assert_eq(state_find(state, 105), 0);
	assert_eq(state_find(state, 109), 0);
	ino = state_set(state, 200, 0);
	assert(ino > last);
	state_close(state);
	end();
}

static bool is_untouched(int elsewhere)
{
	cleanup_fd int fd = openat(elsewhere, "victim", O_RDONLY);
	char text[16] = "";

	return read(fd, text, sizeof(text)) == 8 && strcmp(text, "precious") == 0;
}

/* Others may have put something in the place of our files: it is neither followed nor changed. */
static void test_planted(void)
{
	static const char *const names[] = { "state.mdb", "state.seal", "state.log" };

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		struct state *state;
		int elsewhere;

		begin();
		elsewhere = make_dir_open(work, "elsewhere");
		make_file(elsewhere, "victim", "precious");
		assert(symlinkat("elsewhere/victim", work, names[i]) == 0);
		if (state_open(work, false, false, &state) == 0) {
			/* The seal is asked for when there is something to write. */
			assert(state_set(state, 1, 0) >= LOWER_INO_END);
			state_close(state);
		}
		assert(is_untouched(elsewhere));
		assert(unlinkat(work, names[i], 0) == 0);
		assert(linkat(elsewhere, "victim", work, names[i], 0) == 0);
		if (state_open(work, false, false, &state) == 0) {
			assert(state_set(state, 1, 0) >= LOWER_INO_END);
			state_close(state);
		}
		assert(is_untouched(elsewhere));
		close(elsewhere);
		end();
	}
}

/* The next worker of the same mount goes on with what was written, and repeats no number. */
static void test_restart(void)
{
	struct state *state;
	uint64_t last;

	begin();
	use_and_die(5000, &last);
	state = open_state(true);
	assert(state_find(state, 100) >= LOWER_INO_END);
	assert(state_set(state, 99999, 0) > last);
	state_close(state);
	end();
}

/* A worker that sets what it is to set, and dies. */
static void live_and_die(struct state_journal *journal, bool is_restart, ino_t real)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		struct state *state = open_state(is_restart);

		state_keep_journal(state, journal);
		if (!is_restart) {
			state_set_kept(state, 7, 100);
			state_set(state, 8, 0);
		}
		state_set(state, real, 0);
		_exit(0);
	}
	assert(waitpid(pid, &status, 0) == pid && status == 0);
}

/* Over the deaths of two workers, the second of which had nothing to do with it. */
static void test_journal(void)
{
	struct state_journal *journal = mmap(NULL, sizeof(*journal), PROT_READ | PROT_WRITE,
					     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct state *state;
	uint64_t given;

	assert(journal != MAP_FAILED);
	begin();
	live_and_die(journal, false, 20);
	live_and_die(journal, true, 21);
	live_and_die(journal, true, 22);
	state = open_state(true);
	state_keep_journal(state, journal);
	assert_eq(state_find(state, 7), 100);
	given = state_find(state, 8);
	assert(given >= LOWER_INO_END);
	for (ino_t real = 20; real < 23; real++) {
		assert(state_find(state, real) > given);
		for (ino_t other = 20; other < real; other++)
			assert(state_find(state, real) != state_find(state, other));
	}
	assert(state_set(state, 23, 0) > state_find(state, 22));
	state_close(state);
	state = open_state(false);
	assert_eq(state_find(state, 7), 100);
	assert_eq(state_find(state, 8), given);
	/* The inode is another object's in its next life, with a number of its own. */
	state_drop(state, 7);
	assert(state_set(state, 7, 0) > given);
	state_close(state);
	end();
	munmap(journal, sizeof(*journal));
}

static void test_damaged(void)
{
	struct state *state;

	begin();
	make_file(work, "state.mdb",
		  "no index, but a text of some length, long enough to be read\n");
	state = open_state(false);
	assert(state_set(state, 1, 0) >= LOWER_INO_END);
	state_close(state);
	make_file(work, "state.mdb", "");
	state = open_state(false);
	assert(state_set(state, 1, 0) >= LOWER_INO_END);
	state_close(state);
	end();
}

int main(void)
{
	scratch_begin();
	test_numbers();
	test_kept_over_close_and_open();
	test_killed();
	test_torn();
	test_torn_log();
	test_settled();
	test_planted();
	test_restart();
	test_journal();
	test_damaged();
	return 0;
}
