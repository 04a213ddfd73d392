/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which file it is: inode numbers, and handles that outlive names and caches. */
#include "rules.h"

#include <dirent.h>
#include <sys/xattr.h>

/* Drops what the kernel knows of names and inodes that nobody uses. */
static void drop_caches(void)
{
	cleanup_fd int fd = open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC);

	/* The first time only clears the mark of what was used of late. */
	for (int i = 0; i < 2; i++)
		if (fd < 0 || write(fd, "2", 1) != 1)
			skip("caches cannot be dropped here");
}

static void with_tree(void)
{
	branch(3);
	dir("d");
	file("d/f", "low");
	file("g", "low");
	ok(link("g", "d/g2"));
	ok(symlink("g", "link"));
	ok(mkfifo("fifo", 0600));
	branch(2);
	dir("d");
	file("d/h", "mid");
	start();
	file("new", "new");
	dir("newdir");
}

static const char *const objects[] = { ".",   "d",    "d/f",  "g",   "d/g2",
				       "d/h", "link", "fifo", "new", "newdir" };
#define N_OBJECTS (sizeof(objects) / sizeof(*objects))

static void check_numbers(const ino_t *want)
{
	for (size_t i = 0; i < N_OBJECTS; i++)
		if (st(objects[i]).st_ino != want[i])
			failed(__FILE__, __LINE__, "%s: number %lu, not %lu", objects[i],
			       (unsigned long)st(objects[i]).st_ino, (unsigned long)want[i]);
}

static void numbers_stay(void)
{
	ino_t want[N_OBJECTS];

	with_tree();
	for (size_t i = 0; i < N_OBJECTS; i++) {
		want[i] = st(objects[i]).st_ino;
		check_eq(st(objects[i]).st_dev, st(".").st_dev);
		for (size_t j = 0; j < i; j++)
			check_eq(want[i] == want[j], i == 4 && j == 3);
	}
	drop_caches();
	check_numbers(want);
	remount();
	check_numbers(want);
	for (size_t i = 0; i < N_OBJECTS; i++)
		set_times(objects[i], 1000, 0);
	check_numbers(want);
	ok(rename("d", "d2"));
	ok(rename("d2", "d"));
	append("d/f", "x");
	check_numbers(want);
	drop_caches();
	check_numbers(want);
	remount();
	check_numbers(want);
}

/* Tmpfses give the same numbers; the union's are its own. */
static void numbers_of_several_disks(void)
{
	static const char *const names_of[] = { "a", "b", "c" };
	ino_t numbers[9];
	int n = 0, equal = 0;

	for (int i = 1; i <= N_BRANCHES; i++)
		tmpfs_branch(i, "size=1m");
	for (int i = N_BRANCHES; i >= 1; i--) {
		branch(i);
		for (int j = 0; j < 3; j++) {
			char name[16];

			snprintf(name, sizeof(name), "%s%d", names_of[j], i);
			file(name, name);
			numbers[n++] = st(name).st_ino;
		}
	}
	for (int i = 0; i < 3; i++)
		equal += numbers[i] == numbers[3 + i] && numbers[i] == numbers[6 + i];
	check(!on_mount() || equal == 3);
	start();
	for (int round = 0; round < 3; round++) {
		ino_t seen[9];
		DIR *d = opendir(".");
		struct dirent *entry;

		n = 0;
		while ((entry = readdir(d)))
			if (entry->d_name[0] != '.') {
				check(n < 9);
				seen[n++] = st(entry->d_name).st_ino;
				check_eq(entry->d_ino, seen[n - 1]);
				check_text(text(entry->d_name), entry->d_name);
			}
		closedir(d);
		check_eq(n, 9);
		for (int i = 0; i < 9; i++)
			for (int j = 0; j < i; j++)
				check(seen[i] != seen[j]);
		if (round == 0)
			set_times("b2", 1, 1);
		else
			remount();
	}
}

/* A number in use belongs to one file, though that has no name any more. */
static void numbers_in_use_are_not_given_again(void)
{
	int fds[50];
	ino_t numbers[50];
	char name[16];

	with_tree();
	for (int i = 0; i < 50; i++) {
		file("f", "x");
		fds[i] = open_as("f", O_RDONLY);
		numbers[i] = fd_st(fds[i]).st_ino;
		ok(unlink("f"));
	}
	for (int i = 0; i < 50; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		file(name, "x");
		for (int j = 0; j < 50; j++)
			check(st(name).st_ino != numbers[j]);
	}
	for (int i = 0; i < 50; i++)
		check_eq(fd_st(fds[i]).st_ino, numbers[i]);
}

/* ---- handles ---- */

struct handle {
	struct file_handle head;
	unsigned char bytes[MAX_HANDLE_SZ];
};

static struct handle handle_of(const char *path)
{
	struct handle ret = { .head.handle_bytes = MAX_HANDLE_SZ };
	int mount_id;

	if (name_to_handle_at(AT_FDCWD, path, &ret.head, &mount_id, 0) < 0) {
		if (errno == EOPNOTSUPP)
			skip("no file handles here");
		failed(__FILE__, __LINE__, "handle of %s: %s", path, strerror(errno));
	}
	return ret;
}

static int open_handle(struct handle *handle, int flags)
{
	cleanup_fd int root = open_as(".", O_RDONLY | O_DIRECTORY);

	return open_by_handle_at(root, &handle->head, flags | O_CLOEXEC);
}

