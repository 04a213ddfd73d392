/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Marks: read in every format, written in the one that is asked for. */
#include "branch/redirect.h"

#include "scratch.h"

static const struct whiteout_style device = { .format = WHITEOUT_DEVICE };
static const struct whiteout_style file = { .format = WHITEOUT_FILE };

static void test_names(void)
{
	assert_streq(whiteout_hidden_name(".wh.x"), "x");
	assert_streq(whiteout_hidden_name(".wh..x"), ".x");
	assert_streq(whiteout_hidden_name(".wh.wh.x"), "wh.x");
	assert(!whiteout_hidden_name(".wh."));
	assert(!whiteout_hidden_name(".wh..wh..opq"));
	assert(!whiteout_hidden_name(".wh..wh.plnk"));
	assert(!whiteout_hidden_name("x"));
	assert(!whiteout_hidden_name(".whx"));
	assert(!whiteout_hidden_name("wh.x"));
	assert(!whiteout_hidden_name(""));
	assert(whiteout_is_mark_name(".wh.x"));
	assert(whiteout_is_mark_name(".wh."));
	assert(whiteout_is_mark_name(".wh..wh..opq"));
	assert(!whiteout_is_mark_name(".whx"));
	assert(!whiteout_is_mark_name("a.wh.x"));
	assert(!whiteout_is_mark_name(".wh"));
}

static void test_private_xattrs(void)
{
	assert(whiteout_is_private_xattr("trusted.overlay.opaque"));
	assert(whiteout_is_private_xattr("user.overlay.anything"));
	assert(whiteout_is_private_xattr("user.fuseoverlayfs.origin"));
	assert(whiteout_is_private_xattr("user.overlay.overlay"));
	/* Those of a mount inside are not. */
	assert(!whiteout_is_private_xattr("trusted.overlay.overlay.opaque"));
	assert(!whiteout_is_private_xattr("user.overlay.overlay.overlay.opaque"));
	assert(whiteout_is_private_xattr("user.fuseoverlayfs.overlay.opaque"));
	assert(!whiteout_is_private_xattr("user.overlay"));
	assert(!whiteout_is_private_xattr("user.overlays.x"));
	assert(!whiteout_is_private_xattr("trusted.x"));
	assert(!whiteout_is_private_xattr("security.capability"));
	assert(!whiteout_is_private_xattr("user.containers.override_stat"));
}

static void test_device(void)
{
	struct stat st;

	assert_eq(whiteout_create(&device, scratch, "gone"), 0);
	assert_eq(whiteout_create(&device, scratch, "gone"), -EEXIST);
	st = stat_of(scratch, "gone");
	assert(whiteout_is_device(&st));
	make_file(scratch, "f", "f");
	st = stat_of(scratch, "f");
	assert(!whiteout_is_device(&st));
	st = stat_of(AT_FDCWD, "/dev/null");
	assert(!whiteout_is_device(&st));
	st = (struct stat){ .st_mode = S_IFBLK };
	assert(!whiteout_is_device(&st));
	assert_eq(whiteout_create(&device, scratch, "f"), -EEXIST);
	assert_streq(content_of(scratch, "f"), "f");
}

static void test_file(void)
{
	char name[256];

	assert_eq(whiteout_has_file(scratch, "x"), 0);
	assert_eq(whiteout_create(&file, scratch, "x"), 0);
	assert(exists(scratch, ".wh.x"));
	assert_eq(stat_of(scratch, ".wh.x").st_size, 0);
	assert_eq(whiteout_has_file(scratch, "x"), 1);
	assert_eq(whiteout_create(&file, scratch, "x"), -EEXIST);
	assert_eq(whiteout_remove_file(scratch, "x"), 0);
	assert_eq(whiteout_remove_file(scratch, "x"), 0);
	assert_eq(whiteout_has_file(scratch, "x"), 0);
	/* `.wh.` before it makes some names too long. */
	memset(name, 'n', 255);
	for (int length = 250; length <= 255; length++) {
		name[length] = '\0';
		assert_eq(whiteout_create(&file, scratch, name), length > 251 ? -ENAMETOOLONG : 0);
		assert_eq(whiteout_has_file(scratch, name), length <= 251);
		assert_eq(whiteout_remove_file(scratch, name), 0);
		name[length] = 'n';
	}
}

