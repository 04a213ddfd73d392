/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a directory can only be given when nothing more is made in it: its
 * times, and a default ACL, which its children would inherit.  A layer may
 * have any number of directories, so this waits in a file, not in memory.
 *
 * A directory may be replaced after it was noted, so the inode number goes
 * along; the last note of a path is applied last.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/xattr.h"
#include "layer/layer_tree.h"

struct late_note {
	uint64_t inode;
	struct timespec times[2];
	size_t path_size; /* with its NUL */
	size_t acl_size;
};

int layer_tree_later(struct layer_tree *tree, const char *path, int fd, const struct meta *meta)
{
	cleanup_free void *acl = NULL;
	struct late_note note = {
		.times = { meta->times[0], meta->times[1] },
		.path_size = strlen(path) + 1,
	};
	struct stat st;
	int r = fd_stat(fd, NULL, &st);

	if (r == 0)
		r = meta_default_acl(meta, &acl, &note.acl_size);
	if (r < 0)
		return r;
	note.inode = st.st_ino;
	if (fwrite(&note, sizeof(note), 1, tree->late) != 1 ||
	    fwrite(path, note.path_size, 1, tree->late) != 1 ||
	    (note.acl_size > 0 && fwrite(acl, note.acl_size, 1, tree->late) != 1))
		return error_errno(tree->error, -EIO, "a temporary file cannot be written");
	return 0;
}

/* An O_PATH descriptor of a directory that may lie deeper than PATH_MAX. */
static int open_deep(int root, const char *path)
{
	cleanup_fd int at = fd_open(root, ".", O_PATH | O_DIRECTORY, 0);

	while (at >= 0 && *path) {
		size_t len = strcspn(path, "/");
		char name[NAME_MAX + 1];
		int next;

		memcpy(name, path, len);
		name[len] = '\0';
		next = fd_open(at, name, O_PATH | O_DIRECTORY, 0);
		close(at);
		at = next;
		path += len + (path[len] == '/');
	}
	return take_fd(&at);
}

static int apply(struct layer_tree *tree, const struct late_note *note, const char *path,
		 const void *acl)
{
	cleanup_fd int fd = fd_open_beneath(tree->root, *path ? path : ".", O_PATH | O_DIRECTORY);
	struct stat st;
	int r;

	if (fd == -ENAMETOOLONG)
		fd = open_deep(tree->root, path);
	if (fd < 0) /* replaced by something else since */
		return 0;
	r = fd_stat(fd, NULL, &st);
	if (r < 0 || st.st_ino != note->inode)
		return r;
	if (note->acl_size > 0)
		r = xattr_set(fd, "system.posix_acl_default", acl, note->acl_size, 0);
	if (r == 0)
		r = fd_utimens(fd, note->times);
	return r < 0 ? error_errno(tree->error, r, "'%s': its times or ACL cannot be set", path)
		     : 0;
}

int layer_tree_finish(struct layer_tree *tree)
{
	struct late_note note;

	rewind(tree->late);
	while (fread(&note, sizeof(note), 1, tree->late) == 1) {
		size_t size = note.path_size + note.acl_size;
		cleanup_free char *path = malloc(size);
		int r;

		if (!path)
			return -ENOMEM;
		if (fread(path, size, 1, tree->late) != 1)
			break;
		r = apply(tree, &note, path, path + note.path_size);
		if (r < 0)
			return r;
	}
	if (!feof(tree->late))
		return error_errno(tree->error, -EIO, "a temporary file cannot be read back");
	return 0;
}
