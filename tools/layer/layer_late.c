/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a directory can only be given when nothing more is made in it: its
 * times, and a default ACL, which its children would inherit.  And what an
 * object can only be given when etc/passwd and etc/group are there: an ACL
 * that names users without their numbers.  A layer may have any number of
 * them, so this waits in a file, not in memory.
 *
 * An object may be replaced after it was noted, so its inode number and type
 * go along; the last note of a path is applied last.
 */
#include <archive_entry.h>
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
	bool is_dir;
	bool is_raw; /* the default ACL is as the kernel takes it, and not as it was gathered */
	struct timespec times[2];
	size_t path_size; /* with its NUL */
	size_t access_size, default_size;
};

/* What is read back of a note, behind it. */
struct late_parts {
	const char *path;
	const void *access_acl, *default_acl;
};

/* The users and groups of this layer and those below it; read when they are first asked for. */
struct late_names {
	bool are_read;
	struct accounts users, groups;
};

static void late_names_done(struct late_names *names)
{
	accounts_done(&names->users);
	accounts_done(&names->groups);
}

static bool is_written(FILE *late, const void *data, size_t size)
{
	return size == 0 || fwrite(data, size, 1, late) == 1;
}

/* The default ACL of an entry, in one form or the other. */
static int gather_default(const struct meta *meta, struct late_note *note, struct acl *ret)
{
	const void *raw;

	note->default_size = meta->entry ? meta_raw_default_acl(meta, &raw) : 0;
	note->is_raw = note->default_size > 0;
	if (note->is_raw) {
		ret->data = malloc(note->default_size);
		if (!ret->data)
			return -ENOMEM;
		memcpy(ret->data, raw, note->default_size);
	} else if (meta->entry) {
		int r = acl_gather(meta->entry, ARCHIVE_ENTRY_ACL_TYPE_DEFAULT, ret);

		note->default_size = ret->size;
		return r;
	}
	return 0;
}

/* An ACL without names is set already. */
static int gather_access(const struct meta *meta, struct late_note *note, struct acl *ret)
{
	int r = meta->entry ? acl_gather(meta->entry, ARCHIVE_ENTRY_ACL_TYPE_ACCESS, ret) : 0;

	note->access_size = ret->has_names ? ret->size : 0;
	return r;
}

int layer_tree_later(struct layer_tree *tree, const char *path, int fd, const struct meta *meta)
{
	struct late_note note = {
		.times = { meta->times[0], meta->times[1] },
		.path_size = strlen(path) + 1,
	};
	struct acl access = { 0 }, by_default = { 0 };
	struct stat st;
	int r = fd_stat(fd, NULL, &st);

	note.inode = st.st_ino;
	note.is_dir = S_ISDIR(st.st_mode);
	if (r == 0)
		r = gather_access(meta, &note, &access);
	if (r == 0 && note.is_dir)
		r = gather_default(meta, &note, &by_default);
	if (r == 0 && !(is_written(tree->late, &note, sizeof(note)) &&
			is_written(tree->late, path, note.path_size) &&
			is_written(tree->late, access.data, note.access_size) &&
			is_written(tree->late, by_default.data, note.default_size)))
		r = error_errno(tree->error, -EIO, "a temporary file cannot be written");
	free(access.data);
	free(by_default.data);
	return r;
}

/* An O_PATH descriptor of an object that may lie deeper than PATH_MAX. */
static int open_deep(int root, const char *path)
{
	cleanup_fd int at = fd_open(root, ".", O_PATH | O_DIRECTORY, 0);

	while (at >= 0 && *path) {
		size_t len = strcspn(path, "/");
		char name[NAME_MAX + 1];
		int next;

		memcpy(name, path, len);
		name[len] = '\0';
		next = fd_open(at, name, O_PATH, 0);
		close(at);
		at = next;
		path += len + (path[len] == '/');
	}
	return take_fd(&at);
}

static int read_accounts(struct layer_tree *tree, const char *path, struct accounts *ret)
{
	cleanup_fd int fd = -1;
	int r = layer_tree_shown(tree, path, &fd);

	if (r == 0 && fd >= 0)
		r = accounts_read(ret, fd);
	return r == -ELOOP || r == -ENOTDIR ? 0 : r;
}