static void check_handle(struct handle *handle, const char *path)
{
	cleanup_fd int fd = open_handle(handle, O_PATH);

	if (fd < 0)
		failed(__FILE__, __LINE__, "handle of %s: %s", path, strerror(errno));
	check_eq(fd_st(fd).st_ino, st(path).st_ino);
	check_mode(fd_st(fd).st_mode, st(path).st_mode);
}

static void handles_of_everything(void)
{
	struct handle handles[N_OBJECTS];

	with_tree();
	for (size_t i = 0; i < N_OBJECTS; i++) {
		handles[i] = handle_of(objects[i]);
		check_handle(&handles[i], objects[i]);
	}
	drop_caches();
	for (size_t i = 0; i < N_OBJECTS; i++)
		check_handle(&handles[i], objects[i]);
	cleanup_fd int fd = ok(open_handle(&handles[2], O_RDONLY));
	check_text(fd_text(fd), "low");
	/* A directory's leads on to what is in it. */
	cleanup_fd int d = ok(open_handle(&handles[1], O_RDONLY | O_DIRECTORY));
	cleanup_fd int below = ok(openat(d, "h", O_RDONLY | O_CLOEXEC));
	check_text(fd_text(below), "mid");
	AS_USER(1000, 1000)
	{
		fails(open_handle(&handles[2], O_RDONLY), EPERM);
	}
}

/* Each time with nothing of it in the kernel's caches. */
static void handles_over_change(void)
{
	with_tree();
	struct handle f = handle_of("d/f"), d = handle_of("d"), g = handle_of("g");
	drop_caches();
	append("d/f", "er");
	drop_caches();
	check_handle(&f, "d/f");
	ok(rename("d/f", "moved"));
	ok(rename("d", "d2"));
	drop_caches();
	check_handle(&f, "moved");
	check_handle(&d, "d2");
	cleanup_fd int fd = ok(open_handle(&f, O_RDWR));
	check_text(fd_text(fd), "lower");
	ok(pwrite(fd, "L", 1, 0));
	check_text(text("moved"), "Lower");
	ok(unlink("g"));
	drop_caches();
	check_handle(&g, "d2/g2");
	cleanup_fd int writer = ok(open_handle(&g, O_WRONLY));
	ok(pwrite(writer, "L", 1, 0));
	check_text(text("d2/g2"), "Low");
}

static void handles_of_lower_files_written_to(void)
{
	with_tree();
	struct handle f = handle_of("d/f");
	drop_caches();
	cleanup_fd int fd = ok(open_handle(&f, O_RDWR));
	ok(pwrite(fd, "L", 1, 0));
	ok(fchmod(fd, 0600));
	check_text(text("d/f"), "Low");
	check_mode(mode_of("d/f"), 0600);
	check_eq(st("d/f").st_ino, fd_st(fd).st_ino);
}

static void handles_get_stale(void)
{
	with_tree();
	struct handle low = handle_of("d/f"), new = handle_of("new"), d = handle_of("newdir");
	struct handle h = handle_of("d/h");
	ok(unlink("d/f"));
	ok(unlink("new"));
	ok(rmdir("newdir"));
	file("other", "x");
	ok(rename("other", "d/h"));
	drop_caches();
	fails(open_handle(&low, O_RDONLY), ESTALE);
	fails(open_handle(&new, O_RDONLY), ESTALE);
	fails(open_handle(&d, O_RDONLY), ESTALE);
	fails(open_handle(&h, O_RDONLY), ESTALE);
	file("d/f", "another");
	file("new", "another");
	drop_caches();
	fails(open_handle(&low, O_RDONLY), ESTALE);
	fails(open_handle(&new, O_RDONLY), ESTALE);
}

/* A file without a name that is in use can be reached still. */
static void handles_of_unlinked_files(void)
{
	with_tree();
	struct handle f = handle_of("d/f");
	int in_use = open_as("d/f", O_RDONLY);
	ok(unlink("d/f"));
	drop_caches();
	cleanup_fd int fd = ok(open_handle(&f, O_RDONLY));
	check_text(fd_text(fd), "low");
	check_eq(fd_st(fd).st_nlink, 0);
	ok(close(in_use));
}

static void handles_over_remount(void)
{
	with_tree();
	append("g", "er");
	ok(rename("d/f", "moved"));
	struct handle f = handle_of("moved"), g = handle_of("g"), h = handle_of("d/h");
	struct handle new = handle_of("new"), d = handle_of("d");
	remount();
	check_handle(&h, "d/h");
	check_handle(&d, "d");
	check_handle(&g, "g");
	check_handle(&f, "moved");
	check_handle(&new, "new");
}

const struct rule rules_identity[] = {
	RULE(numbers_stay, "st_ino over copy-up, rename, dropped caches and remount"),
	RULE(numbers_of_several_disks, "st_ino is unique over branches of several disks"),
	RULE(numbers_in_use_are_not_given_again, "a number in use is not given again"),
	RULE(handles_of_everything, "name_to_handle_at, open_by_handle_at"),
	RULE(handles_over_change, "handles after copy-up and rename"),
	RULE(handles_of_lower_files_written_to, "copy-up through a handle"),
	RULE(handles_get_stale, "ESTALE after deletion"),
	RULE(handles_of_unlinked_files, "handles of files in use without a name"),
	RULE(handles_over_remount, "handles after a remount"),
	{ 0 },
};
