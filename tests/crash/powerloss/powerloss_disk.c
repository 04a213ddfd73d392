/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Images and mounts.  In the directory that was given:
 *
 *   base           a tmpfs, so that nothing waits for a real disk
 *   base/clones    an image with an xfs, which can clone files; mounted on clones
 *   clones/disk    the image that loses power; mounted on disk
 *   clones/loss-N  its clones; mounted on disk-after, each in a mount namespace of its own
 *   lower          the lower branch; m, n: the union before and after
 *
 * Who unmounts them from the last name to the first is right.
 */
#include "powerloss.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

int run(const char *const argv[])
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		execvp(argv[0], (char *const *)argv);
		_exit(127);
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return pid > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

#define RUN(...) run((const char *const[]){ __VA_ARGS__, NULL })

static void must_run(int r, const char *what)
{
	if (r != 0)
		die("%s failed", what);
}

static void make_dir(const char *path)
{
	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		die("mkdir %s: %s", path, strerror(errno));
}

static int open_dir(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		die("open %s: %s", path, strerror(errno));
	return fd;
}

/* A daemon that ends may still hold it for a moment. */
static int unmount(const char *path)
{
	for (unsigned i = 0; i < 500; i++) {
		if (umount2(path, 0) == 0)
			return 0;
		usleep(10000);
	}
	wrong("unmounting %s: %s", path, strerror(errno));
	umount2(path, MNT_DETACH);
	return -1;
}

static void make_image(const char *path, off_t size, const char *filesystem)
{
	int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);

	if (fd < 0 || ftruncate(fd, size) < 0)
		die("%s: %s", path, strerror(errno));
	close(fd);
	must_run(strcmp(filesystem, "xfs") == 0
			 ? RUN("mkfs.xfs", "-q", "-f", "-m", "reflink=1", path)
			 : RUN("mkfs.ext4", "-q", "-F", path),
		 "mkfs");
}

void disk_init(void)
{
	static const char *const dirs[] = { "base",  "clones", "disk", "disk-after",
					    "lower", "m",      "n" };

	if (chdir(settings.dir) < 0)
		die("%s: %s", settings.dir, strerror(errno));
	for (unsigned i = 0; i < sizeof(dirs) / sizeof(*dirs); i++)
		make_dir(dirs[i]);
	if (mount("tmpfs", "base", "tmpfs", 0, "size=3g") < 0)
		die("tmpfs: %s", strerror(errno));
	make_image("base/clones", (off_t)3 << 30, "xfs");
	must_run(RUN("mount", "-o", "loop", "base/clones", "clones"), "mount");
	umask(0);
	layout_init();
	make_lower(open_dir("lower"));
}

void disk_done(void)
{
	unmount("clones");
	umount2("base", MNT_DETACH); /* the loop device lets go of it when it likes */
}

/* --- the union --- */

static const char *mount_point(bool is_after)
{
	if (settings.plain)
		return is_after ? "disk-after/plain" : "disk/plain";
	return is_after ? "n" : "m";
}

static int mount_union(bool is_after)
{
	const char *disk = is_after ? "disk-after" : "disk";
	char options[300];

	if (settings.plain)
		return 0;
	snprintf(options, sizeof(options),
		 "lowerdir=%s%slower,upperdir=%s/upper,workdir=%s/work%s%s",
		 settings.clones ? disk : "", settings.clones ? "/" : "", disk, disk,
		 *settings.options ? "," : "", settings.options);
	return RUN("timeout", "-s", "KILL", "30", settings.cairnfs, "-o", options,
		   mount_point(is_after));
}

static int unmount_union(bool is_after)
{
	return settings.plain ? 0 : unmount(mount_point(is_after));
}

/* --- the instant --- */

