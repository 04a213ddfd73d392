/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Whole trees: reading them, what is wrong with one, and how two differ. */
#include "differ.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#define XXH_STATIC_LINKING_ONLY /* for a state that is not allocated */
#include <xxhash.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/table.h"
#include "base/xattr.h"

/* ---- reading ---- */

void tree_done(struct tree *tree)
{
	size_t i;

	for (i = 0; i < tree->count; i++) {
		free(tree->nodes[i].path);
		free(tree->nodes[i].target);
		free(tree->nodes[i].xattrs);
		free(tree->nodes[i].problems);
	}
	free(tree->nodes);
	*tree = (struct tree){ 0 };
}

static struct node *tree_add(struct tree *tree, char *path)
{
	if ((tree->count & (tree->count - 1)) == 0)
		tree->nodes = xrealloc(tree->nodes, 2 * tree->count + 1, sizeof(struct node));
	tree->nodes[tree->count] = (struct node){ .path = path };
	return &tree->nodes[tree->count++];
}

static int compare_strings(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void add_xattr(int fd, const char *name, struct text *text)
{
	cleanup_free char *value = NULL;
	ssize_t len = xattr_get_all(fd, name, &value);

	text_add_word(text, name);
	if (len < 0)
		text_add(text, "(%s) ", strerrorname_np(-len));
	else
		text_add(text, "=%zd:%08x ", len, (unsigned int)XXH3_64bits(value, len));
}

/* The daemon's own: kernel overlayfs shows them. That a mount does not is listxattr's to find. */
static bool is_cairn_xattr(const char *name)
{
	return !strncmp(name, "trusted.cairn.", 14) || !strncmp(name, "user.cairn.", 11);
}

/* "name=length:hash ..." in the order of names. */
static char *read_xattrs(int fd)
{
	cleanup_free char *list = NULL;
	cleanup_text struct text text = { 0 };
	ssize_t len = xattr_list(fd, &list), at;
	const char *names[256];
	size_t n = 0, i;

	if (len < 0)
		return xformat("(list: %s)", strerrorname_np(-len));
	for (at = 0; at < len && n < 256; at += strlen(list + at) + 1)
		if (!is_cairn_xattr(list + at))
			names[n++] = list + at;
	qsort(names, n, sizeof(*names), compare_strings);
	for (i = 0; i < n; i++)
		add_xattr(fd, names[i], &text);
	return xstrdup(text.s ? text.s : "");
}

/* -errno when it cannot be read; the hash otherwise. */
static int read_content(int dirfd, const char *name, const struct stat *st, uint64_t *ret)
{
	cleanup_fd int fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	static char buf[1 << 20];
	XXH3_state_t state;
	off_t off = 0;
	ssize_t n;

	if (fd < 0)
		return -errno;
	XXH3_64bits_reset(&state);
	while ((n = pread(fd, buf, sizeof(buf), off)) > 0) {
		XXH3_64bits_update(&state, buf, n);
		off += n;
	}
	*ret = XXH3_64bits_digest(&state);
	return n < 0 ? -errno : off != st->st_size ? -EMSGSIZE : 0;
}

static void add_problem(struct node *node, const char *word)
{
	char *old = node->problems;

	node->problems = xformat("%s%s ", old ? old : "", word);
	free(old);
}

static int read_node(struct node *node, int dirfd, const char *name)
{
	cleanup_fd int fd = openat(dirfd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct statx sx;
	int r = 0;

	if (fd < 0)
		return -errno;
	if (fstatat(dirfd, name, &node->st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (statx(fd, "", AT_EMPTY_PATH, STATX_BTIME, &sx) == 0)
		node->btime = (struct timespec){ sx.stx_btime.tv_sec, sx.stx_btime.tv_nsec };
	node->xattrs = read_xattrs(fd);
	if (S_ISLNK(node->st.st_mode))
		r = fd_readlink(fd, NULL, &node->target);
	else if (S_ISREG(node->st.st_mode))
		r = read_content(dirfd, name, &node->st, &node->hash);
	if (r < 0)
		add_problem(node, strerrorname_np(-r));
	return 0;
}

static int read_dir(struct tree *tree, size_t parent, int fd, dev_t dev);

static int read_entry(struct tree *tree, size_t parent, int fd, const struct dirent *d, dev_t dev)
{
	const char *above = tree->nodes[parent].path;
	char *path = !strcmp(above, ".") ? xstrdup(d->d_name) : xformat("%s/%s", above, d->d_name);
	struct node *node = tree_add(tree, path);
	size_t i = tree->count - 1;
	cleanup_fd int child = -1;
	int r = read_node(node, fd, d->d_name);

	if (r < 0) {
		add_problem(node, strerrorname_np(-r));
		return 0;
	}
	if (d->d_ino != node->st.st_ino)
		add_problem(node, "d_ino!=st_ino");
	if (d->d_type != IFTODT(node->st.st_mode) && d->d_type != DT_UNKNOWN)
		add_problem(node, "d_type");
	if (!S_ISDIR(node->st.st_mode) || node->st.st_dev != dev)
		return 0;
	child = openat(fd, d->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return child < 0 ? -errno : read_dir(tree, i, child, dev);
}

static int read_dir(struct tree *tree, size_t parent, int fd, dev_t dev)
{
	cleanup_dir DIR *dir = NULL;
	struct dirent *d;
	int r = fd_opendir(fd, &dir);

	if (r < 0)
		return r;
	while ((errno = 0, d = readdir(dir))) {
		if (!strcmp(d->d_name, "..")) {
			continue;
		} else if (!strcmp(d->d_name, ".")) {
			if (d->d_ino != tree->nodes[parent].st.st_ino)
				add_problem(&tree->nodes[parent], "d_ino(.)");
			continue;
		}
		r = read_entry(tree, parent, fd, d, dev);
		if (r < 0)
			return r;
	}
	return -errno;
}

static int compare_paths(const void *a, const void *b)
{
	return strcmp(((const struct node *)a)->path, ((const struct node *)b)->path);
}

static int compare_inodes(const void *a, const void *b)
{
	const struct node *m = *(struct node *const *)a, *n = *(struct node *const *)b;

	if (m->st.st_ino != n->st.st_ino)
		return m->st.st_ino < n->st.st_ino ? -1 : 1;
	return strcmp(m->path, n->path);
}

static void find_twins(struct tree *tree)
{
	struct node **sorted = xrealloc(NULL, tree->count, sizeof(*sorted));
	size_t i;

	for (i = 0; i < tree->count; i++)
		sorted[i] = &tree->nodes[i];
	qsort(sorted, tree->count, sizeof(*sorted), compare_inodes);
	for (i = 0; i < tree->count; i++)
		sorted[i]->twin = i && sorted[i]->st.st_ino == sorted[i - 1]->st.st_ino
					  ? sorted[i - 1]->twin
					  : sorted[i]->path;
	free(sorted);
}

static void drop_absent(struct tree *tree)
{
	size_t i, n = 0;

	for (i = 0; i < tree->count; i++) {
		struct node *node = &tree->nodes[i];

		if (node->st.st_ino) {
			tree->nodes[n++] = *node;
			continue;
		}
		free(node->path);
		free(node->problems);
	}
	tree->count = n;
}

int tree_read(int rootfd, bool kernel, struct tree *ret)
{
	struct tree tree = { 0 };
	struct node *root = tree_add(&tree, xstrdup("."));
	cleanup_fd int fd = openat(rootfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = fd < 0 ? -errno : read_node(root, fd, ".");

	if (r >= 0)
		r = read_dir(&tree, 0, fd, root->st.st_dev);
	if (r < 0) {
		tree_done(&tree);
		return r;
	}
	if (kernel)
		drop_absent(&tree);
	qsort(tree.nodes, tree.count, sizeof(struct node), compare_paths);
	find_twins(&tree);
	*ret = tree;
	return 0;
}

/* ---- comparing ---- */

static bool is_now(struct timespec t, time_t start)
{
	return t.tv_sec >= start && t.tv_sec < start + 86400;
}

static bool same_time(struct timespec a, struct timespec b, time_t start)
{
	return (a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec) ||
	       (is_now(a, start) && is_now(b, start));
}

static bool same_string(const char *a, const char *b)
{
	return !strcmp(a ? a : "", b ? b : "");
}

static bool is_device(const struct stat *st)
{
	return S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode);
}

/* Room for blocks that a filesystem puts around data of its own accord. */
static bool is_denser(const struct stat *want, const struct stat *got)
{
	return S_ISREG(got->st_mode) && got->st_blocks > want->st_blocks + 1024;
}

/* The name of the first thing in which they differ, or NULL. */
static const char *differing(const struct node *a, const struct node *b, time_t start, int what)
{
	const struct stat *x = &a->st, *y = &b->st;

	return (x->st_mode & S_IFMT) != (y->st_mode & S_IFMT)	       ? "type"
	       : !same_string(a->problems, b->problems)		       ? "problems"
	       : x->st_mode != y->st_mode			       ? "mode"
	       : x->st_uid != y->st_uid				       ? "uid"
	       : x->st_gid != y->st_gid				       ? "gid"
	       : !S_ISDIR(x->st_mode) && x->st_size != y->st_size      ? "size"
	       : a->hash != b->hash				       ? "content"
	       : !same_string(a->target, b->target)		       ? "target"
	       : is_device(x) && x->st_rdev != y->st_rdev	       ? "rdev"
	       : !same_string(a->xattrs, b->xattrs)		       ? "xattrs"
	       : !same_time(x->st_mtim, y->st_mtim, start)	       ? "mtime"
	       : what & COMPARE_LINKS && x->st_nlink != y->st_nlink    ? "nlink"
	       : what & COMPARE_LINKS && strcmp(a->twin, b->twin) != 0 ? "links"
	       : what & COMPARE_SPARSE && is_denser(x, y)	       ? "holes"
								       : NULL;
}

static void describe(struct text *text, const char *side, const struct node *node)
{
	const struct stat *st = &node->st;

	text_add(text,
		 "\n  %-5s mode=%o uid=%u gid=%u nlink=%ju size=%jd rdev=%jx mtime=%jd.%09ld"
		 " blocks=%jd ino=%ju hash=%016jx xattrs=%s",
		 side, st->st_mode, st->st_uid, st->st_gid, (uintmax_t)st->st_nlink,
		 (intmax_t)st->st_size, (uintmax_t)st->st_rdev, (intmax_t)st->st_mtim.tv_sec,
		 st->st_mtim.tv_nsec, (intmax_t)st->st_blocks, (uintmax_t)st->st_ino,
		 (uintmax_t)node->hash, node->xattrs ? node->xattrs : "");
	text_add(text, " same inode as: ");
	text_add_word(text, node->twin);
	if (node->target) {
		text_add(text, " target=");
		text_add_word(text, node->target);
	}
	if (node->problems)
		text_add(text, " problems=%s", node->problems);
}

static const char *type_word(mode_t mode)
{
	return S_ISDIR(mode)	? "dir"
	       : S_ISREG(mode)	? "file"
	       : S_ISLNK(mode)	? "symlink"
	       : S_ISFIFO(mode) ? "fifo"
	       : S_ISSOCK(mode) ? "socket"
				: "device";
}

/* The first name that is only in one of them. */
static bool same_names(const struct tree *want, const struct tree *got, struct text *difference,
		       struct text *signature)
{
	size_t i;

	for (i = 0; i < want->count || i < got->count; i++) {
		const struct node *a = i < want->count ? &want->nodes[i] : NULL;
		const struct node *b = i < got->count ? &got->nodes[i] : NULL;
		int order = !a ? 1 : !b ? -1 : strcmp(a->path, b->path);
		const struct node *one = order < 0 ? a : b;

		if (order == 0)
			continue;
		text_add(signature, "tree %s %s", type_word(one->st.st_mode),
			 order < 0 ? "missing" : "unwanted");
		text_add(difference, "%s: ", order < 0 ? "missing" : "unwanted");
		text_add_word(difference, one->path);
		describe(difference, order < 0 ? "plain" : "mount", one);
		return false;
	}
	return true;
}

bool tree_equal(const struct tree *want, const struct tree *got, time_t start, int what,
		struct text *difference, struct text *signature)
{
	size_t i;

	if (!same_names(want, got, difference, signature))
		return false;
	for (i = 0; i < want->count; i++) {
		const char *word = differing(&want->nodes[i], &got->nodes[i], start, what);

		if (!word)
			continue;
		text_add(signature, "tree %s %s", type_word(want->nodes[i].st.st_mode), word);
		text_add(difference, "%s: ", word);
		text_add_word(difference, want->nodes[i].path);
		describe(difference, "plain", &want->nodes[i]);
		describe(difference, "mount", &got->nodes[i]);
		return false;
	}
	return true;
}

/* ---- identity ---- */

struct identity {
	struct table_link link;
	ino_t plain;
	struct timespec born;
	ino_t mount;
};

struct identities {
	struct table table;
};

void identities_free(struct identities *identities)
{
	struct table_link *link;

	if (!identities)
		return;
	while ((link = table_pop(&identities->table)))
		free(TABLE_OBJECT(link, struct identity, link));
	table_done(&identities->table);
	free(identities);
}

/* A plain filesystem reuses numbers, but not within the same instant. */
static struct identity *find_identity(struct identities *identities, const struct node *node)
{
	uint64_t hash = table_hash_u64(node->st.st_ino ^ ((uint64_t)node->btime.tv_nsec << 32));
	struct table_link *link;
	struct identity *identity;

	for (link = table_find(&identities->table, hash); link; link = table_next(link)) {
		identity = TABLE_OBJECT(link, struct identity, link);
		if (identity->plain == node->st.st_ino &&
		    identity->born.tv_sec == node->btime.tv_sec &&
		    identity->born.tv_nsec == node->btime.tv_nsec)
			return identity;
	}
	identity = calloc(1, sizeof(*identity));
	identity->plain = node->st.st_ino;
	identity->born = node->btime;
	table_add(&identities->table, &identity->link, hash);
	return identity;
}

bool identities_check(struct identities **identities, const struct tree *want,
		      const struct tree *got, struct text *difference)
{
	size_t i;

	if (!*identities)
		*identities = calloc(1, sizeof(**identities));
	for (i = 0; i < want->count && i < got->count; i++) {
		struct identity *seen = find_identity(*identities, &want->nodes[i]);
		ino_t number = got->nodes[i].st.st_ino;

		if (!seen->mount)
			seen->mount = number;
		if (seen->mount == number)
			continue;
		text_add(difference, "inode number was %ju: ", (uintmax_t)seen->mount);
		text_add_word(difference, got->nodes[i].path);
		describe(difference, "plain", &want->nodes[i]);
		describe(difference, "mount", &got->nodes[i]);
		return false;
	}
	return true;
}