static void test_xattr(void)
{
	cleanup_fd int fd = -1;
	struct stat st;

	make_file(scratch, "xattr", "");
	fd = open_path(scratch, "xattr");
	st = stat_of(scratch, "xattr");
	assert(!whiteout_is(fd, &st));
	if (!try_xattr(scratch, "xattr",
		       is_root() ? "trusted.overlay.whiteout" : "user.overlay.whiteout", "")) {
		skipped("xattr whiteouts", "no xattrs here");
		return;
	}
	assert(whiteout_is(fd, &st));
}

static void test_xattr_created(void)
{
	const struct whiteout_style xattr = { .format = WHITEOUT_XATTR,
					      .xattr_prefix = is_root() ? "trusted.overlay."
									: "user.overlay." };
	const struct whiteout_style none = { .format = WHITEOUT_XATTR };
	cleanup_fd int dir = make_dir_open(scratch, "by-xattr");
	struct stat st;

	assert_eq(whiteout_create(&none, dir, "gone"), -EOPNOTSUPP);
	assert(!exists(dir, "gone"));
	if (whiteout_admit(&xattr, dir) < 0) {
		skipped("making whiteouts by xattr", "no xattrs here");
		return;
	}
	assert(whiteout_may_be_xattr(dir));
	assert_eq(opaque_get(dir), OPAQUE_NO);
	assert_eq(whiteout_create(&xattr, dir, "gone"), 0);
	assert_eq(whiteout_create(&xattr, dir, "gone"), -EEXIST);
	st = stat_of(dir, "gone");
	assert(S_ISREG(st.st_mode) && st.st_size == 0);
	assert(whiteout_is_at(dir, "gone", &st));
	/* What is not empty is no whiteout, nor is another kind of object. */
	make_file(dir, "full", "full");
	try_xattr(dir, "full", "user.overlay.whiteout", "y");
	st = stat_of(dir, "full");
	assert(!whiteout_is_at(dir, "full", &st));
	make_file(dir, "empty", "");
	st = stat_of(dir, "empty");
	assert(!whiteout_is_at(dir, "empty", &st));
	/* Becoming opaque it loses those, as it would list them. */
	assert_eq(opaque_set(&xattr, dir), 0);
	assert(!whiteout_may_be_xattr(dir));
	assert_eq(opaque_get(dir), OPAQUE_YES);
	assert(!exists(dir, "gone"));
	assert(exists(dir, "empty") && exists(dir, "full"));
	/* And is not made less than opaque. */
	assert_eq(whiteout_admit(&xattr, dir), 0);
	assert_eq(opaque_get(dir), OPAQUE_YES);
}

static int opaque_of(const char *path)
{
	cleanup_fd int fd = open_path(scratch, path);

	return opaque_get(fd);
}

static void test_opaque(void)
{
	static const char *const names[] = { "trusted.overlay.opaque", "user.overlay.opaque",
					     "user.fuseoverlayfs.opaque" };
	cleanup_fd int fd = -1;

	make_dir(scratch, "o", 0755);
	assert_eq(opaque_of("o"), OPAQUE_NO);
	for (size_t i = 0; i < 3; i++) {
		cleanup_fd int dir = open_path(scratch, "o");

		if (!try_xattr(scratch, "o", names[i], "y")) {
			skipped(names[i], "cannot be set here");
			continue;
		}
		assert_eq(opaque_of("o"), OPAQUE_YES);
		assert(try_xattr(scratch, "o", names[i], "x"));
		assert_eq(opaque_of("o"), OPAQUE_NO);
		assert(try_xattr(scratch, "o", names[i], "n"));
		assert_eq(opaque_of("o"), OPAQUE_NO);
		assert(try_xattr(scratch, "o", names[i], "yes"));
		assert_eq(opaque_of("o"), OPAQUE_NO);
		assert(try_xattr(scratch, "o", names[i], ""));
		assert_eq(opaque_of("o"), OPAQUE_NO);
		assert_eq(xattr_remove(dir, names[i]), 0);
	}
	/* Without xattrs it is a file in the directory. */
	fd = open_path(scratch, "o");
	assert_eq(opaque_set(&file, fd), 0);
	assert(exists(scratch, "o/.wh..wh..opq"));
	assert_eq(opaque_set(&file, fd), 0);
	assert_eq(opaque_of("o"), OPAQUE_YES);
}

