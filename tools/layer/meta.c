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
#include "layer/loss.h"

const char meta_access_acl[] = "system.posix_acl_access";
const char meta_default_acl[] = "system.posix_acl_default";

/* libarchive puts "-1.25" into seconds -1 and nanoseconds +250000000 (as of 3.7). */
static struct timespec time_of(time_t seconds, long nanoseconds)
{
	if (seconds < 0 && nanoseconds > 0) {
		seconds--;
		nanoseconds = 1000000000 - nanoseconds;
	}
	return (struct timespec){ .tv_sec = seconds, .tv_nsec = nanoseconds };
}

/* -2 is what some systems call nobody; written as a signed number, it is meant in 32 bits. */
static int64_t owner_of(int64_t id)
{
	return id >= INT32_MIN && id < -1 ? (int64_t)(uint32_t)id : id;
}

int meta_read(struct archive_entry *entry, struct error *error, struct meta *ret)
{
	int64_t uid = owner_of(archive_entry_uid(entry)), gid = owner_of(archive_entry_gid(entry));
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
	       strcmp(name, meta_default_acl) != 0;
}

/* Whether a refusal of this attribute is a fact of life rather than a failure. */
static bool may_be_refused(const char *name, mode_t mode, bool privileged, int r)
{
	/* The kernel has no such namespace, or the filesystem no attributes. */
	if (r == -EOPNOTSUPP)
		return true;
	if (strncmp(name, "user.", 5) == 0)
		return r == -EPERM && !S_ISREG(mode) && !S_ISDIR(mode);
	return !privileged && (r == -EPERM || r == -EINVAL);
}

/* Whether an object without it could be taken for less, or more, than it is. */
static bool is_about_rights(const char *name, mode_t mode)
{
	return !S_ISLNK(mode) &&
	       (strcmp(name, "security.capability") == 0 || strcmp(name, meta_access_acl) == 0);
}

int meta_refused(const struct meta *meta, const struct layer_site *site, const char *name, int r,
		 struct error *error)
{
	if (!may_be_refused(name, meta->mode, site->privileged, r))
		return error_errno(error, r, "attribute %s cannot be set", name);
	if (r == -EOPNOTSUPP && !site->lossy && is_about_rights(name, meta->mode))
		return error_errno(error, r,
				   "attribute %s cannot be set, and is left out with --lossy only",
				   name);
	loss_note(site->loss, name, archive_entry_pathname(meta->entry), r);
	return 0;
}

static void set_group_permissions(struct meta *meta, int permissions)
{
	if (permissions >= 0)
		meta->mode = (meta->mode & ~(mode_t)S_IRWXG) | (mode_t)permissions << 3;
}

/* Without its ACL, the group may what its own entry says, for which its mode has the mask. */
static int apply_xattr(struct meta *meta, int fd, const struct layer_site *site, const char *name,
		       const void *value, size_t size, struct error *error)
{
	int r = xattr_set(fd, name, value, size, 0);

	if (r < 0)
		r = meta_refused(meta, site, name, r, error);
	else
		return 0;
	if (r == 0 && strcmp(name, meta_access_acl) == 0)
		set_group_permissions(meta, acl_group_permissions(value, size));
	return r;
}

struct attribute {
	const char *name;
	const void *value;
	size_t size;
};

/* libarchive hands them out in reverse; of a name given twice the later one counts. */
static int apply_xattrs(struct meta *meta, int fd, const struct layer_site *site,
			struct error *error)
{
	size_t count = (size_t)archive_entry_xattr_reset(meta->entry), n = 0;
	cleanup_free struct attribute *items = NULL;
	int r = 0;

	if (count == 0)
		return 0;
	items = calloc(count, sizeof(*items));
	if (!items)
		return -ENOMEM;
	while (n < count && archive_entry_xattr_next(meta->entry, &items[n].name, &items[n].value,
						     &items[n].size) == ARCHIVE_OK)
		n++;
	while (r == 0 && n-- > 0) {
		if (is_kept(items[n].name))
			r = apply_xattr(meta, fd, site, items[n].name, items[n].value,
					items[n].size, error);
	}
	return r;
}

/*
 * libarchive has put the owning group's entry into the mode. What stands there is the mask, which a
 * later chmod would else take from those whom the ACL names.
 */
static int apply_access_acl(struct meta *meta, int fd, const struct layer_site *site,
			    struct error *error)
{
	struct acl acl = { 0 };
	cleanup_free void *data = NULL, *value = NULL;
	size_t size;
	int r = acl_gather(meta->entry, ARCHIVE_ENTRY_ACL_TYPE_ACCESS, &acl);

	data = acl.data;
	if (r < 0 || !data)
		return r;
	r = acl_encode(data, acl.size, NULL, NULL, &value, &size);
	if (r < 0)
		return r;
	set_group_permissions(meta, acl_shown_permissions(value, size));
	return apply_xattr(meta, fd, site, meta_access_acl, value, size, error);
}

bool meta_has_names(const struct meta *meta)
{
	struct acl acl = { 0 };
	bool has_names;

	/* Nearly none has an ACL. */
	if (!(archive_entry_acl_types(meta->entry) & ARCHIVE_ENTRY_ACL_TYPE_ACCESS) ||
	    acl_gather(meta->entry, ARCHIVE_ENTRY_ACL_TYPE_ACCESS, &acl) < 0)
		return false;
	has_names = acl.has_names;
	free(acl.data);
	return has_names;
}

size_t meta_raw_default_acl(const struct meta *meta, const void **ret)
{
	const char *name;
	size_t size;

	archive_entry_xattr_reset(meta->entry);
	while (archive_entry_xattr_next(meta->entry, &name, ret, &size) == ARCHIVE_OK) {
		if (strcmp(name, meta_default_acl) == 0)
			return size;
	}
	return 0;
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

int meta_apply(const struct meta *given, int fd, const struct layer_site *site, bool stands_in,
	       struct error *error)
{
	struct meta meta = *given;
	bool can_override = S_ISREG(meta.mode) || S_ISDIR(meta.mode) || stands_in;
	int refused = apply_owner(&meta, fd, site->privileged);
	mode_t wanted, mode;
	int r;

	if (refused < 0)
		return error_errno(error, refused, "its owner cannot be set");
	if (meta.entry) {
		r = apply_xattrs(&meta, fd, site, error);
		if (r == 0)
			r = apply_access_acl(&meta, fd, site, error);
		if (r < 0)
			return r;
	}
	wanted = mode = meta.mode & 07777;
	if (!site->privileged && can_override) {
		mode = (refused || stands_in ? wanted & 0777 : wanted) |
		       (S_ISDIR(meta.mode) ? 0700 : 0600);
		r = refused || stands_in || mode != wanted ? write_override(&meta, fd) : 0;
		if (r < 0)
			return error_errno(error, r, "attribute %s cannot be set",
					   override_name(OVERRIDE_USER, 0));
	}
	r = apply_mode(&meta, fd, mode, stands_in);
	if (r < 0)
		return error_errno(error, r, "its mode cannot be set");
	r = fd_utimens(fd, meta.times);
	return r < 0 ? error_errno(error, r, "its times cannot be set") : 0;
}
