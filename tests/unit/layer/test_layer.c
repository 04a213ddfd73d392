/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Layers unpacked without the tool around them: forms of marks and lacks of
 * privilege that root's own filesystem would not show, and depths that a shell
 * cannot reach.
 */
#undef NDEBUG
#include "layer/layer.h"

#include <archive.h>
#include <archive_entry.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/xattr.h"
#include "layer/below.h"

/* One test's directory, archive and branch. */
struct bench {
	char path[32];
	int dirfd, branch, file;
	struct archive *archive;
	struct layer_site site;
	struct error error;
};

static void begin(struct bench *bench)
{
	strcpy(bench->path, "/tmp/cairn-layer.XXXXXX");
	assert(mkdtemp(bench->path));
	bench->dirfd = open(bench->path, O_RDONLY | O_DIRECTORY);
	assert(bench->dirfd >= 0 && mkdirat(bench->dirfd, "branch", 0755) == 0);
	bench->branch = openat(bench->dirfd, "branch", O_RDONLY | O_DIRECTORY);
	assert(layer_probe(bench->dirfd, &bench->site) == 0);
	bench->file = openat(bench->dirfd, "tar", O_RDWR | O_CREAT, 0600);
	bench->archive = archive_write_new();
	archive_write_set_format_pax(bench->archive);
	assert(archive_write_open_fd(bench->archive, bench->file) == ARCHIVE_OK);
}

static void end(struct bench *bench)
{
	char *name = strrchr(bench->path, '/') + 1;
	int tmp = open("/tmp", O_RDONLY | O_DIRECTORY);

	close(bench->branch);
	close(bench->file);
	close(bench->dirfd);
	assert(fd_remove_tree(tmp, name) == 0);
	close(tmp);
}

static void add(struct bench *bench, const char *path, mode_t mode, const char *link)
{
	struct archive_entry *entry = archive_entry_new();

	archive_entry_copy_pathname(entry, path);
	archive_entry_set_mode(entry, mode);
	archive_entry_set_uid(entry, geteuid());
	archive_entry_set_gid(entry, getegid());
	archive_entry_set_size(entry, S_ISREG(mode) && !link ? 4 : 0);
	archive_entry_set_mtime(entry, 1000, 5);
	if (link && S_ISLNK(mode))
		archive_entry_copy_symlink(entry, link);
	else if (link)
		archive_entry_copy_hardlink(entry, link);
	assert(archive_write_header(bench->archive, entry) == ARCHIVE_OK);
	if (S_ISREG(mode) && !link)
		assert(archive_write_data(bench->archive, "text", 4) == 4);
	archive_entry_free(entry);
}

static int unpack(struct bench *bench, const int below[], size_t n_below)
{
	struct extent extent = { .fd = bench->file, .size = UINT64_MAX };
	struct layer_summary summary;
	struct digest blob, content;
	struct stream *stream;
	int r;

	if (bench->archive)
		assert(archive_write_free(bench->archive) == ARCHIVE_OK);
	bench->archive = NULL;
	assert(stream_open(&extent, NULL, &bench->error, &stream) == 0);
	r = layer_unpack(stream, bench->branch, &bench->site, below, n_below, &bench->error,
			 &summary);
	if (r == 0) {
		assert(stream_finish(stream, &blob, &content) == 0);
		assert(digest_equal(&blob, &content)); /* a plain tar */
	}
	stream_free(stream);
	return r;
}

static bool exists(const struct bench *bench, const char *path)
{
	struct stat st;

	return fd_stat(bench->branch, path, &st) == 0;
}

static void test_marks_as_files(void)
{
	struct bench bench;

	begin(&bench);
	bench.site.style = (struct whiteout_style){ .format = WHITEOUT_FILE };
	add(&bench, ".wh.gone", S_IFREG, NULL);
	add(&bench, ".wh.gone", S_IFREG, NULL);
	add(&bench, ".wh.back", S_IFREG, NULL);
	add(&bench, "back", S_IFREG | 0644, NULL);
	add(&bench, ".wh.dir", S_IFREG, NULL);
	add(&bench, "dir/inside", S_IFREG | 0644, NULL);
	add(&bench, ".wh.made", S_IFREG, NULL);
	add(&bench, "made", S_IFDIR | 0755, NULL);
	add(&bench, ".wh.linked", S_IFREG, NULL);
	add(&bench, "linked", S_IFREG | 0644, "back");
	add(&bench, "stays", S_IFREG | 0644, NULL);
	add(&bench, ".wh.stays", S_IFREG, NULL);
	assert(unpack(&bench, NULL, 0) == 0);
	assert(exists(&bench, ".wh.gone") && !exists(&bench, "gone"));
	assert(exists(&bench, "back") && !exists(&bench, ".wh.back"));
	assert(exists(&bench, "dir/" WHITEOUT_OPAQUE_FILE) && !exists(&bench, ".wh.dir"));
	assert(exists(&bench, "made/" WHITEOUT_OPAQUE_FILE) && !exists(&bench, ".wh.made"));
	assert(exists(&bench, "linked") && !exists(&bench, ".wh.linked"));
	assert(exists(&bench, "stays") && !exists(&bench, ".wh.stays"));
	end(&bench);
}

