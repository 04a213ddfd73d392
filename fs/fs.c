/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Opening and closing a mount. */
#include "fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/fd.h"
#include "names.h"
#include "probe.h"
#include "quiet.h"
#include "stack_id.h"
#include "upper.h"

static const char staging_name[] = "staging";
static const char orphans_name[] = "orphans";
static const char groups_name[] = "groups";

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

int fs_drop_orphans(struct fs *fs, bool (*is_awaited)(void *context, uint64_t ino), void *context)
{
	cleanup_dir DIR *stream = NULL;
	struct dirent *entry;
	int r = fs->orphans >= 0 ? fd_opendir(fs->orphans, &stream) : 0;

	if (r < 0 || !stream)
		return r;
	while ((errno = 0, entry = readdir(stream))) {
		uint64_t ino = strtoull(entry->d_name, NULL, 16), parent;

		if (ino && !nodes_was_told(&fs->nodes, ino, &parent) && !is_awaited(context, ino))
			orphan_remove(fs, ino);
	}
	return -errno;
}

/*
 * A directory in the work directory, as it was left if there is one; not another's, who could
 * change what is made there.
 */
static int work_dir(struct fs *fs, const char *name)
{
	cleanup_fd int fd = -1;
	struct stat st;
	int r;

	if (mkdirat(fs->config->work, name, 0700) < 0 && errno != EEXIST)
		return -errno;
	fd = fd_open(fs->config->work, name, O_RDONLY | O_DIRECTORY, 0);
	r = fd < 0 ? fd : fd_stat(fd, NULL, &st);
	if (r < 0)
		return r;
	return st.st_uid == geteuid() ? take_fd(&fd) : -EPERM;
}

/* The directory itself stays: on a full disk no other could be made. */
static int empty_dir(int dirfd)
{
	cleanup_dir DIR *stream = NULL;
	struct dirent *entry;
	int r = fd_opendir(dirfd, &stream);

	while (r == 0 && (errno = 0, entry = readdir(stream))) {
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			r = fd_remove_tree(dirfd, entry->d_name);
	}
	return r < 0 ? r : -errno;
}

static int open_state(struct fs *fs)
{
	const struct fs_config *config = fs->config;
	const struct state_config state_config = {
		.stack_id = fs->stack_id.now,
		.journal = config->kept ? &config->kept->journal : NULL,
	};

	return state_open(config->work, &state_config, &fs->state);
}

static int open_work(struct fs *fs)
{
	bool is_restart = fs->config->is_restart;
	int r;

	fs->staging = work_dir(fs, staging_name);
	if (fs->staging < 0)
		return fs->staging;
	fs->groups = work_dir(fs, groups_name);
	if (fs->groups < 0)
		return fs->groups;
	fs->orphans = work_dir(fs, orphans_name);
	if (fs->orphans < 0)
		return fs->orphans;
	r = empty_dir(fs->staging);
	if (r == 0 && !is_restart)
		r = empty_dir(fs->orphans);
	return r < 0 ? r : open_state(fs);
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
	orphan_remove(context, ino);
}

static int find_caps(struct fs *fs)
{
	const struct fs_config *config = fs->config;
	int r;

	if (config->is_restart && config->kept && probe_recall(&config->kept->caps, &fs->caps))
		return 0;
	r = probe_upper(config, fs->staging, &fs->caps);
	if (r == 0 && config->kept)
		probe_keep(&fs->caps, &config->kept->caps);
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
	fs->staging = fs->orphans = fs->groups = -1;
	fdcache_init(&fs->fds, fd_limit());
	nodes_init(&fs->nodes, &fs->fds, forget_orphan, fs);
	fs->nodes.is_restart = config->is_restart;
	if (config->ledger_fd > 0)
		r = ledger_open(config->ledger_fd, &fs->nodes.ledger);
	pthread_mutex_init(&fs->scan_lock, NULL);
	searched_init(&fs->searched);
	pthread_mutex_init(&fs->orphans_lock, NULL);
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
		r = stack_id_get(config, fs->numbering, &fs->stack_id);
	if (r == 0 && config->upper >= 0)
		r = open_work(fs);
	if (r == 0 && config->upper >= 0)
		r = find_caps(fs);
	if (r == 0 && config->ino32_fd > 0)
		r = ino32_open(config->ino32_fd, INO32_MAX, &fs->ino32);
	if (r == 0)
		r = open_root(fs);
	if (r == 0 && config->upper >= 0)
		r = quiet_take_over(fs);
	if (r == 0 && config->upper >= 0)
		r = groups_complete(fs);
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

static void close_dirs(struct fs *fs)
{
	const int dirs[] = { fs->staging, fs->orphans, fs->groups };

	for (size_t i = 0; i < sizeof(dirs) / sizeof(*dirs); i++) {
		if (dirs[i] >= 0)
			close(dirs[i]);
	}
}

void fs_leave(struct fs *fs)
{
	if (!fs)
		return;
	fs->nodes.orphan_gone = keep_orphan;
	state_close(fs->state);
	names_done(fs);
	searched_done(&fs->searched);
	nodes_done(&fs->nodes);
	ledger_close(fs->nodes.ledger);
	lower_free(fs->lower);
	ino32_close(fs->ino32);
	close_dirs(fs);
	fdcache_done(&fs->fds);
	free(fs);
}

/* What was in use nobody uses any more. Names of groups that are left are for the next mount. */
static void clear_work(struct fs *fs)
{
	int work = fs->config->work;

	if (fs->orphans >= 0)
		empty_dir(fs->orphans);
	if (fs->staging >= 0)
		empty_dir(fs->staging);
	unlinkat(work, orphans_name, AT_REMOVEDIR);
	unlinkat(work, staging_name, AT_REMOVEDIR);
	unlinkat(work, groups_name, AT_REMOVEDIR);
}

void fs_close(struct fs *fs)
{
	if (!fs)
		return;
	/* What is mapped into memory keeps a disk from being unmounted. */
	state_close(take_ptr(fs->state));
	ino32_close(take_ptr(fs->ino32));
	if (fs->config->work >= 0)
		clear_work(fs);
	fs_leave(fs);
}
