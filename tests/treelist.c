/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * treelist: a canonical listing of a tree, one object a line, sorted by the bytes of the path.
 *
 * Columns, separated by tabs: path, type and mode, uid:gid, size or rdev, mtime in nanoseconds,
 * link group, xattrs, link target or SHA-256. The link group is the path of the first name of an
 * object that has several. Marks of union filesystems are left out of the xattrs, as is the mtime
 * of directories unless --dir-times is given. Exit status 1 when something could not be read.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <search.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

/* The paths found, relative to the root, which is "". */
static char **paths;
static size_t n_paths;
static bool no_times, no_ids, dir_times;
static bool failed;

/* An object that has several names, and the first of them. */
struct group {
	dev_t dev;
	ino_t ino;
	const char *first;
};

static void *check(void *p)
{
	if (!p) {
		fprintf(stderr, "treelist: out of memory\n");
		exit(1);
	}
	return p;
}

static void complain(const char *path)
{
	fprintf(stderr, "treelist: /%s: %s\n", path, strerror(errno));
	failed = true;
}

static void add_path(char *path)
{
	if (n_paths % 1024 == 0)
		paths = check(realloc(paths, (n_paths + 1024) * sizeof(*paths)));
	paths[n_paths++] = path;
}

static bool is_dir(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static void walk(const char *dir)
{
	DIR *d = opendir(*dir ? dir : ".");
	struct dirent *e;

	if (!d) {
		complain(dir);
		return;
	}
	while ((e = readdir(d))) {
		char *path;

		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		if (asprintf(&path, "%s%s%s", dir, *dir ? "/" : "", e->d_name) < 0)
			check(NULL);
		add_path(path);
		if (is_dir(path))
			walk(path);
	}
	closedir(d);
}

static int compare_paths(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int compare_groups(const void *a, const void *b)
{
	const struct group *x = a, *y = b;

	if (x->dev != y->dev)
		return x->dev < y->dev ? -1 : 1;
	return x->ino < y->ino ? -1 : x->ino > y->ino;
}

static const char *first_name(const struct stat *st, const char *path)
{
	static void *groups;
	struct group *g = check(malloc(sizeof(*g)));
	struct group **found;

	*g = (struct group){ .dev = st->st_dev, .ino = st->st_ino, .first = path };
	found = check(tsearch(g, &groups, compare_groups));
	if (*found != g)
		free(g);
	return (*found)->first;
}

static void show(FILE *out, const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = s[i];

		if (c >= 0x21 && c <= 0x7e && c != '\\')
			putc(c, out);
		else
			fprintf(out, "\\x%02x", c);
	}
}

static void show_hex(FILE *out, const unsigned char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		fprintf(out, "%02x", s[i]);
}

static int show_digest(FILE *out, const char *path)
{
	static unsigned char buf[1 << 20];
	unsigned char md[EVP_MAX_MD_SIZE];
	unsigned int md_len;
	EVP_MD_CTX *ctx;
	ssize_t n;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -1;
	ctx = check(EVP_MD_CTX_new());
	EVP_DigestInit_ex(ctx, EVP_sha256(), NULL);
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		EVP_DigestUpdate(ctx, buf, n);
	EVP_DigestFinal_ex(ctx, md, &md_len);
	EVP_MD_CTX_free(ctx);
	close(fd);
	show_hex(out, md, md_len);
	return n;
}

static int show_target(FILE *out, const char *path)
{
	char target[65536];
	ssize_t n = readlink(path, target, sizeof(target));

	if (n < 0)
		return -1;
	show(out, target, n);
	return 0;
}

static bool is_mark(const char *name)
{
	static const char *const marks[] = { "trusted.overlay.", "user.overlay.",
					     "user.fuseoverlayfs.", "user.containers." };

	for (size_t i = 0; i < sizeof(marks) / sizeof(*marks); i++)
		if (!strncmp(name, marks[i], strlen(marks[i])))
			return true;
	return false;
}

static int show_xattrs(FILE *out, const char *path)
{
	static char list[65536], value[65536];
	char *names[4096];
	size_t n_names = 0, shown = 0;
	ssize_t len = llistxattr(path, list, sizeof(list));

	if (len < 0)
		return -1;
	for (char *name = list; name < list + len && n_names < 4096; name += strlen(name) + 1)
		if (!is_mark(name))
			names[n_names++] = name;
	qsort(names, n_names, sizeof(*names), compare_paths);
	for (size_t i = 0; i < n_names; i++) {
		len = lgetxattr(path, names[i], value, sizeof(value));
		if (len < 0)
			return -1;
		fputs(shown++ ? "," : "", out);
		show(out, names[i], strlen(names[i]));
		putc('=', out);
		show_hex(out, (unsigned char *)value, len);
	}
	if (!shown)
		putc('-', out);
	return 0;
}

static char kind_of(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
		return 'f';
	case S_IFDIR:
		return 'd';
	case S_IFLNK:
		return 'l';
	case S_IFIFO:
		return 'p';
	case S_IFSOCK:
		return 's';
	case S_IFCHR:
		return 'c';
	default:
		return 'b';
	}
}

