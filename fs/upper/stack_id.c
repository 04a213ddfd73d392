/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A filesystem is known by its UUID and its f_fsid: btrfs has the one for all its subvolumes and
 * the other for each, XFS and others make their f_fsid of the disk's number, which is another when
 * disks are counted anew. FUSE and NFS have neither: there it is when the branch's root was made
 * that tells one from another, if they say so.
 */
#include "upper/stack_id.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>

#include "base/table.h"
#include "lower/chain.h"

#ifndef FS_IOC_GETFSUUID /* Linux 6.9 */
struct fsuuid2 {
	uint8_t len;
	uint8_t uuid[16];
};
#define FS_IOC_GETFSUUID _IOR(0x15, 0, struct fsuuid2)
#endif

/* What a branch says of itself. */
struct branch_identity {
	uint64_t uuid; /* a hash; 0: none */
	uint64_t fsid; /* 0: none */
	uint64_t born_s, born_ns; /* its root; 0: not known */
	uint64_t root;
	bool is_by_device; /* the f_fsid */
};

/* A device's number as the kernel gives it to programs of old (new_encode_dev). */
static uint64_t encoded(dev_t device)
{
	uint64_t minor_number = minor(device);

	return (minor_number & 0xff) | (uint64_t)major(device) << 8 |
	       (minor_number & ~UINT64_C(0xff)) << 12;
}

static int identify(int fd, struct branch_identity *ret)
{
	struct fsuuid2 uuid = { 0 };
	struct statx stx = { 0 };
	struct statvfs vfs;
	struct stat st;

	if (fstatvfs(fd, &vfs) < 0 || fstat(fd, &st) < 0)
		return -errno;
	*ret = (struct branch_identity){ .fsid = vfs.f_fsid, .root = st.st_ino };
	ret->is_by_device = vfs.f_fsid == encoded(st.st_dev);
	if (ioctl(fd, FS_IOC_GETFSUUID, &uuid) == 0 && uuid.len <= sizeof(uuid.uuid))
		ret->uuid = table_hash_bytes(uuid.uuid, uuid.len);
	if (statx(fd, "", AT_EMPTY_PATH, STATX_BTIME, &stx) == 0 && (stx.stx_mask & STATX_BTIME)) {
		ret->born_s = (uint64_t)stx.stx_btime.tv_sec;
		ret->born_ns = stx.stx_btime.tv_nsec;
	}
	return 0;
}

static bool is_known(const struct branch_identity *branch)
{
	return branch->uuid || branch->fsid || branch->born_s || branch->born_ns;
}

static uint64_t add_branch(uint64_t id, const struct branch_identity *branch)
{
	const uint64_t parts[] = { id,
				   branch->uuid,
				   branch->uuid && branch->is_by_device ? 0 : branch->fsid,
				   branch->root,
				   branch->born_s,
				   branch->born_ns };

	return table_hash_bytes(parts, sizeof(parts));
}

static uint64_t add_as_before(uint64_t id, const struct branch_identity *branch)
{
	const uint64_t parts[] = { id, branch->fsid, branch->root };

	return table_hash_bytes(parts, sizeof(parts));
}

/* An index counts in an order of its own. */
static int add_index(uint64_t id, int fd, uint64_t *ret)
{
	uint64_t index;
	int r = chain_identity(fd, &index);

	if (r == 0)
		*ret = table_hash_u64(id ^ index);
	return r;
}

int stack_id_get(const struct fs_config *config, enum numbering numbering, struct stack_id *ret)
{
	struct stack_id id = { .now = numbering };
	/* It was not said of which index a number was. */
	bool is_unique = true, was_unique = numbering != NUMBERING_CHAIN;

	for (size_t i = 0; i < config->n_branches; i++) {
		struct branch_identity branch = { 0 };
		int r = identify(config->branches[i], &branch);

		if (r < 0)
			return r;
		id.now = add_branch(id.now, &branch);
		id.before = add_as_before(id.before, &branch);
		is_unique &= is_known(&branch);
		was_unique &= branch.fsid != 0;
	}
	if (numbering == NUMBERING_CHAIN) {
		int r = add_index(id.now, config->chain_fd, &id.now);

		if (r < 0)
			return r;
	}
	ret->now = is_unique ? id.now : 0;
	ret->before = was_unique ? id.before : 0;
	return 0;
}
