/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * libfuse's own option parser is not used: it takes backslashes out of values,
 * which lowerdir needs, and does not know quotes, which SELinux contexts need.
 */
#include "daemon/options.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/cleanup.h"

const char options_help[] =
	"Usage: cairnfs [OPTION]... [SOURCE] DIR\n"
	"Merges read-only directories under one writable directory and mounts the result at DIR.\n"
	"\n"
	"  -o OPTION[,OPTION]...   mount options, below\n"
	"  -f, --foreground        stay in the foreground\n"
	"  -d, --debug             log every request to stderr; implies -f\n"
	"      --no-recover        one process: if it dies, the mount does\n"
	"  -h, --help              print this and exit\n"
	"  -V, --version           print the version and exit\n"
	"\n"
	"Mount options:\n"
	"  lowerdir=DIR[:DIR]...   read-only branches, the topmost first; \\: for a colon\n"
	"  lowerdir+=DIR           one more, below those before it\n"
	"  upperdir=DIR            the writable top branch; without it the mount is read-only\n"
	"  workdir=DIR             scratch, on the filesystem of upperdir\n"
	"  ro, rw                  read-only or not\n"
	"  allow_other             for all users (what root gets anyway)\n"
	"  allow_root              for its owner and root\n"
	"  default_permissions     accepted; the kernel always checks permissions\n"
	"  remount                 what is mounted at DIR gets the flags given here: ro, nosuid "
	"and so on\n"
	"  suid, nosuid, dev, nodev, exec, noexec, noatime, nodiratime, relatime,\n"
	"  strictatime             as for every mount; root gets suid,dev\n"
	"  fsync=0|1               whether copied-up files are durable before they show (1)\n"
	"  volatile                sync nothing at all\n"
	"  redirect_dir=on|off     whether lower directories can be renamed (on)\n"
	"  metacopy=on|off         changing attributes of a lower file copies no data (off)\n"
	"  whiteout=auto|file      whiteouts are devices or what else can be made, or always\n"
	"                          .wh. files\n"
	"  userxattr               marks in the user namespace of xattrs\n"
	"  static_nlink            directories have a link count of 1\n"
	"  ino32_t                 inode numbers that are shown fit into 32 bits\n"
	"  uidmapping=C:H:N[:...]  N ids from C on are stored, and shown as those from H on;\n"
	"  gidmapping=C:H:N[:...]  others are shown as 65534\n"
	"  squash_to_uid=ID, squash_to_gid=ID, squash_to_root\n"
	"                          all owners are shown as this\n"
	"  xattr_permissions=0|1|2 owners, modes and devices are kept in xattrs: not at all (0), "
	"in\n"
	"                          security.fuseoverlayfs.override_stat (1), or in\n"
	"                          user.containers.override_stat (2); implies noacl\n"
	"  noacl                   no POSIX ACLs\n"
	"  noxattrs=0|1            no extended attributes; implies noacl\n"
	"  io=auto|cached|passthrough\n"
	"                          files are read and written by requests, or (passthrough, Linux "
	"6.9,\n"
	"                          root) by the kernel itself; auto is cached\n"
	"  writeback=0|1           the kernel collects what is written, and writes it later (0)\n"
	"  timeout=SECONDS         how long the kernel keeps names and attributes (for ever)\n"
	"  chain=FILE              index of the branches, made by cairn\n"
	"  chain_id=ID             what chain it must be of\n"
	"  debug                   as -d\n";

enum kind {
	IGNORED, /* accepted with or without a value */
	REFUSED, /* for a reason */
	ONLY_OFF, /* accepted where it turns something off that is not there; else refused */
	SET,
	CLEAR, /* a bool */
	STRING, /* a value that is kept */
	SWITCH, /* a bool by value: 0|1, on|off, yes|no; a bare name is on */
	LOWERDIR,
	LOWERDIR_MORE,
	IDMAP,
	SQUASH,
	SQUASH_BOTH,
	ATIME,
	TIMEOUT,
	OVERRIDE,
	WHITEOUT,
	IO,
	OF_REMOUNT, /* accepted where nothing new is mounted */
};

struct spec {
	const char *name;
	enum kind kind;
	size_t offset;
	int value;
	const char *reason;
};

#define AT(member) offsetof(struct options, member)

