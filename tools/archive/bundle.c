/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * An image archive may hold its members in any order, with what explains them
 * last.  So nothing is read until all are known: of a plain tar file the
 * headers are read and the data skipped by seeking; everything else has been
 * unpacked to a directory first (import.c).
 *
 * Names may be relative to a directory within, where an archive has all it holds in one.
 */
#include "archive/bundle.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "value/entry_name.h"

enum { MAX_MEMBERS = 65536, MAX_NAMES = 16 << 20, MAX_LINKS = 8 };

struct member {
	char *name;
	char *link; /* a clean path, or NULL for a file */
	off_t offset;
	uint64_t size;
};

struct bundle {
	int fd; /* the directory, or the tar file */
	int open; /* of a directory: the file found last */
	bool is_tar;
	struct member *members; /* sorted by name once the scan is over */
	size_t n_members, room;
	size_t n_bytes; /* of their names */
	char *inside; /* the directory that names are relative to, with a slash; NULL: all */
};

DEFINE_CLEANUP(struct archive *, archive, archive_read_free)

void bundle_free(struct bundle *bundle)
{
	if (!bundle)
		return;
	for (size_t i = 0; i < bundle->n_members; i++) {
		free(bundle->members[i].name);
		free(bundle->members[i].link);
	}
	free(bundle->members);
	free(bundle->inside);
	if (bundle->open >= 0)
		close(bundle->open);
	free(bundle);
}
DEFINE_CLEANUP(struct bundle *, bundle, bundle_free)

static struct bundle *bundle_new(int fd, bool is_tar)
{
	struct bundle *bundle = calloc(1, sizeof(*bundle));

	if (!bundle)
		return NULL;
	bundle->fd = fd;
	bundle->open = -1;
	bundle->is_tar = is_tar;
	return bundle;
}

int bundle_of_directory(int dirfd, struct bundle **ret)
{
	struct bundle *bundle = bundle_new(dirfd, false);

	if (!bundle)
		return -ENOMEM;
	*ret = bundle;
	return 0;
}

/* Takes the strings of `member` in every case. */
static int add_member(struct bundle *bundle, struct member *member)
{
	if (bundle->n_members == bundle->room) {
		size_t room = bundle->room ? bundle->room * 2 : 64;
		struct member *more = realloc(bundle->members, room * sizeof(*more));

		if (!more) {
			free(member->name);
			free(member->link);
			return -ENOMEM;
		}
		bundle->members = more;
		bundle->room = room;
	}
	bundle->members[bundle->n_members++] = *member;
	bundle->n_bytes += strlen(member->name) + (member->link ? strlen(member->link) : 0);
	return 0;
}

/* A name that leads out of the archive is no member of it. */
static int scan_entry(struct bundle *bundle, struct archive *archive, struct archive_entry *entry)
{
	const char *name = archive_entry_pathname(entry);
	const char *hard = archive_entry_hardlink(entry), *soft = archive_entry_symlink(entry);
	struct member member = { .offset = archive_filter_bytes(archive, 0) };
	int r;

	if (!name || (!hard && !soft && archive_entry_filetype(entry) != AE_IFREG))
		return 0;
	r = entry_name_clean(name, &member.name);
	if (r == 0 && (hard || soft)) {
		r = hard ? entry_name_clean(hard, &member.link)
			 : entry_name_follow(member.name, soft, &member.link);
		if (r < 0)
			free(member.name);
	}
	if (r < 0)
		return r == -ENOMEM ? r : 0;
	if (hard && strcmp(member.link, member.name) == 0) { /* tar's word for a file given twice */
		free(member.name);
		free(member.link);
		return 0;
	}
	member.size = hard || soft ? 0 : (uint64_t)archive_entry_size(entry);
	return add_member(bundle, &member);
}

/* Stable for a name given twice: the later one, at the larger offset, sorts last. */
static int compare(const void *a, const void *b)
{
	const struct member *x = a, *y = b;
	int order = strcmp(x->name, y->name);

	return order ? order : (x->offset > y->offset) - (x->offset < y->offset);
}

/* Also of an entry whose header could not be read to its end. */
static const char *shown(struct archive_entry *entry)
{
	const char *name = archive_entry_pathname(entry);

	return name ? name : "?";
}