static void test_redirect(void)
{
	struct whiteout_style style = { .xattr_prefix = is_root() ? "trusted.overlay."
								  : "user.overlay." };
	cleanup_fd int fd = -1;
	char *path;

	make_dir(scratch, "r", 0755);
	fd = open_path(scratch, "r");
	assert_eq(redirect_get(fd, MARKS_ANY, &path), 0);
	assert_eq(redirect_set(&file, fd, "/a"), -EOPNOTSUPP);
	if (redirect_set(&style, fd, "/a/b c/\303\251") < 0) {
		skipped("redirects", "no xattrs here");
		return;
	}
	assert_eq(redirect_get(fd, MARKS_ANY, &path), 1);
	assert_streq(path, "/a/b c/\303\251");
	free(path);
	assert_eq(redirect_set(&style, fd, "sibling"), 0);
	assert_eq(redirect_get(fd, MARKS_ANY, &path), 1);
	assert_streq(path, "sibling");
	free(path);
	if (is_root())
		assert_eq(redirect_get(fd, MARKS_USER, &path), 0);
	/* No path: what lies below cannot be known. */
	assert_eq(xattr_set(fd, is_root() ? "trusted.overlay.redirect" : "user.overlay.redirect",
			    "a\0b", 3, 0),
		  0);
	assert(redirect_get(fd, MARKS_ANY, &path) < 0);
}

/* The probe finds what can be done, and leaves nothing behind. */
static void test_probe(void)
{
	cleanup_fd int dir = make_dir_open(scratch, "probe");
	struct whiteout_style style;
	cleanup_dir DIR *stream = NULL;
	int n = 0;

	assert_eq(whiteout_probe(dir, WHITEOUT_AS_ANY, false, &style), 0);
	assert_eq(whiteout_create(&style, dir, "w"), 0);
	if (is_root()) {
		assert_eq(style.format, WHITEOUT_DEVICE);
		assert_streq(style.xattr_prefix, "trusted.overlay.");
	} else if (style.xattr_prefix) {
		assert_streq(style.xattr_prefix, "user.overlay.");
	}
	assert_eq(opaque_set(&style, dir), 0);
	assert_eq(fd_opendir(dir, &stream), 0);
	while (readdir(stream))
		n++;
	assert(n <= 4); /* `.`, `..`, the whiteout, and perhaps an opaque mark */
	assert_eq(whiteout_probe(dir, WHITEOUT_AS_ANY, false, &style), 0); /* over leftovers */
	assert_eq(whiteout_probe(dir, WHITEOUT_AS_FILE, false, &style), 0);
	assert_eq(style.format, WHITEOUT_FILE);
	assert_eq(whiteout_probe(dir, 0, false, &style), -EOPNOTSUPP);
	if (style.xattr_prefix) {
		assert_eq(whiteout_probe(dir, WHITEOUT_AS_XATTR, false, &style), 0);
		assert_eq(style.format, WHITEOUT_XATTR);
		assert(whiteout_takes_place(&style));
	}
	n = 0;
	rewinddir(stream);
	while (readdir(stream))
		n++;
	assert(n <= 4);
}

int main(void)
{
	scratch_begin();
	test_names();
	test_private_xattrs();
	test_device();
	test_file();
	test_xattr();
	test_xattr_created();
	test_opaque();
	test_redirect();
	test_probe();
	return 0;
}
