/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The loop over a layer's entries.
 *
 * libarchive gives names in the character set of the thread's locale, so the
 * thread has a UTF-8 one while it reads: PAX names are then handed over byte
 * for byte, valid UTF-8 or not.
 */
#include "layer/layer.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "layer/layer_tree.h"
#include "layer/meta.h"
#include "value/entry_name.h"

DEFINE_CLEANUP(struct archive *, archive, archive_read_free)

int layer_probe(int dirfd, struct layer_site *ret)
{
	static const char name[] = "probe-node";
	struct layer_site site;
	int r = whiteout_probe(dirfd, WHITEOUT_AS_ANY, false, &site.style);

	if (r < 0)
		return r;
	unlinkat(dirfd, name, 0);
	site.privileged = mknodat(dirfd, name, S_IFCHR | 0600, makedev(1, 3)) == 0 &&
			  fchownat(dirfd, name, 1, UINT32_MAX - 1, AT_SYMLINK_NOFOLLOW) == 0;
	unlinkat(dirfd, name, 0);
	*ret = site;
	return 0;
}

/* One object to be made. */
struct new_object {
	const char *path, *name;
	int parent;
	struct meta meta;
	struct archive *archive;
	struct archive_entry *entry;
};

enum { PAGE = 4096 };

static bool is_zero(const char *data, size_t size)
{
	return size == 0 || (data[0] == 0 && memcmp(data, data + 1, size - 1) == 0);
}

static int write_all(int fd, const char *data, size_t size, off_t offset)
{
	while (size > 0) {
		ssize_t n = fd_pwrite_all(fd, data, size, offset);

		if (n < 0)
			return (int)n;
		if (n == 0)
			return -EIO;
		data += n;
		offset += n;
		size -= (size_t)n;
	}
	return 0;
}

/*
 * Writes a block of a file, but not its pages of zeros: they are left as holes. *end: how long the
 * file is then.
 */
static int write_sparse(int fd, const char *data, size_t size, off_t offset, off_t *end)
{
	size_t start = 0, at = 0;

	while (at < size) {
		size_t piece = PAGE - (size_t)((offset + (off_t)at) % PAGE);

		if (piece > size - at)
			piece = size - at;
		if (is_zero(data + at, piece)) {
			int r = write_all(fd, data + start, at - start, offset + (off_t)start);

			if (r < 0)
				return r;
			start = at + piece;
		} else {
			*end = offset + (off_t)(at + piece);
		}
		at += piece;
	}
	return write_all(fd, data + start, at - start, offset + (off_t)start);
}

static int archive_failure(struct archive *archive, struct error *error)
{
	const char *words = archive_error_string(archive);

	/* When the stream below failed, it has said so already. */
	if (archive_errno(archive) == ECANCELED || archive_errno(archive) == EREMOTEIO)
		return -archive_errno(archive);
	return error_set(error, -EBADMSG, "%s", words ? words : "cannot be read");
}

static int write_content(struct new_object *object, int fd, struct error *error)
{
	int64_t size = archive_entry_size(object->entry);
	off_t end = 0;

	for (;;) {
		const void *data;
		size_t n;
		int64_t offset;
		int r = archive_read_data_block(object->archive, &data, &n, &offset);

		if (r == ARCHIVE_EOF)
			break;
		if (r < ARCHIVE_WARN)
			return archive_failure(object->archive, error);
		r = write_sparse(fd, data, n, offset, &end);
		if (r < 0)
			return error_errno(error, r, "its content cannot be written");
	}
	/* To set the length that it has would make some filesystems write it to the disk first. */
	if (size > 0 && end != size && ftruncate(fd, size) < 0)
		return error_errno(error, -errno, "it cannot be %lld bytes long", (long long)size);
	return 0;
}

