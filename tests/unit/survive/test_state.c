/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Numbers of objects in upper: kept, never given twice, and begun anew when they cannot be trusted.
 */
#include "survive/state.h"

#include <endian.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "branch/number.h"
#include "restart.h"

static int work = -1;

static void begin(void)
{
	char name[32];
	static int count;

	snprintf(name, sizeof(name), "%d-%d", (int)getpid(), count++);
	work = make_dir_open(scratch, name);
}

enum { BORN = 1000 }; /* when a copy was made */

static struct state_config config = { .stack_id = 12345 };

static struct state *open_state(void)
{
	struct state *state;

	assert_eq(state_open(work, &config, &state), 0);
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
	state = open_state();
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
	state = open_state();
	for (unsigned int i = 0; i < N; i++)
		numbers[i] = state_set(state, 1000 + i, 0);
	for (unsigned int i = 0; i < N; i++)
		assert_eq(state_find(state, 1000 + i), numbers[i]);
	for (unsigned int i = 0; i < N; i += 3)
		state_drop(state, 1000 + i);
	state_close(state);
	for (int round = 0; round < 2; round++) {
		state = open_state();
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
		struct state *state = open_state();
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
	state = open_state();
	assert_eq(state_find(state, 109), last);
	assert_eq(state_find(state, 100), last - 9);
	ino = state_set(state, 200, 0);
	assert(ino > last);
	state_drop(state, 101);
	state_close(state);
	use_and_die(5000,
		    &last); /* some of it is in the tables, some in the log; 101 comes again */
	state = open_state();
	assert_eq(state_find(state, 200), ino);
	assert_eq(state_find(state, 5099), last);
	assert(state_find(state, 101) > ino);
	assert(state_set(state, 30000, 0) > last);
	state_close(state);
	end();
}

static uint64_t boot_of_file(void)
{
	cleanup_fd int fd = openat(work, "state.map", O_RDONLY);
	uint64_t boot;

	assert(pread(fd, &boot, sizeof(boot), 32) == sizeof(boot));
	return le64toh(boot);
}

/* Another run of the machine may not have left all that it wrote. */
static void test_power_loss(void)
{
	struct state *state;
	uint64_t before, last;

	begin();
	use_and_die(10, &last);
	before = boot_of_file();
	assert(before);
	restart_machine(work);
	state = open_state();
	/* What is there is good once it is confirmed; numbers go on behind all that was not
	 * written. */
	assert_eq(state_find(state, 109), 0);
	assert_eq(state_confirm(state, 109, 0), last);
	assert_eq(state_find(state, 109), last);
	assert(state_set(state, 1, 0) >= last + (UINT64_C(1) << 31));
	/* An object that brings a number, or is made just now, has nothing to do with what was
	 * there. */
	assert_eq(state_set(state, 108, 50), 50);
	assert(state_set(state, 107, 0) > last);
	state_close(state);
	assert_eq(boot_of_file(), before);
	state = open_state();
	assert_eq(state_find(state, 109), last);
	assert(state_find(state, 107) > last);
	state_close(state);
	end();
}

/* Runs of the machine of which the head of the file was lost give out different numbers. */
static void test_power_losses(void)
{
	static char text[1 << 20];
	uint64_t last, numbers[3];
	ssize_t n;

	begin();
	use_and_die(10, &last);
	restart_machine(work);
	{
		cleanup_fd int fd = openat(work, "state.map", O_RDONLY);

		n = read(fd, text, sizeof(text));
		assert(n > 0 && n < (ssize_t)sizeof(text));
	}
	for (int i = 0; i < 3; i++) {
		cleanup_fd int fd = openat(work, "state.map", O_WRONLY);
		struct state *state;

		assert(pwrite(fd, text, (size_t)n, 0) == n);
		state = open_state();
		numbers[i] = state_set(state, 5000, 0);
		state_close(state);
	}
	/* By chance they are the same once in four thousand million times. */
	assert(numbers[0] != numbers[1] || numbers[1] != numbers[2]);
	end();
}

/* A number that was kept for a copy is no other object's that has its inode by now, or had it. */
static void test_power_loss_and_copies(void)
{
	struct state *state;

	begin();
	state = open_state();
	state_set_kept(state, 1, 77, BORN);
	state_set_kept(state, 2, 78, BORN);
	state_set_kept(state, 3, 79, 0);
	state_close(state);
	restart_machine(work);
	state = open_state();
	for (ino_t real = 1; real <= 3; real++)
		assert_eq(state_find(state, real), 0);
	assert_eq(state_confirm(state, 1, BORN + 1), 0);
	assert_eq(state_confirm(state, 1, 0), 0);
	assert_eq(state_confirm(state, 1, BORN), 77);
	assert_eq(state_find(state, 1), 77);
	assert_eq(state_confirm(state, 3, 0), 0);
	assert(state_set(state, 2, 0) != 78);
	assert(state_confirm(state, 2, BORN) != 78);
	state_close(state);
	end();
}

/* A lower object's number is of the stack that it was noted for. */
static void test_stacks(void)
{
	struct state *state;
	uint64_t born;

	begin();
	state = open_state();
	born = state_set(state, 1, 0);
	state_set_kept(state, 2, 77, BORN);
	assert_eq(state_find(state, 2), 77);
	state_close(state);
	config.stack_id++;
	state = open_state();
	assert_eq(state_find(state, 1), born);
	assert_eq(state_find(state, 2), 0);
	assert(state_set(state, 2, 0) > born);
	state_set_kept(state, 3, 78, BORN);
	state_close(state);
	config.stack_id--;
	state = open_state();
	assert_eq(state_find(state, 3), 0);
	assert(state_find(state, 2) > born);
	state_close(state);
	/* Branches that cannot be known again. */
	config.stack_id = 0;
	state = open_state();
	state_set_kept(state, 4, 79, BORN);
	assert_eq(state_find(state, 4), 79);
	state_close(state);
	state = open_state();
	assert_eq(state_find(state, 4), 0);
	state_close(state);
	config.stack_id = 12345;
	end();
}

/* A number that the next mount may not find is kept for the workers of this one. */
static void test_fleeting(void)
{
	const uint64_t fleeting = (UINT64_C(3) << 60) + 5;
	struct state_journal *journal = calloc(1, sizeof(*journal));
	struct state *state;

	begin();
	assert(journal && !number_is_lasting(fleeting));
	config.journal = journal;
	state = open_state();
	state_set_kept(state, 1, fleeting, BORN);
	state_close(state);
	state = open_state();
	assert_eq(state_find(state, 1), fleeting);
	state_close(state);
	memset(journal, 0, sizeof(*journal));
	state = open_state();
	assert_eq(state_find(state, 1), 0);
	state_close(state);
	config.journal = NULL;
	free(journal);
	end();
}

/* What can be written: nothing, as on a full disk, or all. */
static void limit_files(bool on)
{
	struct rlimit limit;

	signal(SIGXFSZ, SIG_IGN);
	assert(getrlimit(RLIMIT_FSIZE, &limit) == 0);
	limit.rlim_cur = on ? 0 : limit.rlim_max;
	assert(setrlimit(RLIMIT_FSIZE, &limit) == 0);
}

/* A disk that is full when the mount begins has room later: numbers from before are kept, too. */
static void test_full_at_first(void)
{
	enum { N = 200 };
	struct state *state;
	uint64_t numbers[N];

	begin();
	limit_files(true);
	state = open_state();
	for (ino_t real = 0; real < N; real++) {
		if (real == N / 2)
			limit_files(false);
		numbers[real] = state_set(state, real + 1, 0);
	}
	state_close(state);
	state = open_state();
	for (ino_t real = 0; real < N; real++)
		assert_eq(state_find(state, real + 1), numbers[real]);
	state_close(state);
	end();
}

/* A journal that took no more does not bring back what the file has newer. */
static void test_full_journal(void)
{
	struct state_journal *journal = calloc(1, sizeof(*journal));
	struct state *state;

	begin();
	assert(journal);
	config.journal = journal;
	limit_files(true);
	state = open_state();
	state_set_kept(state, 1, 77, BORN);
	for (ino_t real = 2; real < 40; real++)
		state_set(state, real, 0);
	for (unsigned int i = atomic_load(&journal->n); i < STATE_JOURNAL_MAX; i++)
		journal->changes[i] = journal->changes[0];
	atomic_store(&journal->n, STATE_JOURNAL_MAX);
	limit_files(false);
	state_close(state);
	config.journal = NULL;
	state = open_state();
	state_set_kept(state, 1, 78, BORN);
	state_close(state);
	config.journal = journal;
	atomic_store(&journal->n, STATE_JOURNAL_MAX + 1);
	state = open_state();
	assert_eq(state_find(state, 1), 78);
	assert(state_find(state, 5) >= LOWER_INO_END);
	state_close(state);
	config.journal = NULL;
	free(journal);
	end();
}

static bool is_untouched(int elsewhere)
{
	cleanup_fd int fd = openat(elsewhere, "victim", O_RDONLY);
	char text[16] = "";

	return read(fd, text, sizeof(text)) == 8 && strcmp(text, "precious") == 0;
}

/* Others may have put something in the place of our file: it is neither followed nor changed. */
static void test_planted(void)
{
	int elsewhere;
	struct state *state;

	begin();
	elsewhere = make_dir_open(work, "elsewhere");
	make_file(elsewhere, "victim", "precious");
	make_symlink(work, "elsewhere/victim", "state.map");
	assert_eq(state_open(work, &config, &state), -EPERM);
	remove_name(work, "state.map");
	make_link(work, "elsewhere/victim", "state.map");
	assert_eq(state_open(work, &config, &state), -EPERM);
	remove_name(work, "state.map");
	make_dir(work, "state.map", 0700);
	assert_eq(state_open(work, &config, &state), -EPERM);
	remove_name(work, "state.map");
	assert(mkfifoat(work, "state.map", 0600) == 0);
	assert_eq(state_open(work, &config, &state), -EPERM);
	remove_name(work, "state.map");
	/* What is in the way of the next table, and of earlier versions' files, is taken away. */
	make_symlink(work, "elsewhere/victim", "state.new");
	make_symlink(work, "elsewhere/victim", "state.mdb");
	make_link(work, "elsewhere/victim", "state.seal");
	state = open_state();
	for (ino_t real = 1; real < 5000; real++)
		assert(state_set(state, real, 0));
	state_close(state);
	assert(is_untouched(elsewhere));
	assert(!exists(work, "state.mdb") && !exists(work, "state.seal"));
	close(elsewhere);
	end();
}

/* The next worker of the same mount goes on with what was written, and repeats no number. */
static void test_restart(void)
{
	struct state *state;
	uint64_t last;

	begin();
	use_and_die(5000, &last);
	state = open_state();
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
		struct state *state;

		config.journal = journal;
		state = open_state();
		if (!is_restart) {
			state_set_kept(state, 7, 100, BORN);
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
	config.journal = journal;
	state = open_state();
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
	config.journal = NULL;
	state = open_state();
	assert_eq(state_find(state, 7), 100);
	assert_eq(state_find(state, 8), given);
	/* The inode is another object's in its next life, with a number of its own. */
	state_drop(state, 7);
	assert(state_set(state, 7, 0) > given);
	state_close(state);
	end();
	munmap(journal, sizeof(*journal));
}

/* What no file says, because there is none, the journal tells the next worker. */
static void test_without_file(void)
{
	struct state_journal *journal = calloc(1, sizeof(*journal));
	struct state *state;
	uint64_t a, b;

	begin();
	assert(journal);
	/* Nothing can be made under this name, and nothing is in the way of the file itself. */
	make_dir(work, "state.new", 0700);
	config.journal = journal;
	state = open_state();
	a = state_set(state, 1, 0);
	b = state_set(state, 2, 0);
	state_set_kept(state, 3, 77, BORN);
	state_drop(state, 2);
	state_close(state);
	state = open_state();
	assert_eq(state_find(state, 1), a);
	assert_eq(state_find(state, 2), 0);
	assert_eq(state_find(state, 3), 77);
	assert(state_set(state, 2, 0) > b);
	state_close(state);
	/* Where it can be made, it is told all. */
	remove_name(work, "state.new");
	state = open_state();
	assert_eq(journal->n, 0);
	state_close(state);
	config.journal = NULL;
	free(journal);
	state = open_state();
	assert_eq(state_find(state, 1), a);
	assert_eq(state_find(state, 3), 77);
	state_close(state);
	end();
}

int main(void)
{
	scratch_begin();
	test_numbers();
	test_kept_over_close_and_open();
	test_killed();
	test_full_at_first();
	test_full_journal();
	test_power_loss();
	test_power_losses();
	test_power_loss_and_copies();
	test_stacks();
	test_fleeting();
	test_planted();
	test_restart();
	test_journal();
	test_without_file();
	return 0;
}
