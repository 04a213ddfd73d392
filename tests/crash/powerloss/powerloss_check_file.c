/* SPDX-License-Identifier: GPL-3.0-or-later */
/* After the loss: whether one file is what it may be. */
#include "powerloss.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

/* --- attributes --- */

static int read_tag(int root, const char *path)
{
	int fd = openat(root, path, O_RDONLY | O_NOFOLLOW), tag = NO_TAG;
	char value[16];
	ssize_t n;

	if (fd < 0)
		return -errno - 1;
	n = fgetxattr(fd, "user.tag", value, sizeof(value) - 1);
	if (n >= 0) {
		value[n] = '\0';
		tag = atoi(value);
	} else if (errno != ENODATA) {
		tag = -errno - 1;
	}
	close(fd);
	return tag;
}

bool attributes_match(int root, const char *path, const struct stat *st, struct life *life,
		      const struct loss *loss, char *why)
{
	struct window window = WINDOW(life->attrs, life->n_attrs, loss);
	int tag = read_tag(root, path);

	for (unsigned i = window.first; i <= window.last; i++) {
		const struct attr_event *attr = &life->attrs[i];

		if (attr->mode == (st->st_mode & 07777) && attr->uid == st->st_uid &&
		    attr->gid == st->st_gid && attr->tag == tag)
			return true;
	}
	snprintf(why, WHY_SIZE, "attributes %o %u:%u tag %d, expected %o %u:%u tag %d or %u later",
		 st->st_mode & 07777, st->st_uid, st->st_gid, tag, life->attrs[window.first].mode,
		 life->attrs[window.first].uid, life->attrs[window.first].gid,
		 life->attrs[window.first].tag, window.last - window.first);
	return false;
}

/* --- content --- */

unsigned char *read_file(int root, const char *path, size_t *ret_size)
{
	int fd = openat(root, path, O_RDONLY | O_NOFOLLOW);
	unsigned char *bytes = NULL;
	struct stat st;
	size_t done = 0;
	ssize_t n = 1;

	if (fd < 0)
		return NULL;
	if (fstat(fd, &st) == 0)
		bytes = malloc((size_t)st.st_size + 1);
	while (bytes && done <= (size_t)st.st_size && n > 0) {
		n = read(fd, bytes + done, (size_t)st.st_size + 1 - done);
		done += n > 0 ? (size_t)n : 0;
	}
	if (!bytes || n < 0 || done != (size_t)st.st_size) {
		int error = n < 0 ? errno : EIO;

		free(bytes);
		bytes = NULL;
		errno = error;
	}
	close(fd);
	*ret_size = done;
	return bytes;
}

static void apply(const struct slot *slot, const struct data_event *event, unsigned char *bytes)
{
	fill(bytes + event->offset, (size_t)event->length, data_key(slot, event->version),
	     event->offset);
}

/* What the file held after event `n`. */
static void content_of(const struct slot *slot, const struct life *life, unsigned n,
		       unsigned char *bytes)
{
	unsigned start = n;

	while (start > 0 && life->datas[start].kind != REWRITE)
		start--;
	for (unsigned i = start; i <= n; i++)
		apply(slot, &life->datas[i], bytes);
}

struct found {
	const unsigned char *bytes;
	size_t size;
};

/*
 * Whether the file may be this after events first..last, of which only the
 * first can be a REWRITE.  If that one was not durable, it may be half done.
 */
static bool matches_part(const struct slot *slot, const struct life *life, unsigned first,
			 unsigned last, bool is_durable, const struct found *found, char *why)
{
	size_t durable_size = is_durable ? (size_t)life->datas[first].size : 0;
	size_t size = (size_t)life->datas[last].size, n_open = found->size, at = 0;
	unsigned char *bytes = calloc(1, size + 1), *is_open = malloc(n_open + 1);

	if (!bytes || !is_open)
		die("out of memory");
	if (found->size < durable_size || found->size > size) {
		snprintf(why, WHY_SIZE, "size %zu, expected %zu to %zu", found->size, durable_size,
			 size);
		at = n_open + 1;
		n_open = 0;
	}
	memset(is_open, 1, n_open + 1);
	for (unsigned i = first; i <= last && n_open; i++) {
		size_t there = (size_t)life->datas[i].size;

		if (i == first)
			content_of(slot, life, i, bytes);
		else
			apply(slot, &life->datas[i], bytes);
		for (size_t j = 0; j < n_open && j < there; j++)
			is_open[j] = is_open[j] && bytes[j] != found->bytes[j];
	}
	while (at < n_open && (!is_open[at] || (at >= durable_size && found->bytes[at] == 0)))
		at++;
	if (at < n_open)
		snprintf(why, WHY_SIZE,
			 "byte %zu of %zu is %#x, which it never was; %zu bytes are durable, "
			 "events %u to %u",
			 at, found->size, found->bytes[at], durable_size, first, last);
	free(bytes);
	free(is_open);
	return at == n_open;
}