static int read_names(struct layer_tree *tree, struct late_names *names)
{
	int r;

	if (names->are_read)
		return 0;
	names->are_read = true;
	r = read_accounts(tree, "etc/passwd", &names->users);
	return r < 0 ? r : read_accounts(tree, "etc/group", &names->groups);
}

/* Sets an ACL as it was gathered; the permissions of the object stay. */
static int set_acl(struct layer_tree *tree, struct late_names *names, int fd, const struct stat *st,
		   const char *name, const void *acl, size_t size)
{
	cleanup_free void *value = NULL;
	size_t value_size;
	int r = read_names(tree, names);

	if (r == 0)
		r = acl_encode(acl, size, &names->users, &names->groups, &value, &value_size);
	if (r == 0)
		r = xattr_set(fd, name, value, value_size, 0);
	if (r == 0 && name == meta_access_acl && !tree->site->privileged)
		r = fd_chmod(fd, st->st_mode & 07777);
	return r;
}

static int set_default(struct layer_tree *tree, struct late_names *names, int fd,
		       const struct stat *st, const struct late_note *note, const void *acl)
{
	if (note->is_raw)
		return xattr_set(fd, meta_default_acl, acl, note->default_size, 0);
	return set_acl(tree, names, fd, st, meta_default_acl, acl, note->default_size);
}

/* What was refused for the lack of attributes here was noted, or failed, when it was first met. */
static int pass(struct layer_tree *tree, const char *path, const char *name, int r)
{
	if (r == -EOPNOTSUPP || (!tree->site->privileged && (r == -EINVAL || r == -EPERM))) {
		loss_note(tree->site->loss, name, path, r);
		return 0;
	}
	return r;
}

static int apply(struct layer_tree *tree, struct late_names *names, const struct late_note *note,
		 const struct late_parts *parts)
{
	const char *path = parts->path;
	cleanup_fd int fd = fd_open_beneath(tree->root, *path ? path : ".", O_PATH);
	struct stat st;
	int r;

	if (fd == -ENAMETOOLONG)
		fd = open_deep(tree->root, path);
	if (fd < 0) /* replaced by something else since */
		return 0;
	r = fd_stat(fd, NULL, &st);
	if (r < 0 || st.st_ino != note->inode || note->is_dir != S_ISDIR(st.st_mode))
		return r;
	if (note->access_size > 0)
		r = pass(tree, path, meta_access_acl,
			 set_acl(tree, names, fd, &st, meta_access_acl, parts->access_acl,
				 note->access_size));
	if (r == 0 && note->default_size > 0)
		r = pass(tree, path, meta_default_acl,
			 set_default(tree, names, fd, &st, note, parts->default_acl));
	if (r == 0 && note->is_dir)
		r = fd_utimens(fd, note->times);
	return r < 0 ? error_errno(tree->error, r, "'%s': its times or ACL cannot be set", path)
		     : 0;
}

/* Reads what follows a note and applies it. */
static int apply_next(struct layer_tree *tree, struct late_names *names,
		      const struct late_note *note)
{
	size_t size = note->path_size + note->access_size + note->default_size;
	cleanup_free char *data = malloc(size);
	struct late_parts parts = { .path = data };

	if (!data)
		return -ENOMEM;
	if (fread(data, size, 1, tree->late) != 1)
		return error_errno(tree->error, -EIO, "a temporary file cannot be read back");
	parts.access_acl = data + note->path_size;
	parts.default_acl = data + note->path_size + note->access_size;
	return apply(tree, names, note, &parts);
}

int layer_tree_finish(struct layer_tree *tree)
{
	CLEANUP(late_names_done) struct late_names names = { 0 };
	struct late_note note;
	int r = tree->has_plinks ? fd_remove_tree(tree->root, LAYER_PLINKS) : 0;

	rewind(tree->late);
	while (r == 0 && fread(&note, sizeof(note), 1, tree->late) == 1)
		r = apply_next(tree, &names, &note);
	if (r == 0 && !feof(tree->late))
		return error_errno(tree->error, -EIO, "a temporary file cannot be read back");
	return r;
}
