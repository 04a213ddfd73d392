/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A window is allocated as large as the frame says, up to 2^31 bytes, but the system gives memory
 * for what was written of it only.
 */
#include "archive/unzstd.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "base/cleanup.h"

enum { UNPACKED = 128 << 10 }; /* the largest block there is */

struct unzstd {
	unzstd_source source;
	void *context;
	ZSTD_DStream *decoder;
	ZSTD_inBuffer in;
	bool is_inside; /* a frame has begun and not ended */
	bool has_more; /* the decoder may have output without more input */
	char unpacked[UNPACKED];
};

bool unzstd_knows(const void *data, size_t size)
{
	const unsigned char *bytes = data;

	if (size < 4)
		return false;
	return memcmp(bytes, "\x28\xb5\x2f\xfd", 4) == 0 ||
	       (bytes[0] >> 4 == 5 && memcmp(bytes + 1, "\x2a\x4d\x18", 3) == 0);
}

void unzstd_free(struct unzstd *unzstd)
{
	if (!unzstd)
		return;
	ZSTD_freeDStream(unzstd->decoder);
	free(unzstd);
}
DEFINE_CLEANUP(struct unzstd *, unzstd, unzstd_free)

int unzstd_new(unzstd_source source, void *context, struct unzstd **ret)
{
	CLEANUP(cleanup_unzstd) struct unzstd *unzstd = calloc(1, sizeof(*unzstd));
	ZSTD_bounds bounds = ZSTD_dParam_getBounds(ZSTD_d_windowLogMax);

	if (!unzstd)
		return -ENOMEM;
	unzstd->source = source;
	unzstd->context = context;
	unzstd->decoder = ZSTD_createDStream();
	if (!unzstd->decoder)
		return -ENOMEM;
	ZSTD_DCtx_setParameter(unzstd->decoder, ZSTD_d_windowLogMax, bounds.upperBound);
	*ret = take_ptr(unzstd);
	return 0;
}

/* More packed bytes: their number, 0 at the end, or what the source answered. */
static ssize_t fill(struct unzstd *unzstd)
{
	const void *data;
	ssize_t n;

	if (unzstd->in.pos < unzstd->in.size)
		return (ssize_t)(unzstd->in.size - unzstd->in.pos);
	n = unzstd->source(unzstd->context, &data);
	if (n > 0)
		unzstd->in = (ZSTD_inBuffer){ .src = data, .size = (size_t)n };
	return n;
}

/* No frame begins with a zero: what begins with one is padding, to the end. */
static ssize_t skip_zeros(struct unzstd *unzstd, const char **words)
{
	ssize_t n;

	while ((n = fill(unzstd)) > 0) {
		const char *data = (const char *)unzstd->in.src + unzstd->in.pos;

		if (data[0] != 0 || memcmp(data, data + 1, (size_t)n - 1) != 0) {
			*words = "neither zeros nor a frame behind the last frame";
			return -EBADMSG;
		}
		unzstd->in.pos = unzstd->in.size;
	}
	return n;
}

ssize_t unzstd_read(struct unzstd *unzstd, const void **ret, const char **words)
{
	ZSTD_outBuffer out = { .dst = unzstd->unpacked, .size = UNPACKED };

	while (out.pos == 0) {
		ssize_t n = unzstd->has_more ? 1 : fill(unzstd);
		size_t left;

		if (n == 0 && unzstd->is_inside) {
			*words = "truncated input";
			return -EBADMSG;
		}
		if (n <= 0)
			return n;
		if (!unzstd->is_inside && ((const char *)unzstd->in.src)[unzstd->in.pos] == 0)
			return skip_zeros(unzstd, words);
		left = ZSTD_decompressStream(unzstd->decoder, &out, &unzstd->in);
		if (ZSTD_isError(left)) {
			*words = ZSTD_getErrorName(left);
			return -EBADMSG;
		}
		unzstd->is_inside = left > 0;
		unzstd->has_more = left > 0 && out.pos == out.size;
	}
	*ret = unzstd->unpacked;
	return (ssize_t)out.pos;
}