static void show_time(FILE *out, const struct timespec *t)
{
	if (t->tv_sec > 0)
		fprintf(out, "%lld%09ld", (long long)t->tv_sec, t->tv_nsec);
	else
		fprintf(out, "%lld", t->tv_sec * 1000000000LL + t->tv_nsec);
}

/* The columns that come from stat. */
static void show_stat(FILE *out, const char *path, const struct stat *st, char kind)
{
	const char *first = NULL;

	fprintf(out, "/");
	show(out, path, strlen(path));
	fprintf(out, "\t%c%04o\t", kind, st->st_mode & 07777);
	if (no_ids)
		putc('-', out);
	else
		fprintf(out, "%u:%u", st->st_uid, st->st_gid);
	if (kind == 'f' || kind == 'l')
		fprintf(out, "\t%lld\t", (long long)st->st_size);
	else if (kind == 'c' || kind == 'b')
		fprintf(out, "\t%u:%u\t", major(st->st_rdev), minor(st->st_rdev));
	else
		fprintf(out, "\t-\t");
	if (!no_times && (kind != 'd' || dir_times))
		show_time(out, &st->st_mtim);
	else
		putc('-', out);
	putc('\t', out);
	if (kind != 'd' && st->st_nlink > 1)
		first = first_name(st, path);
	show(out, first ? first : "-", first ? strlen(first) : 1);
	putc('\t', out);
}

static int show_object(FILE *out, const char *path)
{
	const char *at = *path ? path : ".";
	struct stat st;
	char kind;

	if (lstat(at, &st) < 0)
		return -1;
	kind = kind_of(st.st_mode);
	show_stat(out, path, &st, kind);
	if (show_xattrs(out, at) < 0)
		return -1;
	putc('\t', out);
	if (kind == 'f')
		return show_digest(out, at);
	if (kind == 'l')
		return show_target(out, at);
	putc('-', out);
	return 0;
}

/* A line is printed whole or not at all. */
static void print_object(const char *path)
{
	char *line;
	size_t len;
	FILE *out = check(open_memstream(&line, &len));
	int r = show_object(out, path);

	if (r < 0)
		complain(path);
	fclose(out);
	if (r == 0)
		puts(line);
	free(line);
}

static int usage(void)
{
	fprintf(stderr, "Usage: treelist DIR [--no-times] [--no-ids] [--dir-times]\n");
	return 2;
}

int main(int argc, char **argv)
{
	const char *dir = NULL;

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--no-times"))
			no_times = true;
		else if (!strcmp(argv[i], "--no-ids"))
			no_ids = true;
		else if (!strcmp(argv[i], "--dir-times"))
			dir_times = true;
		else if (argv[i][0] == '-' || dir)
			return usage();
		else
			dir = argv[i];
	}
	if (!dir)
		return usage();
	if (chdir(dir) < 0) {
		fprintf(stderr, "treelist: %s: %s\n", dir, strerror(errno));
		return 1;
	}
	add_path(check(strdup("")));
	walk("");
	qsort(paths, n_paths, sizeof(*paths), compare_paths);
	for (size_t i = 0; i < n_paths; i++)
		print_object(paths[i]);
	return failed;
}
