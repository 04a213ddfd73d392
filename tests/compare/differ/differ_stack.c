/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Branches as data, and onto the disk. */
#include "differ.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/xattr.h"

/* ---- lists of entries ---- */

void stack_add(struct stack *stack, struct entry entry)
{
	if ((stack->count & (stack->count - 1)) == 0)
		stack->entries = xrealloc(stack->entries, 2 * stack->count + 1, sizeof(entry));
	stack->entries[stack->count++] = entry;
}

void stack_remove(struct stack *stack, size_t i)
{
	free(stack->entries[i].path);
	free(stack->entries[i].target);
	free(stack->entries[i].redirect);
	memmove(&stack->entries[i], &stack->entries[i + 1],
		(--stack->count - i) * sizeof(struct entry));
}

void stack_done(struct stack *stack)
{
	while (stack->count)
		stack_remove(stack, stack->count - 1);
	free(stack->entries);
	*stack = (struct stack){ 0 };
}

struct entry entry_copy(const struct entry *from)
{
	struct entry entry = *from;

	entry.path = xstrdup(from->path);
	entry.target = xstrdup(from->target);
	entry.redirect = xstrdup(from->redirect);
	return entry;
}

void stack_copy(const struct stack *from, struct stack *to)
{
	size_t i;

	*to = (struct stack){ .n_branches = from->n_branches };
	for (i = 0; i < from->count; i++)
		stack_add(to, entry_copy(&from->entries[i]));
}

struct entry *stack_find(const struct stack *stack, int64_t branch, const char *path)
{
	size_t i;

	for (i = 0; i < stack->count; i++)
		if (stack->entries[i].branch == branch && !strcmp(stack->entries[i].path, path))
			return &stack->entries[i];
	return NULL;
}

bool path_is_below(const char *path, const char *top)
{
	size_t len = strlen(top);

	if (!strcmp(top, "."))
		return true;
	return !strncmp(path, top, len) && (path[len] == '\0' || path[len] == '/');
}

/* ---- onto the disk ---- */

size_t acl_make(uint64_t seed, bool named, char value[static 64])
{
	static const struct {
		uint16_t tag;
		uint32_t id;
	} all[] = { { 0x01, -1 },   { 0x02, 1000 }, { 0x04, -1 },
		    { 0x08, 2000 }, { 0x10, -1 },   { 0x20, -1 } };
	bool is_extended = seed % 4 != 0;
	uint32_t version = 2;
	size_t i, len = 0;

	memcpy(value, &version, 4);
	len += 4;
	for (i = 0; i < sizeof(all) / sizeof(*all); i++) {
		uint16_t permissions = (seed >> (3 * i)) & 7;
		uint32_t id = named || all[i].id == (uint32_t)-1 ? all[i].id : 0;

		if (!is_extended && all[i].tag & 0x1a)
			continue;
		memcpy(value + len, &all[i].tag, 2);
		memcpy(value + len + 2, &permissions, 2);
		memcpy(value + len + 4, &id, 4);
		len += 8;
	}
	return len;
}

static int set_xattrs(int fd, const struct entry *entry)
{
	static const unsigned char capability[20] = { 1, 0, 0, 2, 0x20 };
	char value[64];
	int r = 0, len = snprintf(value, sizeof(value), "value %jd", (intmax_t)entry->seed);

	if (r >= 0 && entry->xattrs & XATTR_ONE)
		r = xattr_set(fd, "user.one", value, len, 0);
	if (r >= 0 && entry->xattrs & XATTR_TWO)
		r = xattr_set(fd, "user.two", value, 0, 0);
	if (r >= 0 && entry->xattrs & XATTR_TRUSTED)
		r = xattr_set(fd, "trusted.three", value, len, 0);
	if (r >= 0 && entry->xattrs & XATTR_CAPABILITY)
		r = xattr_set(fd, "security.capability", capability, sizeof(capability), 0);
	if (r >= 0 && entry->xattrs & XATTR_DEFAULT_ACL) {
		size_t size = acl_make(entry->seed, true, value);

		r = xattr_set(fd, "system.posix_acl_default", value, size, 0);
	}
	return r;
}

