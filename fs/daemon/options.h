/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What is said on the command line and with -o.
 *
 * Option names and meanings are those of overlayfs and fuse-overlayfs; those
 * that mount(8) and container engines pass along are accepted, everything
 * else is refused by name.
 *
 * The processes that call these have one thread.
 */
#ifndef DAEMON_OPTIONS_H
#define DAEMON_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "branch/idmap.h"
#include "branch/override.h"

struct options {
	char *source; /* shown in /proc/mounts */
	char *mountpoint; /* NULL: none was given */
	char **lowerdirs; /* topmost first */
	size_t n_lowerdirs;
	char *upperdir, *workdir;
	char *chain, *chain_id;
	bool is_remount; /* of what is there; only the mount point and flags count */
	const char *of_remount; /* an option that is accepted only then, if one was given */
	bool read_only;
	bool allow_other, allow_root;
	bool do_fsync;
	bool is_volatile;
	bool redirect_dir;
	bool metacopy;
	bool user_xattrs;
	bool file_whiteouts;
	bool static_nlink;
	bool ino32; /* st_ino and d_ino fit into 32 bits */
	bool has_suid, has_dev, has_exec;
	int atime; /* of enum atime */
	struct idmaps ids;
	enum override override;
	bool no_acl, no_xattrs;
	int io; /* of enum io */
	bool writeback;
	bool no_dir_atime;
	double timeout; /* seconds for which the kernel may keep what it was told */
	bool foreground, debug;
	bool is_fake; /* mount -f: all is looked at, and nothing mounted */
	bool no_recover; /* one process, without a supervisor */
	bool show_help, show_version;
};

enum io { IO_AUTO, IO_CACHED, IO_PASSTHROUGH };
enum atime { ATIME_RELATIVE, ATIME_NONE, ATIME_STRICT };

/*
 * Parses argv into *ret, which options_done frees whatever the result.  0, or
 * -EINVAL with *error an allocated sentence that says what is wrong.
 */
int options_parse(int argc, char *argv[], struct options *ret, char **error);
void options_done(struct options *options);

/* What --help prints. */
extern const char options_help[];

#endif
