/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Options, and the loop over sessions. See powerloss.h. */
#include "powerloss.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

struct settings settings = {
	.filesystem = "ext4",
	.options = "",
	.n_processes = 4,
	.n_losses = 5,
	.seed = 1,
};

static const char usage[] =
	"Usage: powerloss --dir DIR [OPTION]...\n"
	"Loses power under load, and looks whether everything is there that should be.\n"
	"\n"
	"  --dir DIR             an empty directory to work in\n"
	"  --cairnfs FILE        the daemon ($CAIRNFS)\n"
	"  --filesystem TYPE     of the disk: ext4 or xfs (ext4)\n"
	"  --options LIST        mount options of the union\n"
	"  --plain               no union: a directory of the disk\n"
	"  --clones              the lower branch on the disk too\n"
	"  --lazy                with fsync=0: data of copy-ups nobody synced may be missing\n"
	"  --losses N            how many (5)\n"
	"  --per-session N       how many under one load (5)\n"
	"  --seed N              what is done (1); each session has its own, from this on\n"
	"  --processes N         that work (4)\n"
	"  --pause MICROSECONDS  they wait up to this long after each step (0)\n"
	"  --keep                stop after the first loss that went wrong, and keep the images\n";

static unsigned per_session = 5;

static unsigned number(const char *text)
{
	return (unsigned)strtoul(text, NULL, 10);
}

static bool set_option(int option, const char *value)
{
	switch (option) {
	case 'd':
		settings.dir = value;
		break;
	case 'c':
		settings.cairnfs = value;
		break;
	case 'f':
		settings.filesystem = value;
		break;
	case 'o':
		settings.options = value;
		break;
	case 'p':
		settings.plain = true;
		break;
	case 'C':
		settings.clones = true;
		break;
	case 'z':
		settings.lazy = true;
		break;
	case 'n':
		settings.n_losses = number(value);
		break;
	case 'l':
		per_session = number(value);
		break;
	case 's':
		settings.seed = strtoull(value, NULL, 10);
		break;
	case 'P':
		settings.n_processes = number(value);
		break;
	case 'w':
		settings.pause = number(value);
		break;
	case 'k':
		settings.keep = true;
		break;
	default:
		return false;
	}
	return true;
}

static bool parse(int argc, char **argv)
{
	static const struct option options[] = {
		{ "dir", required_argument, NULL, 'd' },
		{ "cairnfs", required_argument, NULL, 'c' },
		{ "filesystem", required_argument, NULL, 'f' },
		{ "options", required_argument, NULL, 'o' },
		{ "plain", no_argument, NULL, 'p' },
		{ "clones", no_argument, NULL, 'C' },
		{ "lazy", no_argument, NULL, 'z' },
		{ "losses", required_argument, NULL, 'n' },
		{ "per-session", required_argument, NULL, 'l' },
		{ "seed", required_argument, NULL, 's' },
		{ "processes", required_argument, NULL, 'P' },
		{ "pause", required_argument, NULL, 'w' },
		{ "keep", no_argument, NULL, 'k' },
		{ 0 },
	};
	int option;

	settings.cairnfs = getenv("CAIRNFS");
	if (!settings.cairnfs)
		settings.cairnfs = "cairnfs";
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (!set_option(option, optarg))
			return false;
	}
	return optind == argc && settings.dir && settings.n_processes &&
	       settings.n_processes <= MAX_PROCESSES && per_session && per_session <= MAX_LOSSES;
}

int main(int argc, char **argv)
{
	unsigned n_lost = 0, n_bad = 0;
	uint64_t n_ops = 0;

	if (!parse(argc, argv)) {
		fputs(usage, stderr);
		return 2;
	}
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	if (shared == MAP_FAILED)
		die("out of memory");
	disk_init();
	while (n_lost < settings.n_losses && !(settings.keep && n_bad)) {
		unsigned left = settings.n_losses - n_lost;
		unsigned n = left < per_session ? left : per_session;

		n_bad += !session(n_lost, n);
		n_lost += n;
		n_ops += atomic_exchange(&shared->n_ops, 0);
		settings.seed++;
	}
	if (!settings.keep)
		disk_done();
	printf("powerloss: %u losses, %lu changes, %u sessions went wrong\n", n_lost, n_ops, n_bad);
	return n_bad ? 1 : 0;
}
