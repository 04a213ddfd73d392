/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A union without FUSE for the tests of the verbs: branches, upper and work in
 * the scratch directory, and objects found by their path.  main() calls
 * union_each_style, which runs the tests once for each way to write marks.
 */
#ifndef TEST_UNION_H
#define TEST_UNION_H

#include <linux/capability.h>
#include <linux/securebits.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "copyup/copyup.h"
#include "copyup/file.h"
#include "node/dir.h"
#include "scratch.h"
#include "verb/verbs.h"

enum { UNION_MAX_BRANCHES = 8 };

static int branches[UNION_MAX_BRANCHES]; /* topmost first */
static size_t n_branches;
static int upper = -1, work = -1;
static struct fs_config config;
static struct fs *fs;

/* How marks are written in what is tested. */
static const struct union_style {
	const char *name;
	bool is_forced;
	enum whiteout_format format;
	bool has_xattrs;
} union_styles[] = {
	{ "as probed", false, WHITEOUT_DEVICE, true },
	{ "`.wh.` files", true, WHITEOUT_FILE, true },
	{ "`.wh.` files and no xattrs", true, WHITEOUT_FILE, false },
	{ "files with an xattr", true, WHITEOUT_XATTR, true },
};
static const struct union_style *style = union_styles;

/* Empty branches and an empty upper. */
static inline void union_make(size_t n)
{
	static unsigned int count;
	char name[64];

	n_branches = n;
	for (size_t i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "%d-%u-lower-%zu", (int)getpid(), count, i);
		branches[i] = make_dir_open(scratch, name);
	}
	snprintf(name, sizeof(name), "%d-%u-upper", (int)getpid(), count);
	upper = make_dir_open(scratch, name);
	snprintf(name, sizeof(name), "%d-%u-work", (int)getpid(), count);
	work = make_dir_open(scratch, name);
	count++;
	config = (struct fs_config){ .branches = branches,
				     .n_branches = n,
				     .upper = upper,
				     .work = work,
				     .claim = -1,
				     .chain_fd = -1,
				     .ledger_fd = -1,
				     .ino32_fd = -1,
				     .redirect_dir = true,
				     .is_volatile = true };
}

static inline void union_open(void)
{
	assert_eq(fs_open(&config, &fs), 0);
	if (style->is_forced) {
		fs->upper.caps.style.format = style->format;
		if (!style->has_xattrs)
			fs->upper.caps.style.xattr_prefix = NULL;
	}
}

static inline void union_close(void)
{
	fs_close(fs);
	fs = NULL;
}

static inline void union_reopen(void)
{
	union_close();
	union_open();
}

static inline void union_end(void)
{
	union_close();
	for (size_t i = 0; i < n_branches; i++)
		close(branches[i]);
	close(upper);
	close(work);
}

/* Whether overlay's xattrs can be set where the unions are. */
static inline bool union_takes_marks(void)
{
	make_file(scratch, "marked", "");
	return try_xattr(scratch, "marked",
			 is_root() ? "trusted.overlay.whiteout" : "user.overlay.whiteout", "y");
}

/* The process does as the daemon's worker does, then runs `tests` in every style. */
static inline void union_each_style(void (*tests)(void))
{
	umask(0);
	prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP);
	for (size_t i = 0; i < sizeof(union_styles) / sizeof(*union_styles); i++) {
		style = &union_styles[i];
		printf("marks: %s\n", style->name);
		fflush(stdout);
		if (style->format == WHITEOUT_XATTR && !union_takes_marks())
			skipped(style->name, "no xattrs here");
		else
			tests();
	}
}

/* Whether the modes of files count for us, as they do for others than root. */
static inline void heed_modes(bool on)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct caps[2];
	const unsigned int mask = 1u << CAP_DAC_OVERRIDE | 1u << CAP_DAC_READ_SEARCH;

	assert(syscall(SYS_capget, &header, caps) == 0);
	caps[0].effective &= ~mask;
	if (!on)
		caps[0].effective |= caps[0].permitted & mask;
	assert(syscall(SYS_capset, &header, caps) == 0);
}

/* --- finding by path --- */

