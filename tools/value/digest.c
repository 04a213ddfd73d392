/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "value/digest.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

struct hasher {
	EVP_MD_CTX *context;
	bool failed;
};

int hasher_new(struct hasher **ret)
{
	struct hasher *hasher = calloc(1, sizeof(*hasher));

	if (!hasher)
		return -ENOMEM;
	hasher->context = EVP_MD_CTX_new();
	if (!hasher->context || EVP_DigestInit_ex(hasher->context, EVP_sha256(), NULL) != 1) {
		hasher_free(hasher);
		return -ENOMEM;
	}
	*ret = hasher;
	return 0;
}

void hasher_free(struct hasher *hasher)
{
	if (!hasher)
		return;
	EVP_MD_CTX_free(hasher->context);
	free(hasher);
}
DEFINE_CLEANUP(struct hasher *, hasher, hasher_free)

void hasher_update(struct hasher *hasher, const void *data, size_t size)
{
	if (EVP_DigestUpdate(hasher->context, data, size) != 1)
		hasher->failed = true;
}

int hasher_finish(struct hasher *hasher, struct digest *ret)
{
	unsigned char raw[EVP_MAX_MD_SIZE];
	unsigned int size;

	if (EVP_DigestFinal_ex(hasher->context, raw, &size) != 1 || hasher->failed || size != 32)
		return -EIO;
	for (unsigned int i = 0; i < size; i++)
		snprintf(ret->hex + (size_t)2 * i, 3, "%02x", raw[i]);
	return 0;
}

int digest_of(const void *data, size_t size, struct digest *ret)
{
	CLEANUP(cleanup_hasher) struct hasher *hasher = NULL;
	int r = hasher_new(&hasher);

	if (r < 0)
		return r;
	hasher_update(hasher, data, size);
	return hasher_finish(hasher, ret);
}

bool digest_parse(const char *text, struct digest *ret)
{
	if (strncmp(text, "sha256:", 7) == 0)
		text += 7;
	if (strlen(text) != 64 || strspn(text, "0123456789abcdef") != 64)
		return false;
	memcpy(ret->hex, text, sizeof(ret->hex));
	return true;
}

bool digest_equal(const struct digest *a, const struct digest *b)
{
	return memcmp(a->hex, b->hex, sizeof(a->hex)) == 0;
}

int digest_chain(const struct digest *below, const struct digest *diff_id, struct digest *ret)
{
	char text[160];

	if (!below) {
		*ret = *diff_id;
		return 0;
	}
	snprintf(text, sizeof(text), "sha256:%s sha256:%s", below->hex, diff_id->hex);
	return digest_of(text, strlen(text), ret);
}
