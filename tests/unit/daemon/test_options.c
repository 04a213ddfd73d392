/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The command line: every form that users, mount(8) and engines write, and what must be refused. */
#include "daemon/options.h"

#include <getopt.h>
#include <math.h>

#include "scratch.h"

static struct options options;
static char *error;

/* Parses up to ten arguments; a NULL ends them. */
static int parse(const char *a, const char *b, const char *c, const char *d, const char *e)
{
	char *argv[8] = {
		(char *)"cairnfs", (char *)a, (char *)b, (char *)c, (char *)d, (char *)e
	};
	int argc = 1;

	while (argv[argc])
		argc++;
	optind = 0; /* as in a new process */
	return options_parse(argc, argv, &options, &error);
}

static void done(void)
{
	options_done(&options);
	free(error);
	error = NULL;
}

/* -o LIST DIR, where LIST is all that is needed to mount, and then `more`. */
static int parse_list(const char *more)
{
	char list[1024];

	snprintf(list, sizeof(list), "lowerdir=/l,%s", more);
	return parse("-o", list, "/mnt", NULL, NULL);
}

static void accept(const char *more)
{
	int r = parse_list(more);

	if (r < 0)
		fprintf(stderr, "'%s' was refused: %s\n", more, error ? error : "?");
	assert_eq(r, 0);
	assert_eq(options.n_lowerdirs, 1);
}

/* It must be refused with a sentence that says this. */
static void refuse(int r, const char *words)
{
	assert_eq(r, -EINVAL);
	assert(error);
	if (!strstr(error, words))
		fprintf(stderr, "'%s' does not say '%s'\n", error, words);
	assert(strstr(error, words));
	assert(!strchr(error, '\n'));
	done();
}

static void test_forms(void)
{
	assert_eq(parse("-o", "lowerdir=/a:/b,upperdir=/u,workdir=/w", "/mnt", NULL, NULL), 0);
	assert_streq(options.mountpoint, "/mnt");
	assert_streq(options.source, "cairnfs");
	assert_eq(options.n_lowerdirs, 2);
	assert_streq(options.lowerdirs[0], "/a");
	assert_streq(options.lowerdirs[1], "/b");
	assert_streq(options.upperdir, "/u");
	assert_streq(options.workdir, "/w");
	assert(options.do_fsync && options.redirect_dir && options.has_exec);
	assert(!options.read_only && !options.is_volatile && !options.foreground);
	assert(isinf(options.timeout));
	done();
	/* as mount(8) calls */
	assert_eq(parse("src", "/mnt", "-o", "rw,lowerdir=/a,dev,suid", NULL), 0);
	assert_streq(options.source, "src");
	assert_streq(options.mountpoint, "/mnt");
	assert(options.has_dev && options.has_suid);
	done();
	/* options anywhere, and more than once */
	assert_eq(parse("/mnt", "-o", "lowerdir=/a", "-oro", NULL), 0);
	assert_streq(options.mountpoint, "/mnt");
	assert(options.read_only);
	done();
	assert_eq(parse("-f", "-olowerdir=/a", "/mnt", NULL, NULL), 0);
	assert(options.foreground && !options.debug);
	done();
	assert_eq(parse("-d", "-olowerdir=/a", "/mnt", NULL, NULL), 0);
	assert(options.foreground && options.debug);
	done();
	assert_eq(parse("-olowerdir=/a", "--", "-mnt", NULL, NULL), 0);
	assert_streq(options.mountpoint, "-mnt");
	done();
	assert_eq(parse("--help", NULL, NULL, NULL, NULL), 0);
	assert(options.show_help);
	done();
	assert_eq(parse("--version", NULL, NULL, NULL, NULL), 0);
	assert(options.show_version);
	done();
	assert_eq(parse("-V", NULL, NULL, NULL, NULL), 0);
	assert(options.show_version);
	done();
}