static bool data_match(const struct slot *slot, const struct life *life, struct window window,
		       const struct found *found, char *why)
{
	for (unsigned first = window.first; first <= window.last;) {
		unsigned next = first + 1;

		while (next <= window.last && life->datas[next].kind != REWRITE)
			next++;
		if (matches_part(slot, life, first, next - 1, first == window.first, found, why))
			return true;
		first = next;
	}
	return false;
}

bool file_matches(int root, const char *path, const struct stat *st, struct slot *slot,
		  struct life *life, const struct loss *loss, char *why)
{
	struct window window = WINDOW(life->datas, life->n_datas, loss);
	struct found found = { 0 };
	unsigned char *bytes;
	bool r;

	if (!attributes_match(root, path, st, life, loss, why))
		return false;
	bytes = read_file(root, path, &found.size);
	if (!bytes) {
		snprintf(why, WHY_SIZE, "reading: %s", strerror(errno));
		return false;
	}
	found.bytes = bytes;
	/* With fsync=0 a copy-up's data are safe once the file was synced, by whom it may. */
	r = (settings.lazy && life->is_lower && window.first == 0) ||
	    data_match(slot, life, window, &found, why);
	free(bytes);
	if (r && life->is_lower && window.last == 0 &&
	    (st->st_mtim.tv_sec != life->mtime.tv_sec ||
	     st->st_mtim.tv_nsec != life->mtime.tv_nsec)) {
		snprintf(why, WHY_SIZE, "modified at %ld.%09ld, expected %ld.%09ld",
			 (long)st->st_mtim.tv_sec, st->st_mtim.tv_nsec, (long)life->mtime.tv_sec,
			 life->mtime.tv_nsec);
		return false;
	}
	return r;
}

/* --- files in the slots' directories --- */

bool child_matches(int root, const char *path, struct slot *slot, int life, unsigned child,
		   const struct loss *loss, char *why)
{
	bool is_lower = child < FIRST_NEW_CHILD;
	uint64_t durable = atomic_load(&slot->children[child].durable);
	bool is_whole = is_lower || (durable && durable <= loss->before);
	size_t size = child_size(slot, life, child), n, at = 0;
	unsigned char *bytes, *expected;
	struct stat st;

	if (fstatat(root, path, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		snprintf(why, WHY_SIZE, "%s: %s", path, strerror(errno));
		return false;
	}
	if (is_lower && st.st_ino != slot->children[child].ino) {
		snprintf(why, WHY_SIZE, "%s: number %lu, was %lu", path, st.st_ino,
			 slot->children[child].ino);
		return false;
	}
	if (is_lower && (st.st_uid != slot->lives[0].attrs[0].uid || st.st_gid == 0 ||
			 ((st.st_mode & 07777) != 0604 && (st.st_mode & 07777) != 0751))) {
		snprintf(why, WHY_SIZE, "%s: attributes %o %u:%u", path, st.st_mode, st.st_uid,
			 st.st_gid);
		return false;
	}
	if (child == SUB || (is_lower && settings.lazy))
		return true;
	bytes = read_file(root, path, &n);
	expected = malloc(size);
	if (!bytes || !expected) {
		snprintf(why, WHY_SIZE, "%s: reading: %s", path, strerror(errno));
		return false;
	}
	fill(expected, size, child_key(slot, life, child), 0);
	while (at < n && at < size && (bytes[at] == expected[at] || (!is_whole && bytes[at] == 0)))
		at++;
	snprintf(why, WHY_SIZE, "%s: size %zu of %zu, right up to %zu", path, n, size, at);
	free(bytes);
	free(expected);
	return at == n && (is_whole ? n == size : n <= size);
}
