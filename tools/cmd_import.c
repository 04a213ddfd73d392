/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd.h"
#include "import/import.h"
#include "progress.h"
#include "store/reference.h"

/* Set by the signal handler; the import asks after each block. */
static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
	(void)number;
	interrupted = 1;
}

static void catch_signals(void)
{
	/* A second one kills: no SA_RESTART, and the handler is gone after the first. */
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND };

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
}

static int step(void *progress, uint64_t done, uint64_t total)
{
	progress_step(progress, done, total);
	return interrupted;
}

static void print_result(const struct import_result *result)
{
	for (size_t i = 0; i < result->n_images; i++) {
		const struct imported *image = &result->images[i];

		for (size_t k = 0; k < image->n_tags; k++)
			printf("%s %s\n", image->tags[k], image->id.hex);
		if (image->n_tags == 0)
			printf("<none> %s\n", image->id.hex);
	}
}

/* What the archive has and was not imported is said, and what could not be kept: a line each. */
static void print_left_out(const char *source, const struct import_result *result)
{
	if (result->others)
		cmd_fail(&cmd_import, "%s: passed over, as it is no image: %s", source,
			 result->others);
	if (result->loss.n > 0)
		cmd_fail(&cmd_import, "%s: attributes left out: %zu, the first being %s", source,
			 result->loss.n, result->loss.first.text);
}

/* `path` is FILE, DIR or "-"; `asked` what the options say. */
static int import(const char *path, const struct import_request *asked)
{
	bool is_stdin = strcmp(path, "-") == 0;
	cleanup_fd int fd = is_stdin ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
	cleanup_free char *name = is_stdin ? NULL : reference_of_file(path);
	cleanup_store struct store *store = NULL;
	struct progress progress;
	struct import_watch watch = { .step = step, .context = &progress };
	struct import_request request = *asked;
	struct import_result result;
	struct error error;
	int r;

	if (fd < 0)
		return cmd_fail(&cmd_import, "%s: %s", path, strerror(errno));
	request.fd = fd;
	request.name = name;
	request.watch = &watch;
	r = cmd_open_store(&cmd_import, &store);
	if (r < 0)
		return CMD_FAILED;
	catch_signals();
	progress_begin(&progress);
	r = import_run(store, &request, &error, &result);
	progress_end(&progress);
	if (r < 0) {
		cmd_fail(&cmd_import, "%s: %s", is_stdin ? "standard input" : path, error.text);
		return interrupted ? CMD_INTERRUPTED : CMD_FAILED;
	}
	print_result(&result);
	print_left_out(is_stdin ? "standard input" : path, &result);
	import_result_done(&result);
	return CMD_OK;
}

static int run(int argc, char *argv[])
{
	static const struct option options[] = { { "tag", required_argument, NULL, 't' },
						 { "name", required_argument, NULL, 'n' },
						 { "platform", required_argument, NULL, 'p' },
						 { "lossy", no_argument, NULL, 'l' },
						 { 0 } };
	struct import_request request = { 0 };
	cleanup_free char *tag = NULL;
	const char *given = NULL, *system = NULL;
	struct platform platform;
	int c, exit_code;

	while ((c = cmd_option(&cmd_import, argc, argv, options, &exit_code)) != -1) {
		if (c == CMD_STOP)
			return exit_code;
		if (c == 'l')
			request.lossy = true;
		else
			*(c == 't' ? &given : c == 'n' ? &request.only : &system) = optarg;
	}
	if (!cmd_check_operands(&cmd_import, argc, 1, 1))
		return CMD_USAGE;
	if (given && (reference_is_digest(given) || reference_complete(given, &tag) < 0)) {
		cmd_fail(&cmd_import, "'%s' is no name for an image", given);
		return CMD_USAGE;
	}
	if (system && !platform_parse(system, &platform)) {
		cmd_fail(&cmd_import, "'%s' is no platform: it is OS/ARCH or OS/ARCH/VARIANT",
			 system);
		return CMD_USAGE;
	}
	request.tag = tag;
	request.platform = system ? &platform : NULL;
	return import(argv[optind], &request);
}

const struct cmd cmd_import = {
	.name = "import",
	.args = "[--tag NAME[:TAG]] [--name NAME] [--platform OS/ARCH[/VARIANT]] [--lossy]\n"
		"                    FILE|DIR|-",
	.summary = "bring an image archive or a root filesystem tarball into the store",
	.help = "Reads an archive of docker save, podman save or skopeo, an OCI archive or layout\n"
		"directory, or the tarball of a root filesystem, plain or compressed with gzip,\n"
		"zstd, xz or bzip2; - is standard input.  Layers the store has are not unpacked\n"
		"again.  Prints NAME:TAG and the id of each image.\n\n"
		"  --tag NAME[:TAG]  call it so, rather than as the archive or the file does\n"
		"  --name NAME       only the image that the archive calls so, or its digest\n"
		"  --platform OS/ARCH[/VARIANT]\n"
		"                    the image for that, rather than the best for this machine\n"
		"  --lossy           go on where the store can hold no capabilities and ACLs",
	.run = run,
};