static int scan(struct bundle *bundle, struct archive *archive, off_t end, struct error *error)
{
	struct archive_entry *entry;
	int r;

	for (bool first = true;; first = false) {
		r = archive_read_next_header(archive, &entry);
		if (r == ARCHIVE_EOF)
			break;
		/* No filter is enabled, so a compressed file is no tar from the first. */
		if (r < ARCHIVE_WARN && first)
			return BUNDLE_NOT_PLAIN;
		if (r < ARCHIVE_WARN)
			return error_set(error, -EBADMSG, "'%s': %s", shown(entry),
					 archive_error_string(archive) ?: "cannot be read");
		/* What a sparse member holds is not a run of bytes. */
		if (bundle->n_members >= MAX_MEMBERS || bundle->n_bytes >= MAX_NAMES ||
		    archive_entry_sparse_count(entry) > 0)
			return BUNDLE_NOT_PLAIN;
		if (archive_entry_size(entry) > end - archive_filter_bytes(archive, 0))
			return error_set(error, -EBADMSG, "'%s': the archive ends before it does",
					 shown(entry));
		r = scan_entry(bundle, archive, entry);
		if (r < 0)
			return error_errno(error, r, "cannot list the archive");
	}
	if (bundle->n_members > 0)
		qsort(bundle->members, bundle->n_members, sizeof(*bundle->members), compare);
	return BUNDLE_SCANNED;
}

int bundle_of_tar(int fd, struct error *error, struct bundle **ret)
{
	CLEANUP(cleanup_archive) struct archive *archive = archive_read_new();
	CLEANUP(cleanup_bundle) struct bundle *bundle = bundle_new(fd, true);
	struct stat st;
	int r;

	if (!archive || !bundle)
		return error_errno(error, -ENOMEM, "cannot list the archive");
	r = fd_stat(fd, NULL, &st);
	if (r < 0)
		return error_errno(error, r, "cannot list the archive");
	if (!S_ISREG(st.st_mode) || lseek(fd, 0, SEEK_CUR) != 0)
		return BUNDLE_NOT_PLAIN;
	archive_read_support_format_tar(archive);
	archive_read_support_format_empty(archive);
	r = BUNDLE_NOT_PLAIN;
	if (archive_read_open_fd(archive, fd, 64 << 10) >= ARCHIVE_WARN)
		r = scan(bundle, archive, st.st_size, error);
	if (lseek(fd, 0, SEEK_SET) < 0)
		return error_errno(error, -errno, "cannot go back to its start");
	if (r == BUNDLE_SCANNED)
		*ret = take_ptr(bundle);
	return r;
}

/* Looks one name up; sets `*ret_link`, allocated, when it is a link. */
static int find_in_tar(struct bundle *bundle, const char *name, struct extent *ret, char **ret_link)
{
	size_t low = 0, high = bundle->n_members;

	/* The first member whose name is greater; the one before it is the last of this name. */
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(bundle->members[middle].name, name) <= 0)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == 0 || strcmp(bundle->members[low - 1].name, name) != 0)
		return BUNDLE_ABSENT;
	if (bundle->members[low - 1].link) {
		*ret_link = strdup(bundle->members[low - 1].link);
		return *ret_link ? BUNDLE_PRESENT : -ENOMEM;
	}
	*ret = (struct extent){
		.fd = bundle->fd,
		.offset = bundle->members[low - 1].offset,
		.size = bundle->members[low - 1].size,
	};
	return BUNDLE_PRESENT;
}

static int find_in_directory(struct bundle *bundle, const char *name, struct extent *ret,
			     char **ret_link)
{
	cleanup_fd int fd = fd_open_beneath(bundle->fd, name, O_PATH | O_NOFOLLOW);
	cleanup_free char *text = NULL;
	struct stat st;
	int r;

	if (fd < 0)
		return fd == -ENOENT || fd == -ENOTDIR ? BUNDLE_ABSENT : fd;
	r = fd_stat(fd, NULL, &st);
	if (r < 0)
		return r;
	if (S_ISLNK(st.st_mode)) {
		r = fd_readlink(fd, NULL, &text);
		if (r == 0)
			r = entry_name_follow(name, text, ret_link);
		return r < 0 ? r : BUNDLE_PRESENT;
	}
	if (!S_ISREG(st.st_mode))
		return BUNDLE_ABSENT;
	r = fd_reopen(fd, O_RDONLY);
	if (r < 0)
		return r;
	if (bundle->open >= 0)
		close(bundle->open);
	bundle->open = r;
	*ret = (struct extent){ .fd = r, .size = (uint64_t)st.st_size };
	return BUNDLE_PRESENT;
}