/* Makes the object itself and opens it; -EEXIST when something has its name. */
static int make(struct layer_tree *tree, struct new_object *object, bool *ret_stands_in)
{
	const struct meta *meta = &object->meta;
	int r = 0;

	*ret_stands_in = false;
	if (S_ISREG(meta->mode))
		return fd_open(object->parent, object->name, O_WRONLY | O_CREAT | O_EXCL, 0600);
	if (S_ISLNK(meta->mode)) {
		const char *target = archive_entry_symlink(object->entry);

		/* A link to nowhere at all is none that a filesystem could hold. */
		if (!target || !*target)
			return -EINVAL;
		r = symlinkat(target, object->parent, object->name);
	} else
		r = mknodat(object->parent, object->name, meta->mode, meta->rdev);
	if (r < 0 && errno == EPERM && !tree->site->privileged && !S_ISLNK(meta->mode)) {
		*ret_stands_in = true;
		return fd_open(object->parent, object->name, O_WRONLY | O_CREAT | O_EXCL, 0600);
	}
	return r < 0 ? -errno : fd_open(object->parent, object->name, O_PATH, 0);
}

static int apply_meta(struct layer_tree *tree, struct new_object *object, int fd, bool stands_in)
{
	int r = meta_apply(&object->meta, fd, tree->site, stands_in, tree->error);

	if (r == 0 && meta_has_names(&object->meta))
		r = layer_tree_later(tree, object->path, fd, &object->meta);
	return r;
}

static int add_object(struct layer_tree *tree, struct new_object *object)
{
	bool stands_in, has_old = tree->file_marks;
	cleanup_fd int fd = -1;
	int r;

	if (!has_old) {
		fd = make(tree, object, &stands_in);
		has_old = fd == -EEXIST;
	}
	if (has_old) {
		r = layer_tree_clear(tree, object->parent, object->name, false);
		if (r < 0)
			return error_errno(tree->error, r,
					   "cannot replace what an earlier entry made");
		fd = make(tree, object, &stands_in);
	}
	if (fd < 0)
		return error_errno(tree->error, fd, "cannot be made");
	if (S_ISREG(object->meta.mode)) {
		r = write_content(object, fd, tree->error);
		if (r < 0)
			return r;
	}
	return apply_meta(tree, object, fd, stands_in);
}

static int add_directory(struct layer_tree *tree, struct new_object *object)
{
	cleanup_fd int fd = -1;
	int r;

	if (!*object->path)
		fd = r = fd_open(tree->root, ".", O_PATH | O_DIRECTORY, 0);
	else
		r = layer_tree_mkdir(tree, object->parent, object->name, &fd);
	if (r < 0)
		return error_errno(tree->error, r, "cannot be made");
	r = meta_apply(&object->meta, fd, tree->site, false, tree->error);
	return r < 0 ? r : layer_tree_later(tree, object->path, fd, &object->meta);
}

static bool is_same(int a, int dirfd, const char *name)
{
	struct stat x, y;

	return fd_stat(a, NULL, &x) == 0 && fd_stat(dirfd, name, &y) == 0 && x.st_ino == y.st_ino;
}

/*
 * A hard link entry describes its file once more, and where the two differ
 * the engines let the link's mode, owner and times win.
 */
static int add_link(struct layer_tree *tree, struct new_object *object, const char *raw_target)
{
	cleanup_free char *target = NULL;
	cleanup_fd int fd = -1;
	struct stat st;
	int r = entry_name_clean(raw_target, &target);

	if (r < 0 || !*target)
		return error_set(tree->error, r < 0 ? r : -EXDEV, "refused: a hard link to '%s'",
				 raw_target);
	r = layer_tree_target(tree, target, &fd);
	if (r < 0)
		return error_errno(tree->error, r, "refused: a hard link to '%s'", target);
	if (is_same(fd, object->parent, object->name))
		return 0;
	r = tree->file_marks ? -EEXIST : fd_link(fd, object->parent, object->name);
	if (r == -EEXIST) {
		r = layer_tree_clear(tree, object->parent, object->name, false);
		if (r >= 0)
			r = fd_link(fd, object->parent, object->name);
	}
	if (r == 0)
		r = fd_stat(fd, NULL, &st);
	if (r < 0)
		return error_errno(tree->error, r, "cannot be linked to '%s'", target);
	object->meta.mode = (object->meta.mode & 07777) | (st.st_mode & S_IFMT);
	return apply_meta(tree, object, fd, false);
}

