/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the fuzz targets share: an input taken apart from its front, a directory for each
 * execution, and damage to a file as an input describes it.  A target's main() is libFuzzer's
 * (clang -fsanitize=fuzzer); run.sh gives it a tmpfs as $TMPDIR and makes the rest of the machine
 * read-only.
 */
#ifndef TEST_FUZZ_H
#define TEST_FUZZ_H

#include <stdint.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "../unit/scratch.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* --- an input --- */

struct input {
	const uint8_t *data;
	size_t size;
};

/* The next `width` bytes, 8 at most, as a number; what is behind the end is zero. */
static inline uint64_t take_number(struct input *input, size_t width)
{
	uint64_t number = 0;

	for (size_t i = 0; i < width && input->size > 0; i++, input->size--)
		number |= (uint64_t)*input->data++ << (8 * i);
	return number;
}

static inline unsigned int take_byte(struct input *input)
{
	return (unsigned int)take_number(input, 1);
}

/* --- where it happens --- */

/* Below it, `scratch` is the directory of one execution. */
static int fuzz_place = -1;

/* What a module takes for random is the same in each execution, so that one can be repeated. */
static uint64_t fuzz_random;

ssize_t getrandom(void *buffer, size_t size, unsigned int flags)
{
	uint8_t *bytes = buffer;

	(void)flags;
	for (size_t i = 0; i < size; i += sizeof(fuzz_random)) {
		uint64_t number = ++fuzz_random * UINT64_C(0x9e3779b97f4a7c15);

		memcpy(bytes + i, &number, size - i < sizeof(number) ? size - i : sizeof(number));
	}
	return (ssize_t)size;
}

/*
 * Little memory is allowed, by which indexes are mapped small: AddressSanitizer goes through the
 * shadow of all that is mapped.
 */
int getrlimit(__rlimit_resource_t resource, struct rlimit *limit)
{
	if (resource != RLIMIT_AS)
		return (int)syscall(SYS_prlimit64, 0, resource, NULL, limit);
	limit->rlim_cur = limit->rlim_max = 1 << 28;
	return 0;
}

/* Before the first execution. */
static inline void fuzz_begin(void)
{
	const char *tmp = getenv("TMPDIR");

	umask(0);
	snprintf(scratch_path, sizeof(scratch_path), "%s/cairn-fuzz.XXXXXX", tmp ? tmp : "/tmp");
	assert(mkdtemp(scratch_path));
	fuzz_place = open(scratch_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert(fuzz_place >= 0);
}

/* An execution has an empty directory. */
static inline void case_begin(void)
{
	fuzz_random = 0;
	scratch = make_dir_open(fuzz_place, "case");
}

static inline void case_end(void)
{
	close(scratch);
	scratch = -1;
	assert_eq(fd_remove_tree(fuzz_place, "case"), 0);
}

/* --- files --- */

struct bytes {
	uint8_t *data;
	size_t size;
};

static inline struct bytes bytes_of_file(int at, const char *path)
{
	cleanup_fd int fd = openat(at, path, O_RDONLY | O_CLOEXEC);
	struct bytes bytes = { 0 };
	struct stat st;

	assert(fd >= 0 && fstat(fd, &st) == 0);
	bytes.size = (size_t)st.st_size;
	bytes.data = malloc(bytes.size + 1);
	assert(bytes.data);
	assert_eq(fd_pread_all(fd, bytes.data, bytes.size, 0), bytes.size);
	return bytes;
}

static inline void bytes_to_file(int at, const char *path, struct bytes bytes)
{
	cleanup_fd int fd = openat(at, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert(fd >= 0);
	assert_eq(fd_pwrite_all(fd, bytes.data, bytes.size, 0), bytes.size);
}

/* --- damage --- */

enum { DAMAGE_PAGE = 4096, DAMAGE_MOST = 64 };

static inline void damage_pages(struct input *input, struct bytes *bytes, bool copy)
{
	size_t n_pages = bytes->size / DAMAGE_PAGE;
	size_t to = n_pages ? take_number(input, 2) % n_pages : 0;
	size_t from = n_pages ? take_number(input, 2) % n_pages : 0;
	uint8_t *at = bytes->data + to * DAMAGE_PAGE;

	if (n_pages && copy)
		memmove(at, bytes->data + from * DAMAGE_PAGE, DAMAGE_PAGE);
	else if (n_pages)
		memset(at, (int)from, DAMAGE_PAGE);
}

/* Numbers of 1 to 8 bytes; in every other case one of the first of a page, where its head is. */
static inline void damage_number(struct input *input, struct bytes *bytes, unsigned int how)
{
	size_t width = (size_t)1 << (how & 3), at;
	uint64_t value;

	if (how & 4)
		at = take_number(input, 2) * DAMAGE_PAGE + take_byte(input);
	else
		at = take_number(input, 3);
	value = take_number(input, width);
	for (size_t i = 0; i < width; i++)
		bytes->data[(at + i) % bytes->size] = (uint8_t)(value >> (8 * i));
}

/* What is left of the input says how; the bytes are a copy, in a block of their size. */
static inline struct bytes damaged(const struct bytes *whole, struct input *input)
{
	struct bytes bytes = { malloc(whole->size + 1), whole->size };

	assert(bytes.data);
	memcpy(bytes.data, whole->data, whole->size);
	for (int i = 0; i < DAMAGE_MOST && input->size > 0; i++) {
		unsigned int how = take_byte(input);

		if (bytes.size == 0)
			break;
		if (how < 16)
			bytes.size = take_number(input, 3) % bytes.size;
		else if (how < 32)
			damage_pages(input, &bytes, how & 1);
		else if (how < 64)
			bytes.data[take_number(input, 3) % bytes.size] ^= (uint8_t)(1 << (how & 7));
		else
			damage_number(input, &bytes, how);
	}
	return bytes;
}

#endif