static const struct spec specs[] = {
	{ "lowerdir", LOWERDIR },
	{ "lowerdir+", LOWERDIR_MORE },
	{ "upperdir", STRING, AT(upperdir) },
	{ "workdir", STRING, AT(workdir) },
	{ "chain", STRING, AT(chain) },
	{ "chain_id", STRING, AT(chain_id) },
	{ "fsname", STRING, AT(source) },
	{ "ro", SET, AT(read_only) },
	{ "rw", CLEAR, AT(read_only) },
	{ "allow_other", SET, AT(allow_other) },
	{ "allow_root", SET, AT(allow_root) },
	{ "fsync", SWITCH, AT(do_fsync) },
	{ "volatile", SET, AT(is_volatile) },
	{ "redirect_dir", SWITCH, AT(redirect_dir) },
	{ "static_nlink", SET, AT(static_nlink) },
	{ "ino32_t", SET, AT(ino32) },
	{ "suid", SET, AT(has_suid) },
	{ "nosuid", CLEAR, AT(has_suid) },
	{ "dev", SET, AT(has_dev) },
	{ "nodev", CLEAR, AT(has_dev) },
	{ "exec", SET, AT(has_exec) },
	{ "noexec", CLEAR, AT(has_exec) },
	{ "atime", ATIME, 0, ATIME_RELATIVE },
	{ "relatime", ATIME, 0, ATIME_RELATIVE },
	{ "noatime", ATIME, 0, ATIME_NONE },
	{ "strictatime", ATIME, 0, ATIME_STRICT },
	{ "diratime", CLEAR, AT(no_dir_atime) },
	{ "nodiratime", SET, AT(no_dir_atime) },
	{ "uidmapping", IDMAP, AT(ids.uids) },
	{ "gidmapping", IDMAP, AT(ids.gids) },
	{ "squash_to_root", SQUASH_BOTH },
	{ "squash_to_uid", SQUASH, AT(ids.uids) },
	{ "squash_to_gid", SQUASH, AT(ids.gids) },
	{ "timeout", TIMEOUT },
	{ "xattr_permissions", OVERRIDE },
	{ "metacopy", SWITCH, AT(metacopy) },
	{ "userxattr", SET, AT(user_xattrs) },
	{ "whiteout", WHITEOUT },
	{ "noacl", SET, AT(no_acl) },
	{ "acl", CLEAR, AT(no_acl) },
	{ "noxattrs", SWITCH, AT(no_xattrs) },
	{ "io", IO },
	{ "writeback", SWITCH, AT(writeback) },
	{ "debug", SET, AT(debug) },
	{ "remount", SET, AT(is_remount) },
	/* Of /proc/mounts, from where mount(8) takes them for a remount. */
	{ "user_id", OF_REMOUNT },
	{ "group_id", OF_REMOUNT },
	{ "max_read", OF_REMOUNT },
	{ "blksize", OF_REMOUNT },
	/* Of mount(8) and fstab: they are about how and when to mount, not about what. */
	{ "async", IGNORED },
	{ "sync", IGNORED },
	{ "dirsync", IGNORED },
	{ "defaults", IGNORED },
	{ "auto", IGNORED },
	{ "noauto", IGNORED },
	{ "user", IGNORED },
	{ "nouser", IGNORED },
	{ "users", IGNORED },
	{ "owner", IGNORED },
	{ "group", IGNORED },
	{ "nofail", IGNORED },
	{ "_netdev", IGNORED },
	{ "comment", IGNORED },
	{ "lazytime", IGNORED },
	{ "nolazytime", IGNORED },
	{ "private", IGNORED },
	{ "rprivate", IGNORED },
	{ "default_permissions", IGNORED },
	{ "subtype", IGNORED },
	/*
	 * Of overlayfs: numbers are always unique and those of a hard link one, the branches are
	 * used with the rights of who mounts, and statfs has an id from FUSE.
	 */
	{ "index", IGNORED },
	{ "xino", IGNORED },
	{ "uuid", IGNORED },
	{ "override_creds", IGNORED },
	{ "nfs_export", ONLY_OFF, .reason = "file handles do not outlive the mount" },
	{ "verity", ONLY_OFF, .reason = "digests of files are not checked" },
	{ "nooverride_creds", REFUSED,
	  .reason = "branches are used with the rights of who mounts" },
	{ "datadir+", REFUSED, .reason = "data-only layers are not supported" },
	/* Of fuse-overlayfs and libfuse: how requests are read and answered, which we choose. */
	{ "fast_ino", IGNORED },
	{ "kernel_cache", IGNORED },
	{ "auto_cache", IGNORED },
	{ "splice_read", IGNORED },
	{ "splice_write", IGNORED },
	{ "splice_move", IGNORED },
	{ "no_splice_read", IGNORED },
	{ "no_splice_write", IGNORED },
	{ "no_splice_move", IGNORED },
	{ "async_read", IGNORED },
	{ "sync_read", IGNORED },
	{ "atomic_o_trunc", IGNORED },
	{ "big_writes", IGNORED },
	{ "large_read", IGNORED },
	{ "max_write", IGNORED },
	{ "max_readahead", IGNORED },
	{ "max_background", IGNORED },
	{ "congestion_threshold", IGNORED },
	{ "clone_fd", IGNORED },
	{ "max_threads", IGNORED },
	{ "max_idle_threads", IGNORED },
	{ "auto_unmount", IGNORED },
	{ "nonempty", IGNORED },
	{ "hard_remove", IGNORED },
	{ "use_ino", IGNORED },
	{ "readdir_ino", IGNORED },
	{ "entry_timeout", REFUSED, .reason = "timeout=SECONDS is for names and attributes" },
	{ "attr_timeout", REFUSED, .reason = "timeout=SECONDS is for names and attributes" },
	{ "negative_timeout", REFUSED, .reason = "timeout=SECONDS is for names and attributes" },
	{ "direct_io", REFUSED, .reason = "what is mapped has to be cached" },
	{ "umask", REFUSED, .reason = "modes are shown as they are" },
	{ "uid", REFUSED, .reason = "squash_to_uid=ID shows all files as one user's" },
	{ "gid", REFUSED, .reason = "squash_to_gid=ID shows all files as one group's" },
	{ "plugins", REFUSED, .reason = "there are none" },
	/* Of container engines: accepted, not yet acted upon (README, "What is not there yet"). */
	{ "threaded", IGNORED },
	{ "context", IGNORED },
	{ "fscontext", IGNORED },
	{ "defcontext", IGNORED },
	{ "rootcontext", IGNORED },
};

