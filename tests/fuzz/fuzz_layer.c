/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A layer, which is a tar from anywhere (layer/layer.h): it is unpacked or refused, and nothing is
 * made, changed or removed but in the branch.  The checksums of the headers are put right, and the
 * lengths of extended records, which would keep nearly all that is changed at random from being
 * looked at.
 */
#include "layer/layer.h"

#include <sys/mman.h>
#include <sys/xattr.h>

#include "fuzz.h"
#include "layer/below.h"

enum { BLOCK = 512, CHECKSUM_AT = 148, TYPE_AT = 156, MAGIC_AT = 257 };

static struct layer_site site;
static int below; /* a layer below */

/* --- the archive --- */

static void mend_checksum(uint8_t *block)
{
	unsigned int sum = 0;

	memset(block + CHECKSUM_AT, ' ', 8);
	for (int i = 0; i < BLOCK; i++)
		sum += block[i];
	snprintf((char *)block + CHECKSUM_AT, 8, "%06o", sum);
}

/* "LENGTH KEY=VALUE\n", one after the other, made to fit the room that the last one leaves. */
static void mend_records(uint8_t *block)
{
	uint8_t *at = block, *end = block + BLOCK;

	while (at < end && *at) {
		uint8_t *newline = memchr(at, '\n', (size_t)(end - at));
		uint8_t *space = memchr(at, ' ', (size_t)(end - at));
		char length[8];
		int n;

		if (!newline || !space || space > newline)
			return;
		n = snprintf(length, sizeof(length), "%td", newline + 1 - at);
		if (space - at == n)
			memcpy(at, length, (size_t)n);
		at = newline + 1;
	}
}

static void mend(uint8_t *data, size_t size)
{
	bool is_pax = false;

	for (size_t at = 0; at + BLOCK <= size; at += BLOCK) {
		uint8_t *block = data + at;
		bool is_head = memcmp(block + MAGIC_AT, "ustar", 5) == 0;

		if (is_pax && !is_head)
			mend_records(block);
		if (is_head)
			mend_checksum(block);
		is_pax = is_head && (block[TYPE_AT] == 'x' || block[TYPE_AT] == 'g');
	}
}

static int archive_of(struct input *input)
{
	cleanup_free uint8_t *data = malloc(input->size + 1);
	int fd = memfd_create("layer", MFD_CLOEXEC);

	assert(data && fd >= 0);
	memcpy(data, input->data, input->size);
	mend(data, input->size);
	assert_eq(fd_pwrite_all(fd, data, input->size, 0), input->size);
	return fd;
}

/* --- what stands beside --- */

static const char *const beside[] = { "beside/etc", "beside/etc/passwd", "beside/link", "beside" };
enum { N_BESIDE = sizeof(beside) / sizeof(*beside) };
static struct stat was[N_BESIDE];

static void make_beside(void)
{
	make_dir(fuzz_place, "beside", 0755);
	make_dir(fuzz_place, "beside/etc", 0755);
	make_file(fuzz_place, "beside/etc/passwd", "root");
	make_symlink(fuzz_place, "etc/passwd", "beside/link");
	for (int i = 0; i < N_BESIDE; i++) {
		set_times(fuzz_place, beside[i], 1000, 1000);
		was[i] = stat_of(fuzz_place, beside[i]);
	}
}

/* Of the change time nothing can be kept from us. */
static void check_beside(void)
{
	for (int i = 0; i < N_BESIDE; i++) {
		struct stat now = stat_of(fuzz_place, beside[i]);

		assert_eq(now.st_ctim.tv_sec, was[i].st_ctim.tv_sec);
		assert_eq(now.st_ctim.tv_nsec, was[i].st_ctim.tv_nsec);
		assert_eq(now.st_ino, was[i].st_ino);
		assert_eq(now.st_nlink, was[i].st_nlink);
	}
}

/* The directories that are there, and no other. */
static void check_names(int at, const char *const names[], int n)
{
	cleanup_dir DIR *dir = NULL;
	struct dirent *entry;
	int found = 0;

	assert_eq(fd_opendir(at, &dir), 0);
	while ((entry = readdir(dir))) {
		bool is_known = *entry->d_name == '.' && strlen(entry->d_name) <= 2;

		for (int i = 0; i < n; i++)
			is_known |= strcmp(entry->d_name, names[i]) == 0;
		assert(is_known);
		found++;
	}
	assert_eq(found, n + 2);
}

static void make_below(void)
{
	below = make_dir_open(fuzz_place, "below");
	make_dir(below, "dir", 0755);
	make_file(below, "dir/file", "below");
	make_file(below, "file", "below");
	make_symlink(below, "../beside/etc", "link");
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	fuzz_begin();
	case_begin();
	assert_eq(layer_probe(scratch, &site), 0);
	case_end();
	make_beside();
	make_below();
	return 0;
}

/* --- one layer --- */

/* All that is in a branch can be looked at; a mark of a mount's is ours or is not there. */
static void check_marks(int branch, const char *name)
{
	cleanup_fd int fd = open_path(branch, name);
	cleanup_free char *names = NULL;
	ssize_t size = xattr_list(fd, &names);

	for (ssize_t at = 0; at < size; at += (ssize_t)strlen(names + at) + 1) {
		if (strcmp(names + at, "trusted.overlay.opaque") == 0 ||
		    strcmp(names + at, "user.overlay.opaque") == 0 ||
		    strcmp(names + at, "user.containers.override_stat") == 0)
			continue;
		assert(!whiteout_is_private_xattr(names + at));
	}
}

static void check_branch(int branch)
{
	cleanup_dir DIR *dir = NULL;
	struct dirent *entry;

	assert_eq(fd_opendir(branch, &dir), 0);
	while ((entry = readdir(dir))) {
		if (strcmp(entry->d_name, "..") == 0)
			continue;
		check_marks(branch, entry->d_name);
		if (entry->d_type == DT_DIR && strcmp(entry->d_name, ".") != 0) {
			cleanup_fd int fd = open_dir(branch, entry->d_name);

			check_branch(fd);
		}
	}
}

static void unpack(int file, int branch, unsigned int options)
{
	struct extent extent = { .fd = file, .size = UINT64_MAX };
	struct layer_site here = site;
	struct layer_summary summary;
	struct error error = { "" };
	struct digest blob, content;
	struct stream *stream;
	int r = stream_open(&extent, NULL, &error, &stream);

	if (options & 1)
		here.privileged = false;
	if (options & 2)
		here.style = (struct whiteout_style){ .format = WHITEOUT_FILE };
	if (r == 0) {
		r = layer_unpack(stream, branch, &here, &below, options & 4 ? 1 : 0, &error,
				 &summary);
		if (r == 0)
			r = stream_finish(stream, &blob, &content);
		stream_free(stream);
	}
	assert(r == 0 || *error.text);
	for (const char *c = error.text; *c; c++)
		assert((unsigned char)*c >= ' ' && *c != 127);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const places[] = { "beside", "below", "case" }, *const cases[] = { "b" };
	struct input input = { data, size };
	unsigned int options = take_byte(&input);
	cleanup_fd int file = archive_of(&input);
	cleanup_fd int branch = -1;

	case_begin();
	branch = make_dir_open(scratch, "b");
	unpack(file, branch, options);
	check_beside();
	check_names(fuzz_place, places, 3);
	check_names(scratch, cases, 1);
	check_branch(branch);
	case_end();
	return 0;
}