int bundle_enter(struct bundle *bundle, const char *name)
{
	char *inside = NULL;

	if (name && asprintf(&inside, "%s%s/", bundle->inside ? bundle->inside : "", name) < 0)
		return -ENOMEM;
	free(bundle->inside);
	bundle->inside = inside;
	return 0;
}

/* The clean path of `name` in the whole bundle. */
static int path_of(const struct bundle *bundle, const char *name, char **ret)
{
	cleanup_free char *whole = NULL;

	if (!bundle->inside)
		return entry_name_clean(name, ret);
	if (asprintf(&whole, "%s%s", bundle->inside, name) < 0)
		return -ENOMEM;
	return entry_name_clean(whole, ret);
}

int bundle_find(struct bundle *bundle, const char *name, struct extent *ret)
{
	cleanup_free char *path = NULL;
	int r = path_of(bundle, name, &path);

	for (int i = 0; r == 0 && i < MAX_LINKS; i++) {
		char *link = NULL;

		if (!*path)
			return BUNDLE_ABSENT;
		r = bundle->is_tar ? find_in_tar(bundle, path, ret, &link)
				   : find_in_directory(bundle, path, ret, &link);
		if (r != BUNDLE_PRESENT || !link)
			return r;
		free(path);
		path = link;
		r = 0;
	}
	return r < 0 ? r : -ELOOP;
}

/* Those of a tar: the first part of each name below the place we are at. */
static int each_in_tar(const struct bundle *bundle, bundle_each each, void *context)
{
	const char *inside = bundle->inside ? bundle->inside : "";
	size_t skip = strlen(inside);
	int r = 0;

	for (size_t i = 0; r == 0 && i < bundle->n_members; i++) {
		const char *name = bundle->members[i].name;
		cleanup_free char *first = NULL;
		size_t length;

		if (strncmp(name, inside, skip) != 0)
			continue;
		length = strcspn(name + skip, "/");
		first = strndup(name + skip, length);
		r = first ? each(context, first, name[skip + length] == '/') : -ENOMEM;
	}
	return r;
}

static int each_in_directory(const struct bundle *bundle, bundle_each each, void *context)
{
	cleanup_fd int fd = fd_open_beneath(bundle->fd, bundle->inside ? bundle->inside : ".",
					    O_RDONLY | O_DIRECTORY);
	cleanup_dir DIR *dir = NULL;
	struct dirent *entry;
	int r = fd < 0 ? fd : fd_opendir(fd, &dir);

	while (r == 0 && (entry = readdir(dir))) {
		struct stat st;

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		r = fd_stat(fd, entry->d_name, &st);
		if (r == 0)
			r = each(context, entry->d_name, S_ISDIR(st.st_mode));
	}
	return r;
}

int bundle_each_top(struct bundle *bundle, bundle_each each, void *context)
{
	return bundle->is_tar ? each_in_tar(bundle, each, context)
			      : each_in_directory(bundle, each, context);
}

int bundle_read(struct bundle *bundle, const char *name, struct error *error, char **ret,
		size_t *ret_size)
{
	cleanup_free char *text = NULL;
	struct extent extent;
	ssize_t n;
	int r = bundle_find(bundle, name, &extent);

	if (r <= 0)
		return error_errno(error, r < 0 ? r : -ENOENT, "'%s' in the archive", name);
	if (extent.size > BUNDLE_MAX_DOCUMENT)
		return error_set(error, -EFBIG, "'%s' in the archive: larger than %d bytes", name,
				 BUNDLE_MAX_DOCUMENT);
	text = malloc((size_t)extent.size + 1);
	if (!text)
		return error_errno(error, -ENOMEM, "'%s' in the archive", name);
	n = fd_pread_all(extent.fd, text, (size_t)extent.size, extent.offset);
	if (n < 0 || (uint64_t)n != extent.size)
		return error_errno(error, n < 0 ? (int)n : -EIO, "'%s' in the archive", name);
	text[n] = '\0';
	*ret = take_ptr(text);
	*ret_size = (size_t)n;
	return 0;
}
