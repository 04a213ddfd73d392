/* SPDX-License-Identifier: GPL-3.0-or-later */
/* differ: options, the loop over seeds, the summary. What it does: differ.h. */
#include "differ.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"

#define EXIT_SKIP 77

volatile sig_atomic_t stop_asked;

static void ask_stop(int signal_number)
{
	stop_asked = signal_number;
}

static const char usage[] =
	"Usage: differ [OPTION]...\n"
	"Compares a cairnfs mount with a plain directory, operation by operation.\n\n"
	"  --cairnfs PROGRAM    the program to mount with ($CAIRNFS, cairnfs)\n"
	"  --options LIST       more mount options\n"
	"  --dir DIR            where to work ($TMPDIR, /tmp); must be ext4 or the like\n"
	"  --seeds A..B         the seeds to run (1..10); one number for one\n"
	"  --ops N              operations for each seed (2000)\n"
	"  --threads N          threads, each in a directory of its own (1)\n"
	"  --processes N        the same with processes\n"
	"  --shared             they use the same names, and only what must hold is checked\n"
	"  --kills N            the daemon's worker is killed N times a second\n"
	"  --full tmpfs|ext4    upper is on a small filesystem that runs full; needs root\n"
	"  --userns             all of it as root of a user namespace; needs root\n"
	"  --profile all|kernel|mixed|nested\n"
	"                       marks of all formats; only those that kernel overlayfs reads,\n"
	"                       and compare with it; each for half of the seeds (mixed); those of\n"
	"                       kernel overlayfs that can be made in a union mount (needs root)\n"
	"  --disable KIND,...   leave operations out; long-names: names that .wh. does not fit "
	"before\n"
	"  --seconds N          begin no new seed after so long\n"
	"  --replay FILE        run this program instead\n"
	"  --print              print the programs and run nothing\n"
	"  --shrink             reduce what fails to the shortest program\n"
	"  --save DIR           write programs that fail there, as SEED.prog\n"
	"  --keep               leave the directories of the last run\n"
	"  --verbose            print each operation and its answers\n"
	"  --accepted           list the differences that are accepted\n\n"
	"Exit status: 0 no difference, 1 some, 2 usage, 77 no FUSE here.\n";

struct totals {
	uint64_t seeds, ops, differences;
	bool print_only;
};

static void parse_seeds(struct options *options, const char *s)
{
	char *rest;

	options->first_seed = options->last_seed = strtoull(s, &rest, 10);
	if (!strncmp(rest, "..", 2))
		options->last_seed = strtoull(rest + 2, NULL, 10);
}

static int parse_disabled(struct options *options, const char *list)
{
	cleanup_free char *copy = xstrdup(list);
	char *rest = copy, *word;

	while ((word = strsep(&rest, ","))) {
		int kind = op_kind_of(word);

		if (strcmp(word, "long-names") == 0) {
			options->no_long_names = true;
			continue;
		}
		if (kind < 0) {
			fprintf(stderr, "differ: no such operation: %s\n", word);
			return -EINVAL;
		}
		options->disabled[kind] = true;
	}
	return 0;
}

static const struct option long_options[] = {
	{ "cairnfs", 1, NULL, 'c' },   { "options", 1, NULL, 'o' },  { "dir", 1, NULL, 'd' },
	{ "seeds", 1, NULL, 's' },     { "seed", 1, NULL, 's' },     { "ops", 1, NULL, 'n' },
	{ "threads", 1, NULL, 't' },   { "profile", 1, NULL, 'p' },  { "disable", 1, NULL, 'x' },
	{ "seconds", 1, NULL, 'T' },   { "replay", 1, NULL, 'r' },   { "print", 0, NULL, 'P' },
	{ "shrink", 0, NULL, 'S' },    { "save", 1, NULL, 'w' },     { "keep", 0, NULL, 'k' },
	{ "verbose", 0, NULL, 'v' },   { "accepted", 0, NULL, 'A' }, { "help", 0, NULL, 'h' },
	{ "processes", 1, NULL, 'f' }, { "userns", 0, NULL, 'u' },   { "full", 1, NULL, 'F' },
	{ "kills", 1, NULL, 'K' },     { "shared", 0, NULL, 'm' },   { NULL, 0, NULL, 0 },
};

