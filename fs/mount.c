/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Mounting, and unmounting, by libfuse as far as that needs it. */
#define FUSE_USE_VERSION 318
#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "core/mounted.h"
#include "daemon.h"

/* Keeps the last thing libfuse has said, without its line end and its prefix. */
static char last_words[256];

static void remember(enum fuse_log_level level, const char *format, va_list args)
{
	(void)level;
	vsnprintf(last_words, sizeof(last_words), format, args);
	last_words[strcspn(last_words, "\n")] = '\0';
}

static int add_option(struct fuse_args *args, const char *format, const char *value)
{
	cleanup_free char *option = NULL;

	if (asprintf(&option, format, value) < 0)
		return -ENOMEM;
	return fuse_opt_add_arg(args, "-o") < 0 || fuse_opt_add_arg(args, option) < 0 ? -ENOMEM : 0;
}

/* The source as it may stand in an option list. */
static char *escape(const char *source)
{
	char *escaped = malloc(2 * strlen(source) + 1), *to = escaped;

	for (; escaped && *source; source++) {
		if (*source == ',' || *source == '\\')
			*to++ = '\\';
		*to++ = *source;
	}
	if (escaped)
		*to = '\0';
	return escaped;
}

static int mount_options(const struct options *options, struct fuse_args *args)
{
	cleanup_free char *source = escape(options->source);
	int r = fuse_opt_add_arg(args, "cairnfs") < 0 || !source ? -ENOMEM : 0;

	if (r == 0)
		r = add_option(args, "fsname=%s", source);
	if (r == 0)
		r = add_option(args, "subtype=cairnfs,default_permissions%s",
			       options->allow_other ? ",allow_other" : "");
	if (r == 0)
		r = add_option(args, options->allow_root ? "allow_root,%s" : "%s",
			       options->has_suid ? "suid" : "nosuid");
	if (r == 0)
		r = add_option(args, options->has_dev ? "dev,%s" : "nodev,%s",
			       options->has_exec ? "exec" : "noexec");
	/* libfuse knows no strictatime, which would change nothing: the kernel keeps what it read.
	 */
	if (r == 0 && options->atime == ATIME_NONE)
		r = add_option(args, "%s", "noatime");
	if (r == 0 && options->no_dir_atime)
		r = add_option(args, "%s", "nodiratime");
	if (r == 0 && (options->read_only || !options->upperdir))
		r = add_option(args, "%s", "ro");
	return r;
}

/* The descriptor of a mount that mount.fuse3 made for us (drop_privileges), or -1. */
int daemon_given_fd(const struct options *options)
{
	int fd, end = 0;

	return sscanf(options->mountpoint, "/dev/fd/%d%n", &fd, &end) == 1 && fd > 2 &&
			       !options->mountpoint[end]
		       ? fd
		       : -1;
}

int daemon_mount(struct daemon *daemon)
{
	static const struct fuse_lowlevel_ops no_ops;
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	int r = mount_options(&daemon->options, &args);

	fuse_set_log_func(remember);
	if (r == 0) {
		daemon->session = fuse_session_new(&args, &no_ops, sizeof(no_ops), NULL);
		if (!daemon->session ||
		    fuse_session_mount(daemon->session, daemon->options.mountpoint) < 0)
			r = -EIO;
	}
	fuse_opt_free_args(&args);
	if (r == 0)
		daemon->fuse_fd = fuse_session_fd(daemon->session);
	if (r < 0)
		daemon_complain("%s: cannot mount%s%s", daemon->options.mountpoint,
				*last_words ? ": " : "", last_words);
	return r;
}

void daemon_mount_done(struct daemon *daemon)
{
	if (daemon->session)
		fuse_session_destroy(daemon->session);
	daemon->session = NULL;
}

/* Whether the mount is gone already. */
static bool is_unmounted(const struct daemon *daemon)
{
	struct pollfd device = { .fd = daemon->fuse_fd };

	return poll(&device, 1, 0) == 1 && device.revents & POLLERR;
}

/* What somebody has mapped and keeps in use is not written back because of an unmount. */
static void write_back(const char *mountpoint)
{
	cleanup_fd int fd = open(mountpoint, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0)
		syncfs(fd);
}

void daemon_unmount(struct daemon *daemon, bool is_dead)
{
	const char *mountpoint = daemon->options.mountpoint;

	/* What somebody else has mounted for us, they unmount. */
	if (daemon_given_fd(&daemon->options) >= 0 || is_unmounted(daemon))
		return;
	if (daemon->mount_id && mounted_id(mountpoint, NULL) != daemon->mount_id)
		return;
	if (!is_dead)
		write_back(mountpoint);
	/* Without the right to, it is done by fusermount3. */
	if (umount2(mountpoint, MNT_DETACH | UMOUNT_NOFOLLOW | (is_dead ? MNT_FORCE : 0)) < 0 &&
	    errno == EPERM)
		fuse_session_unmount(daemon->session);
}
