/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "index/seal.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/fd.h"

struct seal {
	char magic[SEAL_MAGIC_SIZE];
	XXH128_canonical_t hash;
};
_Static_assert(sizeof(struct seal) == SEAL_SIZE, "as the file has it");

/* The XXH3-128 of the first `size` bytes of a file. */
static int hash_file(int fd, off_t size, XXH128_canonical_t *ret)
{
	void *map;

	if (size == 0)
		return -EINVAL;
	map = mmap(NULL, (size_t)size, PROT_READ, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return -errno;
	XXH128_canonicalFromHash(ret, XXH3_128bits(map, (size_t)size));
	munmap(map, (size_t)size);
	return 0;
}

int seal_put(int fd, const char magic[SEAL_MAGIC_SIZE])
{
	struct seal seal;
	struct stat st;
	ssize_t n;
	int r = fd_stat(fd, NULL, &st);

	memcpy(seal.magic, magic, sizeof(seal.magic));
	if (r == 0)
		r = hash_file(fd, st.st_size, &seal.hash);
	if (r < 0)
		return r;
	n = fd_pwrite_all(fd, &seal, sizeof(seal), st.st_size);
	if (n < 0)
		return (int)n;
	return n < (ssize_t)sizeof(seal) ? -ENOSPC : fsync(fd) < 0 ? -errno : 0;
}

int seal_check(int fd, const char magic[SEAL_MAGIC_SIZE])
{
	XXH128_canonical_t hash;
	struct seal seal;
	struct stat st;
	ssize_t n;
	int r = fd_stat(fd, NULL, &st);

	if (r < 0)
		return r;
	if (st.st_size <= (off_t)sizeof(seal))
		return SEAL_BAD;
	st.st_size -= sizeof(seal);
	n = fd_pread_all(fd, &seal, sizeof(seal), st.st_size);
	if (n < 0)
		return (int)n;
	if (n < (ssize_t)sizeof(seal) || memcmp(seal.magic, magic, sizeof(seal.magic)) != 0)
		return SEAL_BAD;
	r = hash_file(fd, st.st_size, &hash);
	return r < 0 ? r : memcmp(&hash, &seal.hash, sizeof(hash)) == 0 ? 0 : SEAL_BAD;
}