static int set_option(struct options *options, struct totals *totals, int c)
{
	switch (c) {
	case 'c':
		options->cairnfs = optarg;
		break;
	case 'o':
		options->mount_options = optarg;
		break;
	case 'd':
		options->dir = optarg;
		break;
	case 's':
		parse_seeds(options, optarg);
		break;
	case 'n':
		options->n_ops = strtoul(optarg, NULL, 10);
		break;
	case 'm':
		options->shared = true;
		break;
	case 'K':
		options->kills = (unsigned int)strtoul(optarg, NULL, 10);
		break;
	case 'F':
		options->full = optarg;
		break;
	case 'u':
		options->userns = true;
		break;
	case 'f':
		options->processes = true;
		options->n_threads = strtol(optarg, NULL, 10);
		break;
	case 't':
		options->n_threads = strtol(optarg, NULL, 10);
		break;
	case 'p':
		options->profile = optarg;
		options->is_nested = strcmp(optarg, "nested") == 0;
		break;
	case 'x':
		return parse_disabled(options, optarg);
	case 'T':
		options->seconds = strtoul(optarg, NULL, 10);
		break;
	case 'r':
		options->replay = optarg;
		break;
	case 'P':
		totals->print_only = true;
		break;
	case 'S':
		options->shrink = true;
		break;
	case 'w':
		options->save = optarg;
		break;
	case 'k':
		options->keep = true;
		break;
	case 'v':
		options->verbose = true;
		break;
	case 'h':
		fputs(usage, stdout);
		exit(0);
	case 'A':
		accept_print(stdout);
		exit(0);
	default:
		return -EINVAL;
	}
	return 0;
}

/* Uncertain until tried: devices can be made by root, but not in every container. */
static bool can_make_devices(const char *dir)
{
	cleanup_free char *path = xformat("%s/differ.probe.%d", dir, (int)getpid());
	bool can = mknod(path, S_IFCHR | 0600, makedev(1, 3)) == 0;

	unlink(path);
	return can;
}

static int parse_options(struct options *options, struct totals *totals, int argc, char **argv)
{
	const char *tmp = getenv("TMPDIR");
	int c;

	*options = (struct options){ .cairnfs = getenv("CAIRNFS"),
				     .dir = tmp ? tmp : "/tmp",
				     .profile = "mixed",
				     .first_seed = 1,
				     .last_seed = 10,
				     .n_ops = 2000,
				     .n_threads = 1 };
	if (!options->cairnfs)
		options->cairnfs = "cairnfs";
	while ((c = getopt_long(argc, argv, "", long_options, NULL)) >= 0)
		if (set_option(options, totals, c) < 0)
			return -EINVAL;
	if (optind < argc || options->n_threads < 1 || options->n_threads > MAX_THREADS ||
	    options->n_ops < 1 ||
	    (strcmp(options->profile, "mixed") != 0 && strcmp(options->profile, "all") != 0 &&
	     strcmp(options->profile, "kernel") != 0 && !options->is_nested) ||
	    (options->full &&
	     (options->n_threads > 1 || options->shared ||
	      (strcmp(options->full, "ext4") != 0 && strcmp(options->full, "tmpfs") != 0))))
		return -EINVAL;
	/* The workers and the daemon do not share our current directory. */
	options->dir = realpath(options->dir, NULL);
	if (!options->dir)
		return -errno;
	options->redirect_off = options->mount_options &&
				strstr(options->mount_options, "redirect_dir=off") != NULL;
	options->writeback = options->mount_options &&
			     strstr(options->mount_options, "writeback=1") != NULL;
	options->passthrough = options->mount_options &&
			       strstr(options->mount_options, "io=passthrough") != NULL;
	return 0;
}

/* ---- runs ---- */

static void report(const struct program *program, const struct outcome *outcome)
{
	cleanup_text struct text text = { 0 };

	printf("differ: seed %ju: ", (uintmax_t)program->seed);
	if (outcome->op < program->count) {
		op_print(&program->ops[outcome->op], &text);
		printf("operation %zu: %s\n", outcome->op, text.s);
	} else {
		printf("at the end\n");
	}
	printf("%s\nsignature: %s\n", outcome->message.s, outcome->signature.s);
}

