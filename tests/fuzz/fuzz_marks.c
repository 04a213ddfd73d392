/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Marks of union filesystems at random, on random objects of branches and of upper, as an image or
 * whoever owns a file can bring them: the union is looked through and changed by the verbs of fs.h.
 * Answers are errors or what the branches hold.  A tree beside them is the canary: its content does
 * not show, its names neither, and its times of access do not move.
 */
#include <dirent.h>

#include "../unit/union.h"
#include "fuzz.h"

enum { MOST_OBJECTS = 20000, MOST_MADE = 16, MOST_MARKS = 3 };

static const char canary[] = "CANARY";
static const char *const names[] = {
	"a", "b", "c", "f", "g", "canary", ".wh.a", ".wh.f", ".wh..wh..opq", "secret"
};
/* Some more often, as they lead somewhere. */
static const char *const marks[] = {
	"overlay.redirect", "overlay.redirect", "overlay.redirect", "overlay.metacopy",
	"overlay.metacopy", "overlay.metacopy", "overlay.opaque",   "overlay.whiteout",
	"overlay.origin",   "overlay.impure",	"overlay.upper",    "overlay.nlink",
	"overlay.cairn",    "overlay.protattr",
};
static const char *const other_marks[] = {
	"user.fuseoverlayfs.opaque",
	"user.containers.override_stat",
	"user.fuseoverlayfs.override_stat",
	"user.fuseoverlayfs.origin",
};
static const char *const values[] = {
	"y",
	"x",
	"",
	"a",
	"b",
	"/a",
	"/b/c",
	"../canary/secret",
	"/../canary/secret",
	"..",
	"/",
	".",
	"canary",
	"/canary/secret",
	"c/secret",
	"0:0:0104755:file",
	"0:0:040755:dir",
	"0:0:0120777:symlink",
	"1:1:020666:char-0-0",
};
#define COUNT(array) (sizeof(array) / sizeof(*(array)))
#define PICK(array, input) ((array)[take(input) % COUNT(array)])

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	fuzz_begin();
	prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP);
	return 0;
}

/* Where an input ends its first bytes say what follows: short ones are whole trees, too. */
static uint64_t following;

static void take_rest(struct input *input)
{
	following = take_number(input, 3);
}

static unsigned int take(struct input *input)
{
	if (input->size > 0)
		return take_byte(input);
	following = following * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (unsigned int)(following >> 56);
}

/* --- branches --- */

/* Beside the branches, and below them as a link leads to it. */
static void make_canary(void)
{
	make_dir(scratch, "canary", 0755);
	make_file(scratch, "canary/secret", canary);
	make_file(scratch, "canary/CANARY", canary);
	set_times(scratch, "canary/secret", 1000, 0);
	set_times(scratch, "canary/CANARY", 1000, 0);
	set_times(scratch, "canary", 1000, 0);
}

static void check_canary(void)
{
	assert_eq(stat_of(scratch, "canary/secret").st_atim.tv_sec, 1000);
	assert_eq(stat_of(scratch, "canary/CANARY").st_atim.tv_sec, 1000);
	assert_eq(stat_of(scratch, "canary").st_mtim.tv_sec, 1000);
	assert_streq(content_of(scratch, "canary/secret"), canary);
	assert_streq(content_of(scratch, "canary/CANARY"), canary);
}

/* A path of up to three names. */
static void take_path(struct input *input, char path[64])
{
	unsigned int depth = take(input) % 3;

	strcpy(path, PICK(names, input));
	for (unsigned int i = 0; i < depth; i++) {
		strcat(path, "/");
		strcat(path, PICK(names, input));
	}
}

/* The directory of a path, opened as no link leads out of it; negative where there is none. */
static int open_above(int branch, const char *path, const char **name)
{
	const char *slash = strrchr(path, '/');
	cleanup_free char *above = strndup(path, slash ? (size_t)(slash - path) : 0);

	assert(above);
	*name = slash ? slash + 1 : path;
	return fd_open_beneath(branch, *above ? above : ".", O_PATH | O_DIRECTORY);
}