/* Called by mount(8) itself, whose letters are others: -f mounts nothing. */
static void test_helper(void)
{
	char *argv[] = {
		"/sbin/mount.fuse.cairnfs", "none", "/mnt",	    "-f", "-n", "-v", "-s", "-o",
		"rw,lowerdir=/a",	    "-t",   "fuse.cairnfs", NULL
	};

	optind = 0;
	assert_eq(options_parse(11, argv, &options, &error), 0);
	assert(options.is_fake && !options.foreground);
	assert_streq(options.mountpoint, "/mnt");
	assert_eq(options.n_lowerdirs, 1);
	done();
	argv[3] = "-d";
	optind = 0;
	refuse(options_parse(11, argv, &options, &error), "unknown option");
}

static void test_arguments_that_are_wrong(void)
{
	refuse(parse("-o", "lowerdir=/a", NULL, NULL, NULL), "mount point");
	refuse(parse("/mnt", NULL, NULL, NULL, NULL), "lowerdir");
	refuse(parse("a", "b", "/mnt", "-olowerdir=/a", NULL), "/mnt");
	refuse(parse("-o", NULL, NULL, NULL, NULL), "-o");
	refuse(parse("-x", "-olowerdir=/a", "/mnt", NULL, NULL), "-x");
	refuse(parse("--nonsense", "-olowerdir=/a", "/mnt", NULL, NULL), "nonsense");
	refuse(parse("-o", "lowerdir=/a,upperdir=/u", "/mnt", NULL, NULL), "workdir");
	refuse(parse("-o", "lowerdir=/a,workdir=/w", "/mnt", NULL, NULL), "upperdir");
}

static void test_unknown_options_are_named(void)
{
	refuse(parse_list("lowerdri=/x"), "lowerdri");
	refuse(parse_list("nonsense"), "nonsense");
	refuse(parse_list("Ro"), "Ro");
	refuse(parse_list("redirect_dirs=on"), "redirect_dirs");
	refuse(parse_list("user_id=0"), "user_id");
	refuse(parse_list("a b"), "a b");
}

static void test_values(void)
{
	refuse(parse_list("upperdir="), "upperdir");
	refuse(parse_list("upperdir"), "upperdir");
	refuse(parse("-o", "lowerdir", "/mnt", NULL, NULL), "lowerdir");
	refuse(parse("-o", "lowerdir=", "/mnt", NULL, NULL), "lowerdir");
	refuse(parse_list("timeout=x"), "timeout");
	refuse(parse_list("timeout=-1"), "timeout");
	refuse(parse_list("timeout="), "timeout");
	refuse(parse_list("fsync=2"), "fsync");
	refuse(parse_list("redirect_dir=maybe"), "redirect_dir");
	accept("timeout=1.5");
	assert(options.timeout > 1.4 && options.timeout < 1.6);
	done();
	accept("timeout=0");
	assert(options.timeout == 0);
	done();
	accept("fsync=0");
	assert(!options.do_fsync);
	done();
	accept("fsync=1");
	assert(options.do_fsync);
	done();
	accept("volatile");
	assert(options.is_volatile);
	done();
	accept("redirect_dir=off");
	assert(!options.redirect_dir);
	done();
	accept("redirect_dir=on");
	assert(options.redirect_dir);
	done();
	accept("static_nlink");
	assert(options.static_nlink);
	done();
	accept("nosuid,nodev,noexec,noatime,ro");
	assert(!options.has_suid && !options.has_dev && !options.has_exec && options.read_only);
	assert_eq(options.atime, ATIME_NONE);
	done();
	accept("nosuid,suid,nodev,dev,noexec,exec,ro,rw,noatime,relatime"); /* the last one counts
									     */
	assert(options.has_suid && options.has_dev && options.has_exec && !options.read_only);
	assert_eq(options.atime, ATIME_RELATIVE);
	done();
}

static void test_one_more(void)
{
	assert_eq(parse("-o", "lowerdir+=/a:b,lowerdir+=/c\\,d", "-o", "lowerdir+=/e", "/mnt"), 0);
	assert_eq(options.n_lowerdirs, 3);
	assert_streq(options.lowerdirs[0], "/a:b");
	assert_streq(options.lowerdirs[1], "/c,d");
	assert_streq(options.lowerdirs[2], "/e");
	done();
	refuse(parse_list("lowerdir+="), "lowerdir+");
}