static void save(const struct program *program, const struct options *options)
{
	cleanup_free char *path = xformat("%s/%ju.prog", options->save, (uintmax_t)program->seed);
	FILE *f = fopen(path, "we");

	if (!f) {
		fprintf(stderr, "differ: %s: %s\n", path, strerror(errno));
		return;
	}
	program_print(program, f);
	fclose(f);
}

static int run_one(struct program *program, const struct options *options, struct totals *totals)
{
	struct outcome outcome = { 0 };
	int r = program_run(program, options, &outcome);

	totals->seeds++;
	totals->ops += outcome.n_done;
	if (r >= 0 && outcome.differs && !stop_asked) {
		totals->differences++;
		report(program, &outcome);
		if (options->shrink) {
			program_shrink(program, options, &outcome);
			report(program, &outcome);
			program_print(program, stdout);
		}
		if (options->save)
			save(program, options);
		fflush(stdout);
	}
	outcome_done(&outcome);
	return r;
}

static int run_shared(uint64_t seed, const struct options *options, struct totals *totals)
{
	struct outcome outcome = { 0 };
	int r = shared_run(seed, options, &outcome);

	totals->seeds++;
	totals->ops += outcome.n_done;
	if (r >= 0 && outcome.differs && !stop_asked) {
		totals->differences++;
		printf("differ: seed %ju: shared: %s\nsignature: %s\n", (uintmax_t)seed,
		       outcome.message.s, outcome.signature.s);
		fflush(stdout);
	}
	outcome_done(&outcome);
	return r;
}

static int replay(const struct options *options, struct totals *totals)
{
	struct program program = { 0 };
	FILE *f = fopen(options->replay, "re");
	int r;

	if (!f) {
		fprintf(stderr, "differ: %s: %s\n", options->replay, strerror(errno));
		return -errno;
	}
	r = program_parse(&program, f, options->replay);
	fclose(f);
	if (r >= 0)
		r = run_one(&program, options, totals);
	program_done(&program);
	return r;
}

static int run_seeds(const struct options *options, struct totals *totals)
{
	time_t end = time(NULL) + (options->seconds ? (time_t)options->seconds : INT_MAX);
	uint64_t seed;
	int r = 0;

	for (seed = options->first_seed;
	     r >= 0 && !stop_asked && seed <= options->last_seed && time(NULL) < end; seed++) {
		struct program program;

		if (options->shared) {
			r = run_shared(seed, options, totals);
			continue;
		}
		r = program_generate(&program, seed, options);
		if (r < 0 && !stop_asked)
			fprintf(stderr, "differ: seed %ju: %s\n", (uintmax_t)seed, strerror(-r));
		else if (r >= 0 && totals->print_only)
			program_print(&program, stdout);
		else if (r >= 0)
			r = run_one(&program, options, totals);
		program_done(&program);
	}
	return r;
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = ask_stop };
	struct totals totals = { 0 };
	struct options options;
	int r, status;

	if (parse_options(&options, &totals, argc, argv) < 0) {
		fputs(usage, stderr);
		return 2;
	}
	if (access("/dev/fuse", R_OK | W_OK) < 0) {
		printf("differ: no /dev/fuse: skipped\n");
		return EXIT_SKIP;
	}
	/* Without SA_RESTART: what waits is woken, and everything is unmounted. */
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
	if (options.userns) {
		r = userns_enter(&options, &status);
		if (r < 0)
			fprintf(stderr, "differ: no user namespace: %s\n", strerror(-r));
		if (r <= 0) {
			free((char *)options.dir);
			return r < 0 ? EXIT_SKIP : status;
		}
	}
	if (options.kills && kill_prepare() < 0) {
		free((char *)options.dir);
		return 1;
	}
	options.is_root = can_make_devices(options.dir);
	options.has_ids = options.is_root || options.userns;
	r = options.replay ? replay(&options, &totals) : run_seeds(&options, &totals);
	free((char *)options.dir);
	if (totals.print_only)
		return 0;
	printf("differ: %ju seeds, %ju operations, %ju differences%s\n", (uintmax_t)totals.seeds,
	       (uintmax_t)totals.ops, (uintmax_t)totals.differences,
	       stop_asked ? " (interrupted)" : "");
	kill_report();
	return r < 0 || totals.differences || stop_asked ? 1 : 0;
}
