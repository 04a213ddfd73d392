/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "upper/upper.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"

static const char staging_name[] = "staging";
static const char orphans_name[] = "orphans";
static const char groups_name[] = "groups";

void upper_init(struct upper *upper, const struct fs_config *config)
{
	*upper = (struct upper){ .config = config,
				 .uid = geteuid(),
				 .gid = getegid(),
				 .staging = -1,
				 .groups = -1,
				 .orphans = -1 };
	for (size_t i = 0; i < ORPHAN_LOCKS; i++)
		pthread_mutex_init(&upper->orphan_locks[i], NULL);
}

/* A directory in the work directory, as it was left if there is one, and our own. */
static int open_own(int work, const char *name)
{
	cleanup_fd int fd = -1;
	struct stat st;
	int r;

	if (mkdirat(work, name, 0700) < 0 && errno != EEXIST)
		return -errno;
	fd = fd_open(work, name, O_RDONLY | O_DIRECTORY, 0);
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

int upper_open_work(struct upper *upper)
{
	int work = upper->config->work;
	int r;

	upper->staging = open_own(work, staging_name);
	if (upper->staging < 0)
		return upper->staging;
	upper->settling = upper->config->do_fsync ? settling_of(upper->staging) : SETTLE_NOT;
	upper->groups = open_own(work, groups_name);
	if (upper->groups < 0)
		return upper->groups;
	upper->orphans = open_own(work, orphans_name);
	if (upper->orphans < 0)
		return upper->orphans;
	r = empty_dir(upper->staging);
	return r == 0 && !upper->config->is_restart ? empty_dir(upper->orphans) : r;
}

void upper_clear_work(struct upper *upper)
{
	int work = upper->config->work;

	if (work < 0)
		return;
	if (upper->orphans >= 0)
		empty_dir(upper->orphans);
	if (upper->staging >= 0)
		empty_dir(upper->staging);
	unlinkat(work, orphans_name, AT_REMOVEDIR);
	unlinkat(work, staging_name, AT_REMOVEDIR);
	unlinkat(work, groups_name, AT_REMOVEDIR);
}

void upper_done(struct upper *upper)
{
	const int dirs[] = { upper->staging, upper->orphans, upper->groups };

	for (size_t i = 0; i < sizeof(dirs) / sizeof(*dirs); i++) {
		if (dirs[i] >= 0)
			close(dirs[i]);
	}
	for (size_t i = 0; i < ORPHAN_LOCKS; i++)
		pthread_mutex_destroy(&upper->orphan_locks[i]);
}