/* What others know is not unknown: it is refused for a reason. */
static void test_reasons(void)
{
	static const char *const refused[] = {
		"nfs_export=on: file handles",
		"nfs_export: file handles",
		"verity=on: digests",
		"verity=require: digests",
		"nooverride_creds is not supported: branches",
		"datadir+=/x is not supported: data-only",
		"attr_timeout=1 is not supported: timeout=",
		"entry_timeout=1 is not supported: timeout=",
		"negative_timeout=1 is not supported: timeout=",
		"direct_io is not supported: what is mapped",
		"umask=022 is not supported: modes",
		"uid=1 is not supported: squash_to_uid",
		"gid=1 is not supported: squash_to_gid",
		"plugins=x is not supported: there are none",
	};

	for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++) {
		const char *end = strpbrk(refused[i], " :");
		char option[64];

		snprintf(option, sizeof(option), "%.*s", (int)(end - refused[i]), refused[i]);
		refuse(parse_list(option), strchr(refused[i], ':') < strchr(refused[i], ' ')
						   ? end
						   : strstr(end, "supported"));
	}
}

static void test_remount(void)
{
	assert_eq(parse("none", "/mnt", "-o", "ro,remount,user_id=0,group_id=0,nodev", NULL), 0);
	assert(options.is_remount && options.read_only && !options.has_dev);
	done();
	refuse(parse("-o", "ro,remount", NULL, NULL, NULL), "mount point");
	refuse(parse("-o", "remount,nonsense", "/mnt", NULL, NULL), "nonsense");
}

static void test_empty_options(void)
{
	accept("");
	done();
	accept(",,ro,,,");
	assert(options.read_only);
	done();
	assert_eq(parse("-o", ",lowerdir=/a,upperdir=/u,workdir=/w,,volatile", "/mnt", NULL, NULL),
		  0);
	assert(options.is_volatile);
	done();
	assert_eq(parse("-o", "", "-o", "lowerdir=/a", "/mnt"), 0);
	done();
}

static void expect_lowers(const char *value, const char *a, const char *b, const char *c)
{
	const char *want[3] = { a, b, c };
	char list[512];
	size_t n = 0;

	snprintf(list, sizeof(list), "lowerdir=%s,ro", value);
	assert_eq(parse("-o", list, "/mnt", NULL, NULL), 0);
	for (; n < 3 && want[n]; n++) {
		assert(n < options.n_lowerdirs);
		assert_streq(options.lowerdirs[n], want[n]);
	}
	assert_eq(options.n_lowerdirs, n);
	assert(options.read_only);
	done();
}

static void test_escapes(void)
{
	expect_lowers("/a:/b:/c", "/a", "/b", "/c");
	expect_lowers("/a\\:b:/c", "/a:b", "/c", NULL);
	expect_lowers("/a\\,b:/c", "/a,b", "/c", NULL);
	expect_lowers("/a\\\\b", "/a\\b", NULL, NULL);
	expect_lowers("/a\\\\:/b", "/a\\", "/b", NULL);
	expect_lowers("/with space=and=equals", "/with space=and=equals", NULL, NULL);
}

static void test_escapes_elsewhere(void)
{
	assert_eq(parse("-o", "lowerdir=/l,upperdir=/u\\,x,workdir=/w:x=y", "/mnt", NULL, NULL), 0);
	assert_streq(options.upperdir, "/u,x");
	assert_streq(options.workdir, "/w:x=y");
	done();
}

static void test_quotes(void)
{
	accept("context=\"system_u:object_r:container_file_t:s0:c1,c2\",ro");
	assert(options.read_only);
	done();
	accept("context=\"a,b\"");
	done();
	accept("context=a");
	done();
	expect_lowers("/a\"b:/c", "/a\"b", "/c", NULL); /* a letter as others are, elsewhere */
	expect_lowers("/a\\\"b:/\"c\"", "/a\"b", "/\"c\"", NULL);
}