static const struct spec *find_spec(const char *name)
{
	for (size_t i = 0; i < sizeof(specs) / sizeof(*specs); i++) {
		if (strcmp(specs[i].name, name) == 0)
			return &specs[i];
	}
	return NULL;
}

__attribute__((format(printf, 2, 3))) static int refuse(char **error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	if (vasprintf(error, format, args) < 0)
		*error = NULL;
	va_end(args);
	return -EINVAL;
}

/*
 * Splits off the part of `list` before an unescaped, unquoted `separator`, in place. Only a whole
 * value is quoted: elsewhere `"` is a letter as others are, as in the name of a directory.
 */
static char *next_part(char **list, char separator)
{
	char *part = *list, *at = part;
	bool is_quoted = false;

	if (!part)
		return NULL;
	for (; *at && (is_quoted || *at != separator); at++) {
		if (*at == '\\' && at[1])
			at++;
		else if (*at == '"')
			is_quoted = !is_quoted && at > part && at[-1] == '=';
	}
	*list = *at ? at + 1 : NULL;
	*at = '\0';
	return part;
}

/* Takes the backslashes out. */
static char *unescape(const char *value)
{
	char *plain = malloc(strlen(value) + 1), *to = plain;

	if (!plain)
		return NULL;
	for (; *value; value++) {
		if (*value == '\\' && value[1])
			value++;
		*to++ = *value;
	}
	*to = '\0';
	return plain;
}

/* One directory, in which a colon is a letter as others are. */
static int add_lowerdir(struct options *options, const char *value)
{
	char **dirs = realloc(options->lowerdirs, (options->n_lowerdirs + 1) * sizeof(*dirs));

	if (!dirs)
		return -ENOMEM;
	options->lowerdirs = dirs;
	dirs[options->n_lowerdirs] = unescape(value);
	if (!dirs[options->n_lowerdirs])
		return -ENOMEM;
	options->n_lowerdirs++;
	return 0;
}

static int add_lowerdirs(struct options *options, char *value, char **error)
{
	bool is_first = true;
	char *part;

	while ((part = next_part(&value, ':'))) {
		int r;

		/* For overlayfs what follows is a layer of data alone, which shows no names. */
		if (!*part && !is_first && value && *value)
			return refuse(error, "lowerdir: data-only layers (::) are not supported");
		if (!*part)
			continue;
		is_first = false;
		r = add_lowerdir(options, part);
		if (r < 0)
			return r;
	}
	return 0;
}

static int set_string(struct options *options, size_t offset, const char *value)
{
	char **at = (char **)((char *)options + offset);

	free(*at);
	*at = unescape(value);
	return *at ? 0 : -ENOMEM;
}

static int set_switch(bool *at, const char *name, const char *value, char **error)
{
	static const char *const on[] = { "1", "on", "yes", "true", "follow" };
	static const char *const off[] = { "0", "off", "no", "false", "nofollow" };

	for (size_t i = 0; value && i < sizeof(on) / sizeof(*on); i++) {
		if (strcmp(value, off[i]) == 0)
			return *at = false, 0;
		if (strcmp(value, on[i]) == 0)
			value = NULL;
	}
	if (value)
		return refuse(error, "option %s: '%s' is neither on nor off", name, value);
	*at = true;
	return 0;
}

