/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * System calls on (directory descriptor, name).
 *
 * Every function returns the call's result (a descriptor, a count, or 0), or
 * a negative errno: the system call's own.  Descriptors are opened with
 * O_CLOEXEC and belong to the caller.  `name` is a single component and is
 * never followed when it is a symbolic link; a NULL name means the object
 * that `dirfd` itself refers to (which may be an O_PATH descriptor).  Where a
 * lease of another process is in the way, opening waits until it is given back.
 * All functions may be called from any thread.
 */
#ifndef BASE_FD_H
#define BASE_FD_H

#include <dirent.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

/*
 * Opens `path`, relative and of any number of components, without leaving
 * `dirfd`: no absolute path, no "..", no symbolic link and no magic link is
 * followed on the way or at the end (with O_PATH|O_NOFOLLOW a final link is
 * opened itself).  Uses openat2(RESOLVE_BENEATH...) or, on a kernel without
 * it, one openat(O_NOFOLLOW) a component.
 * -ELOOP or -EXDEV: the path would have left.
 */
int fd_open_beneath(int dirfd, const char *path, int flags);

/* Opens one component, with O_NOFOLLOW and O_CLOEXEC added. */
int fd_open(int dirfd, const char *name, int flags, mode_t mode);

/*
 * Opens a file of our own in a directory where others may have put something else under its name:
 * a regular file of this user with one name, or -EPERM, before anything is done to it. `flags`
 * may hold O_TRUNC.
 */
int fd_open_own(int dirfd, const char *name, int flags, mode_t mode);

/* Opens the object an O_PATH descriptor stands for again, with real access. */
int fd_reopen(int fd, int flags);

/*
 * Makes an object that is immutable or may only be appended to (chattr i, a) one
 * that can be renamed and removed; -EPERM: it is not, or it cannot be done.
 */
int fd_take_flags(int dirfd, const char *name);

/* What is read by the descriptor from now on leaves its atime, if we may say so. */
void fd_keep_atime(int fd);

/*
 * Opens /dev/null as whichever of standard input, output and error the caller has closed: no
 * descriptor of ours may come to stand where messages are written to. First thing in main().
 */
void fd_open_stdio(void);

/* A stream over a directory, positioned at its start; `dirfd` stays the caller's. */
int fd_opendir(int dirfd, DIR **ret);

/* fstatat(2) of `name` in `dirfd`, no symbolic link followed; of `dirfd` itself if `name` is NULL.
 * 0 or -errno. */
int fd_stat(int dirfd, const char *name, struct stat *ret);

/*
 * When an object was made, in nanoseconds: no other of the same inode number has the same. 0: the
 * filesystem does not say.
 */
uint64_t fd_birth(int fd);

/* One readlink, NUL-terminated and allocated, or -errno. */
int fd_readlink(int dirfd, const char *name, char **ret);

/* chmod of anything but a symbolic link, which answers -EOPNOTSUPP. */
int fd_chmod(int fd, mode_t mode);
int fd_chown(int fd, uid_t uid, gid_t gid);
int fd_utimens(int fd, const struct timespec times[2]);

/* renameat2 with its flags; -EINVAL when the filesystem has not got them. */
int fd_rename(int olddir, const char *oldname, int newdir, const char *newname, unsigned int flags);

/* A new name for what `fd` refers to (an O_PATH descriptor will do). */
int fd_link(int fd, int newdir, const char *newname);

/*
 * Reads a small file of text, such as /proc has, up to `size` - 1 bytes, and ends it with a NUL:
 * the count, or negative errno with "" in `buf`.
 */
ssize_t fd_read_text(const char *path, char *buf, size_t size);

/* Reads or writes all of it unless the end or an error comes first; returns the count. */
ssize_t fd_pread_all(int fd, void *buf, size_t size, off_t offset);
ssize_t fd_pwrite_all(int fd, const void *buf, size_t size, off_t offset);

/*
 * Removes `name` below `dirfd` and everything in it, whatever its modes.
 * 0 also when it was not there; otherwise the first error.
 */
int fd_remove_tree(int dirfd, const char *name);

/* Makes a path ("/proc/self/fd/N") through which path-only calls reach `fd`. */
struct fd_path {
	char s[32];
};
struct fd_path fd_path(int fd);

#endif
