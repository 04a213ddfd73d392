/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The table of handlers, and what the session tells the kernel of itself.
 *
 * io=cached: there are no open and opendir handlers, so those requests are
 * answered ENOSYS once and never come again.  Every request is then by node,
 * and the kernel keeps pages, listings, names and attributes for as long as
 * we do not say otherwise: it is the only way in.
 *
 * O_TRUNC must not be part of open then: nobody would tell us.  Nor is there a
 * create handler: MKNOD, with no open after it, is a request less for each new
 * file than CREATE and RELEASE.
 *
 * io=passthrough: files are opened by OPEN and CREATE, whose answers say that the
 * kernel is to read and write them itself (opened.h). Truncation stays a request of its
 * own, which the kernel makes with the inode locked; as part of an OPEN that is sent again
 * after a worker's death it could take what others have written since.
 */
#include "request/op.h"
#include "request/timeout.h"

static void op_init(void *userdata, struct fuse_conn_info *conn)
{
	static const uint64_t wanted[] = {
		FUSE_CAP_NO_OPENDIR_SUPPORT, FUSE_CAP_EXPLICIT_INVAL_DATA,
		FUSE_CAP_HANDLE_KILLPRIV_V2, FUSE_CAP_DONT_MASK,
		FUSE_CAP_PARALLEL_DIROPS,    FUSE_CAP_CACHE_SYMLINKS,
		FUSE_CAP_EXPORT_SUPPORT,
	};

	const struct mount *mount = userdata;

	for (size_t i = 0; i < sizeof(wanted) / sizeof(*wanted); i++)
		fuse_set_feature_flag(conn, wanted[i]);
	if (!mount->opened) {
		fuse_set_feature_flag(conn, FUSE_CAP_NO_OPEN_SUPPORT);
	} else {
		opened_allow(mount->opened, fuse_set_feature_flag(conn, FUSE_CAP_PASSTHROUGH));
		/* Backings on plain filesystems; on top of ours there is room for one more. */
		conn->max_backing_stack_depth = 1;
	}
	if (mount->has_acl)
		fuse_set_feature_flag(conn, FUSE_CAP_POSIX_ACL);
	if (mount->fs->config->writeback)
		fuse_set_feature_flag(conn, FUSE_CAP_WRITEBACK_CACHE);
	/* What the kernel shows of a change before it tells us must be what upper can keep. */
	if (mount->fs->upper.caps.time_unit)
		conn->time_gran = mount->fs->upper.caps.time_unit;
	/* What a request has room for, whatever the size of a page is here. */
	conn->max_write = ATTEMPT_WRITE_MAX;
	fuse_unset_feature_flag(conn, FUSE_CAP_ATOMIC_O_TRUNC);
	fuse_unset_feature_flag(conn, FUSE_CAP_AUTO_INVAL_DATA);
	/*
	 * Attributes with all names: by itself the kernel asks for them with the first names alone
	 * when somebody reads a whole directory before looking at what is in it (find, rm -r), and
	 * then makes a LOOKUP for each of the others.
	 */
	fuse_unset_feature_flag(conn, FUSE_CAP_READDIRPLUS_AUTO);
	/* With it, direct writes by AIO leave stale pages to buffered readers (Linux 6.18). */
	fuse_unset_feature_flag(conn, FUSE_CAP_ASYNC_DIO);
	/* What copies much, or waits for a branch, may take as long as it takes. */
	if (timeout_default() > 0)
		conn->request_timeout = UINT16_MAX;
}

static const struct fuse_lowlevel_ops ops = {
	.init = op_init,
	.lookup = op_lookup,
	.getattr = op_getattr,
	.setattr = op_setattr,
	.statx = op_statx,
	.ioctl = op_ioctl,
	.readlink = op_readlink,
	.mknod = op_mknod,
	.mkdir = op_mkdir,
	.unlink = op_unlink,
	.rmdir = op_rmdir,
	.symlink = op_symlink,
	.rename = op_rename,
	.link = op_link,
	.tmpfile = op_tmpfile,
	.release = op_release,
	.read = op_read,
	.write = op_write,
	.fsync = op_fsync,
	.fsyncdir = op_fsync,
	.readdir = op_readdir,
	.readdirplus = op_readdirplus,
	.statfs = op_statfs,
	.setxattr = op_setxattr,
	.getxattr = op_getxattr,
	.listxattr = op_listxattr,
	.removexattr = op_removexattr,
	.fallocate = op_fallocate,
	.copy_file_range = op_copy_file_range,
	.lseek = op_lseek,
};

struct fuse_lowlevel_ops op_table(const struct mount *mount)
{
	struct fuse_lowlevel_ops ret = ops;

	if (mount->opened) {
		ret.open = op_open;
		ret.create = op_create;
	}
	/* Without handlers the requests are answered ENOSYS, and the kernel makes no more. */
	if (!mount->has_xattrs) {
		ret.getxattr = NULL;
		ret.setxattr = NULL;
		ret.listxattr = NULL;
		ret.removexattr = NULL;
	}
	return ret;
}
