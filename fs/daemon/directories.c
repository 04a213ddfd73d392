/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "daemon/directories.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/xattr.h"
#include "branch/override.h"
#include "daemon/detach.h"
#include "host/boot.h"
#include "host/claim.h"
#include "host/mounted.h"

static const char volatile_name[] = "volatile";
static const char ino32_name[] = "ino32.map";

__attribute__((format(printf, 3, 4))) static int fail(char **error, int code, const char *format,
						      ...)
{
	va_list args;

	va_start(args, format);
	if (vasprintf(error, format, args) < 0)
		*error = NULL;
	va_end(args);
	return code;
}

static int open_dir(const char *option, const char *path, int *ret, char **error)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0) {
		int code = -errno;

		return fail(error, code, "%s %s: %s", option, path, strerror(-code));
	}
	*ret = fd;
	return 0;
}

/* --- how the directories lie to each other --- */

struct layer {
	const char *option, *path;
	int fd;
	struct stat st;
};

static bool is_same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

static bool is_lower(const struct layer *layer)
{
	return strcmp(layer->option, "lowerdir") == 0;
}

/* The layer other than `self` whose directory `st` is, or NULL. */
static const struct layer *find_layer(const struct layer layers[], size_t n, size_t self,
				      const struct stat *st)
{
	for (size_t i = 0; i < n; i++) {
		if (i != self && is_same(&layers[i].st, st))
			return &layers[i];
	}
	return NULL;
}

/*
 * The layer that a layer lies in, at any depth, or is; a branch given twice is harmless. `crosses`:
 * what is mounted in a layer is part of it.
 */