/* The entry at a path; false if there is nothing. The reference is the caller's. */
static inline bool find_entry(const char *path, struct entry *ret)
{
	struct entry at = { .node = node_ref(fs->root) };

	assert_eq(fs_getattr(fs, at.node, &at.st), 0);
	while (*path) {
		size_t length = strcspn(path, "/");
		cleanup_free char *name = strndup(path, length);
		struct entry next = { 0 };
		int r = S_ISDIR(at.node->type) ? fs_lookup(fs, at.node, name, &next) : FS_ABSENT;

		node_unref(at.node);
		if (r < 0)
			fprintf(stderr, "looking up %s: %s\n", name, strerror(-r));
		assert(r == FS_FOUND || r == FS_ABSENT);
		if (r == FS_ABSENT)
			return false;
		at = next;
		path += length + strspn(path + length, "/");
	}
	*ret = at;
	return true;
}

/* The node at a path, with a reference; NULL if there is nothing. */
static inline struct node *find_node(const char *path)
{
	struct entry entry;

	return find_entry(path, &entry) ? entry.node : NULL;
}

/* The node at a path, which must be there. */
static inline struct node *node_of(const char *path)
{
	struct node *node = find_node(path);

	if (!node)
		fprintf(stderr, "%s is not there\n", path);
	assert(node);
	return node;
}

static inline bool is_there(const char *path)
{
	struct node *node = find_node(path);

	node_unref(node);
	return node != NULL;
}

/* The directory of a path, and the last component in *name. */
static inline struct node *dir_of(const char *path, const char **name)
{
	const char *slash = strrchr(path, '/');
	cleanup_free char *dir = strndup(path, slash ? (size_t)(slash - path) : 0);

	*name = slash ? slash + 1 : path;
	return node_of(dir);
}

/* What lookup says of a path, which must be what getattr says of its node. */
static inline struct stat stat_at(const char *path)
{
	struct entry entry;
	struct stat st;

	if (!find_entry(path, &entry)) {
		fprintf(stderr, "%s is not there\n", path);
		abort();
	}
	assert_eq(fs_getattr(fs, entry.node, &st), 0);
	assert_eq(entry.st.st_ino, st.st_ino);
	assert_eq(entry.st.st_ino, entry.node->ino);
	assert_eq(entry.st.st_mode, st.st_mode);
	assert_eq(entry.st.st_nlink, st.st_nlink);
	assert_eq(entry.st.st_size, st.st_size);
	node_unref(entry.node);
	return st;
}

/* --- the verbs by path: their results --- */

static inline struct caller self(void)
{
	return (struct caller){ .uid = geteuid(), .gid = getegid(), .umask = 022 };
}

static inline int create_as(const char *path, mode_t mode, dev_t rdev, const char *target,
			    const struct caller *caller)
{
	const struct newborn newborn = { .mode = mode, .rdev = rdev, .target = target };
	cleanup_entry struct entry entry = { 0 };
	const char *name;
	cleanup_node struct node *dir = dir_of(path, &name);

	return fs_create(fs, dir, name, &newborn, caller, &entry);
}

static inline int do_mkdir(const char *path, mode_t mode)
{
	struct caller caller = self();

	return create_as(path, S_IFDIR | mode, 0, NULL, &caller);
}

static inline int do_mknod(const char *path, mode_t mode)
{
	struct caller caller = self();

	return create_as(path, mode, 0, NULL, &caller);
}

static inline int do_symlink(const char *target, const char *path)
{
	struct caller caller = self();

	return create_as(path, S_IFLNK | 0777, 0, target, &caller);
}

static inline int do_link(const char *path, const char *newpath)
{
	cleanup_node struct node *node = node_of(path);
	cleanup_entry struct entry entry = { 0 };
	const char *name;
	cleanup_node struct node *dir = dir_of(newpath, &name);

	return fs_link(fs, node, dir, name, &entry);
}

static inline int do_unlink(const char *path)
{
	const char *name;
	cleanup_node struct node *dir = dir_of(path, &name);

	return fs_unlink(fs, dir, name);
}

static inline int do_rmdir(const char *path)
{
	const char *name;
	cleanup_node struct node *dir = dir_of(path, &name);

	return fs_rmdir(fs, dir, name);
}

static inline int do_rename(const char *path, const char *newpath, unsigned int flags)
{
	const char *name, *newname;
	cleanup_node struct node *dir = dir_of(path, &name);
	cleanup_node struct node *newdir = dir_of(newpath, &newname);

	return fs_rename(fs, dir, name, newdir, newname, flags);
}

