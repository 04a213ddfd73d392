/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A mount begins and ends. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "branch/whiteout.h"
#include "node/names.h"
#include "node/orphans.h"
#include "survive/ino32.h"
#include "verb/recover.h"
#include "verb/verbs.h"

/* Descriptors kept open: most of what the process may have, the rest is for requests. */
static size_t fd_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return 256;
	if (limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
		getrlimit(RLIMIT_NOFILE, &limit);
	}
	return limit.rlim_cur / 4 < 16384 ? limit.rlim_cur / 4 : 16384;
}

/* Answers 0, FS_STALE_CHAIN or -errno. */
static int open_lower(struct fs *fs)
{
	const struct fs_config *config = fs->config;
	/* The kernel has numbers of the one kind, and must not be told of the other. */
	uint32_t before = config->is_restart && config->kept ? config->kept->numbering : 0;
	int stale = 0, r;

	if (config->has_chain && before != NUMBERING_BRANCHES) {
		r = lower_of_chain(config->branches, config->n_branches, config->chain_fd,
				   config->chain_id, &fs->lower);
		fs->numbering = NUMBERING_CHAIN;
		if (r == 0)
			return 0;
		stale = FS_STALE_CHAIN;
	}
	if (before == NUMBERING_CHAIN)
		return -EPROTO;
	fs->numbering = NUMBERING_BRANCHES;
	r = lower_of_dirs(config->branches, config->n_branches, &fs->fds, &fs->lower);
	return r < 0 ? r : stale;
}

static int open_root(struct fs *fs)
{
	cleanup_lower_obj struct lower_obj *lower = lower_root(fs->lower);
	struct node made = { .ino = LOWER_ROOT_INO, .type = S_IFDIR, .lower = lower };
	bool is_new;
	int r;

	if (!lower)
		return -ENOMEM;
	if (fs->config->upper >= 0) {
		struct stat st;

		r = fd_stat(fs->config->upper, NULL, &st);
		if (r < 0)
			return r;
		made.has_upper = true;
		made.real = st.st_ino;
		if (opaque_get(fs->config->upper) == OPAQUE_YES)
			made.lower = NULL;
	}
	fs->root = nodes_get_or_add(&fs->nodes, &made, &is_new);
	return fs->root ? 0 : -ENOMEM;
}

static void forget_orphan(void *context, uint64_t ino)
{
	orphans_remove(context, ino);
}

static int find_caps(struct fs *fs)
{
	const struct fs_config *config = fs->config;
	int r;

	if (config->is_restart && config->kept &&
	    probe_recall(&config->kept->caps, &fs->upper.caps))
		return 0;
	r = probe_upper(config, fs->upper.staging, &fs->upper.caps);
	if (r == 0 && config->kept)
		probe_keep(&fs->upper.caps, &config->kept->caps);
	return r;
}

/* The one that those before this worker had, or a new one. */
static uint64_t choose_seed(struct kept *kept)
{
	uint64_t seed = kept ? kept->seed : 0;

	while (!seed && getrandom(&seed, sizeof(seed), 0) < 0 && errno == EINTR)
		;
	if (kept)
		kept->seed = seed;
	return seed;
}

int fs_open(const struct fs_config *config, struct fs **ret)
{
	struct fs *fs = calloc(1, sizeof(*fs));
	int r = 0, stale;

	if (!fs)
		return -ENOMEM;
	fs->config = config;
	upper_init(&fs->upper, config);
	fdcache_init(&fs->fds, fd_limit());
	nodes_init(&fs->nodes, &fs->fds, forget_orphan, fs);
	fs->nodes.is_restart = config->is_restart;
	if (config->ledger_fd >= 0)
		r = ledger_open(config->ledger_fd, &fs->nodes.ledger);
	pthread_mutex_init(&fs->scan_lock, NULL);
	linked_init(&fs->linked);
	pthread_mutex_init(&fs->moved_lock, NULL);
	stale = open_lower(fs);
	if (stale < 0)
		r = r < 0 ? r : stale;
	else
		lower_use_overrides(fs->lower, config->override);
	fs->seed = choose_seed(config->kept);
	if (stale >= 0)
		lower_use_seed(fs->lower, fs->seed);
	if (stale >= 0 && config->is_mapped)
		lower_use_ids(fs->lower, config->ids, config->is_mapped);
	if (r == 0 && config->user_xattrs)
		lower_use_user_marks(fs->lower);
	if (r == 0)
		r = stack_id_get(config, fs->numbering, &fs->upper.stack_id);
	if (r == 0 && config->upper >= 0)
		r = upper_open_work(&fs->upper);
	if (r == 0)
		r = numbers_open(&fs->numbers, &fs->upper);
	if (r == 0 && config->upper >= 0)
		r = find_caps(fs);
	if (r == 0)
		r = open_root(fs);
	if (r == 0 && config->upper >= 0)
		r = recover_quiet(fs);
	if (r == 0 && config->upper >= 0)
		r = recover_groups(fs);
	if (r < 0) {
		if (config->is_restart)
			fs_leave(fs);
		else
			fs_close(fs);
		return r;
	}
	if (config->kept)
		config->kept->numbering = fs->numbering;
	*ret = fs;
	return stale;
}

static void keep_orphan(void *context, uint64_t ino)
{
	(void)context;
	(void)ino;
}

void fs_leave(struct fs *fs)
{
	if (!fs)
		return;
	fs->nodes.orphan_gone = keep_orphan;
	numbers_close(&fs->numbers);
	names_done(fs);
	linked_done(&fs->linked);
	nodes_done(&fs->nodes);
	ledger_close(fs->nodes.ledger);
	lower_free(fs->lower);
	upper_done(&fs->upper);
	fdcache_done(&fs->fds);
	free(fs);
}

void fs_close(struct fs *fs)
{
	if (!fs)
		return;
	/* What is mapped into memory keeps a disk from being unmounted. */
	numbers_close(&fs->numbers);
	upper_clear_work(&fs->upper);
	fs_leave(fs);
}