/* In a union mount: whiteouts are files, which must not come to be objects, nor stay where none
 * show. */
static void test_marks_as_xattrs(void)
{
	struct bench bench;
	struct stat st;

	begin(&bench);
	if (!bench.site.style.xattr_prefix) {
		printf("skipped: whiteouts by xattr: no xattrs here\n");
		end(&bench);
		return;
	}
	bench.site.style.format = WHITEOUT_XATTR;
	add(&bench, "sub/.wh.gone", S_IFREG, NULL);
	add(&bench, "sub/.wh.gone", S_IFREG, NULL);
	add(&bench, "sub/.wh.back", S_IFREG, NULL);
	add(&bench, "sub/back", S_IFREG | 0644, NULL);
	add(&bench, "sub/.wh.dir", S_IFREG, NULL);
	add(&bench, "sub/dir/inside", S_IFREG | 0644, NULL);
	add(&bench, "opaque/.wh.before", S_IFREG, NULL);
	add(&bench, "opaque/.wh..wh..opq", S_IFREG, NULL);
	add(&bench, "opaque/.wh.after", S_IFREG, NULL);
	assert(unpack(&bench, NULL, 0) == 0);
	assert(fd_stat(bench.branch, "sub/gone", &st) == 0);
	assert(whiteout_is_at(bench.branch, "sub/gone", &st));
	assert(fd_stat(bench.branch, "sub/back", &st) == 0);
	assert(!whiteout_is_at(bench.branch, "sub/back", &st));
	assert(exists(&bench, "sub/dir/inside"));
	assert(!exists(&bench, "opaque/before") && !exists(&bench, "opaque/after"));
	end(&bench);
}

/* Deeper than PATH_MAX: parents, hard links and the times of directories all the same. */
static void test_deep_path(void)
{
	enum { DEPTH = 40, STEP = 200 };
	char *path = malloc(DEPTH * (STEP + 1) + 10), *other;
	struct bench bench;
	struct stat st;
	int fd, r;

	begin(&bench);
	for (size_t i = 0; i < DEPTH; i++) {
		memset(path + i * (STEP + 1), 'd', STEP);
		path[i * (STEP + 1) + STEP] = '/';
	}
	path[DEPTH * (STEP + 1) - 1] = '\0';
	add(&bench, path, S_IFDIR | 0700, NULL);
	assert(asprintf(&other, "%s/file", path) > 0);
	add(&bench, other, S_IFREG | 0644, NULL);
	add(&bench, "short", S_IFREG | 0644, other);
	assert(unpack(&bench, NULL, 0) == 0);
	r = below_find(&bench.branch, 1, path, &fd);
	assert(r == BELOW_FOUND);
	assert(fd_stat(fd, NULL, &st) == 0);
	assert(st.st_mtim.tv_sec == 1000 && st.st_mtim.tv_nsec == 5 && (st.st_mode & 0777) == 0700);
	close(fd);
	assert(fd_stat(bench.branch, "short", &st) == 0 && st.st_nlink == 2);
	end(&bench);
	free(other);
	free(path);
}

/* ACLs in tar's own words become the kernel's; a default one does not spread to what is inside. */
static void test_acl(void)
{
	struct archive_entry *entry = archive_entry_new();
	struct bench bench;
	ssize_t n;
	char *value;
	int fd;

	begin(&bench);
	archive_entry_copy_pathname(entry, "dir");
	archive_entry_set_mode(entry, S_IFDIR | 0750);
	archive_entry_set_uid(entry, geteuid());
	archive_entry_set_gid(entry, getegid());
	for (int type = ARCHIVE_ENTRY_ACL_TYPE_ACCESS; type <= ARCHIVE_ENTRY_ACL_TYPE_DEFAULT;
	     type *= 2) {
		archive_entry_acl_add_entry(entry, type, 7, ARCHIVE_ENTRY_ACL_USER_OBJ, -1, NULL);
		archive_entry_acl_add_entry(entry, type, 5, ARCHIVE_ENTRY_ACL_USER, 77, "someone");
		archive_entry_acl_add_entry(entry, type, 5, ARCHIVE_ENTRY_ACL_GROUP_OBJ, -1, NULL);
		archive_entry_acl_add_entry(entry, type, 5, ARCHIVE_ENTRY_ACL_MASK, -1, NULL);
		archive_entry_acl_add_entry(entry, type, 0, ARCHIVE_ENTRY_ACL_OTHER, -1, NULL);
	}
	assert(archive_write_header(bench.archive, entry) == ARCHIVE_OK);
	archive_entry_free(entry);
	add(&bench, "dir/file", S_IFREG | 0644, NULL);
	if (unpack(&bench, NULL, 0) == 0) {
		fd = openat(bench.branch, "dir", O_RDONLY);
		for (int i = 0; i < 2; i++) {
			n = xattr_get_all(
				fd, i ? "system.posix_acl_default" : "system.posix_acl_access",
				&value);
			assert(n == 4 + 5 * 8);
			assert(value[4 + 8] == 2 && value[4 + 8 + 4] == 77); /* ACL_USER, 77 */
			free(value);
		}
		close(fd);
		fd = openat(bench.branch, "dir/file", O_RDONLY);
		assert(xattr_get(fd, "system.posix_acl_access", NULL, 0) < 0);
		close(fd);
	} else {
		assert(strstr(bench.error.text, "posix_acl")); /* a filesystem without them */
	}
	end(&bench);
}

