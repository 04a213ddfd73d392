/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "daemon/detach.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "host/backing.h"

static int clone_mount(int dirfd)
{
	return open_tree(dirfd, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
}

static bool is_same(int a, int b)
{
	struct stat sa, sb;

	return fstat(a, &sa) == 0 && fstat(b, &sb) == 0 && sa.st_dev == sb.st_dev &&
	       sa.st_ino == sb.st_ino;
}

/* The directory `path` of a mount of ours, if it is the one that `fd` is; or -1. */
static int find_again(int tree, const char *path, int fd)
{
	cleanup_fd int found = fd_open_beneath(tree, *path ? path : ".", O_RDONLY | O_DIRECTORY);

	return found >= 0 && is_same(found, fd) ? take_fd(&found) : -1;
}

int detach_dir(int fd, bool is_guarded)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOATIME,
				   .attr_clr = MOUNT_ATTR__ATIME };
	cleanup_fd int tree = clone_mount(fd);

	if (tree >= 0 && is_guarded)
		mount_setattr(tree, "", AT_EMPTY_PATH, &attr, sizeof(attr));
	return tree < 0 ? -1 : find_again(tree, "", fd);
}

bool detach_is_guarded(int fd)
{
	struct statvfs st;

	return backing_disk_of(fd) != BACKING_UNKNOWN && fstatvfs(fd, &st) == 0 &&
	       st.f_flag & ST_RDONLY && st.f_flag & ST_NOATIME;
}

int detach_file(int dirfd, const char *name, int fd)
{
	cleanup_fd int tree = fd < 0 ? -1 : clone_mount(dirfd);
	cleanup_fd int found = tree < 0 ? -1 : fd_open(tree, name, O_RDONLY, 0);

	/* What is mounted on it alone is not there. */
	return found >= 0 && is_same(found, fd) ? take_fd(&found) : -1;
}

/* Where an open directory is, as an absolute path; NULL: that cannot be said. */
static char *path_of(int fd)
{
	char *path = NULL;

	if (fd_readlink(AT_FDCWD, fd_path(fd).s, &path) < 0 || *path != '/') {
		free(path);
		return NULL;
	}
	return path;
}

/* Length of the path of the nearest directory that both are in or are. */
static size_t common_length(const char *a, const char *b)
{
	size_t n = 0;

	for (size_t i = 0;; i++) {
		bool ends_a = !a[i] || a[i] == '/', ends_b = !b[i] || b[i] == '/';

		if (ends_a && ends_b)
			n = i;
		if (a[i] != b[i] || !a[i])
			return n;
	}
}

/* What is left of a path behind that of a directory above. */
static const char *below(const char *path, size_t n)
{
	path += n;
	return path + strspn(path, "/");
}

bool detach_pair(int a, int b, int *ret_a, int *ret_b)
{
	cleanup_free char *path_a = path_of(a);
	cleanup_free char *path_b = path_of(b);
	cleanup_free char *above = NULL;
	cleanup_fd int dir = -1, tree = -1, new_a = -1, new_b = -1;
	size_t n;

	if (!path_a || !path_b)
		return false;
	n = common_length(path_a, path_b);
	above = strndup(path_a, n);
	if (!above)
		return false;
	/* Somebody may have renamed something meanwhile: what is found is compared. */
	dir = open(*above ? above : "/", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	tree = dir < 0 ? -1 : clone_mount(dir);
	if (tree < 0)
		return false;
	new_a = find_again(tree, below(path_a, n), a);
	new_b = find_again(tree, below(path_b, n), b);
	if (new_a < 0 || new_b < 0)
		return false;
	*ret_a = take_fd(&new_a);
	*ret_b = take_fd(&new_b);
	return true;
}
