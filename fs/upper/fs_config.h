/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a mount is made of: plain data, filled in by whoever opens the mount (daemon/directories.c)
 * and constant from then on, so any thread may read it. It lies here because this is the lowest
 * room that asks it.
 */
#ifndef UPPER_FS_CONFIG_H
#define UPPER_FS_CONFIG_H

#include <stdbool.h>
#include <stddef.h>

#include "branch/idmap.h"
#include "branch/override.h"

struct kept;

/* Descriptors are -1 where there is none. */
struct fs_config {
	const int *branches; /* open directories, topmost first */
	size_t n_branches;
	const struct idmaps *ids; /* how ids are shown; NULL: as they are */
	const bool *is_mapped; /* the branches that id-mapped mounts show that way; NULL: none */
	int upper, work; /* open directories; -1 without a top branch */
	int claim; /* by which they are ours (host/claim.h), held by all processes; or -1 */
	bool has_chain; /* there is to be a chain index: */
	int chain_fd; /* the file; -1: it could not be opened */
	const char *chain_id;
	bool do_fsync; /* copy-ups are durable before they show */
	bool is_volatile; /* nothing is ever synced */
	bool metacopy; /* a change of attributes copies no data */
	bool user_xattrs; /* marks are of the user namespace */
	bool file_whiteouts; /* whiteouts are `.wh.NAME`, whatever else could be made */
	bool redirect_dir; /* lower directories may be renamed */
	bool static_nlink; /* directories say 1 */
	bool passthrough; /* the kernel reads and writes files itself, where it can */
	bool guards_lower; /* nothing in a branch can be changed by opening it, its atime not either */
	bool writeback; /* the kernel collects what is written before we see it */
	bool no_atime, no_dir_atime; /* reading files, and directories, leaves their atime */
	bool no_acl; /* ACLs are neither shown nor kept */
	enum override override; /* owners are written beside objects */
	struct kept *kept; /* shared by the workers of a mount (survive/kept.h), or NULL */
	int ledger_fd; /* shared like that (survive/ledger.h); -1: none */
	int ino32_fd; /* and this, for short numbers (survive/ino32.h); -1: long ones are shown */
	bool is_restart; /* another worker served this mount before */
	bool loses_caps; /* with another fsuid: they have to be raised again (upper/creds.c) */
};

/* Where a mount's lower numbers come from; a chain index counts in an order of its own. */
enum numbering { NUMBERING_BRANCHES = 1, NUMBERING_CHAIN };

#endif
