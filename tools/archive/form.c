/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A root filesystem may have files that are called as those of an archive are.  So what is in
 * them counts too, or that there is nothing else.
 */
#include "archive/form.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fd.h"

enum { MAX_DEPTH = 8, MAX_NEEDED = 2, MAX_ALLOWED = 5 };

/* --- those that are read --- */

/* As bundle_find; a link that leads out of the bundle is no file of it, in whatever tree it is. */
static int find(struct bundle *bundle, const char *name, struct extent *ret)
{
	int r = bundle_find(bundle, name, ret);

	return r == -EXDEV || r == -ELOOP ? BUNDLE_ABSENT : r;
}

/* The first bytes of a file, without the blanks before them, as a string: `room` at most. */
static int first_bytes(struct bundle *bundle, const char *name, char *text, size_t room)
{
	struct extent extent;
	size_t blanks;
	ssize_t n;
	int r = find(bundle, name, &extent);

	*text = '\0';
	if (r <= 0)
		return r;
	n = fd_pread_all(extent.fd, text, extent.size < room - 1 ? (size_t)extent.size : room - 1,
			 extent.offset);
	if (n < 0)
		return (int)n;
	text[n] = '\0';
	blanks = strspn(text, " \t\r\n");
	memmove(text, text + blanks, (size_t)n - blanks + 1);
	return r;
}

/* Whether it is the array or the null of an archive that has no image for this document. */
static bool is_empty(const char *text)
{
	if (strncmp(text, "null", 4) == 0)
		return true;
	return *text == '[' && text[1 + strspn(text + 1, " \t\r\n")] == ']';
}

static int is_blobs(void *ret, const char *name, bool is_dir)
{
	*(bool *)ret = is_dir && strcmp(name, "blobs") == 0;
	return *(bool *)ret;
}

/* An index, with oci-layout beside it, or at least with the blobs that it is an index of. */
static int is_layout(struct bundle *bundle)
{
	cleanup_free char *index = NULL;
	struct extent extent;
	struct error error;
	bool has_blobs = false;
	size_t size;
	int r = find(bundle, "index.json", &extent);

	if (r <= 0)
		return r;
	r = find(bundle, "oci-layout", &extent);
	if (r != BUNDLE_ABSENT)
		return r;
	r = bundle_each_top(bundle, is_blobs, &has_blobs);
	if (r < 0 || !has_blobs)
		return r;
	r = bundle_read(bundle, "index.json", &error, &index, &size);
	return r == 0 && strstr(index, "\"manifests\"");
}

static int is_dir_transport(struct bundle *bundle)
{
	static const char words[] = "Directory Transport Version: ";
	char text[sizeof(words)];
	int r = first_bytes(bundle, "version", text, sizeof(text));

	return r < 0 ? r : strcmp(text, words) == 0;
}

/* Docker 25 and later write both forms; only manifest.json has the whole names. */
static int readable(struct bundle *bundle)
{
	char text[64];
	int docker = first_bytes(bundle, "manifest.json", text, sizeof(text));
	int r;

	if (docker < 0 || (*text && *text != '{' && !is_empty(text)))
		return docker < 0 ? docker : FORM_DOCKER;
	r = is_layout(bundle);
	if (r != 0)
		return r < 0 ? r : FORM_OCI;
	if (docker && *text != '{')
		return FORM_DOCKER;
	r = docker ? is_dir_transport(bundle) : 0;
	return r > 0 ? FORM_DIR : r;
}

/* --- those that are only known --- */

static const struct foreign {
	const char *words;
	const char *needed[MAX_NEEDED];
	const char *allowed[MAX_ALLOWED]; /* besides; "#": a name of 64 hex digits */
} foreigns[] = {
	{ "an Incus image: what is in its rootfs/ can be imported as a tarball of its own",
	  { "metadata.yaml" },
	  { "rootfs", "rootfs.img", "templates" } },
	{ "an OCI runtime bundle: what is in its rootfs/ can be imported as a tarball of its own",
	  { "config.json", "rootfs" },
	  { "runtime.json" } },
	{ "an App Container image: what is in its rootfs/ can be imported as a tarball of its own",
	  { "manifest", "rootfs" },
	  { NULL } },
	{ "an image as docker before 1.10 saved it: docker load and docker save make one of today",
	  { "#" },
	  { "repositories" } },
};

static bool is_called(const char *name, const char *wanted)
{
	if (!wanted || *wanted != '#')
		return wanted && strcmp(name, wanted) == 0;
	return strlen(name) == 64 && strspn(name, "0123456789abcdef") == 64;
}

struct look {
	const struct foreign *foreign;
	bool has[MAX_NEEDED];
};

/* Other than 0: it is not of that form. */
static int look_at(void *context, const char *name, bool is_dir)
{
	struct look *look = context;

	(void)is_dir;
	for (size_t i = 0; i < MAX_NEEDED; i++) {
		if (is_called(name, look->foreign->needed[i]))
			return look->has[i] = true, 0;
	}
	for (size_t i = 0; i < MAX_ALLOWED; i++) {
		if (is_called(name, look->foreign->allowed[i]))
			return 0;
	}
	return 1;
}

static int is_foreign(struct bundle *bundle, const struct foreign *foreign)
{
	struct look look = { .foreign = foreign };
	int r = bundle_each_top(bundle, look_at, &look);

	for (size_t i = 0; r == 0 && i < MAX_NEEDED; i++) {
		if (foreign->needed[i] && !look.has[i])
			r = 1;
	}
	return r < 0 ? r : r == 0;
}

static int form_here(struct bundle *bundle, const char **ret_words)
{
	int r = readable(bundle);

	for (size_t i = 0; r == FORM_NONE && i < sizeof(foreigns) / sizeof(*foreigns); i++) {
		r = is_foreign(bundle, &foreigns[i]);
		if (r > 0) {
			*ret_words = foreigns[i].words;
			return FORM_FOREIGN;
		}
	}
	return r;
}

/* --- where it is --- */

/* The one directory that has everything; "": there is something else. */
struct only {
	char *name;
	bool is_only;
};

static int note_top(void *context, const char *name, bool is_dir)
{
	struct only *only = context;

	if (!is_dir || (only->name && strcmp(only->name, name) != 0))
		return only->is_only = false, 1;
	if (!only->name)
		only->name = strdup(name);
	only->is_only = only->name;
	return only->name ? 0 : -ENOMEM;
}

/* Enters that directory: 1, or 0: there is none; or negative errno. */
static int enter_only(struct bundle *bundle)
{
	struct only only = { NULL, false };
	int r = bundle_each_top(bundle, note_top, &only);

	r = r < 0 ? r : only.is_only ? bundle_enter(bundle, only.name) : 1;
	free(only.name);
	return r < 0 ? r : r == 0;
}

int form_of(struct bundle *bundle, const char **ret_words)
{
	int r = form_here(bundle, ret_words);

	for (int i = 0; r == FORM_NONE && i < MAX_DEPTH; i++) {
		r = enter_only(bundle);
		if (r <= 0)
			break;
		r = form_here(bundle, ret_words);
	}
	if (r == FORM_NONE)
		r = bundle_enter(bundle, NULL);
	return r;
}
