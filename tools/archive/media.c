/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "archive/media.h"

#include <stddef.h>
#include <string.h>

const char media_schema1[] = "a manifest of schema 1, which does not say what its layers unpack "
			     "to: skopeo copy --format v2s2 makes one of today";
const char media_nydus[] = "of nydus, and not a tar";

static bool is_one_of(const char *type, const char *const types[])
{
	if (!type || !*type)
		return true;
	for (size_t i = 0; types[i]; i++) {
		if (strcmp(type, types[i]) == 0)
			return true;
	}
	return false;
}

enum media media_of_config(const char *type)
{
	/* The last is docker's of long ago. */
	static const char *const types[] = { "application/vnd.oci.image.config.v1+json",
					     "application/vnd.docker.container.image.v1+json",
					     "application/octet-stream", NULL };

	return is_one_of(type, types) ? MEDIA_FITS : MEDIA_OTHER;
}

enum media media_of_manifest(const char *type)
{
	static const char *const types[] = {
		"application/vnd.oci.image.manifest.v1+json",
		"application/vnd.oci.image.index.v1+json",
		"application/vnd.docker.distribution.manifest.v2+json",
		"application/vnd.docker.distribution.manifest.list.v2+json",
		NULL,
	};
	static const char *const schema1[] = {
		"application/vnd.docker.distribution.manifest.v1+json",
		"application/vnd.docker.distribution.manifest.v1+prettyjws",
		NULL,
	};

	return is_one_of(type, types)	  ? MEDIA_FITS
	       : is_one_of(type, schema1) ? MEDIA_UNREADABLE
					  : MEDIA_OTHER;
}

static bool ends_with(const char *text, const char *end)
{
	size_t n = strlen(text), m = strlen(end);

	return n >= m && strcmp(text + n - m, end) == 0;
}

enum media media_of_layer(const char *type, const char **ret_words)
{
	static const struct {
		const char *part, *words;
	} unreadable[] = {
		{ "squashfs", "a squashfs image, and not a tar" },
		{ "erofs", "an erofs image, and not a tar" },
		{ "nydus", media_nydus },
	};
	static const char *const others[] = { "application/octet-stream", "application/gzip",
					      NULL };

	if (!type || !*type)
		return MEDIA_FITS;
	if (ends_with(type, "+encrypted")) {
		*ret_words = "encrypted: skopeo copy --decryption-key makes one that is not";
		return MEDIA_UNREADABLE;
	}
	for (size_t i = 0; i < sizeof(unreadable) / sizeof(*unreadable); i++) {
		if (strstr(type, unreadable[i].part)) {
			*ret_words = unreadable[i].words;
			return MEDIA_UNREADABLE;
		}
	}
	return strstr(type, "tar") || is_one_of(type, others) ? MEDIA_FITS : MEDIA_OTHER;
}
