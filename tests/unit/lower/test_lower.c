/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The merged lower tree, as it is read from branch directories: the rules of doc/semantics.md. */
#include "lower/lower.h"

#include <dirent.h>

#include "scratch.h"

enum { MAX_BRANCHES = 8 };

/* The branch that an object comes from. */
static unsigned int branch_of(struct lower_obj *obj)
{
	cleanup_free char *path = NULL;
	unsigned int branch;

	assert(lower_source(obj, &branch, &path) == 0);
	return branch;
}

static int branches[MAX_BRANCHES]; /* topmost first */
static size_t n_branches;
static struct fdcache fds;
static struct lower *lower;

/* Empty branches, the topmost with number 0. */
static void begin(size_t n)
{
	static unsigned int count;
	char name[64];

	n_branches = n;
	for (size_t i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "%d-%u-%zu", (int)getpid(), count, i);
		branches[i] = make_dir_open(scratch, name);
	}
	count++;
}

static void open_lower(void)
{
	fdcache_init(&fds, 16);
	assert_eq(lower_of_dirs(branches, n_branches, &fds, &lower), 0);
}

static void close_lower(void)
{
	lower_free(lower);
	fdcache_done(&fds);
}

static void end(void)
{
	close_lower();
	for (size_t i = 0; i < n_branches; i++)
		close(branches[i]);
}

/* The object at a path, with a reference, or NULL. */
static struct lower_obj *find(const char *path)
{
	struct lower_obj *at = lower_root(lower);

	while (at && *path) {
		size_t length = strcspn(path, "/");
		char *name = strndup(path, length);
		struct lower_obj *next = NULL;
		int r = lower_lookup(at, name, &next, NULL);

		assert(r == LOWER_FOUND || r == LOWER_ABSENT);
		free(name);
		lower_unref(at);
		at = r == LOWER_FOUND ? next : NULL;
		path += length + strspn(path + length, "/");
	}
	return at;
}

/* What stands at a path: its content; "dir", "-> TARGET" or the like; NULL for nothing. */
static const char *what(const char *path)
{
	static char answer[4096];
	cleanup_lower_obj struct lower_obj *obj = find(path);
	cleanup_free char *target = NULL;
	cleanup_fd int fd = -1;
	ssize_t n;

	if (!obj)
		return NULL;
	if (S_ISDIR(obj->type))
		return "dir";
	if (S_ISLNK(obj->type)) {
		assert_eq(lower_readlink(obj, &target), 0);
		snprintf(answer, sizeof(answer), "-> %s", target);
		return answer;
	}
	if (!S_ISREG(obj->type))
		return "special";
	fd = lower_open(obj, O_RDONLY);
	assert(fd >= 0);
	n = read(fd, answer, sizeof(answer) - 1);
	assert(n >= 0);
	answer[n] = '\0';
	return answer;
}

static struct stat lower_stat_at(const char *path)
{
	cleanup_lower_obj struct lower_obj *obj = find(path);
	struct stat st;

