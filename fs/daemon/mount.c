/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Mounting, and unmounting, by libfuse as far as that needs it. */
#include "daemon/mount.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "daemon/console.h"
#include "host/mounted.h"
#include "request/session.h"

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

/* One option list, allocated; NULL: out of memory. */
static char *mount_options(const struct options *options)
{
	cleanup_free char *source = escape(options->source);
	bool is_read_only = options->read_only || !options->upperdir;
	char *list;

	/* libfuse knows no strictatime, which would change nothing: the kernel keeps what it read.
	 */
	if (!source ||
	    asprintf(&list, "fsname=%s,subtype=cairnfs,default_permissions%s%s,%s,%s,%s%s%s%s",
		     source, options->allow_other ? ",allow_other" : "",
		     options->allow_root ? ",allow_root" : "",
		     options->has_suid ? "suid" : "nosuid", options->has_dev ? "dev" : "nodev",
		     options->has_exec ? "exec" : "noexec",
		     options->atime == ATIME_NONE ? ",noatime" : "",
		     options->no_dir_atime ? ",nodiratime" : "", is_read_only ? ",ro" : "") < 0)
		return NULL;
	return list;
}

int mount_given_fd(const struct options *options)
{
	int fd, end = 0;

	return sscanf(options->mountpoint, "/dev/fd/%d%n", &fd, &end) == 1 && fd > 2 &&
			       !options->mountpoint[end]
		       ? fd
		       : -1;
}

int mount_make(struct daemon *daemon)
{
	cleanup_free char *options = mount_options(&daemon->options);
	const char *why = "";
	int r = options ? session_mount(options, daemon->options.mountpoint, &daemon->session, &why)
			: -ENOMEM;

	if (r == 0)
		daemon->fuse_fd = session_fd(daemon->session);
	if (r < 0)
		console_complain("%s: cannot mount%s%s", daemon->options.mountpoint,
				 *why ? ": " : "", why);
	return r;
}

void mount_done(struct daemon *daemon)
{
	session_free(take_ptr(daemon->session));
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

void mount_end(struct daemon *daemon, bool is_dead)
{
	const char *mountpoint = daemon->options.mountpoint;

	/* What somebody else has mounted for us, they unmount. */
	if (mount_given_fd(&daemon->options) >= 0 || is_unmounted(daemon))
		return;
	if (daemon->mount_id && mounted_id(mountpoint, NULL) != daemon->mount_id)
		return;
	if (!is_dead)
		write_back(mountpoint);
	/* Without the right to, it is done by fusermount3. */
	if (umount2(mountpoint, MNT_DETACH | UMOUNT_NOFOLLOW | (is_dead ? MNT_FORCE : 0)) < 0 &&
	    errno == EPERM)
		session_unmount(daemon->session);
}
