/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * onefile [--socket PATH] [--access r|w|rw|path|append] [--depth N] MOUNTPOINT FILE
 *
 * A filesystem with one file, `file`, which is FILE by passthrough, if that is to be had: opened
 * with that access, made known by host/backing.h. Without, reading gives "daemon" and nothing else,
 * and what is written goes nowhere. On standard output it says what it was asked: "id", or
 * "refused" and the errno, "unusable", "read", "write". Until it is unmounted.
 */
#include "config.h"

#define FUSE_USE_VERSION FUSE_MAKE_VERSION(3, 18)
#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/backing.h"

static struct {
	int file, depth, id;
	struct backings *backings;
} its = { .depth = 1 };

static const char text[] = "daemon";

static struct stat attr_of(fuse_ino_t ino)
{
	struct stat st = { 0 };

	if (ino == FUSE_ROOT_ID)
		st = (struct stat){ .st_mode = S_IFDIR | 0755, .st_nlink = 2 };
	else
		fstat(its.file, &st);
	st.st_mode |= S_ISREG(st.st_mode) ? 0666 : 0;
	st.st_ino = ino;
	st.st_uid = getuid();
	st.st_gid = getgid();
	return st;
}

static void do_init(void *data, struct fuse_conn_info *conn)
{
	(void)data;
	if (!fuse_set_feature_flag(conn, FUSE_CAP_PASSTHROUGH))
		puts("no passthrough");
	conn->max_backing_stack_depth = its.depth;
}

static void do_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param entry = { .ino = 2, .attr = attr_of(2) };

	if (parent != FUSE_ROOT_ID || strcmp(name, "file") != 0)
		fuse_reply_err(req, ENOENT);
	else
		fuse_reply_entry(req, &entry);
}

static void do_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct stat st = attr_of(ino);

	(void)fi;
	fuse_reply_attr(req, &st, 0);
}

static void do_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	if (its.id <= 0) {
		its.id = backing_open(its.backings, its.file);
		if (its.id > 0)
			puts("id");
		else
			printf("refused %s\n", strerrorname_np(-its.id));
	}
	if (!backings_usable(its.backings))
		puts("unusable");
	if (its.id > 0)
		fi->backing_id = its.id;
	else
		fi->direct_io = 1;
	fuse_reply_open(req, fi);
}

static void do_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t at,
		    struct fuse_file_info *fi)
{
	(void)ino;
	(void)fi;
	puts("read");
	fuse_reply_buf(req, text, at || size < strlen(text) ? 0 : strlen(text));
}

static void do_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t at,
		     struct fuse_file_info *fi)
{
	(void)ino;
	(void)data;
	(void)at;
	(void)fi;
	puts("write");
	fuse_reply_write(req, size);
}

static const struct fuse_lowlevel_ops ops = {
	.init = do_init,
	.lookup = do_lookup,
	.getattr = do_getattr,
	.open = do_open,
	.read = do_read,
	.write = do_write,
};

static int flags_of(const char *access)
{
	static const struct {
		const char *name;
		int flags;
	} known[] = {
		{ "r", O_RDONLY },
		{ "w", O_WRONLY },
		{ "rw", O_RDWR },
		{ "path", O_PATH },
		{ "append", O_RDWR | O_APPEND },
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
		if (strcmp(known[i].name, access) == 0)
			return known[i].flags;
	}
	exit(2);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "socket", required_argument, NULL, 's' },
		{ "access", required_argument, NULL, 'a' },
		{ "depth", required_argument, NULL, 'd' },
		{ 0 },
	};
	char *name = argv[0], *mount_options = "-ofsname=onefile",
	     *arguments[] = { name, mount_options };
	struct fuse_args args = FUSE_ARGS_INIT(2, arguments);
	const char *path = NULL;
	int flags = O_RDWR, option, r = 1;
	struct fuse_session *session;

	while ((option = getopt_long(argc, argv, "", options, NULL)) >= 0) {
		if (option == 's')
			path = optarg;
		else if (option == 'a')
			flags = flags_of(optarg);
		else if (option == 'd')
			its.depth = atoi(optarg);
		else
			return 2;
	}
	if (argc - optind != 2)
		return 2;
	setvbuf(stdout, NULL, _IOLBF, 0);
	its.file = open(argv[optind + 1], flags | O_CLOEXEC);
	session = fuse_session_new(&args, &ops, sizeof(ops), NULL);
	fuse_opt_free_args(&args);
	if (its.file < 0 || !session || fuse_session_mount(session, argv[optind]) < 0) {
		perror(argv[optind + 1]);
		return 1;
	}
	its.backings = backings_new(fuse_session_fd(session), -1, path);
	if (its.backings)
		r = fuse_session_loop(session) != 0;
	fuse_session_unmount(session);
	fuse_session_destroy(session);
	backings_free(its.backings);
	close(its.file);
	return r;
}