/* Without privilege nothing real is refused, and what could not be set is written down. */
static void test_without_privilege(void)
{
	struct archive_entry *entry = archive_entry_new();
	struct bench bench;
	struct stat st;
	char value[64];
	ssize_t n;
	int fd;

	begin(&bench);
	bench.site.privileged = false;
	add(&bench, "locked", S_IFDIR, NULL);
	add(&bench, "locked/file", S_IFREG, NULL);
	archive_entry_copy_pathname(entry, "pipe");
	archive_entry_set_mode(entry, S_IFIFO | 0600);
	archive_entry_set_uid(entry, geteuid());
	archive_entry_set_gid(entry, getegid());
	assert(archive_write_header(bench.archive, entry) == ARCHIVE_OK);
	archive_entry_free(entry);
	assert(unpack(&bench, NULL, 0) == 0);
	fd = openat(bench.branch, "locked/file", O_RDONLY);
	assert(fd >= 0 && fd_stat(fd, NULL, &st) == 0 && (st.st_mode & 0777) == 0600);
	n = xattr_get(fd, "user.containers.override_stat", value, sizeof(value) - 1);
	if (n != -EOPNOTSUPP) {
		assert(n > 0);
		value[n] = '\0';
		assert(strstr(value, ":00:file"));
	}
	close(fd);
	assert(fd_stat(bench.branch, "locked", &st) == 0 && (st.st_mode & 0777) == 0700);
	end(&bench);
}

static void test_refusals_name_the_entry(void)
{
	static const struct {
		const char *path;
		mode_t mode;
		const char *link, *said;
	} cases[] = {
		{ "../x", S_IFREG, NULL, "'../x': refused: '..' in its name" },
		{ "loop/x", S_IFREG, NULL, "'loop/x': Too many levels of symbolic links" },
		{ "hard", S_IFREG, "link/passwd", "'hard': refused: a hard link to 'link/passwd'" },
		{ "file/x", S_IFREG, NULL, "'file/x': refused: its parent file is no directory" },
		{ ".wh..", S_IFREG, NULL, "'.wh..': refused: a whiteout of no name" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct bench bench;

		begin(&bench);
		add(&bench, "link", S_IFLNK | 0777, "/etc");
		add(&bench, "loop", S_IFLNK | 0777, "./loop");
		add(&bench, "file", S_IFREG | 0644, NULL);
		add(&bench, cases[i].path, cases[i].mode, cases[i].link);
		assert(unpack(&bench, NULL, 0) < 0);
		assert(strncmp(bench.error.text, cases[i].said, strlen(cases[i].said)) == 0);
		end(&bench);
	}
}

/* What the layers below show is seen through their marks. */
static void test_below(void)
{
	struct bench low, high;
	int layers[2], fd;

	begin(&low);
	add(&low, "a/b", S_IFREG | 0644, NULL);
	add(&low, "c/d", S_IFREG | 0644, NULL);
	add(&low, "e/f", S_IFREG | 0644, NULL);
	add(&low, "g", S_IFLNK | 0777, "a");
	assert(unpack(&low, NULL, 0) == 0);
	begin(&high);
	add(&high, ".wh.a", S_IFREG, NULL);
	add(&high, "c/" WHITEOUT_OPAQUE_FILE, S_IFREG, NULL);
	add(&high, "e/x", S_IFREG | 0644, NULL);
	layers[0] = low.branch;
	assert(unpack(&high, layers, 1) == 0);
	layers[0] = high.branch;
	layers[1] = low.branch;
	assert(below_find(layers, 2, "a/b", &fd) == BELOW_ABSENT);
	assert(below_find(layers, 2, "c/d", &fd) == BELOW_ABSENT);
	assert(below_find(layers, 2, "g/b", &fd) == BELOW_ABSENT);
	assert(below_find(layers, 2, "e/f", &fd) == BELOW_FOUND);
	close(fd);
	assert(below_find(layers + 1, 1, "a/b", &fd) == BELOW_FOUND);
	close(fd);
	end(&low);
	end(&high);
}

int main(void)
{
	test_marks_as_files();
	test_marks_as_xattrs();
	test_deep_path();
	test_acl();
	test_without_privilege();
	test_refusals_name_the_entry();
	test_below();
	return 0;
}