	assert(obj);
	assert_eq(lower_stat(obj, &st), 0);
	return st;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The names in a directory, sorted, each followed by a space. */
static const char *names_in(const char *path)
{
	static char names[4096];
	cleanup_lower_obj struct lower_obj *dir = find(path);
	cleanup_listing struct listing *listing = NULL;
	const char *list[256];
	size_t n, used = 0;

	assert(dir);
	assert_eq(lower_list(dir, &listing), 0);
	n = listing_count(listing);
	assert(n < 256);
	for (size_t i = 0; i < n; i++)
		list[i] = listing_at(listing, i)->name;
	qsort(list, n, sizeof(*list), compare_names);
	*names = '\0';
	for (size_t i = 0; i < n; i++)
		used += (size_t)snprintf(names + used, sizeof(names) - used, "%s ", list[i]);
	return names;
}

static int collect(void *context, const char *path)
{
	char **list = context;
	size_t n = 0;

	while (list[n])
		n++;
	list[n] = strdup(path);
	return 0;
}

/* The paths that lower_names gives, sorted, each followed by a space. */
static const char *links_of(const char *path)
{
	static char names[4096];
	cleanup_lower_obj struct lower_obj *obj = find(path);
	char *list[64] = { NULL };
	size_t n = 0, used = 0;

	assert(obj);
	assert_eq(lower_names(obj, collect, list), 0);
	while (list[n])
		n++;
	qsort(list, n, sizeof(*list), compare_names);
	*names = '\0';
	for (size_t i = 0; i < n; i++) {
		used += (size_t)snprintf(names + used, sizeof(names) - used, "%s ", list[i]);
		free(list[i]);
	}
	return names;
}

/* An overlay mark that this user and filesystem can write: the trusted or the user xattr. */
static bool try_mark(int branch, const char *path, const char *mark, const char *value)
{
	char name[64];

	snprintf(name, sizeof(name), "%s.overlay.%s", is_root() ? "trusted" : "user", mark);
	return try_xattr(branch, path, name, value);
}

static void mark(int branch, const char *path, const char *name, const char *value)
{
	assert(try_mark(branch, path, name, value));
}

/* --- merging --- */

static void test_topmost_wins(void)
{
	begin(3);
	make_file(branches[0], "a", "a0");
	make_file(branches[1], "a", "a1");
	make_file(branches[1], "b", "b1");
	make_file(branches[2], "b", "b2");
	make_file(branches[2], "c", "c2");
	open_lower();
	assert_streq(what("a"), "a0");
	assert_streq(what("b"), "b1");
	assert_streq(what("c"), "c2");
	assert_streq(what("d"), NULL);
	assert_streq(names_in(""), "a b c ");
	end();
}

static void test_directories_merge(void)
{
	struct stat st;

	begin(3);
	make_dir(branches[0], "d", 0711);
	make_dir(branches[0], "d/x", 0755);
	make_dir(branches[1], "d", 0755);
	make_dir(branches[1], "d/y", 0755);
	make_file(branches[1], "d/f", "f1");
	make_dir(branches[2], "d", 0700);
	make_dir(branches[2], "d/x", 0755);
	make_file(branches[2], "d/x/deep", "deep2");
	make_file(branches[2], "d/f", "f2");
	set_times(branches[0], "d", 1000, 7);
	open_lower();
	assert_streq(names_in("d"), "f x y ");
	assert_streq(what("d/f"), "f1");
	assert_streq(what("d/x/deep"), "deep2");
	st = lower_stat_at("d");
	assert_eq(st.st_mode, S_IFDIR | 0711);
	assert_eq(st.st_mtim.tv_sec, 1000);
	assert_eq(st.st_mtim.tv_nsec, 7);
	assert_eq(st.st_nlink, 4); /* itself, its name, x and y */
	end();
}

static void test_file_over_directory(void)
{
	begin(3);
	make_file(branches[0], "n", "file");
	make_dir(branches[1], "n", 0755);
	make_file(branches[1], "n/below", "hidden");
	/* And what is below the file does not come up between directories. */
	make_dir(branches[0], "m", 0755);
	make_file(branches[1], "m", "file");
	make_dir(branches[2], "m", 0755);
	make_file(branches[2], "m/below", "hidden");
	open_lower();
	assert_streq(what("n"), "file");
	assert_streq(what("n/below"), NULL);
	assert_streq(what("m"), "dir");
	assert_streq(what("m/below"), NULL);
	assert_streq(names_in("m"), "");
	end();
}

static void test_directory_over_file(void)
{
	begin(2);
	make_dir(branches[0], "n", 0755);
	make_file(branches[0], "n/f", "f");
	make_file(branches[1], "n", "file");
	make_dir(branches[0], "l", 0755);
	make_symlink(branches[1], "/etc", "l");
	open_lower();
	assert_streq(what("n"), "dir");
	assert_streq(names_in("n"), "f ");
	assert_streq(names_in("l"), "");
	end();
}

static void test_every_type_is_an_object(void)
{
	begin(1);
	make_symlink(branches[0], "/etc/passwd", "link");
	assert(mkfifoat(branches[0], "fifo", 0600) == 0);
	assert(mknodat(branches[0], "socket", S_IFSOCK | 0600, 0) == 0);
	make_file(branches[0], "empty", "");
	open_lower();
	assert_streq(what("link"), "-> /etc/passwd");
	assert_streq(what("fifo"), "special");
	assert_streq(what("socket"), "special");
	assert_streq(what("empty"), "");
	/* A symlink is an object and no way anywhere. */
	assert_streq(what("link/x"), NULL);
	end();
	if (!is_root()) {
		skipped("devices in branches", "only for root");
		return;
	}
	begin(2);
	assert(mknodat(branches[0], "null", S_IFCHR | 0666, makedev(1, 3)) == 0);
	assert(mknodat(branches[0], "block", S_IFBLK | 0600, makedev(0, 0)) == 0);
	make_file(branches[1], "null", "n");
	open_lower();
	assert_streq(what("null"), "special");
	assert_eq(lower_stat_at("null").st_rdev, makedev(1, 3));
	assert_streq(what("block"), "special"); /* only character devices hide */
	end();
}

/* --- whiteouts --- */

static void test_device_whiteout(void)
{
	begin(3);
	make_whiteout(branches[0], "f");
	make_file(branches[1], "f", "f1");
	make_whiteout(branches[1], "g");
	make_file(branches[2], "g", "g2");
	make_file(branches[0], "g", "g0");
	make_whiteout(branches[0], "d");
	make_dir(branches[1], "d", 0755);
	make_file(branches[1], "d/x", "x");
	make_whiteout(branches[2], "nothing");
	open_lower();
	assert_streq(what("f"), NULL);
	assert_streq(what("g"), "g0");
	assert_streq(what("d"), NULL);
	assert_streq(what("d/x"), NULL);
	assert_streq(what("nothing"), NULL);
	assert_streq(names_in(""), "g ");
	end();
}

/* A directory above a whiteout above a directory: the lowest takes no part. */
static void test_whiteout_between_directories(void)
{
	for (int format = 0; format < 2; format++) {
		begin(3);
		make_dir(branches[0], "d", 0755);
		make_file(branches[0], "d/new", "new");
		if (format == 0)
			make_whiteout(branches[1], "d");
		else
			make_file(branches[1], ".wh.d", "");
		make_dir(branches[2], "d", 0755);
		make_file(branches[2], "d/old", "old");
		open_lower();
		assert_streq(names_in("d"), "new ");
		assert_streq(what("d/old"), NULL);
		end();
	}
}

static void test_file_whiteout(void)
{
	begin(2);
	make_file(branches[0], ".wh.f", "");
	make_file(branches[1], "f", "f1");
	make_file(branches[0], ".wh.d", "");
	make_dir(branches[1], "d", 0755);
	make_file(branches[1], "d/x", "x");
	make_file(branches[1], "stays", "s");
	open_lower();
	assert_streq(what("f"), NULL);
	assert_streq(what("d"), NULL);
	assert_streq(what(".wh.f"), NULL);
	assert_streq(names_in(""), "stays ");
	end();
}

/* `.wh.x` speaks of lower branches: an `x` beside it is visible, and a directory so is opaque. */
static void test_file_whiteout_beside_its_name(void)
{
	begin(2);
	make_file(branches[0], ".wh.f", "");
	make_file(branches[0], "f", "f0");
	make_file(branches[1], "f", "f1");
	make_file(branches[0], ".wh.d", "");
	make_dir(branches[0], "d", 0755);
	make_file(branches[0], "d/new", "new");
	make_dir(branches[1], "d", 0755);
	make_file(branches[1], "d/old", "old");
	open_lower();
	assert_streq(what("f"), "f0");
	assert_streq(names_in("d"), "new ");
	assert_streq(what("d/old"), NULL);
	assert_streq(names_in(""), "d f ");
	end();
}

static void test_no_mark_is_ever_shown(void)
{
	begin(2);
	make_file(branches[1], ".wh.", "");
	make_file(branches[1], ".wh..wh.plnk", "");
	make_file(branches[1], ".wh..wh.aufs", "");
	make_file(branches[1], ".wh.x", "");
	make_file(branches[1], ".whx", "not a mark");
	make_file(branches[1], "wh.x", "not a mark");
	open_lower();
	assert_streq(names_in(""), ".whx wh.x ");
	assert_streq(what(".wh."), NULL);
	assert_streq(what(".wh..wh.plnk"), NULL);
	assert_streq(what(".wh.x"), NULL);
	assert_streq(what(".whx"), "not a mark");
	end();
}

/* A name so long that `.wh.` does not fit before it can only be hidden by a device. */
static void test_whiteouts_of_long_names(void)
{
	char name[256];

	memset(name, 'n', 255);
	name[255] = '\0';
	begin(2);
	make_file(branches[1], name, "long");
	open_lower();
	assert_streq(what(name), "long");
	close_lower();
	make_whiteout(branches[0], name);
	open_lower();
	assert_streq(what(name), NULL);
	end();
}

static void test_xattr_whiteout(void)
{
	begin(2);
	make_file(branches[1], "f", "f1");
	make_file(branches[0], "f", "");
	make_dir(branches[1], "d", 0755);
	make_file(branches[1], "d/f", "f1");
	make_file(branches[1], "d/g", "g1");
	make_file(branches[1], "d/h", "h1");
	make_dir(branches[0], "d", 0755);
	make_file(branches[0], "d/f", "");
	make_file(branches[0], "d/g", "not empty");
	make_file(branches[0], "d/h", "");
	if (!try_mark(branches[0], "d", "opaque", "x")) {
		skipped("xattr whiteouts", "no xattrs here");
		open_lower();
		end();
		return;
	}
	mark(branches[0], "d/f", "whiteout", "");
	mark(branches[0], "d/g", "whiteout", "y");
	/* What the directory's mark says is for listings: the kernel lists this one. */
	mark(branches[0], "f", "whiteout", "y");
	open_lower();
	assert_streq(what("d/f"), NULL);
	assert_streq(what("d/g"), "not empty");
	assert_streq(what("d/h"), "");
	assert_streq(names_in("d"), "g h ");
	assert_streq(what("f"), NULL);
	assert_streq(names_in(""), "d f ");
	end();
	/* In the lowest branch it hides nothing, and is not shown either. */
	begin(1);
	make_dir(branches[0], "d", 0755);
	make_file(branches[0], "d/f", "");
	mark(branches[0], "d", "opaque", "x");
	mark(branches[0], "d/f", "whiteout", "y");
	open_lower();
	assert_streq(what("d/f"), NULL);
	assert_streq(names_in("d"), "");
	end();
}

/* --- opaque directories --- */

static void expect_opaque(bool is_opaque)
{
	open_lower();
	assert_streq(names_in("d"), is_opaque ? "new sub " : "new old sub ");
	assert_streq(what("d/old"), is_opaque ? NULL : "old");
	assert_streq(what("d/sub/old"), is_opaque ? NULL : "old");
	assert_streq(what("d/new"), "new");
	assert_eq(lower_stat_at("d").st_nlink, 3);
	end();
}

static void begin_opaque(void)
{
	begin(3);
	make_dir(branches[1], "d", 0755);
	make_file(branches[1], "d/new", "new");
	make_dir(branches[1], "d/sub", 0755);
	make_dir(branches[2], "d", 0755);
	make_file(branches[2], "d/old", "old");
	make_dir(branches[2], "d/sub", 0755);
	make_file(branches[2], "d/sub/old", "old");
}

static void test_opaque(void)
{
	static const char *const names[] = { "trusted.overlay.opaque", "user.overlay.opaque",
					     "user.fuseoverlayfs.opaque" };

	begin_opaque();
	expect_opaque(false);
	begin_opaque();
	make_file(branches[1], "d/.wh..wh..opq", "");
	expect_opaque(true);
	for (size_t i = 0; i < 3; i++) {
		begin_opaque();
		if (try_xattr(branches[1], "d", names[i], "y")) {
			expect_opaque(true);
			continue;
		}
		skipped(names[i], "cannot be set here");
		expect_opaque(false);
	}
	/* `x`, `n` and nothing do not make opaque. */
	for (size_t i = 0; i < 3; i++) {
		static const char *const values[] = { "x", "n", "" };

		begin_opaque();
		try_mark(branches[1], "d", "opaque", values[i]);
		expect_opaque(false);
	}
}

/* An opaque branch root hides all branches below. */
static void test_opaque_root(void)
{
	begin(3);
	make_file(branches[0], "a", "a");
	make_file(branches[1], "b", "b");
	make_file(branches[2], "c", "c");
	make_file(branches[1], ".wh..wh..opq", "");
	open_lower();
	assert_streq(names_in(""), "a b ");
	assert_streq(what("c"), NULL);
	end();
	/* Nor does a redirect lead past it. */
	begin(3);
	make_dir(branches[0], "d", 0755);
	make_dir(branches[2], "origin", 0755);
	make_file(branches[2], "origin/old", "old");
	make_file(branches[1], ".wh..wh..opq", "");
	if (try_mark(branches[0], "d", "redirect", "/origin")) {
		open_lower();
		assert_streq(names_in("d"), "");
	} else {
		skipped("redirects", "no xattrs here");
		open_lower();
	}
	end();
}

/* --- redirects --- */

static void test_redirects(void)
{
	begin(3);
	make_dir(branches[0], "moved", 0755);
	make_file(branches[0], "moved/new", "new");
	make_dir(branches[1], "origin", 0755);
	make_file(branches[1], "origin/old", "old1");
	make_dir(branches[2], "origin", 0755);
	make_file(branches[2], "origin/older", "old2");
	make_dir(branches[2], "moved", 0755);
	make_file(branches[2], "moved/unrelated", "u");
	make_whiteout(branches[0], "origin");
	/* relative: a sibling's name */
	make_dir(branches[0], "p", 0755);
	make_dir(branches[0], "p/renamed", 0755);
	make_dir(branches[1], "p", 0755);
	make_dir(branches[2], "p", 0755);
	make_dir(branches[2], "p/sibling", 0755);
	make_file(branches[2], "p/sibling/s", "s");
	make_whiteout(branches[0], "p/sibling");
	if (!try_mark(branches[0], "moved", "redirect", "/origin")) {
		skipped("redirects", "no xattrs here");
		open_lower();
		end();
		return;
	}
	mark(branches[0], "p/renamed", "redirect", "sibling");
	open_lower();
	assert_streq(names_in("moved"), "new old older ");
	assert_streq(what("moved/older"), "old2");
	assert_streq(what("origin"), NULL);
	assert_streq(what("p/renamed/s"), "s");
	assert_streq(names_in("p"), "renamed ");
	end();
}

/* Redirects of redirects, one in each branch, and below a redirected directory. */
static void test_chained_redirects(void)
{
	begin(3);
	make_dir(branches[0], "c", 0755);
	make_dir(branches[1], "b", 0755);
	make_dir(branches[1], "b/in", 0755);
	make_file(branches[1], "b/in/one", "1");
	make_dir(branches[2], "a", 0755);
	make_dir(branches[2], "a/inside", 0755);
	make_file(branches[2], "a/inside/two", "2");
	make_file(branches[2], "a/f", "f");
	make_whiteout(branches[0], "b");
	make_whiteout(branches[1], "a");
	if (!try_mark(branches[0], "c", "redirect", "/b")) {
		skipped("redirects", "no xattrs here");
		open_lower();
		end();
		return;
	}
	mark(branches[1], "b", "redirect", "a");
	mark(branches[1], "b/in", "redirect", "/a/inside");
	open_lower();
	assert_streq(what("a"), NULL);
	assert_streq(what("b"), NULL);
	assert_streq(what("c/f"), "f");
	assert_streq(names_in("c/in"), "one two ");
	end();
}

/* Whatever a redirect says, it never leaves the branch, and one that leads nowhere hides no more.
 */
static void test_hostile_redirects(void)
{
	static const struct {
		const char *value;
		bool is_redirect;
	} cases[] = {
		{ "/link", true },	 { "/link/ssl", true }, { "/file", true },
		{ "/absent/x", true },	 { "...", true },	{ "/", false },
		{ ".", false },		 { "..", false },	{ "../..", false },
		{ "a/b", false },	 { "a/", false },	{ "//a", false },
		{ "/a//b", false },	 { "/a/", false },	{ "/a/./b", false },
		{ "/a/../../b", false }, { "/..", false },	{ "./a", false },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		cleanup_lower_obj struct lower_obj *root = NULL;
		cleanup_lower_obj struct lower_obj *obj = NULL;
		cleanup_listing struct listing *listing = NULL;

		begin(2);
		make_dir(branches[0], "d", 0755);
		make_file(branches[0], "d/own", "own");
		make_symlink(branches[1], "/etc", "link");
		make_file(branches[1], "file", "f");
		if (!try_mark(branches[0], "d", "redirect", cases[i].value)) {
			skipped("redirects", "no xattrs here");
			open_lower();
			end();
			return;
		}
		open_lower();
		root = lower_root(lower);
		assert_eq(lower_lookup(root, "d", &obj, NULL),
			  cases[i].is_redirect ? LOWER_FOUND : -EIO);
		if (obj && lower_list(obj, &listing) == 0) {
			assert_eq(listing_count(listing), 1);
			assert(listing_find(listing, "own"));
		}
		lower_unref(take_ptr(obj));
		lower_unref(take_ptr(root));
		end();
	}
}

/* --- walking --- */

struct walk {
	unsigned int n_dirs;
};

static void check_walk(struct lower_obj *dir, struct walk *walk)
{
	cleanup_listing struct listing *listing = NULL;
	cleanup_lower_obj struct lower_obj *again = NULL;
	cleanup_listing struct listing *same = NULL;
	cleanup_free char *path = NULL;

	walk->n_dirs++;
	assert_eq(lower_path(dir, &path), 0);
	assert_eq(lower_list(dir, &listing), 0);
	/* lower_walk finds a directory by its path, whole. */
	if (dir->ino == LOWER_ROOT_INO)
		again = lower_ref(dir);
	else if (lower_walk(lower, path, &again) != LOWER_FOUND)
		fprintf(stderr, "lower_walk does not find %s\n", path);
	assert(again);
	assert_eq(lower_list(again, &same), 0);
	assert_eq(listing_count(listing), listing_count(same));
	for (size_t i = 0; i < listing_count(listing); i++) {
		const struct listing_entry *entry = listing_at(listing, i);
		cleanup_lower_obj struct lower_obj *obj = NULL;
		struct stat st;

		assert_streq(listing_at(same, i)->name, entry->name);
		assert_eq(lower_lookup(dir, entry->name, &obj, &st), LOWER_FOUND);
		assert_eq(obj->ino, entry->ino);
		assert_eq(st.st_ino, entry->ino);
		assert_eq(IFTODT(st.st_mode), entry->type);
		if (S_ISDIR(obj->type))
			check_walk(obj, walk);
	}
}

static void check_whole_walk(unsigned int n_dirs)
{
	cleanup_lower_obj struct lower_obj *root = lower_root(lower);
	struct walk walk = { 0 };

	check_walk(root, &walk);
	assert_eq(walk.n_dirs, n_dirs);
}

static void test_walk(void)
{
	begin(2);
	make_dir(branches[0], "a", 0755);
	make_dir(branches[1], "a", 0755);
	make_dir(branches[1], "a/b", 0755);
	make_dir(branches[1], "a/b/c", 0755);
	make_file(branches[1], "a/b/c/f", "f");
	open_lower();
	check_whole_walk(4);
	{
		struct lower_obj *none;

		assert_eq(lower_walk(lower, "/a/b/x", &none), LOWER_ABSENT);
		assert_eq(lower_walk(lower, "/a/b/c/f", &none), LOWER_ABSENT);
		assert_eq(lower_walk(lower, "/a/b/c/f/g", &none), LOWER_ABSENT);
		assert_eq(lower_walk(lower, "a//b/", &none), LOWER_FOUND);
		lower_unref(none);
	}
	end();
}

static void test_walk_finds_the_root(void)
{
	cleanup_lower_obj struct lower_obj *root = NULL;

	begin(1);
	open_lower();
	assert_eq(lower_walk(lower, "/", &root), LOWER_FOUND);
	assert_eq(root->ino, LOWER_ROOT_INO);
	lower_unref(take_ptr(root));
	end();
}

/* What is below a redirected directory has a path too by which it is found again. */
static void test_walk_below_a_redirect(void)
{
	begin(2);
	make_dir(branches[1], "old", 0755);
	make_dir(branches[1], "old/sub", 0755);
	make_file(branches[1], "old/sub/f", "f");
	make_whiteout(branches[0], "old");
	make_dir(branches[0], "new", 0755);
	if (!try_mark(branches[0], "new", "redirect", "/old")) {
		skipped("redirects", "no xattrs here");
	} else {
		open_lower();
		assert_streq(what("new/sub/f"), "f");
		check_whole_walk(3);
		close_lower();
	}
	open_lower();
	end();
}

/* An absolute redirect begins at the roots of the branches below, also where ours hides them. */
static void test_walk_below_a_redirect_of_an_opaque_branch(void)
{
	begin(2);
	make_dir(branches[1], "old", 0755);
	make_dir(branches[1], "old/sub", 0755);
	make_file(branches[1], "old/sub/f", "f");
	make_dir(branches[0], "new", 0755);
	if (!try_mark(branches[0], "new", "redirect", "/old")) {
		skipped("redirects", "no xattrs here");
	} else {
		mark(branches[0], ".", "opaque", "y");
		open_lower();
		assert_streq(what("old"), NULL);
		assert_streq(what("new/sub/f"), "f");
		check_whole_walk(3);
		close_lower();
	}
	open_lower();
	end();
}

/* --- hard links --- */

static void test_hard_links(void)
{
	begin(3);
	make_file(branches[1], "a", "linked");
	make_dir(branches[1], "d", 0755);
	make_link(branches[1], "a", "b");
	make_link(branches[1], "a", "d/c");
	make_link(branches[1], "a", "hidden");
	make_link(branches[1], "a", "covered");
	make_dir(branches[1], "gone", 0755);
	make_link(branches[1], "a", "gone/x");
	make_whiteout(branches[0], "hidden");
	make_file(branches[0], "covered", "other");
	make_dir(branches[0], "gone", 0755);
	make_file(branches[0], "gone/.wh..wh..opq", "");
	make_file(branches[2], "single", "s");
	open_lower();
	assert_eq(lower_stat_at("a").st_nlink, 3);
	assert_eq(lower_stat_at("b").st_nlink, 3);
	assert_eq(lower_stat_at("d/c").st_nlink, 3);
	assert_eq(lower_stat_at("a").st_ino, lower_stat_at("d/c").st_ino);
	assert_streq(links_of("b"), "a b d/c ");
	assert_eq(lower_stat_at("covered").st_nlink, 1);
	assert_streq(links_of("single"), "single ");
	assert_eq(lower_stat_at("single").st_nlink, 1);
	end();
}

/* The last name that shows of several. */
static void test_hard_link_of_which_one_name_shows(void)
{
	begin(2);
	make_file(branches[1], "a", "linked");
	make_link(branches[1], "a", "b");
	make_file(branches[0], ".wh.a", "");
	open_lower();
	assert_eq(lower_stat_at("b").st_nlink, 1);
	assert_streq(links_of("b"), "b ");
	end();
}

/* Names outside the branch are no names of the union. */
static void test_hard_link_from_outside(void)
{
	begin(1);
	make_file(scratch, "outside", "o");
	assert(linkat(scratch, "outside", branches[0], "inside", 0) == 0);
	open_lower();
	assert_eq(lower_stat_at("inside").st_nlink, 1);
	assert_streq(links_of("inside"), "inside ");
	end();
	remove_name(scratch, "outside");
}

/* The link count of a file, or -errno. */
static int links_at(const char *path)
{
	cleanup_lower_obj struct lower_obj *obj = find(path);
	struct stat st;
	int r;

	assert(obj);
	r = lower_stat(obj, &st);
	return r < 0 ? r : (int)st.st_nlink;
}

/* Sets the mode of a directory that then counts for us too. */
static void set_mode(const char *path, mode_t mode)
{
	assert(seteuid(getuid()) == 0);
	assert(fchmodat(branches[0], path, mode, 0) == 0);
	assert(!is_root() || seteuid(12345) == 0);
}

/* Files in `good`, in `bad` and in both, by two names each. */
static void make_links_good_and_bad(void)
{
	begin(1);
	make_dir(branches[0], "bad", 0755);
	make_dir(branches[0], "bad/below", 0755);
	make_dir(branches[0], "good", 0755);
	make_file(branches[0], "good/a", "a");
	make_link(branches[0], "good/a", "good/b");
	make_file(branches[0], "good/both", "both");
	make_link(branches[0], "good/both", "bad/below/both");
	make_file(branches[0], "good/single", "single");
	make_file(branches[0], "bad/x", "x");
	make_link(branches[0], "bad/x", "bad/y");
}

/* Only of files that may have a name there nothing can be said; and all can be once it is well
 * again. */
static void test_hard_links_and_a_directory_that_fails(void)
{
	static const mode_t modes[] = { 0, 0444 /* can be listed, and no more */ };

	for (size_t i = 0; i < sizeof(modes) / sizeof(*modes); i++) {
		make_links_good_and_bad();
		open_lower();
		set_mode("bad", modes[i]);
		assert_eq(links_at("good/a"), 2);
		assert_streq(links_of("good/b"), "good/a good/b ");
		assert_streq(links_of("good/single"), "good/single ");
		for (int again = 0; again < 3; again++)
			assert_eq(links_at("good/both"), -EACCES);
		set_mode("bad", 0755);
		set_mode("bad/below", 0);
		assert_eq(links_at("bad/x"), 2);
		assert_eq(links_at("good/both"), -EACCES);
		set_mode("bad/below", 0755);
		assert_eq(links_at("good/both"), 2);
		assert_streq(links_of("good/both"), "bad/below/both good/both ");
		assert_streq(links_of("bad/x"), "bad/x bad/y ");
		assert_streq(links_of("good/a"), "good/a good/b ");
		assert(seteuid(getuid()) == 0);
		end();
	}
}

/* Among several that fail, one that is well again is found, wherever it stands in line. */
static void test_hard_links_and_many_directories_that_fail(void)
{
	enum { N = 20 };
	char dir[32], here[32], there[32];

	begin(1);
	for (int i = 0; i < N; i++) {
		snprintf(dir, sizeof(dir), "%d", i);
		snprintf(here, sizeof(here), "x%d", i);
		snprintf(there, sizeof(there), "%d/x", i);
		make_dir(branches[0], dir, 0);
		make_file(branches[0], here, "x");
		make_link(branches[0], here, there);
	}
	open_lower();
	for (int i = 0; i < N; i++) {
		int r = -EACCES;

		snprintf(dir, sizeof(dir), "%d", i);
		snprintf(here, sizeof(here), "x%d", i);
		set_mode(dir, 0755);
		for (int again = 0; r == -EACCES && again < N; again++)
			r = links_at(here);
		assert_eq(r, 2);
	}
	assert(seteuid(getuid()) == 0);
	end();
}

/* Owners that are written beside files are asked for by the same lookups. */
static void test_hard_links_with_overrides(void)
{
	begin(1);
	make_file(branches[0], "a", "linked");
	make_dir(branches[0], "d", 0755);
	make_link(branches[0], "a", "d/b");
	open_lower();
	lower_use_overrides(lower, OVERRIDE_USER);
	assert_eq(lower_stat_at("a").st_nlink, 2);
	assert_streq(links_of("d/b"), "a d/b ");
	end();
}

/* Merged names are what counts, also where a redirect gives a directory another one. */
static void test_hard_links_below_a_redirect(void)
{
	begin(2);
	make_dir(branches[1], "old", 0755);
	make_file(branches[1], "old/a", "linked");
	make_link(branches[1], "old/a", "old/b");
	make_link(branches[1], "old/a", "c");
	make_whiteout(branches[0], "old");
	make_dir(branches[0], "new", 0755);
	if (!try_mark(branches[0], "new", "redirect", "/old")) {
		skipped("redirects", "no xattrs here");
		open_lower();
		end();
		return;
	}
	open_lower();
	assert_eq(lower_stat_at("c").st_nlink, 3);
	assert_eq(lower_stat_at("new/a").st_nlink, 3);
	assert_streq(links_of("new/b"), "c new/a new/b ");
	end();
}

/* --- attributes --- */

static void test_xattrs_and_marks(void)
{
	cleanup_lower_obj struct lower_obj *dir = NULL;
	cleanup_free char *names = NULL;
	char value[16];
	ssize_t n;

	begin(2);
	make_dir(branches[0], "d", 0755);
	make_dir(branches[1], "d", 0755);
	if (!try_xattr(branches[0], "d", "user.test", "value")) {
		skipped("xattrs", "none here");
		open_lower();
		end();
		return;
	}
	try_xattr(branches[0], "d", "user.overlay.origin", "o");
	try_xattr(branches[0], "d", "user.fuseoverlayfs.origin", "o");
	try_xattr(branches[0], "d", "trusted.overlay.impure", "y");
	try_xattr(branches[1], "d", "user.lower", "not of the topmost");
	open_lower();
	dir = find("d");
	n = lower_xattr_list(dir, &names);
	for (ssize_t i = 0; i < n; i += (ssize_t)strlen(names + i) + 1) {
		assert(!strstr(names + i, "overlay"));
		assert(strcmp(names + i, "user.lower") != 0);
	}
	assert_eq(lower_xattr_get(dir, "user.test", value, sizeof(value)), 5);
	assert(memcmp(value, "value", 5) == 0);
	assert_eq(lower_xattr_get(dir, "user.test", NULL, 0), 5);
	assert_eq(lower_xattr_get(dir, "user.test", value, 2), -ERANGE);
	assert_eq(lower_xattr_get(dir, "user.lower", value, sizeof(value)), -ENODATA);
	/* marks of union filesystems are not shown */
	assert_eq(lower_xattr_get(dir, "user.overlay.origin", value, sizeof(value)), -ENODATA);
	lower_unref(take_ptr(dir));
	end();
}

static void test_branch_and_open(void)
{
	cleanup_lower_obj struct lower_obj *obj = NULL;
	cleanup_free char *path = NULL;
	unsigned int branch;

	begin(3);
	make_dir(branches[0], "d", 0755);
	make_dir(branches[1], "d", 0755);
	make_file(branches[1], "d/f", "f");
	open_lower();
	obj = find("d/f");
	assert_eq(branch_of(obj), 1);
	assert_eq(lower_source(obj, &branch, &path), 0);
	assert_streq(path, "d/f");
	lower_unref(take_ptr(obj));
	obj = find("");
	assert_eq(obj->ino, LOWER_ROOT_INO);
	assert_eq(branch_of(obj), 0);
	{
		cleanup_fd int fd = lower_open(obj, O_PATH);

		assert(fd >= 0);
		assert_eq(stat_of(fd, ".").st_ino, stat_of(branches[0], ".").st_ino);
	}
	lower_unref(take_ptr(obj));
	end();
}

/* --- numbers --- */

static void test_numbers_are_stable_and_unique(void)
{
	static const char *const paths[] = { "", "d", "d/a", "d/b", "e", "e/a", "f" };
	enum { N = sizeof(paths) / sizeof(*paths) };
	uint64_t first[N];

	begin(3);
	for (size_t i = 0; i < 3; i++) {
		make_dir(branches[i], "d", 0755);
		make_dir(branches[i], "e", 0755);
	}
	make_file(branches[0], "d/a", "a");
	make_file(branches[1], "d/b", "b");
	make_file(branches[2], "e/a", "a");
	make_file(branches[2], "f", "f");
	open_lower();
	for (size_t i = 0; i < N; i++) {
		first[i] = lower_stat_at(paths[i]).st_ino;
		assert(first[i] > 0 && first[i] < LOWER_INO_END);
		for (size_t j = 0; j < i; j++)
			assert(first[i] != first[j]);
	}
	close_lower();
	open_lower();
	for (size_t i = N; i-- > 0;) /* in another order */
		assert_eq(lower_stat_at(paths[i]).st_ino, first[i]);
	end();
}

/* Branches on two filesystems may hold equal inode numbers. */
static void test_numbers_over_filesystems(void)
{
	char path[] = "/dev/shm/cairn-unit.XXXXXX";
	uint64_t a, b, again;
	int local;

	begin(2);
	make_file(branches[1], "a", "a");
	if (!mkdtemp(path)) {
		skipped("branches on two filesystems", "no /dev/shm");
		open_lower();
		end();
		return;
	}
	local = branches[0];
	branches[0] = open_dir(AT_FDCWD, path);
	for (int i = 0; i < 50; i++) {
		char name[16];

		snprintf(name, sizeof(name), "n%d", i);
		make_file(branches[0], name, "n");
	}
	open_lower();
	a = lower_stat_at("a").st_ino;
	b = lower_stat_at("n7").st_ino;
	assert(a != b);
	close_lower();
	open_lower();
	again = lower_stat_at("a").st_ino; /* looked up before the other filesystem is */
	assert_eq(again, a);
	assert_eq(lower_stat_at("n7").st_ino, b);
	end();
	close(local);
	fd_remove_tree(AT_FDCWD, path);
}

/* --- sizes --- */

/* Deeper than a path can be long. */
static void test_deep_tree(void)
{
	enum { DEPTH = 60 };
	char name[128];
	struct lower_obj *obj;
	int at;

	memset(name, 'd', 100);
	name[100] = '\0';
	begin(2);
	at = dup(branches[1]);
	for (int i = 0; i < DEPTH; i++) {
		int next = make_dir_open(at, name);

		close(at);
		at = next;
	}
	make_file(at, "bottom", "bottom");
	close(at);
	open_lower();
	obj = lower_root(lower);
	for (int i = 0; i < DEPTH; i++) {
		struct lower_obj *next;

		assert_eq(lower_lookup(obj, name, &next, NULL), LOWER_FOUND);
		lower_unref(obj);
		obj = next;
	}
	{
		cleanup_lower_obj struct lower_obj *bottom = NULL;
		cleanup_fd int fd = -1;

		assert_eq(lower_lookup(obj, "bottom", &bottom, NULL), LOWER_FOUND);
		fd = lower_open(bottom, O_RDONLY);
		assert(fd >= 0);
	}
	lower_unref(obj);
	end();
}

/* Many places: answered from a listing, and by the same rules. */
static void test_many_branches(void)
{
	begin(MAX_BRANCHES);
	for (int i = 0; i < MAX_BRANCHES; i++) {
		char name[32];

		make_dir(branches[i], "d", 0755);
		snprintf(name, sizeof(name), "d/f%d", i);
		make_file(branches[i], name, name);
		snprintf(name, sizeof(name), "d/g%d", i);
		make_file(branches[i], name, "g");
		snprintf(name, sizeof(name), "d/g%d", i + 1);
		if (i % 2)
			make_whiteout(branches[i], name);
	}
	open_lower();
	assert_streq(what("d/f5"), "d/f5");
	assert_streq(what("d/f9"), NULL);
	assert_streq(what("d/g1"), "g");
	assert_streq(what("d/g2"), NULL);
	assert_streq(what("d/g3"), "g");
	assert_streq(what("d/g4"), NULL);
	assert_streq(names_in("d"), "f0 f1 f2 f3 f4 f5 f6 f7 g0 g1 g3 g5 g7 ");
	end();
}

int main(void)
{
	scratch_begin();
	test_topmost_wins();
	test_directories_merge();
	test_file_over_directory();
	test_directory_over_file();
	test_every_type_is_an_object();
	test_device_whiteout();
	test_whiteout_between_directories();
	test_file_whiteout();
	test_file_whiteout_beside_its_name();
	test_no_mark_is_ever_shown();
	test_whiteouts_of_long_names();
	test_xattr_whiteout();
	test_opaque();
	test_opaque_root();
	test_redirects();
	test_chained_redirects();
	test_hostile_redirects();
	test_walk();
	test_hard_links();
	test_hard_link_of_which_one_name_shows();
	test_hard_link_from_outside();
	test_hard_links_and_a_directory_that_fails();
	test_hard_links_and_many_directories_that_fail();
	test_hard_links_with_overrides();
	test_xattrs_and_marks();
	test_branch_and_open();
	test_numbers_are_stable_and_unique();
	test_numbers_over_filesystems();
	test_many_branches();
	test_walk_finds_the_root();
	test_walk_below_a_redirect();
	test_walk_below_a_redirect_of_an_opaque_branch();
	test_hard_links_below_a_redirect();
	test_deep_tree();
	return 0;
}
