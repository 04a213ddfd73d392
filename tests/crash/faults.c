/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * faults: preloaded into the daemon, makes memory run out and a directory's disk
 * give errors, while it runs.  $FAULTS names a file that says what is to fail
 * now, and counts what did; it is mapped, so it is changed with dd:
 *
 *   byte 0   every n-th allocation fails; 0: none does
 *   byte 1   what fails below $FAULTS_DIR, the bits of enum fault; UNLINK fails everywhere
 *   byte 2   with which errno
 *   byte 4   so often something has failed: four bytes
 *
 * What a descriptor is of is asked of /proc, so renames are no matter.
 *
 * Built for 64-bit machines, where open64 is another name of open: the daemon
 * and the libraries in it use either.
 */
#undef _FILE_OFFSET_BITS
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum fault {
	READ = 1,
	OPEN = 2,
	LIST = 4,
	WRITE = 8,
	SYNC = 16,
	STAT = 32,
	LINK = 64,
	UNLINK = 128
};

struct control {
	_Atomic uint8_t every, faults, error, unused;
	_Atomic uint32_t n_failed;
};

static struct control *control;
static const char *fault_dir;
static atomic_uint n_allocations;

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *old, size_t size);

__attribute__((constructor)) static void init(void)
{
	const char *path = getenv("FAULTS");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *map = MAP_FAILED;

	fault_dir = getenv("FAULTS_DIR");
	if (fd >= 0) {
		map = mmap(NULL, sizeof(*control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		close(fd);
	}
	if (map != MAP_FAILED)
		control = map;
}

/* The next function of this name. */
#define NEXT(ret, name, ...)                                                                       \
	static ret (*next)(__VA_ARGS__);                                                           \
	if (!next)                                                                                 \
	next = (ret(*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

#define ALSO(name) __attribute__((alias(name)))

/* --- memory --- */

static int allocation_fails(void)
{
	unsigned every = control ? atomic_load_explicit(&control->every, memory_order_relaxed) : 0;

	if (!every || atomic_fetch_add(&n_allocations, 1) % every != every - 1)
		return 0;
	atomic_fetch_add(&control->n_failed, 1);
	errno = ENOMEM;
	return 1;
}

void *malloc(size_t size)
{
	return allocation_fails() ? NULL : __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
	return allocation_fails() ? NULL : __libc_calloc(n, size);
}

void *realloc(void *old, size_t size)
{
	return allocation_fails() ? NULL : __libc_realloc(old, size);
}

/* --- a directory's disk --- */

/* In a mount of the daemon's own, a directory would have no path that says where it is. */
int open_tree(int dirfd, const char *path, unsigned int flags)
{
	(void)dirfd;
	(void)path;
	(void)flags;
	errno = EPERM;
	return -1;
}

static int is_below(const char *path)
{
	size_t n = strlen(fault_dir);

	return strncmp(path, fault_dir, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

/* What a descriptor is of; a path of /proc/self/fd too. */
static int resolve(int fd, const char *path, char ret[4096])
{
	char link[64];
	ssize_t n;

	if (strncmp(path, "/proc/self/fd/", 14) == 0)
		snprintf(link, sizeof(link), "%s", path);
	else
		snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, ret, 4095);
	if (n < 0)
		return -1;
	ret[n] = '\0';
	if (*path && *path != '/' && strcmp(path, ".") != 0)
		snprintf(ret + n, 4096 - (size_t)n, "/%s", path);
	return 0;
}

static int fails(enum fault fault, int fd, const char *path)
{
	static __thread char full[4096];
	int saved = errno;

	if (!control || !fault_dir || !(atomic_load(&control->faults) & fault))
		return 0;
	if (resolve(fd, path, full) < 0 || !is_below(full)) {
		errno = saved;
		return 0;
	}
	atomic_fetch_add(&control->n_failed, 1);
	errno = atomic_load(&control->error);
	return 1;
}

ssize_t pread(int fd, void *buf, size_t size, off_t offset)
{
	NEXT(ssize_t, "pread", int, void *, size_t, off_t);
	return fails(READ, fd, "") ? -1 : next(fd, buf, size, offset);
}

ssize_t pwrite(int fd, const void *buf, size_t size, off_t offset)
{
	NEXT(ssize_t, "pwrite", int, const void *, size_t, off_t);
	return fails(WRITE, fd, "") ? -1 : next(fd, buf, size, offset);
}

ssize_t pread64(int fd, void *buf, size_t size, off_t offset) ALSO("pread");
ssize_t pwrite64(int fd, const void *buf, size_t size, off_t offset) ALSO("pwrite");

ssize_t copy_file_range(int in, off_t *in_offset, int out, off_t *out_offset, size_t size,
			unsigned int flags)
{
	NEXT(ssize_t, "copy_file_range", int, off_t *, int, off_t *, size_t, unsigned int);
	return fails(READ, in, "") || fails(WRITE, out, "")
		       ? -1
		       : next(in, in_offset, out, out_offset, size, flags);
}

int ioctl(int fd, unsigned long request, ...)
{
	NEXT(int, "ioctl", int, unsigned long, void *);
	va_list args;
	void *argument;

	va_start(args, request);
	argument = va_arg(args, void *);
	va_end(args);
	return fails(READ, fd, "") || fails(WRITE, fd, "") ? -1 : next(fd, request, argument);
}

int fsync(int fd)
{
	NEXT(int, "fsync", int);
	return fails(SYNC, fd, "") ? -1 : next(fd);
}

int fdatasync(int fd)
{
	NEXT(int, "fdatasync", int);
	return fails(SYNC, fd, "") ? -1 : next(fd);
}

struct dirent *readdir(DIR *dir)
{
	NEXT(struct dirent *, "readdir", DIR *);
	return fails(LIST, dirfd(dir), "") ? NULL : next(dir);
}

struct dirent64 *readdir64(DIR *dir) ALSO("readdir");

int fstatat(int fd, const char *path, struct stat *st, int flags)
{
	NEXT(int, "fstatat", int, const char *, struct stat *, int);
	return fails(STAT, fd, path) ? -1 : next(fd, path, st, flags);
}

int linkat(int fd, const char *path, int newfd, const char *newpath, int flags)
{
	NEXT(int, "linkat", int, const char *, int, const char *, int);
	return fails(LINK, newfd, newpath) ? -1 : next(fd, path, newfd, newpath, flags);
}

int unlinkat(int fd, const char *path, int flags)
{
	NEXT(int, "unlinkat", int, const char *, int);

	if (!control || !(atomic_load(&control->faults) & UNLINK))
		return next(fd, path, flags);
	atomic_fetch_add(&control->n_failed, 1);
	errno = atomic_load(&control->error);
	return -1;
}

static mode_t mode_of(int flags, va_list args)
{
	return flags & (O_CREAT | O_TMPFILE) ? va_arg(args, mode_t) : 0;
}

int openat(int fd, const char *path, int flags, ...)
{
	NEXT(int, "openat", int, const char *, int, mode_t);
	va_list args;
	mode_t mode;

	va_start(args, flags);
	mode = mode_of(flags, args);
	va_end(args);
	return fails(OPEN, fd, path) ? -1 : next(fd, path, flags, mode);
}

int open(const char *path, int flags, ...)
{
	NEXT(int, "open", const char *, int, mode_t);
	va_list args;
	mode_t mode;

	va_start(args, flags);
	mode = mode_of(flags, args);
	va_end(args);
	return fails(OPEN, AT_FDCWD, path) ? -1 : next(path, flags, mode);
}

int fstatat64(int fd, const char *path, struct stat64 *st, int flags) ALSO("fstatat");
int openat64(int fd, const char *path, int flags, ...) ALSO("openat");
int open64(const char *path, int flags, ...) ALSO("open");

long syscall(long number, ...)
{
	NEXT(long, "syscall", long, long, long, long, long, long, long);
	va_list args;
	long a[6];

	va_start(args, number);
	for (unsigned i = 0; i < 6; i++)
		a[i] = va_arg(args, long);
	va_end(args);
	if (number == SYS_openat2 && fails(OPEN, (int)a[0], (const char *)a[1]))
		return -1;
	return next(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