static int refuse_unless_off(const struct spec *spec, const char *value, char **error)
{
	bool is_on;
	int r = set_switch(&is_on, spec->name, value, error);

	/* "require" and the like are more than on. */
	free(take_ptr(*error));
	return r == 0 && !is_on ? 0
				: refuse(error, "option %s%s%s: %s", spec->name, value ? "=" : "",
					 value ? value : "", spec->reason);
}

static int set_idmap(struct idmap *map, const char *name, const char *value, char **error)
{
	int r = idmap_parse(value, map);

	if (r == -EINVAL)
		return refuse(error, "option %s: '%s' is no list of CONTAINER:HOST:SIZE", name,
			      value);
	return r;
}

static int set_squash(struct idmap *map, const char *name, const char *value, char **error)
{
	char *end;
	unsigned long id = strtoul(value, &end, 10);

	if (end == value || *end || id > UINT32_MAX)
		return refuse(error, "option %s: '%s' is no id", name, value);
	map->is_squashed = true;
	map->squashed = (uint32_t)id;
	return 0;
}

static int set_timeout(struct options *options, const char *value, char **error)
{
	char *end;
	double seconds = strtod(value, &end);

	if (end == value || *end || !isfinite(seconds) || seconds < 0)
		return refuse(error, "option timeout: '%s' is no number of seconds", value);
	options->timeout = seconds;
	return 0;
}

static int set_override(struct options *options, const char *value, char **error)
{
	if (strlen(value) != 1 || *value < '0' || *value > '2')
		return refuse(error, "option xattr_permissions: '%s' is neither 0, 1 nor 2", value);
	options->override = (enum override)(*value - '0');
	return 0;
}

static int set_whiteout(struct options *options, const char *value, char **error)
{
	options->file_whiteouts = strcmp(value, "file") == 0;
	if (!options->file_whiteouts && strcmp(value, "auto") != 0)
		return refuse(error, "option whiteout: '%s' is neither auto nor file", value);
	return 0;
}

static int set_io(struct options *options, const char *value, char **error)
{
	static const char *const names[] = {
		[IO_AUTO] = "auto", [IO_CACHED] = "cached", [IO_PASSTHROUGH] = "passthrough"
	};

	for (int i = IO_AUTO; i <= IO_PASSTHROUGH; i++) {
		if (strcmp(value, names[i]) == 0)
			return options->io = i, 0;
	}
	return refuse(error, "option io: '%s' is neither auto, cached nor passthrough", value);
}

static int apply(struct options *options, const struct spec *spec, char *value, char **error)
{
	void *at = (char *)options + spec->offset;

	switch (spec->kind) {
	case IGNORED:
		return 0;
	case REFUSED:
		return refuse(error, "option %s is not supported: %s", spec->name, spec->reason);
	case ONLY_OFF:
		return refuse_unless_off(spec, value, error);
	case SET:
	case CLEAR:
		*(bool *)at = spec->kind == SET;
		return 0;
	case SWITCH:
		return set_switch(at, spec->name, value, error);
	case ATIME:
		options->atime = spec->value;
		return 0;
	case OF_REMOUNT:
		options->of_remount = spec->name;
		return 0;
	case SQUASH_BOTH:
		options->ids.uids.is_squashed = options->ids.gids.is_squashed = true;
		options->ids.uids.squashed = options->ids.gids.squashed = 0;
		return 0;
	case LOWERDIR:
	case LOWERDIR_MORE:
	case STRING:
	case IDMAP:
	case SQUASH:
	case TIMEOUT:
	case OVERRIDE:
	case WHITEOUT:
	case IO:
		break;
	}
	if (!value || !*value)
		return refuse(error, "option %s needs a value", spec->name);
	switch (spec->kind) {
	case TIMEOUT:
		return set_timeout(options, value, error);
	case IO:
		return set_io(options, value, error);
	case WHITEOUT:
		return set_whiteout(options, value, error);
	case OVERRIDE:
		return set_override(options, value, error);
	case IDMAP:
		return set_idmap(at, spec->name, value, error);
	case SQUASH:
		return set_squash(at, spec->name, value, error);
	case LOWERDIR:
		return add_lowerdirs(options, value, error);
	case LOWERDIR_MORE:
		return add_lowerdir(options, value);
	default:
		return set_string(options, spec->offset, value);
	}
}