/* 500 branches of long names, as engines pass them. */
static void test_many_branches(void)
{
	enum { N = 500 };
	char *list = malloc(N * 100), *at = list;

	at += sprintf(at, "lowerdir=");
	for (int i = 0; i < N; i++)
		at += sprintf(at,
			      "%s/var/lib/containers/storage/overlay/l/ABCDEFGHIJKLMNOPQRSTUVWX%d",
			      i ? ":" : "", i);
	assert_eq(parse("-o", list, "/mnt", NULL, NULL), 0);
	assert_eq(options.n_lowerdirs, N);
	assert(strstr(options.lowerdirs[499], "X499"));
	done();
	free(list);
}

/* Everything that CONTRACTS.md saw engines and mount(8) pass. */
static void test_what_engines_pass(void)
{
	static const char *const all[] = {
		"rw",
		"ro",
		"dev",
		"nodev",
		"suid",
		"nosuid",
		"exec",
		"noexec",
		"atime",
		"noatime",
		"relatime",
		"lazytime",
		"sync",
		"async",
		"dirsync",
		"private",
		"defaults",
		"user",
		"nofail",
		"_netdev",
		"x-systemd.requires-mounts-for=/a",
		"x-gvfs-hide",
		"volatile",
		"fsync=0",
		"fsync=1",
		"xattr_permissions=2",
		"allow_other",
		"allow_root",
		"default_permissions",
		"debug",
		"noauto",
		"auto",
		"users",
		"owner",
		"group",
		"uidmapping=:0:1:1001:1001:0:1:1002:1002:64535",
		"gidmapping=:0:1:1001:1001:0:1:1002:1002:64535",
		"uidmapping=0:1000:1",
		"squash_to_uid=7",
		"squash_to_gid=7",
		"squash_to_root",
		"context=\"system_u:object_r:x:s0:c1,c2\"",
		"timeout=0",
		"metacopy=on",
		"redirect_dir=off",
		"userxattr",
		"index=off",
		"xino=off",
		"static_nlink",
		"noacl",
		"fsname=x",
		"subtype=x",
		"strictatime",
		"comment=x",
		"noxattrs=1",
		"writeback=1",
		"ino32_t",
		"metacopy=off",
		"whiteout=file",
		"whiteout=auto",
		"nodiratime",
		"threaded=0",
		"nfs_export=off",
		"uuid=on",
		"uuid=null",
		"verity=off",
		"override_creds",
		"fast_ino=1",
		"kernel_cache",
		"auto_cache",
		"splice_read,splice_write,splice_move",
		"no_splice_read,no_splice_write,no_splice_move",
		"max_write=131072",
		"max_readahead=131072",
		"max_background=64,congestion_threshold=48",
		"clone_fd,max_threads=4,max_idle_threads=4",
		"auto_unmount",
		"nonempty,hard_remove,use_ino,readdir_ino",
		"async_read,sync_read,atomic_o_trunc,big_writes,large_read",
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
		accept(all[i]);
		done();
	}
	/* as podman writes them */
	assert_eq(parse("-o",
			"lowerdir=/G/l/A:/G/l/Z,upperdir=/G/ID/diff,workdir=/G/ID/work,,volatile",
			"/G/ID/merged", NULL, NULL),
		  0);
	done();
	assert_eq(parse("-o", "lowerdir=/G/ID/diff:/G/ID/empty", "/G/ID/merged", NULL, NULL), 0);
	assert(!options.upperdir);
	done();
	assert_eq(parse("-o", "lowerdir=/D,upperdir=/U,workdir=/W,private", "/M", NULL, NULL), 0);
	done();
}

static void test_help_names_everything(void)
{
	static const char *const words[] = { "lowerdir",    "upperdir",	 "workdir",
					     "ro",	    "volatile",	 "fsync",
					     "allow_other", "timeout",	 "redirect_dir",
					     "--help",	    "--version", "Usage: cairnfs" };

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		assert(strstr(options_help, words[i]));
}

int main(void)
{
	test_forms();
	test_helper();
	test_arguments_that_are_wrong();
	test_unknown_options_are_named();
	test_values();
	test_one_more();
	test_reasons();
	test_remount();
	test_empty_options();
	test_escapes_elsewhere();
	test_escapes();
	test_quotes();
	test_many_branches();
	test_what_engines_pass();
	test_help_names_everything();
	return 0;
}