static void lose_power(struct loss *loss, unsigned number)
{
	int from, to;

	loss->number = number;
	snprintf(loss->image, sizeof(loss->image), "clones/loss-%u", number);
	from = open("clones/disk", O_RDONLY | O_CLOEXEC);
	to = open(loss->image, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
	if (from < 0 || to < 0)
		die("%s: %s", loss->image, strerror(errno));
	loss->before = tick();
	if (ioctl(to, FICLONE, from) < 0)
		die("cloning the image: %s", strerror(errno));
	loss->after = tick();
	close(from);
	close(to);
}

static void prepare_disk(void)
{
	int disk, root;

	make_image("clones/disk", (off_t)400 << 20, settings.filesystem);
	must_run(RUN("mount", "-o", "loop", "clones/disk", "disk"), "mount");
	if (settings.plain) {
		must_run(RUN("cp", "-a", "lower", "disk/plain"), "cp");
	} else {
		if (settings.clones)
			must_run(RUN("cp", "-a", "lower", "disk"), "cp");
		make_dir("disk/upper");
		make_dir("disk/work");
	}
	layout_init();
	must_run(mount_union(false), "mounting");
	root = open_dir(mount_point(false));
	make_early(root);
	note_numbers(root);
	close(root);
	/* Closed once: what the work directory then holds is on the disk. */
	unmount_union(false);
	disk = open_dir("disk");
	syncfs(disk);
	close(disk);
}

static pid_t start_process(void (*function)(int root, unsigned process), int root, unsigned process)
{
	pid_t pid = fork();

	if (pid < 0)
		die("fork: %s", strerror(errno));
	if (pid == 0)
		function(root, process);
	return pid;
}

static void await_all(const pid_t pids[], unsigned n)
{
	int status;

	for (unsigned i = 0; i < n; i++) {
		if (waitpid(pids[i], &status, 0) < 0 || status != 0)
			atomic_store(&shared->failed, true);
	}
}

static void write_back_disk(int disk, unsigned process)
{
	(void)process;
	write_back(disk);
}

/* Waits until so much was done; not for ever, as a process that has done all it may do does no
 * more. */
static void await_changes(unsigned n)
{
	uint64_t end = atomic_load(&shared->n_ops) + n;

	for (unsigned i = 0; i < 4000 && atomic_load(&shared->n_ops) < end; i++)
		usleep(500);
}

/* Unmounts the union and mounts it again, a few times. */
static _Noreturn void remount(int root, unsigned process)
{
	int r = 0;

	(void)process;
	close(root);
	for (unsigned i = 0; i < 3 && r == 0; i++) {
		r = unmount_union(false);
		if (r == 0)
			r = mount_union(false);
	}
	_exit(r == 0 ? 0 : 1);
}

/* Works, and loses power n times meanwhile: the last time when it is unmounted and mounted. */
static void load(struct loss losses[], unsigned first, unsigned n)
{
	int disk = open_dir("disk"), root;
	pid_t pids[MAX_PROCESSES], writer;

	atomic_store(&shared->stop, false);
	atomic_store(&shared->stop_writing_back, false);
	writer = start_process(write_back_disk, disk, 0);
	root = open_dir(mount_point(false));
	for (unsigned i = 0; i < settings.n_processes; i++)
		pids[i] = start_process(work, root, i);
	chance_seed(settings.seed << 8 | 254);
	for (unsigned i = 0; i < n; i++) {
		await_changes(20 + chance(chance(4) ? 150 : 800));
		if (i == n - 1 && n > 1) {
			atomic_store(&shared->stop, true);
			await_all(pids, settings.n_processes);
			pids[0] = start_process(remount, root, 0);
			close(root);
		}
		usleep(chance(20000));
		lose_power(&losses[i], first + i);
	}
	if (n == 1) {
		atomic_store(&shared->stop, true);
		close(root);
	}
	await_all(pids, n == 1 ? settings.n_processes : 1);
	atomic_store(&shared->stop_writing_back, true);
	await_all(&writer, 1);
	close(disk);
}

/* --- after it --- */

/* A machine that was started again has another boot id. */
static void start_machine(void)
{
	int fd;

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		die("unshare: %s", strerror(errno));
	fd = open("boot_id", O_CREAT | O_TRUNC | O_WRONLY, 0644);
	dprintf(fd, "00000000-1111-2222-3333-444444444444\n");
	close(fd);
	if (mount("boot_id", "/proc/sys/kernel/random/boot_id", NULL, MS_BIND, NULL) < 0)
		die("boot_id: %s", strerror(errno));
}

static unsigned check_mounted(const struct loss *loss)
{
	unsigned n_wrong;
	int root;

	if (mount_union(true) != 0) {
		wrong("the mount after the loss is refused, or hangs");
		return 1;
	}
	root = open_dir(mount_point(true));
	n_wrong = check_everything(root, loss);
	n_wrong += remove_everything(root);
	close(root);
	n_wrong += unmount_union(true) < 0;
	return n_wrong;
}

/* After the unmount the daemon is still closing for a moment; it has this file locked. */
static void wait_for_daemon(void)
{
	int fd = open("disk-after/work/owner", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		die("open work/owner: %s", strerror(errno));
	flock(fd, LOCK_EX);
	close(fd);
}

/* What was removed stays removed, and the daemon has put nothing aside. */
static unsigned check_empty(void)
{
	unsigned n_wrong = 0;
	int root;

	if (settings.plain)
		return 0;
	wait_for_daemon();
	if (access("disk-after/work/staging", F_OK) == 0 ||
	    access("disk-after/work/orphans", F_OK) == 0) {
		wrong("the work directory is not empty");
		n_wrong++;
	}
	if (mount_union(true) != 0) {
		wrong("the second mount after the loss is refused");
		return n_wrong + 1;
	}
	root = open_dir(mount_point(true));
	n_wrong += remove_everything(root);
	close(root);
	return n_wrong + (unmount_union(true) < 0);
}

static _Noreturn void check_loss(const struct loss *loss)
{
	const char *options = strcmp(settings.filesystem, "xfs") == 0 ? "loop,nouuid" : "loop";
	unsigned n_wrong;

	alarm(180); /* what hangs is wrong too */
	start_machine();
	must_run(RUN("mount", "-o", options, loss->image, "disk-after"), "mounting the disk again");
	n_wrong = check_mounted(loss);
	if (n_wrong == 0)
		n_wrong = check_empty();
	n_wrong += unmount("disk-after") < 0;
	_exit(n_wrong ? 1 : 0);
}

/* False, with the image kept if that was asked for. */
static bool recover(const struct loss *loss)
{
	pid_t pid;
	int status;

	fflush(stdout);
	pid = fork();
	if (pid == 0)
		check_loss(loss);
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		die("fork: %s", strerror(errno));
	if (status == 0) {
		unlink(loss->image);
		return true;
	}
	wrong("loss %u of seed %lu on %s, options '%s'%s", loss->number, settings.seed,
	      settings.filesystem, settings.options,
	      settings.plain	? ", plain"
	      : settings.clones ? ", clones"
				: "");
	if (!settings.keep)
		unlink(loss->image);
	return false;
}

bool session(unsigned first, unsigned n)
{
	struct loss losses[MAX_LOSSES];
	bool r = true;

	prepare_disk();
	must_run(mount_union(false), "mounting");
	load(losses, first, n);
	if (unmount_union(false) < 0 || atomic_load(&shared->failed))
		r = false;
	unmount("disk");
	for (unsigned i = 0; i < n; i++) {
		if (!recover(&losses[i]))
			r = false;
	}
	unlink("clones/disk");
	return r;
}