static int parse_list(struct options *options, const char *list, char **error)
{
	cleanup_free char *copy = strdup(list);
	char *rest = copy, *part;

	if (!copy)
		return -ENOMEM;
	while ((part = next_part(&rest, ','))) {
		char *value = strchr(part, '=');
		const struct spec *spec;
		int r;

		if (!*part || strncmp(part, "x-", 2) == 0 || strncmp(part, "X-", 2) == 0)
			continue;
		if (value)
			*value++ = '\0';
		spec = find_spec(part);
		if (!spec)
			return refuse(error, "unknown option '%s'", part);
		r = apply(options, spec, value, error);
		if (r < 0)
			return r;
	}
	return 0;
}

static int positional(struct options *options, char *argv[], int n, char **error)
{
	if (n > 2)
		return refuse(error, "too many arguments: '%s'", argv[2]);
	if (n == 2 && set_string(options, AT(source), argv[0]) < 0)
		return -ENOMEM;
	if (n > 0) {
		options->mountpoint = strdup(argv[n - 1]);
		if (!options->mountpoint)
			return -ENOMEM;
	}
	return 0;
}

static int check(struct options *options, char **error)
{
	if (!options->mountpoint)
		return refuse(error, "no mount point given (see cairnfs --help)");
	if (options->is_remount)
		return 0;
	if (options->of_remount)
		return refuse(error, "option %s is for a remount", options->of_remount);
	if (!options->n_lowerdirs)
		return refuse(error, "option lowerdir is missing");
	if (options->upperdir && !options->workdir)
		return refuse(error, "option upperdir needs workdir");
	if (options->workdir && !options->upperdir)
		return refuse(error, "option workdir needs upperdir");
	if (options->io == IO_PASSTHROUGH && options->writeback)
		return refuse(error, "io=passthrough and writeback=1 exclude each other");
	if (options->is_volatile)
		options->do_fsync = false;
	/* An ACL is part of a mode that is not the real one, and speaks of ids that are not. */
	if (options->override != OVERRIDE_NONE || options->no_xattrs)
		options->no_acl = true;
	return 0;
}

/* Whether mount(8) calls, by a name such as mount.fuse.cairnfs; its letters mean other things. */
static bool is_helper(const char *program)
{
	const char *last = strrchr(program, '/');

	return strncmp(last ? last + 1 : program, "mount.", 6) == 0;
}

int options_parse(int argc, char *argv[], struct options *ret, char **error)
{
	static const struct option longs[] = {
		{ "foreground", no_argument, NULL, 'f' }, { "debug", no_argument, NULL, 'd' },
		{ "no-recover", no_argument, NULL, 'R' }, { "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },	  { 0 },
	};
	const bool helps = is_helper(argv[0]);
	bool is_root = geteuid() == 0;
	int c, r = 0;

	*ret = (struct options){
		.do_fsync = true,
		.redirect_dir = true,
		.allow_other = is_root,
		.has_suid = is_root,
		.has_dev = is_root,
		.has_exec = true,
		.timeout = INFINITY,
	};
	*error = NULL;
	opterr = 0;
	while (r == 0 &&
	       (c = getopt_long(argc, argv, helps ? ":o:fsnvN:t:" : ":o:fdhV", longs, NULL)) >= 0) {
		if (c == 'o')
			r = parse_list(ret, optarg, error);
		else if (helps && strchr("snvNt", c))
			continue;
		else if (helps && c == 'f')
			ret->is_fake = true;
		else if (c == 'f')
			ret->foreground = true;
		else if (c == 'd')
			ret->debug = true;
		else if (c == 'R')
			ret->no_recover = true;
		else if (c == 'h')
			ret->show_help = true;
		else if (c == 'V')
			ret->show_version = true;
		else if (c == ':')
			r = refuse(error, "option '%s' needs a value", argv[optind - 1]);
		else
			r = refuse(error, "unknown option '%s'", argv[optind - 1]);
	}
	if (r < 0 || ret->show_help || ret->show_version)
		return r;
	ret->foreground |= ret->debug;
	r = positional(ret, argv + optind, argc - optind, error);
	if (r == 0 && !ret->source && set_string(ret, AT(source), "cairnfs") < 0)
		r = -ENOMEM;
	return r < 0 ? r : check(ret, error);
}

void options_done(struct options *options)
{
	for (size_t i = 0; i < options->n_lowerdirs; i++)
		free(options->lowerdirs[i]);
	free(options->lowerdirs);
	free(options->source);
	free(options->mountpoint);
	free(options->upperdir);
	free(options->workdir);
	free(options->chain);
	free(options->chain_id);
	idmap_done(&options->ids.uids);
	idmap_done(&options->ids.gids);
}
