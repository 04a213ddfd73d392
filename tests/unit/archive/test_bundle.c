/* SPDX-License-Identifier: GPL-3.0-or-later */
#undef NDEBUG
#include "archive/bundle.h"

#include "archive/form.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"

static char path[] = "/tmp/cairn-bundle.XXXXXX";
static int work;

static void put(const char *name, const char *text)
{
	int fd = openat(work, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
}

static void test_links_stay_inside(void)
{
	struct bundle *bundle;
	struct extent extent;
	struct error error;
	char *text;
	size_t size;

	assert(mkdirat(work, "d", 0700) == 0);
	put("d/file", "inside");
	assert(symlinkat("d/file", work, "in") == 0);
	assert(symlinkat("../in", work, "d/up") == 0);
	assert(symlinkat("/etc/passwd", work, "absolute") == 0);
	assert(symlinkat("../../../../etc/passwd", work, "out") == 0);
	assert(symlinkat("loop", work, "loop") == 0);
	assert(bundle_of_directory(work, &bundle) == 0);
	assert(bundle_read(bundle, "./d/up", &error, &text, &size) == 0);
	assert(size == 6 && strcmp(text, "inside") == 0);
	free(text);
	assert(bundle_find(bundle, "absolute", &extent) == BUNDLE_ABSENT);
	assert(bundle_find(bundle, "out", &extent) == -EXDEV);
	assert(bundle_find(bundle, "../d/file", &extent) == -EXDEV);
	assert(bundle_find(bundle, "loop", &extent) == -ELOOP);
	assert(bundle_find(bundle, "d", &extent) == BUNDLE_ABSENT);
	assert(bundle_find(bundle, "none", &extent) == BUNDLE_ABSENT);
	assert(bundle_find(bundle, "d/file/x", &extent) == BUNDLE_ABSENT);
	bundle_free(bundle);
}

static void test_kind(void)
{
	struct bundle *bundle;
	const char *words;

	assert(bundle_of_directory(work, &bundle) == 0);
	assert(form_of(bundle, &words) == FORM_NONE);
	put("index.json", "{}");
	assert(form_of(bundle, &words) == FORM_NONE);
	put("oci-layout", "{}");
	assert(form_of(bundle, &words) == FORM_OCI);
	put("manifest.json", "{\"an\": \"application's\"}");
	assert(form_of(bundle, &words) == FORM_OCI);
	put("manifest.json", " \n[ ]");
	assert(form_of(bundle, &words) == FORM_OCI);
	put("manifest.json", "null");
	assert(form_of(bundle, &words) == FORM_OCI);
	put("manifest.json", " \n[{}]");
	assert(form_of(bundle, &words) == FORM_DOCKER);
	bundle_free(bundle);
}

static void test_documents_are_bounded(void)
{
	struct bundle *bundle;
	struct error error;
	char *text;
	size_t size;
	int fd = openat(work, "large", O_WRONLY | O_CREAT, 0600);

	assert(ftruncate(fd, BUNDLE_MAX_DOCUMENT + 1) == 0);
	assert(bundle_of_directory(work, &bundle) == 0);
	assert(bundle_read(bundle, "large", &error, &text, &size) == -EFBIG);
	assert(strstr(error.text, "'large'"));
	assert(ftruncate(fd, BUNDLE_MAX_DOCUMENT) == 0);
	assert(bundle_read(bundle, "large", &error, &text, &size) == 0);
	free(text);
	close(fd);
	bundle_free(bundle);
}

int main(void)
{
	int tmp = open("/tmp", O_RDONLY | O_DIRECTORY);

	assert(mkdtemp(path));
	work = open(path, O_RDONLY | O_DIRECTORY);
	test_links_stay_inside();
	test_kind();
	test_documents_are_bounded();
	close(work);
	assert(fd_remove_tree(tmp, strrchr(path, '/') + 1) == 0);
	close(tmp);
	return 0;
}
