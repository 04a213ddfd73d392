/* SPDX-License-Identifier: GPL-3.0-or-later */
#undef NDEBUG
#include "value/digest.h"

#include <assert.h>
#include <string.h>

/* FIPS 180-2, appendix B.1. */
static const char abc[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

static void test_known_digest(void)
{
	struct hasher *hasher;
	struct digest digest;

	assert(digest_of("abc", 3, &digest) == 0);
	assert(strcmp(digest.hex, abc) == 0);
	assert(hasher_new(&hasher) == 0);
	hasher_update(hasher, "a", 1);
	hasher_update(hasher, "bc", 2);
	assert(hasher_finish(hasher, &digest) == 0);
	assert(strcmp(digest.hex, abc) == 0);
	hasher_free(hasher);
	hasher_free(NULL);
}

static void test_parse(void)
{
	char text[80] = "sha256:";
	struct digest digest;

	strcat(text, abc);
	assert(digest_parse(text, &digest) && strcmp(digest.hex, abc) == 0);
	assert(digest_parse(abc, &digest));
	text[8] = 'B';
	assert(!digest_parse(text, &digest));
	assert(!digest_parse("sha256:", &digest));
	assert(!digest_parse("sha512:00", &digest));
	assert(!digest_parse(
		"sha256:../../../../../../../../../../../../../../../../../../etc/passwd",
		&digest));
	text[8] = 'a';
	strcat(text, "0");
	assert(!digest_parse(text, &digest));
}

/* The chain of one layer is its diff ID; of two, the digest of both IDs. */
static void test_chain(void)
{
	static const char joined[] =
		"sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad "
		"sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
	struct digest diff, chain, expected;

	assert(digest_parse(abc, &diff));
	assert(digest_chain(NULL, &diff, &chain) == 0);
	assert(digest_equal(&chain, &diff));
	assert(digest_of(joined, strlen(joined), &expected) == 0);
	assert(digest_chain(&diff, &diff, &chain) == 0);
	assert(digest_equal(&chain, &expected));
}

int main(void)
{
	test_known_digest();
	test_parse();
	test_chain();
	return 0;
}