static void make_file_in(struct input *input, int dir, const char *name)
{
	cleanup_fd int fd = openat(dir, name,
				   O_CREAT | O_WRONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0644);

	if (fd >= 0 && take(input) & 1)
		assert(write(fd, "content", 7) == 7);
	else if (fd >= 0)
		assert(ftruncate(fd, 7) == 0);
}

/* Or not, where something is in the way. */
static void make_object(struct input *input, int branch, const char *path)
{
	const char *name, *to;
	cleanup_fd int dir = open_above(branch, path, &name);
	cleanup_fd int to_dir = -1;
	char other[64];
	int r = 0;

	switch (take(input) % 8) {
	case 0:
	case 1:
	case 2:
		r = mkdirat(dir, name, 0755);
		break;
	case 3:
	case 4:
		make_file_in(input, dir, name);
		break;
	case 5:
		r = symlinkat(take(input) & 1 ? "../canary" : "../canary/secret", dir, name);
		break;
	case 6:
		r = mknodat(dir, name, S_IFCHR, makedev(0, 0));
		break;
	default:
		take_path(input, other);
		to_dir = open_above(branch, other, &to);
		r = linkat(dir, name, to_dir, to, 0);
	}
	assert(r == 0 || errno != 0);
}

static void mark_object(struct input *input, int branch, const char *path)
{
	const char *last;
	cleanup_fd int dir = open_above(branch, path, &last);
	cleanup_fd int fd = openat(dir, last, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	unsigned int space = take(input) % 5;
	char name[64], value[40];
	size_t size;

	if (space < 4)
		snprintf(name, sizeof(name), "%s.%s", space & 1 ? "user" : "trusted",
			 PICK(marks, input));
	else
		strcpy(name, PICK(other_marks, input));
	if (take(input) % 4) {
		strcpy(value, PICK(values, input));
		size = strlen(value);
	} else {
		size = take(input) % sizeof(value);
		for (size_t i = 0; i < size; i++)
			value[i] = (char)take(input);
	}
	if (fd >= 0)
		xattr_set(fd, name, value, size, 0);
}

/* Objects and their marks in all of the branches. */
static void fill(struct input *input)
{
	unsigned int n = take(input) % MOST_MADE;

	for (unsigned int i = 0; i < n; i++) {
		unsigned int what = take(input), which = what % (unsigned int)(n_branches + 1);
		int branch = which < n_branches ? branches[which] : upper;
		char path[64];

		take_path(input, path);
		make_object(input, branch, path);
		for (unsigned int k = 0; k < what / 64 && k < MOST_MARKS; k++)
			mark_object(input, branch, path);
	}
}

/* --- looking --- */

static size_t n_seen;

static void check_content(const char *bytes, ssize_t n)
{
	assert(n < (ssize_t)strlen(canary) || !memmem(bytes, (size_t)n, canary, strlen(canary)));
}

static void look_at_file(struct node *node)
{
	int error = 0;
	cleanup_fd_ref struct fd_ref *ref = file_get(fs, node, false, &error);
	char content[64];

	if (ref)
		check_content(content, fd_pread_all(ref->fd, content, sizeof(content), 0));
	else
		assert(error < 0);
}

static void look_at(struct node *node)
{
	cleanup_free char *target = NULL;
	cleanup_free char *list = NULL;
	char value[256];
	struct stat st;
	ssize_t size;

	if (fs_getattr(fs, node, &st) < 0)
		return;
	assert_eq(st.st_ino, node->ino);
	size = fs_xattr_list(fs, node, &list);
	for (ssize_t at = 0; at < size; at += (ssize_t)strlen(list + at) + 1) {
		assert(!whiteout_is_private_xattr(list + at));
		fs_xattr_get(fs, node, list + at, value, sizeof(value));
	}
	if (S_ISLNK(node->type))
		fs_readlink(fs, node, &target);
	else if (S_ISREG(node->type))
		look_at_file(node);
}

static void look_below(struct node *dir)
{
	cleanup_listing struct listing *listing = NULL;

	if (dir_list(fs, dir, true, &listing) < 0)
		return;
	assert((n_seen += listing_count(listing)) < MOST_OBJECTS);
	for (size_t i = 0; i < listing_count(listing); i++) {
		const struct listing_entry *at = listing_at(listing, i);
		cleanup_entry struct entry found = { 0 };

		assert(strcmp(at->name, canary) != 0 && !strchr(at->name, '/'));
		if (fs_lookup(fs, dir, at->name, &found) != FS_FOUND)
			continue;
		look_at(found.node);
		if (S_ISDIR(found.node->type))
			look_below(found.node);
	}
}

/* Also names that no listing has: what hides them must hold for whoever asks. */
static void look(void)
{
	n_seen = 0;
	look_at(fs->root);
	look_below(fs->root);
	for (size_t i = 0; i < COUNT(names); i++) {
		cleanup_entry struct entry found = { 0 };

		if (fs_lookup(fs, fs->root, names[i], &found) == FS_FOUND)
			look_at(found.node);
	}
}

/* --- changing --- */

/* The object at a path, as far as there is one. */
static struct node *reach(struct input *input)
{
	struct node *node = node_ref(fs->root);
	char path[64], *rest = path, *name;

	take_path(input, path);
	while ((name = strsep(&rest, "/")) && S_ISDIR(node->type)) {
		struct entry found = { 0 };

		if (fs_lookup(fs, node, name, &found) != FS_FOUND)
			break;
		node_unref(node);
		node = found.node;
	}
	return node;
}

/* As rename(2) of a name that is there; the kernel asks for none of a directory into itself. */
static void rename_to(struct node *dir, const char *name, struct node *new_dir,
		      const char *new_name)
{
	cleanup_entry struct entry found = { 0 };
	struct node *above;

	if (fs_lookup(fs, dir, name, &found) != FS_FOUND)
		return;
	above = node_ref(new_dir);
	while (above != fs->root && above != found.node) {
		struct node *next = node_parent(above);

		node_unref(above);
		above = next;
	}
	if (above != found.node)
		fs_rename(fs, dir, name, new_dir, new_name, 0);
	node_unref(above);
}

static void change(struct input *input)
{
	cleanup_node struct node *node = reach(input);
	cleanup_node struct node *other = reach(input);
	cleanup_entry struct entry entry = { 0 };
	const struct newborn newborn = { .mode = S_IFDIR | 0755 };
	const char *name = PICK(names, input), *new_name = PICK(names, input);
	struct caller caller = self();
	struct stat st = { .st_mode = 0600, .st_size = 3 };

	switch (take(input) % 7) {
	case 0:
		if (S_ISREG(node->type))
			fs_write(fs, node, "new", 3, 1, NULL);
		break;
	case 1:
		fs_setattr(fs, node, &st, FS_SET_MODE, NULL, &st);
		break;
	case 2:
		if (S_ISREG(node->type))
			fs_setattr(fs, node, &st, FS_SET_SIZE, NULL, &st);
		break;
	case 3:
		if (S_ISDIR(node->type))
			fs_unlink(fs, node, name);
		break;
	case 4:
		if (S_ISDIR(node->type))
			fs_rmdir(fs, node, name);
		break;
	case 5:
		if (S_ISDIR(node->type) && S_ISDIR(other->type))
			rename_to(node, name, other, new_name);
		break;
	default:
		if (S_ISDIR(node->type))
			fs_create(fs, node, name, &newborn, &caller, &entry);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = { data, size };
	unsigned int options = take_byte(&input);

	take_rest(&input);
	case_begin();
	make_canary();
	union_make(2);
	fill(&input);
	config.user_xattrs = options & 1;
	config.metacopy = options & 2;
	config.override = options & 4 ? OVERRIDE_USER : OVERRIDE_NONE;
	config.file_whiteouts = options & 8;
	if (fs_open(&config, &fs) == 0) {
		look();
		for (unsigned int i = 0; i < options >> 4; i++)
			change(&input);
		look();
		union_close();
	}
	for (size_t i = 0; i < n_branches; i++)
		close(branches[i]);
	close(upper);
	close(work);
	check_canary();
	case_end();
	return 0;
}