/* Owner first: chown clears setuid bits and capabilities. */
static int set_attributes(int dirfd, const char *name, const struct entry *entry)
{
	cleanup_fd int fd = openat(dirfd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct timespec times[2] = { { entry->sec + 1, 0 }, { entry->sec, entry->nsec } };
	int r;

	if (fd < 0)
		return -errno;
	r = fd_chown(fd, entry->uid, entry->gid);
	if (r >= 0 && entry->type != ENTRY_SYMLINK)
		r = fd_chmod(fd, entry->mode);
	if (r >= 0)
		r = set_xattrs(fd, entry);
	if (r >= 0)
		r = fd_utimens(fd, times);
	return r;
}

/* A sparse file has data in the first of every 16 blocks of 64 KiB, and a hole at its end. */
static int write_content(int fd, const struct entry *entry)
{
	char buf[65536];
	int64_t off, step = entry->sparse ? 16 * sizeof(buf) : sizeof(buf);

	if (ftruncate(fd, entry->size) < 0)
		return -errno;
	for (off = 0; off < entry->size; off += step) {
		int64_t left = entry->size - off;
		size_t len = left < (int64_t)sizeof(buf) ? (size_t)left : sizeof(buf);

		data_fill(buf, len, entry->seed, off);
		if (fd_pwrite_all(fd, buf, len, off) != (ssize_t)len)
			return -EIO;
	}
	return 0;
}

static int make_file(int dirfd, const char *name, const struct entry *entry)
{
	cleanup_fd int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	return fd < 0 ? -errno : write_content(fd, entry);
}

/* An empty file `name`, or `.wh.NAME`; with an xattr, one that the directory has to announce. */
static int make_whiteout(int dirfd, const char *name, enum mark format)
{
	const char *space = format == WHITEOUT_ATTR_USER ? "user" : "trusted";
	cleanup_free char *mark = xformat(".wh.%s", name);
	cleanup_free char *xattr = xformat("%s.overlay.whiteout", space);
	cleanup_free char *announcement = xformat("%s.overlay.opaque", space);
	cleanup_fd int fd = -1;

	if (format == WHITEOUT_CHAR)
		return mknodat(dirfd, name, S_IFCHR, makedev(0, 0)) < 0 ? -errno : 0;
	fd = openat(dirfd, format == WHITEOUT_WH ? mark : name,
		    O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	if (format == WHITEOUT_WH)
		return 0;
	if (fsetxattr(fd, xattr, "", 0, 0) < 0)
		return -errno;
	return xattr_set(dirfd, announcement, "x", 1, 0);
}

static int make_mark(int dirfd, enum mark mark)
{
	if (mark == OPAQUE_WH)
		return make_whiteout(dirfd, ".wh..opq", WHITEOUT_WH);
	return xattr_set(dirfd,
			 mark == OPAQUE_TRUSTED ? "trusted.overlay.opaque"
			 : mark == OPAQUE_USER	? "user.overlay.opaque"
						: "user.fuseoverlayfs.opaque",
			 "y", 1, 0);
}

static int make_redirect(int dirfd, const struct entry *entry)
{
	return xattr_set(dirfd,
			 entry->xattrs & XATTR_REDIRECT_USER ? "user.overlay.redirect"
							     : "trusted.overlay.redirect",
			 entry->redirect, strlen(entry->redirect), 0);
}

static int make_dir(int dirfd, const char *name, const struct entry *entry)
{
	cleanup_fd int fd = -1;
	int r = 0;

	/* The root, "." is there already. */
	if (strcmp(name, ".") != 0 && mkdirat(dirfd, name, 0700) < 0)
		return -errno;
	fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (entry->redirect)
		r = make_redirect(fd, entry);
	return r < 0 ? r : entry->mark >= OPAQUE_TRUSTED ? make_mark(fd, entry->mark) : 0;
}

static int make_object(int dirfd, const char *name, const struct entry *entry)
{
	static const mode_t types[] = {
		[ENTRY_FIFO] = S_IFIFO,
		[ENTRY_SOCKET] = S_IFSOCK,
		[ENTRY_CHAR] = S_IFCHR,
		[ENTRY_BLOCK] = S_IFBLK,
	};

	switch (entry->type) {
	case ENTRY_DIR:
		return make_dir(dirfd, name, entry);
	case ENTRY_FILE:
		return make_file(dirfd, name, entry);
	case ENTRY_SYMLINK:
		return symlinkat(entry->target, dirfd, name) < 0 ? -errno : 0;
	case ENTRY_WHITEOUT:
		return make_whiteout(dirfd, name, entry->mark);
	default:
		return mknodat(dirfd, name, types[entry->type] | 0600, entry->rdev) < 0 ? -errno
											: 0;
	}
}

/* Opens the directory that holds `path`, and gives its last component. */
static int open_parent(int root, const char *path, const char **ret_name)
{
	const char *slash = strrchr(path, '/');
	cleanup_free char *parent = slash ? strndup(path, slash - path) : xstrdup(".");

	*ret_name = slash ? slash + 1 : path;
	return fd_open_beneath(root, parent, O_RDONLY | O_DIRECTORY);
}

static int link_to(int root, const char *old, int dirfd, const char *name)
{
	const char *old_name;
	cleanup_fd int old_dir = open_parent(root, old, &old_name);

	return linkat(old_dir, old_name, dirfd, name, 0) < 0 ? -errno : 0;
}

/* Entry `i` as the first of its link group or as a link to that. */
static int make_entry(const struct stack *stack, size_t i, int root)
{
	const struct entry *entry = &stack->entries[i];
	const char *name;
	cleanup_fd int dirfd = open_parent(root, entry->path, &name);
	size_t k;
	int r;

	if (dirfd < 0)
		return dirfd;
	for (k = 0; entry->group && k < i; k++)
		if (stack->entries[k].branch == entry->branch &&
		    stack->entries[k].group == entry->group)
			return link_to(root, stack->entries[k].path, dirfd, name);
	r = make_object(dirfd, name, entry);
	if (r >= 0 && entry->mark == WHITEOUT_WH && entry->type != ENTRY_WHITEOUT)
		r = make_whiteout(dirfd, name, WHITEOUT_WH);
	if (r >= 0 && entry->type != ENTRY_DIR && entry->type != ENTRY_WHITEOUT)
		r = set_attributes(dirfd, name, entry);
	return r;
}

static size_t depth(const char *path)
{
	size_t n = strcmp(path, ".") ? 1 : 0;

	for (; *path; path++)
		n += *path == '/';
	return n;
}

/* Directories before what is in them, then the rest; `pass` 2 is the directories' attributes. */
static int make_pass(const struct stack *stack, int64_t branch, int root, int pass, size_t level)
{
	size_t i;

	for (i = 0; i < stack->count; i++) {
		const struct entry *entry = &stack->entries[i];
		int r = 0;

		if (entry->branch != branch || (entry->type == ENTRY_DIR) == (pass == 1) ||
		    (pass != 1 && depth(entry->path) != level))
			continue;
		if (pass == 2) {
			const char *name;
			cleanup_fd int dirfd = open_parent(root, entry->path, &name);

			r = dirfd < 0 ? dirfd : set_attributes(dirfd, name, entry);
		} else {
			r = make_entry(stack, i, root);
		}
		if (r < 0) {
			fprintf(stderr, "differ: cannot make %s of branch %jd: %s\n", entry->path,
				(intmax_t)branch, strerror(-r));
			return r;
		}
	}
	return 0;
}

int stack_materialise(const struct stack *stack, int64_t branch, int dirfd)
{
	size_t level, deepest = 0, i;
	int r = 0;

	for (i = 0; i < stack->count; i++)
		if (depth(stack->entries[i].path) > deepest)
			deepest = depth(stack->entries[i].path);
	for (level = 0; r >= 0 && level <= deepest; level++)
		r = make_pass(stack, branch, dirfd, 0, level);
	if (r >= 0)
		r = make_pass(stack, branch, dirfd, 1, 0);
	for (level = deepest + 1; r >= 0 && level-- > 0;)
		r = make_pass(stack, branch, dirfd, 2, level);
	return r;
}
