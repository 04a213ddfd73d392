/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Listings: each name once, with the right type and number, from any position. */
#include "rules.h"

#include <dirent.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static DIR *open_list(const char *path)
{
	DIR *d = opendir(path);

	if (!d)
		failed(__FILE__, __LINE__, "opendir %s: %s", path, strerror(errno));
	return d;
}

/* The next name but . and ..; NULL at the end. */
static struct dirent *next_entry(DIR *d)
{
	struct dirent *entry;

	do {
		errno = 0;
		entry = readdir(d);
	} while (entry && (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")));
	check_eq(errno, 0);
	return entry;
}

static void make_files(const char *prefix, int from, int to)
{
	char path[64];

	for (int i = from; i < to; i++) {
		snprintf(path, sizeof(path), "%s%d", prefix, i);
		close(open_as(path, O_CREAT | O_WRONLY));
	}
}

static void every_name_once(void)
{
	branch(3);
	dir("d");
	make_files("d/f", 0, 30);
	branch(2);
	dir("d");
	make_files("d/f", 10, 40);
	hide("d/f5");
	branch(1);
	dir("d");
	make_files("d/f", 20, 50);
	hide("d/f6");
	hide("d/f15");
	start();
	check_eq(count_names("d"), 47);
	make_files("d/f", 0, 7);
	check_eq(count_names("d"), 49);
	ok(unlink("d/f49"));
	ok(unlink("d/f0"));
	check_eq(count_names("d"), 47);
	remount();
	check_eq(count_names("d"), 47);
	check(!strstr(names("d"), "f15"));
	check_eq(count_names("."), 1);
}

/* What stands for marks in other formats, and what lies in upper. */
static void marks_are_not_listed(void)
{
	branch(3);
	dir("d");
	file("d/one", "x");
	file("d/two", "x");
	branch(2);
	dir("d");
	if (on_mount())
		file("d/.wh.one", "");
	else
		ok(unlink("d/one"));
	file("d/three", "x");
	branch(1);
	dir("e");
	if (on_mount())
		file("e/.wh..wh..opq", "");
	start();
	check_text(names("d"), "three two");
	check_text(names("e"), "");
	ok(unlink("d/two"));
	remove_all("e");
	dir("e");
	check_text(names("d"), "three");
	check_text(names("e"), "");
	ok(rename("d", "f"));
	check_text(names("."), "e f");
	check_text(names("f"), "three");
	fails(open("f/.wh.one", O_RDONLY), ENOENT);
	fails(lstat("e/.wh..wh..opq", &(struct stat){ 0 }), ENOENT);
}

static unsigned char type_of(mode_t mode)
{
	return (mode & S_IFMT) >> 12;
}

/* Of every kind, merged and not, over copy-up and rename; . and .. too. */
static void types_and_numbers(void)
{
	struct dirent *entry;
	int count;

	branch(2);
	dir("d");
	dir("d/dir");
	file("d/file", "x");
	ok(symlink("x", "d/link"));
	ok(mkfifo("d/fifo", 0600));
	ok(mknod("d/char", S_IFCHR | 0600, makedev(1, 3)));
	branch(1);
	dir("d");
	dir("d/dir");
	file("d/top", "x");
	ok(link("d/top", "d/twin"));
	start();
	dir("d/new");
	ok(mknod("d/block", S_IFBLK | 0600, makedev(7, 99)));
	for (int round = 0; round < 3; round++) {
		cleanup_dir DIR *d = open_list("d");

		for (count = 0; (entry = readdir(d)); count++) {
			char path[300];

			snprintf(path, sizeof(path), "d/%s", entry->d_name);
			check_eq(entry->d_ino, st(path).st_ino);
			check_eq(entry->d_type, type_of(st(path).st_mode));
		}
		check_eq(count, 11);
		closedir(take_ptr(d));
		if (round == 0) {
			set_times("d/file", 1, 1);
			set_times("d/dir", 1, 1);
			ok(rename("d/twin", "d/x"));
			ok(rename("d/dir", "d/y"));
		} else {
			remount();
		}
	}
}

/* The root's .. is the root's own, whatever is above it. */
static void dots_of_the_root(void)
{
	struct dirent *entry;
	int seen = 0;

	branch(1);
	dir("d");
	start();
	cleanup_dir DIR *d = open_list(".");
	while ((entry = readdir(d)))
		if (!strcmp(entry->d_name, ".")) {
			check_eq(entry->d_ino, st(".").st_ino);
			check_eq(entry->d_type, DT_DIR);
			seen++;
		} else if (!strcmp(entry->d_name, "..")) {
			check_eq(entry->d_type, DT_DIR);
			seen++;
		}
	check_eq(seen, 2);
	cleanup_dir DIR *below = open_list("d");
	while ((entry = readdir(below)))
		if (!strcmp(entry->d_name, ".."))
			check_eq(entry->d_ino, st(".").st_ino);
}

/* ---- positions ---- */

#define N_FILES 500

static void with_files(void)
{
	branch(3);
	dir("d");
	make_files("d/f", 0, 200);
	branch(2);
	dir("d");
	make_files("d/f", 150, 400);
	start();
	make_files("d/f", 400, N_FILES);
}

static void positions_can_be_gone_back_to(void)
{
	long positions[N_FILES];
	char *list[N_FILES];
	struct dirent *entry;
	int n = 0;

	with_files();
	cleanup_dir DIR *d = open_list("d");
	for (;;) {
		long position = telldir(d);

		entry = next_entry(d);
		if (!entry)
			break;
		check(n < N_FILES);
		positions[n] = position;
		list[n++] = strdup(entry->d_name);
	}
	check_eq(n, N_FILES);
	for (int i = 0; i < n; i++) {
		int to = i * 37 % n;

		seekdir(d, positions[to]);
		check_text(next_entry(d)->d_name, list[to]);
	}
	rewinddir(d);
	for (int i = 0; i < n; i++)
		check_text(next_entry(d)->d_name, list[i]);
	/* The same position in another stream, and for an old one after rewinding. */
	cleanup_dir DIR *other = open_list("d");
	seekdir(other, positions[250]);
	check_text(next_entry(other)->d_name, list[250]);
}

static void rewinding_shows_what_is_new(void)
{
	struct dirent *entry;
	bool new = false;
	int n = 0;

	with_files();
	cleanup_dir DIR *d = open_list("d");
	while (next_entry(d))
		n++;
	ok(unlink("d/f7"));
	file("d/new", "x");
	rewinddir(d);
	while ((entry = next_entry(d))) {
		check(strcmp(entry->d_name, "f7") != 0);
		new |= !strcmp(entry->d_name, "new");
		n--;
	}
	check(new);
	check_eq(n, 0);
}

/* Marks the numbers of fN that are met; a second time is a failure. */
static void meet(bool seen[], const struct dirent *entry)
{
	int i;

	if (sscanf(entry->d_name, "f%d", &i) != 1 || i >= N_FILES)
		return;
	if (seen[i])
		failed(__FILE__, __LINE__, "%s is listed twice", entry->d_name);
	seen[i] = true;
}

/* Removes what it reads, as rm -r does, and makes other names meanwhile. */
static void listing_while_removing(void)
{
	bool seen[N_FILES] = { false };
	struct dirent *entry;
	char path[300];
	int n = 0;

	with_files();
	cleanup_dir DIR *d = open_list("d");
	while ((entry = next_entry(d))) {
		if (entry->d_name[0] != 'f')
			continue;
		meet(seen, entry);
		snprintf(path, sizeof(path), "d/%s", entry->d_name);
		ok(unlink(path));
		if (n++ % 10 == 0) {
			snprintf(path, sizeof(path), "d/new%d", n);
			file(path, "");
		}
	}
	check_eq(n, N_FILES);
	check_eq(count_names("d"), N_FILES / 10);
}

/* Another process makes and removes other names: those that stay are met just once. */
static void listing_while_others_change(void)
{
	with_files();
	pid_t pid = ok(fork());
	if (pid == 0) {
		for (int i = 0; i < 3000; i++) {
			char path[64];

			snprintf(path, sizeof(path), "d/other%d", i % 50);
			if (i / 50 % 2)
				unlink(path);
			else
				close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
		}
		_exit(0);
	}
	for (int round = 0; round < 20; round++) {
		bool seen[N_FILES] = { false };
		cleanup_dir DIR *d = open_list("d");
		struct dirent *entry;
		int n = 0;

		while ((entry = next_entry(d)))
			meet(seen, entry);
		for (int i = 0; i < N_FILES; i++)
			n += seen[i];
		check_eq(n, N_FILES);
	}
	ok(waitpid(pid, NULL, 0));
}

/* Positions stay good when names go and come before and after them. */
static void positions_over_changes(void)
{
	bool seen[N_FILES] = { false }, before[N_FILES] = { false };
	struct dirent *entry;
	char path[300];
	long position;
	int n = 0;

	with_files();
	cleanup_dir DIR *d = open_list("d");
	while (n++ < N_FILES / 2)
		meet(before, next_entry(d));
	position = telldir(d);
	for (int i = 0; i < N_FILES; i += 3) {
		snprintf(path, sizeof(path), "d/f%d", i);
		ok(unlink(path));
		snprintf(path, sizeof(path), "d/made%d", i);
		file(path, "");
	}
	for (int round = 0; round < 2; round++) {
		memcpy(seen, before, sizeof(seen));
		seekdir(d, position);
		while ((entry = next_entry(d)))
			meet(seen, entry);
		for (int i = 0; i < N_FILES; i++)
			check(seen[i] || i % 3 == 0);
	}
	rewinddir(d);
	for (n = 0; next_entry(d); n++)
		;
	check_eq(n, N_FILES);
}

/* As long as they can be, so that they end anywhere in the pages they are sent in. */
static void long_names_are_listed(void)
{
	char name[256];
	int count = 0, fill;

	branch(3);
	for (int i = 0; i < 600; i++) {
		if (i == 200)
			branch(2);
		if (i == 400)
			start();
		fill = 255 - i % 7;
		memset(name, 'n', sizeof(name));
		name[snprintf(name, sizeof(name), "%03d", i)] = 'n';
		name[fill] = '\0';
		file(name, "");
	}
	for (int round = 0; round < 2; round++) {
		bool seen[600] = { false };
		struct dirent *entry;
		cleanup_dir DIR *d = open_list(".");

		for (count = 0; (entry = next_entry(d)); count++) {
			check(!seen[atoi(entry->d_name)]);
			seen[atoi(entry->d_name)] = true;
			check_eq(strlen(entry->d_name), 255 - atoi(entry->d_name) % 7);
		}
		check_eq(count, 600);
		closedir(take_ptr(d));
		remount();
	}
}

/* With room for one name in each call. */
static void listing_in_small_pieces(void)
{
	bool seen[N_FILES] = { false };
	static char buffer[sizeof(struct dirent)] __attribute__((aligned(8)));
	long n;

	with_files();
	cleanup_fd int fd = open_as("d", O_RDONLY | O_DIRECTORY);
	while ((n = ok(syscall(SYS_getdents64, fd, buffer, 40))) > 0)
		for (long at = 0; at < n; at += ((struct dirent *)(buffer + at))->d_reclen)
			meet(seen, (struct dirent *)(buffer + at));
	for (int i = 0; i < N_FILES; i++)
		check(seen[i]);
	ok(lseek(fd, 0, SEEK_SET));
	fails(syscall(SYS_getdents64, fd, buffer, 8), EINVAL);
}

/* ---- many ---- */

#define MANY 100000

/* A third of them in each branch, some in two; in memory, where files are made fast. */
static void hundred_thousand_entries(void)
{
	static bool seen[MANY];
	struct dirent *entry;
	int n = 0;

	small_top("size=1g");
	for (int i = 1; i <= N_BRANCHES; i++)
		tmpfs_branch(i, "size=1g");
	branch(3);
	dir("d");
	make_files("d/", 0, 35000);
	branch(2);
	dir("d");
	make_files("d/", 30000, 70000);
	branch(1);
	dir("d");
	make_files("d/", 66000, MANY - 1);
	start();
	make_files("d/", MANY - 1, MANY);
	ok(unlink("d/31000"));
	file("d/31000", "again");
	cleanup_dir DIR *d = open_list("d");
	while ((entry = next_entry(d))) {
		int i = atoi(entry->d_name);

		check(i < MANY && !seen[i]);
		check_eq(entry->d_type, DT_REG);
		seen[i] = true;
		n++;
	}
	check_eq(n, MANY);
	ok(unlink("d/5"));
	check_eq(count_names("d"), MANY - 1);
}

const struct rule rules_list[] = {
	RULE(every_name_once, "no name twice, none missing"),
	RULE(marks_are_not_listed, "no mark of any format is shown"),
	RULE(types_and_numbers, "d_type is right, and d_ino is st_ino"),
	RULE(dots_of_the_root, ". and .."),
	RULE(positions_can_be_gone_back_to, "telldir, seekdir, rewinddir"),
	RULE(rewinding_shows_what_is_new, "rewinddir shows what is new"),
	RULE(listing_while_removing, "names are removed and made while they are read"),
	RULE(listing_while_others_change, "another process makes and removes names"),
	RULE(listing_in_small_pieces, "one name in each call"),
	RULE(hundred_thousand_entries, "100,000 entries of several branches"),
	RULE(positions_over_changes, "positions over create and unlink"),
	RULE(long_names_are_listed, "six hundred names of 255 bytes"),
	{ 0 },
};
