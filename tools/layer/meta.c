/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The order matters.  chown clears the set-id bits and security.capability, so
 * it comes first; user.* attributes need write permission when the caller is
 * not root, so they come before the mode; times come last.
 */
#include "layer/meta.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/xattr.h"
#include "branch/override.h"
#include "branch/whiteout.h"
#include "layer/acl.h"

static const char access_acl[] = "system.posix_acl_access";
static const char default_acl[] = "system.posix_acl_default";

/* libarchive puts "-1.25" into seconds -1 and nanoseconds +250000000 (as of 3.7). */
static struct timespec time_of(time_t seconds, long nanoseconds)
{
	if (seconds < 0 && nanoseconds > 0) {
		seconds--;
		nanoseconds = 1000000000 - nanoseconds;
	}
	return (struct timespec){ .tv_sec = seconds, .tv_nsec = nanoseconds };
}

int meta_read(struct archive_entry *entry, struct error *error, struct meta *ret)
{
	int64_t uid = archive_entry_uid(entry), gid = archive_entry_gid(entry);
	struct meta meta = {
		.mode = archive_entry_mode(entry),
		.uid = (uid_t)uid,
		.gid = (gid_t)gid,
		.entry = entry,
	};

	/* All ones means "unchanged" to chown. */
	if (uid < 0 || uid >= UINT32_MAX || gid < 0 || gid >= UINT32_MAX)
		return error_set(error, -EOVERFLOW, "no system can hold its owner %lld:%lld",
				 (long long)uid, (long long)gid);
	if (S_ISCHR(meta.mode) || S_ISBLK(meta.mode)) {
		dev_t major = archive_entry_rdevmajor(entry);
		dev_t minor = archive_entry_rdevminor(entry);

		if (major >= 1 << 12 || minor >= 1 << 20)
			return error_set(error, -EOVERFLOW, "no system can hold its device number");
		meta.rdev = makedev((unsigned int)major, (unsigned int)minor);
	}
	meta.times[1] = time_of(archive_entry_mtime(entry), archive_entry_mtime_nsec(entry));
	meta.times[0] = meta.times[1];
	if (archive_entry_atime_is_set(entry))
		meta.times[0] = time_of(archive_entry_atime(entry),
					archive_entry_atime_nsec(entry));
	*ret = meta;
	return 0;
}

struct meta meta_of_missing_directory(void)
{
	return (struct meta){
		.mode = S_IFDIR | 0755,
		.times = { { .tv_nsec = UTIME_NOW }, { .tv_nsec = UTIME_NOW } },
	};
}

/* Attributes that speak to a union filesystem or to the mount are not an archive's to give. */
static bool is_kept(const char *name)
{
	return !whiteout_is_private_xattr(name) && !override_is_name(name) &&
	       strcmp(name, default_acl) != 0;
}

/* Whether a refusal of this attribute is a fact of life rather than a failure. */
static bool may_be_refused(const char *name, mode_t mode, bool privileged, int r)
{
	if (strncmp(name, "user.", 5) == 0)
		return r == -EPERM && !S_ISREG(mode) && !S_ISDIR(mode);
	return !privileged && (r == -EPERM || r == -EOPNOTSUPP || r == -EINVAL);
}

static int apply_xattrs(const struct meta *meta, int fd, bool privileged, struct error *error)
{
	const char *name;
	const void *value;
	size_t size;

	archive_entry_xattr_reset(meta->entry);
	while (archive_entry_xattr_next(meta->entry, &name, &value, &size) == ARCHIVE_OK) {
		int r;

		if (!is_kept(name))
			continue;
		r = xattr_set(fd, name, value, size, 0);
		if (r < 0 && !may_be_refused(name, meta->mode, privileged, r))
			return error_errno(error, r, "attribute %s cannot be set", name);
	}
	return 0;
}

static int apply_access_acl(const struct meta *meta, int fd, struct error *error)
{
	cleanup_free void *value = NULL;
	size_t size;
	int r = acl_encode(meta->entry, ARCHIVE_ENTRY_ACL_TYPE_ACCESS, &value, &size);

	if (r == 0 && size > 0)
		r = xattr_set(fd, access_acl, value, size, 0);
	return r < 0 ? error_errno(error, r, "its ACL cannot be set") : 0;
}

int meta_default_acl(const struct meta *meta, void **ret, size_t *ret_size)
{
	const char *name;
	const void *value;
	size_t size;

	if (!meta->entry) {
		*ret = NULL;
		*ret_size = 0;
		return 0;
	}
	archive_entry_xattr_reset(meta->entry);
	while (archive_entry_xattr_next(meta->entry, &name, &value, &size) == ARCHIVE_OK) {
		void *copy;

		if (strcmp(name, default_acl) != 0)
			continue;
		copy = malloc(size + 1);
		if (!copy)
			return -ENOMEM;
		memcpy(copy, value, size);
		*ret = copy;
		*ret_size = size;
		return 0;
	}
	return acl_encode(meta->entry, ARCHIVE_ENTRY_ACL_TYPE_DEFAULT, ret, ret_size);
}

static int write_override(const struct meta *meta, int fd)
{
	struct stat st = { .st_mode = meta->mode,
			   .st_uid = meta->uid,
			   .st_gid = meta->gid,
			   .st_rdev = meta->rdev };

	return override_write(OVERRIDE_USER, fd, &st);
}

/* Owner: 0, or 1 when the system refused it and that is to be written down. */
static int apply_owner(const struct meta *meta, int fd, bool privileged)
{
	struct stat st;
	int r = fd_stat(fd, NULL, &st);

	/* A needless chown would cost a capability set through another name. */
	if (r < 0 || (st.st_uid == meta->uid && st.st_gid == meta->gid))
		return r;
	r = fd_chown(fd, meta->uid, meta->gid);
	return !privileged && (r == -EPERM || r == -EINVAL) ? 1 : r;
}

static int apply_mode(const struct meta *meta, int fd, mode_t mode, bool stands_in)
{
	if (S_ISLNK(meta->mode))
		return 0;
	if (S_ISREG(meta->mode) && !stands_in && fchmod(fd, mode) == 0)
		return 0;
	return fd_chmod(fd, mode); /* an O_PATH descriptor */
}

int meta_apply(const struct meta *meta, int fd, bool privileged, bool stands_in,
	       struct error *error)
{
	bool can_override = S_ISREG(meta->mode) || S_ISDIR(meta->mode) || stands_in;
	mode_t wanted = meta->mode & 07777, mode = wanted;
	int refused = apply_owner(meta, fd, privileged);
	int r;

	if (refused < 0)
		return error_errno(error, refused, "its owner cannot be set");
	if (meta->entry) {
		r = apply_xattrs(meta, fd, privileged, error);
		if (r == 0)
			r = apply_access_acl(meta, fd, error);
		if (r < 0)
			return r;
	}
	if (!privileged && can_override) {
		mode = (refused || stands_in ? wanted & 0777 : wanted) |
		       (S_ISDIR(meta->mode) ? 0700 : 0600);
		r = refused || stands_in || mode != wanted ? write_override(meta, fd) : 0;
		if (r < 0)
			return error_errno(error, r, "attribute %s cannot be set",
					   override_name(OVERRIDE_USER, 0));
	}
	r = apply_mode(meta, fd, mode, stands_in);
	if (r < 0)
		return error_errno(error, r, "its mode cannot be set");
	r = fd_utimens(fd, meta->times);
	return r < 0 ? error_errno(error, r, "its times cannot be set") : 0;
}