static inline int do_write(const char *path, const char *text, off_t offset)
{
	cleanup_node struct node *node = node_of(path);
	ssize_t n = fs_write(fs, node, text, strlen(text), offset, NULL);

	return n < 0 ? (int)n : n == (ssize_t)strlen(text) ? 0 : -EIO;
}

/* A new file with content. */
static inline void write_new(const char *path, const char *text)
{
	assert_eq(do_mknod(path, S_IFREG | 0644), 0);
	assert_eq(do_write(path, text, 0), 0);
}

static inline int do_chmod(const char *path, mode_t mode)
{
	cleanup_node struct node *node = node_of(path);
	struct stat st = { .st_mode = mode };

	return fs_setattr(fs, node, &st, FS_SET_MODE, NULL, &st);
}

static inline int do_truncate(const char *path, off_t size)
{
	cleanup_node struct node *node = node_of(path);
	struct stat st = { .st_size = size };

	return fs_setattr(fs, node, &st, FS_SET_SIZE, NULL, &st);
}

/* --- looking --- */

/* What a node's file holds, in a buffer that the next call uses again. */
static inline const char *read_node(struct node *node)
{
	static char content[4096];
	int error = 0;
	cleanup_fd_ref struct fd_ref *ref = file_get(fs, node, false, &error);
	ssize_t n;

	assert_eq(error, 0);
	n = fd_pread_all(ref->fd, content, sizeof(content) - 1, 0);
	assert(n >= 0);
	content[n] = '\0';
	return content;
}

static inline const char *read_at(const char *path)
{
	cleanup_node struct node *node = node_of(path);

	return read_node(node);
}

static inline int union_compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The names in a directory, sorted, each followed by a space; numbers must be as lookups give them.
 */
static inline const char *list_at(const char *path)
{
	static char names[8192];
	cleanup_node struct node *dir = node_of(path);
	cleanup_listing struct listing *listing = NULL;
	const char *list[256];
	size_t n, used = 0;

	assert_eq(dir_list(fs, dir, true, &listing), 0);
	n = listing_count(listing);
	assert(n < 256);
	for (size_t i = 0; i < n; i++) {
		const struct listing_entry *entry = listing_at(listing, i);
		cleanup_entry struct entry found = { 0 };

		assert_eq(fs_lookup(fs, dir, entry->name, &found), FS_FOUND);
		assert_eq(found.st.st_ino, entry->ino);
		assert_eq(IFTODT(found.st.st_mode), entry->type);
		list[i] = entry->name;
	}
	if (n)
		qsort(list, n, sizeof(*list), union_compare_names);
	*names = '\0';
	for (size_t i = 0; i < n; i++)
		used += (size_t)snprintf(names + used, sizeof(names) - used, "%s ", list[i]);
	return names;
}

/* What upper holds at a path. */
enum in_upper { UPPER_FREE, UPPER_HAS_WHITEOUT, UPPER_HAS_OBJECT };
static inline enum in_upper upper_at(const char *path)
{
	const char *slash = strrchr(path, '/');
	int dir_length = slash ? (int)(slash - path) : 0;
	char mark[4096];
	struct stat st;

	snprintf(mark, sizeof(mark), "%.*s%s.wh.%s", dir_length, path, slash ? "/" : "",
		 slash ? slash + 1 : path);
	if (fstatat(upper, path, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return whiteout_is_at(upper, path, &st) ? UPPER_HAS_WHITEOUT : UPPER_HAS_OBJECT;
	return exists(upper, mark) ? UPPER_HAS_WHITEOUT : UPPER_FREE;
}

static inline bool is_opaque_in_upper(const char *path)
{
	cleanup_fd int fd = open_path(upper, path);

	return opaque_get(fd) == OPAQUE_YES;
}

/* How many names there are in a directory of the work directory. */
static inline int count_in_work(const char *dir)
{
	cleanup_fd int fd = open_dir(work, dir);
	cleanup_dir DIR *stream = NULL;
	int n = 0;

	assert_eq(fd_opendir(fd, &stream), 0);
	while (readdir(stream))
		n++;
	return n - 2;
}

#endif