static const struct layer *find_overlap(const struct layer layers[], size_t n, size_t self,
					bool crosses)
{
	const struct layer *found = find_layer(layers, n, self, &layers[self].st);
	struct stat last = layers[self].st, st;
	uint64_t mount = mounted_short_id(layers[self].fd);
	int at = openat(layers[self].fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (found && is_lower(found) && is_lower(&layers[self]))
		found = NULL;
	while (!found && at >= 0 && fstat(at, &st) == 0 && !is_same(&st, &last) &&
	       (crosses || mounted_short_id(at) == mount)) {
		int up = openat(at, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);

		found = find_layer(layers, n, self, &st);
		last = st;
		close(at);
		at = up;
	}
	if (at >= 0)
		close(at);
	return found;
}

/*
 * Overlapping branches would show one object at two places, and a writable
 * one would change a read-only one.
 */
static int check_overlap(const struct layer layers[], size_t n, bool crosses, char **error)
{
	for (size_t i = 0; i < n; i++) {
		const struct layer *other = find_overlap(layers, n, i, crosses);

		if (other)
			return fail(error, -ELOOP, "%s %s overlaps %s %s", layers[i].option,
				    layers[i].path, other->option, other->path);
	}
	return 0;
}

static int check_layers(const struct options *options, const struct directories *dirs, bool crosses,
			char **error)
{
	size_t n = 0, room = options->n_lowerdirs + 2;
	cleanup_free struct layer *layers = calloc(room, sizeof(*layers));

	if (!layers)
		return -ENOMEM;
	for (size_t i = 0; i < options->n_lowerdirs; i++)
		layers[n++] = (struct layer){ "lowerdir", options->lowerdirs[i],
					      dirs->branches[i] };
	if (options->upperdir) {
		layers[n++] = (struct layer){ "upperdir", options->upperdir, dirs->config.upper };
		layers[n++] = (struct layer){ "workdir", options->workdir, dirs->config.work };
	}
	for (size_t i = 0; i < n; i++) {
		if (fstat(layers[i].fd, &layers[i].st) < 0)
			return fail(error, -errno, "%s %s: %s", layers[i].option, layers[i].path,
				    strerror(errno));
	}
	return check_overlap(layers, n, crosses, error);
}

static int check_filesystem(const struct options *options, const struct directories *dirs,
			    char **error)
{
	struct stat upper, work;

	if (fstat(dirs->config.upper, &upper) < 0 || fstat(dirs->config.work, &work) < 0)
		return fail(error, -errno, "upperdir %s: %s", options->upperdir, strerror(errno));
	if (upper.st_dev == work.st_dev &&
	    mounted_short_id(dirs->config.upper) == mounted_short_id(dirs->config.work))
		return 0;
	return fail(error, -EXDEV, "workdir %s is not on the filesystem of upperdir %s",
		    options->workdir, options->upperdir);
}

/* --- whose ids they have --- */

/* For branches whose ids are mapped there is no index: it has the stored ones. */
static void use_mapped(struct directories *dirs)
{
	for (size_t i = 0; i < dirs->config.n_branches; i++) {
		if (dirs->is_mapped[i]) {
			dirs->config.is_mapped = dirs->is_mapped;
			dirs->config.has_chain = false;
		}
	}
}

/*
 * Which branches lie in id-mapped mounts, before they are in mounts of our own, of which nobody can
 * tell. Upper must not, where the ids are mapped by us: each would be mapped twice.
 */
static int find_mapped(const struct options *options, struct directories *dirs, char **error)
{
	uint64_t mount, last = 0;

	if (!idmaps_map(&options->ids) && !options->chain)
		return 0;
	for (size_t i = 0; i < dirs->config.n_branches; i++, last = mount) {
		mount = mounted_short_id(dirs->branches[i]);
		dirs->is_mapped[i] = i > 0 && mount == last ? dirs->is_mapped[i - 1]
							    : mounted_maps_ids(dirs->branches[i]);
	}
	use_mapped(dirs);
	if (options->upperdir && idmaps_map(&options->ids) && mounted_maps_ids(dirs->config.upper))
		return fail(error, -EINVAL,
			    "upperdir %s lies in an id-mapped mount, and uidmapping or gidmapping "
			    "would map its ids once more",
			    options->upperdir);
	return 0;
}

/* --- whose they are --- */

/* `r` is what claiming it answered. */
static int check_claim(const char *option, const char *path, int r, char **error)
{
	if (r == -EBUSY)
		return fail(error, r, "%s %s is in use by another mount", option, path);
	return r < 0 ? fail(error, r, "%s %s: %s", option, path, strerror(-r)) : 0;
}

static int claim(const struct options *options, struct directories *dirs, char **error)
{
	int r = claim_work(dirs->config.work);

	dirs->config.claim = r < 0 ? -1 : r;
	r = check_claim("workdir", options->workdir, r, error);
	if (r == 0)
		r = check_claim("upperdir", options->upperdir,
				claim_upper(dirs->config.upper, dirs->config.claim), error);
	return r;
}

/* --- volatile mounts --- */

int directories_mark_volatile(const struct directories *dirs)
{
	cleanup_fd int fd = -1;

	if (!dirs->config.is_volatile || dirs->config.work < 0)
		return 0;
	fd = fd_open_own(dirs->config.work, volatile_name, O_CREAT | O_TRUNC | O_WRONLY, 0600);
	if (fd < 0)
		return fd;
	if (dprintf(fd, "%s", boot_id().s) < 0 || fsync(fd) < 0 || fsync(dirs->config.work) < 0)
		return -errno;
	return 0;
}

void directories_unmark_volatile(const struct directories *dirs)
{
	if (dirs->config.is_volatile && dirs->config.work >= 0)
		unlinkat(dirs->config.work, volatile_name, 0);
}

/* A daemon that died leaves the mark too, but as long as the machine runs nothing is lost. */
static int check_volatile(const struct options *options, int work, char **error)
{
	cleanup_fd int fd = fd_open_own(work, volatile_name, O_RDONLY, 0);
	char marked[64] = "";

	if (fd == -ENOENT)
		return 0;
	if (fd < 0)
		return fail(error, fd, "workdir %s: %s: %s", options->workdir, volatile_name,
			    strerror(-fd));
	if (read(fd, marked, sizeof(marked) - 1) >= 0) {
		marked[strcspn(marked, "\n")] = '\0';
		if (strcmp(marked, boot_id().s) == 0)
			return 0;
	}
	return fail(
		error, -EINVAL,
		"workdir %s belongs to a volatile mount that a crash has cut off: remove it and "
		"upperdir %s, whose content cannot be trusted",
		options->workdir, options->upperdir);
}

/* Whether owners can be written beside objects: inside another mount that is nobody's to do. */
static int check_override(const struct options *options, int work, char **error)
{
	const char *name = override_name(options->override, 0);
	int r = name ? xattr_set(work, name, "", 0, 0) : 0;

	if (name && r == 0)
		return xattr_remove(work, name);
	if (r != -EPERM && r != -EOPNOTSUPP)
		return 0;
	return fail(error, r, "workdir %s: owners cannot be kept there as %s: %s", options->workdir,
		    name, strerror(-r));
}

static int open_top(const struct options *options, struct directories *dirs, char **error)
{
	int r = open_dir("upperdir", options->upperdir, &dirs->config.upper, error);

	if (r == 0)
		r = open_dir("workdir", options->workdir, &dirs->config.work, error);
	if (r == 0)
		r = check_filesystem(options, dirs, error);
	if (r == 0)
		r = check_override(options, dirs->config.work, error);
	return r;
}

/* An index that is not there is one that cannot be used; its directory is a matter of the call. */
static int open_chain(const struct options *options, struct directories *dirs, char **error)
{
	cleanup_free char *dir = strdup(options->chain);
	char *slash = dir ? strrchr(dir, '/') : NULL;
	cleanup_fd int fd = -1, detached = -1;
	const char *name;
	int r;

	if (!dir)
		return -ENOMEM;
	if (!slash)
		return fail(error, -EINVAL, "option chain: '%s' is no path", options->chain);
	name = options->chain + (slash - dir) + 1;
	slash[slash == dir] = '\0';
	r = open_dir("chain", dir, &fd, error);
	if (r < 0)
		return r;
	dirs->config.chain_fd = fd_open(fd, name, O_RDONLY, 0);
	detached = detach_file(fd, name, dirs->config.chain_fd);
	if (detached >= 0) {
		close(dirs->config.chain_fd);
		dirs->config.chain_fd = take_fd(&detached);
	}
	return 0;
}

/* All but the descriptors. */
static int begin(const struct options *options, size_t n_branches, struct directories *ret)
{
	*ret = (struct directories){ .branches = calloc(n_branches + 1, sizeof(int)),
				     .is_mapped = calloc(n_branches + 1, sizeof(bool)) };
	ret->config = (struct fs_config){
		.branches = ret->branches,
		.ids = &options->ids,
		.upper = -1,
		.work = -1,
		.claim = -1,
		.has_chain = options->chain,
		.chain_fd = -1,
		.chain_id = options->chain_id,
		.ledger_fd = -1,
		.ino32_fd = -1,
		.do_fsync = options->do_fsync,
		.is_volatile = options->is_volatile,
		.metacopy = options->metacopy,
		.user_xattrs = options->user_xattrs,
		.file_whiteouts = options->file_whiteouts,
		.redirect_dir = options->redirect_dir,
		.static_nlink = options->static_nlink,
		.passthrough = options->io == IO_PASSTHROUGH,
		.writeback = options->writeback,
		.no_atime = options->atime == ATIME_NONE,
		.no_dir_atime = options->atime == ATIME_NONE || options->no_dir_atime,
		.no_acl = options->no_acl,
		.override = options->override,
	};
	return ret->branches && ret->is_mapped ? 0 : -ENOMEM;
}

/* Made here, where the directories are opened, because it is held and inherited as they are. */
static int make_ino32(const struct options *options, struct directories *dirs, char **error)
{
	int work = dirs->config.work;
	int fd = work >= 0 ? fd_open_own(work, ino32_name, O_RDWR | O_CREAT, 0600)
			   : memfd_create("cairnfs ino32", MFD_CLOEXEC);

	if (fd < 0 && work >= 0)
		return fail(error, fd, "workdir %s: %s: %s", options->workdir, ino32_name,
			    strerror(-fd));
	if (fd < 0)
		return -errno;
	dirs->config.ino32_fd = fd;
	return 0;
}

/* Whether a path lies in an open directory, at any depth, or is it. */
static bool lies_in(const char *path, int dirfd)
{
	struct stat dir, st, last = { 0 };
	cleanup_fd int at = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fstat(dirfd, &dir) < 0)
		return false;
	while (at >= 0 && fstat(at, &st) == 0 && !is_same(&st, &last)) {
		int up;

		if (is_same(&st, &dir))
			return true;
		last = st;
		up = openat(at, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
		close(at);
		at = up;
	}
	return false;
}

/* The directories in mounts of our own, as far as they are to be had; others are -1. */
struct detached {
	int *branches;
	size_t n_branches;
	int upper, work;
	bool is_whole; /* all of them were */
};

static void detached_done(struct detached *detached)
{
	for (size_t i = 0; i < detached->n_branches; i++) {
		if (detached->branches[i] >= 0)
			close(detached->branches[i]);
	}
	free(detached->branches);
	if (detached->upper >= 0)
		close(detached->upper);
	if (detached->work >= 0)
		close(detached->work);
}

static int detach(const struct directories *dirs, struct detached *ret)
{
	const struct fs_config *config = &dirs->config;

	*ret = (struct detached){ .branches = malloc((config->n_branches + 1) * sizeof(int)),
				  .upper = -1,
				  .work = -1,
				  .is_whole = true };
	if (!ret->branches)
		return -ENOMEM;
	for (; ret->n_branches < config->n_branches; ret->n_branches++) {
		int fd = detach_dir(dirs->branches[ret->n_branches], config->passthrough);

		ret->branches[ret->n_branches] = fd;
		ret->is_whole &= fd >= 0;
	}
	if (config->upper >= 0)
		ret->is_whole &= detach_pair(config->upper, config->work, &ret->upper, &ret->work);
	return 0;
}

static void replace(int *fd, int *by)
{
	if (*by < 0)
		return;
	close(*fd);
	*fd = take_fd(by);
}

/* Where a directory has to be taken as it is, the mount would be asked for its own content. */
static int check_mountpoint(const struct options *options, const struct directories *dirs,
			    const struct detached *detached, char **error)
{
	for (size_t i = 0; i < detached->n_branches; i++) {
		if (detached->branches[i] < 0 && lies_in(options->mountpoint, dirs->branches[i]))
			return fail(error, -EBUSY, "%s lies in lowerdir %s", options->mountpoint,
				    options->lowerdirs[i]);
	}
	if (options->upperdir && detached->upper < 0 &&
	    lies_in(options->mountpoint, dirs->config.upper))
		return fail(error, -EBUSY, "%s lies in upperdir %s", options->mountpoint,
			    options->upperdir);
	return 0;
}

/* What is mounted below a directory is not of it. */
static int look_beneath(const struct options *options, struct directories *dirs, char **error)
{
	CLEANUP(detached_done) struct detached detached;
	int r = detach(dirs, &detached);

	if (r == 0)
		r = check_layers(options, dirs, !detached.is_whole, error);
	if (r == 0)
		r = check_mountpoint(options, dirs, &detached, error);
	if (r < 0)
		return r;
	for (size_t i = 0; i < detached.n_branches; i++)
		replace(&dirs->branches[i], &detached.branches[i]);
	replace(&dirs->config.upper, &detached.upper);
	replace(&dirs->config.work, &detached.work);
	return 0;
}

/* The kernel opens files of branches as they were opened of the mount. */
static void find_guards(struct directories *dirs)
{
	dirs->config.guards_lower = dirs->config.passthrough;
	for (size_t i = 0; i < dirs->config.n_branches; i++)
		dirs->config.guards_lower &= detach_is_guarded(dirs->branches[i]);
}

int directories_open(const struct options *options, struct directories *ret, char **error)
{
	struct directories *dirs = ret;
	int r = begin(options, options->n_lowerdirs, dirs);

	for (size_t i = 0; r == 0 && i < options->n_lowerdirs; i++) {
		r = open_dir("lowerdir", options->lowerdirs[i], &dirs->branches[i], error);
		dirs->config.n_branches += r == 0;
	}
	if (r == 0 && options->upperdir)
		r = open_top(options, dirs, error);
	if (r == 0)
		r = find_mapped(options, dirs, error);
	if (r == 0)
		r = look_beneath(options, dirs, error);
	if (r == 0)
		find_guards(dirs);
	if (r == 0 && options->upperdir)
		r = claim(options, dirs, error);
	if (r == 0 && options->upperdir)
		r = check_volatile(options, dirs->config.work, error);
	if (r == 0 && options->chain)
		r = open_chain(options, dirs, error);
	if (r == 0 && options->ino32)
		r = make_ino32(options, dirs, error);
	return r;
}

int directories_adopt(const struct options *options, const struct directory_fds *fds,
		      struct directories *ret)
{
	int r = begin(options, fds->n_branches, ret);

	if (r < 0)
		return r;
	memcpy(ret->branches, fds->branches, fds->n_branches * sizeof(*ret->branches));
	memcpy(ret->is_mapped, fds->is_mapped, fds->n_branches * sizeof(*ret->is_mapped));
	ret->config.n_branches = fds->n_branches;
	use_mapped(ret);
	find_guards(ret);
	ret->config.upper = fds->upper;
	ret->config.work = fds->work;
	ret->config.claim = fds->claim;
	ret->config.chain_fd = fds->chain;
	ret->config.ino32_fd = fds->ino32;
	return 0;
}

void directories_let_go(struct directories *dirs)
{
	int *fds[] = { &dirs->config.upper, &dirs->config.work, &dirs->config.claim,
		       &dirs->config.chain_fd, &dirs->config.ino32_fd };

	for (size_t i = 0; i < dirs->config.n_branches; i++)
		close(dirs->branches[i]);
	dirs->config.n_branches = 0;
	for (size_t i = 0; i < sizeof(fds) / sizeof(*fds); i++) {
		if (*fds[i] >= 0)
			close(take_fd(fds[i]));
	}
}

void directories_done(struct directories *dirs)
{
	directories_let_go(dirs);
	free(dirs->branches);
	free(dirs->is_mapped);
}