/* `.wh.NAME` and its kin. */
static int add_mark(struct layer_tree *tree, struct new_object *object)
{
	const char *hidden = whiteout_hidden_name(object->name);

	if (strcmp(object->name, WHITEOUT_OPAQUE_FILE) == 0)
		return layer_tree_opaque(tree, object->parent);
	if (!hidden || strcmp(hidden, ".") == 0 || strcmp(hidden, "..") == 0)
		return error_set(tree->error, -EINVAL, "refused: a whiteout of no name");
	return layer_tree_hide(tree, object->parent, hidden);
}

/* Whether a path has a component that AUFS kept its own records under. */
static bool is_aufs_record(const char *path)
{
	static const char prefix[] = WHITEOUT_PREFIX WHITEOUT_PREFIX;

	for (const char *at = path; at; at = strchr(at, '/')) {
		at += *at == '/';
		if (strncmp(at, prefix, strlen(prefix)) == 0 &&
		    strcmp(at, WHITEOUT_OPAQUE_FILE) != 0)
			return true;
	}
	return false;
}

/* Whether a path is that of a file which AUFS kept for its other names to link to. */
static bool is_plink(const char *path)
{
	static const char prefix[] = LAYER_PLINKS "/";

	return strncmp(path, prefix, strlen(prefix)) == 0 && !strchr(path + strlen(prefix), '/');
}

/* It waits where no entry can be, for links to it, and loses that name in the end. */
static int add_plink(struct layer_tree *tree, struct new_object *object)
{
	cleanup_fd int fd = -1;
	int r = layer_tree_plinks(tree, &fd);

	if (r < 0)
		return error_errno(tree->error, r, "cannot be kept");
	object->parent = fd;
	return add_object(tree, object);
}

static int dispatch(struct layer_tree *tree, struct new_object *object)
{
	const char *hardlink = archive_entry_hardlink(object->entry);
	mode_t mode = object->meta.mode;

	if (whiteout_is_mark_name(object->name))
		return add_mark(tree, object);
	if (hardlink)
		return add_link(tree, object, hardlink);
	if (S_ISDIR(mode))
		return add_directory(tree, object);
	if (S_ISCHR(mode) && object->meta.rdev == makedev(0, 0))
		return layer_tree_hide(tree, object->parent, object->name);
	if (S_ISREG(mode) || S_ISLNK(mode) || S_ISCHR(mode) || S_ISBLK(mode) || S_ISFIFO(mode))
		return add_object(tree, object);
	return error_set(tree->error, -EINVAL, "refused: of an unknown type");
}

static int refuse_name(struct layer_tree *tree, const char *raw, int r, const char *why)
{
	error_set(tree->error, r, "refused: %s", why);
	return error_within(tree->error, r, "'%s'", raw);
}

/* Makes what the entry says at the clean path `*path`, which is replaced where it leads through
 * links. */
static int place(struct layer_tree *tree, struct new_object *object, char **path)
{
	int r = 0;

	if (layer_path_is_below_mark(*path))
		return error_set(tree->error, -EINVAL, "refused: its parent is a whiteout");
	if (**path)
		r = layer_tree_parent(tree, path, &object->parent);
	else if (!S_ISDIR(object->meta.mode))
		r = error_set(tree->error, -EINVAL, "refused: the root is no directory");
	object->path = *path;
	object->name = entry_name_last(*path);
	return r < 0 ? r : dispatch(tree, object);
}

static int add_entry(struct layer_tree *tree, struct archive *archive, struct archive_entry *entry,
		     struct layer_summary *summary)
{
	struct new_object object = { .archive = archive, .entry = entry, .parent = tree->root };
	const char *raw = archive_entry_pathname(entry);
	cleanup_free char *path = NULL;
	bool is_record;
	int r;

	if (!raw)
		return error_set(tree->error, -EINVAL, "an entry has no name that can be read");
	r = entry_name_clean(raw, &path);
	if (r < 0)
		return refuse_name(tree, raw, r,
				   r == -EXDEV ? "'..' in its name leads out of the archive"
					       : strerror(-r));
	if (strlen(path) > LAYER_MAX_PATH)
		return refuse_name(tree, raw, -ENAMETOOLONG, "a path of more than 65535 bytes");
	is_record = is_aufs_record(path);
	if (is_record && (!is_plink(path) || archive_entry_filetype(entry) != AE_IFREG ||
			  archive_entry_hardlink(entry)))
		return 0;
	object.path = path;
	object.name = entry_name_last(path);
	tree->error->text[0] = '\0';
	r = meta_read(entry, tree->error, &object.meta);
	if (r == 0)
		r = is_record ? add_plink(tree, &object) : place(tree, &object, &path);
	if (r < 0 && !tree->error->text[0])
		error_set(tree->error, r, "%s", strerror(-r));
	if (r < 0)
		return error_within(tree->error, r, "'%s'", raw);
	summary->n_entries++;
	if (S_ISREG(object.meta.mode) && !archive_entry_hardlink(entry))
		summary->size += (uint64_t)archive_entry_size(entry);
	return 0;
}

static ssize_t give(struct archive *archive, void *stream, const void **ret)
{
	ssize_t n = stream_read(stream, ret);

	if (n >= 0)
		return n;
	archive_set_error(archive, n == -ECANCELED ? ECANCELED : EREMOTEIO, "The stream failed");
	return ARCHIVE_FATAL;
}

static int unpack(struct layer_tree *tree, struct archive *archive, struct layer_summary *summary)
{
	struct archive_entry *entry;
	int r;

	for (;;) {
		r = archive_read_next_header(archive, &entry);
		if (r == ARCHIVE_EOF)
			return layer_tree_finish(tree);
		if (r < ARCHIVE_WARN) {
			/* The name may have been read, and then says where it went wrong. */
			const char *name = archive_entry_pathname(entry);

			r = archive_failure(archive, tree->error);
			return name ? error_within(tree->error, r, "'%s'", name) : r;
		}
		r = add_entry(tree, archive, entry, summary);
		if (r < 0)
			return r;
	}
}

/* The root has the mode of a missing directory until an entry gives it another. */
static int begin(struct layer_tree *tree)
{
	struct meta meta = meta_of_missing_directory();
	cleanup_fd int fd = fd_open(tree->root, ".", O_PATH | O_DIRECTORY, 0);

	return fd < 0 ? fd : meta_apply(&meta, fd, tree->site, false, tree->error);
}

int layer_unpack(struct stream *stream, int dirfd, const struct layer_site *site, const int below[],
		 size_t n_below, struct error *error, struct layer_summary *ret)
{
	CLEANUP(cleanup_archive) struct archive *archive = archive_read_new();
	locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0), before;
	struct layer_summary summary = { 0 };
	struct layer_tree tree;
	int r;

	if (!archive || !utf8)
		return error_set(error, -ENOMEM, "out of memory, or no C.UTF-8 locale");
	before = uselocale(utf8);
	archive_read_support_format_tar(archive);
	archive_read_support_format_empty(archive);
	r = layer_tree_init(&tree, dirfd, site, below, n_below, error);
	if (r == 0)
		r = begin(&tree);
	if (r == 0 && archive_read_open(archive, stream, NULL, give, NULL) < ARCHIVE_WARN)
		r = archive_failure(archive, error);
	if (r == 0)
		r = unpack(&tree, archive, &summary);
	summary.borrowed = tree.borrowed;
	layer_tree_done(&tree);
	uselocale(before);
	freelocale(utf8);
	if (r == 0)
		*ret = summary;
	return r;
}
