/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/reference.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "store/image.h"
#include "value/entry_name.h"

#define ALNUM "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

enum { MAX_NAME = 255, MAX_TAG = 128 };

bool reference_is_tag(const char *text)
{
	size_t len = strlen(text);

	return len > 0 && len <= MAX_TAG && strspn(text, ALNUM "_.+-") == len &&
	       !strchr(".+-", text[0]);
}

/* Parts between slashes; `port` allows ":" and digits at the end of the first. */
static bool is_name(const char *name, size_t len)
{
	const char *end = name + len;
	bool first = true;

	if (len == 0 || len > MAX_NAME)
		return false;
	while (name < end) {
		size_t n = strspn(name, ALNUM "_.-");

		if (n == 0 || strchr("_.-", *name))
			return false;
		name += n;
		if (first && name < end && *name == ':') {
			size_t digits = strspn(name + 1, "0123456789");

			if (digits == 0 || name[1 + digits] != '/')
				return false;
			name += 1 + digits;
		}
		first = false;
		if (name >= end)
			return true;
		if (*name++ != '/')
			return false;
	}
	return false; /* ends with a slash */
}

/* The colon before the tag, which is not the one before a port. */
static const char *tag_colon(const char *text)
{
	const char *colon = strrchr(text, ':');

	return colon && !strchr(colon, '/') ? colon : NULL;
}

bool reference_has_tag(const char *text, size_t length)
{
	const char *colon = memrchr(text, ':', length);

	return colon && !memchr(colon, '/', length - (size_t)(colon - text));
}

bool reference_is_digest(const char *text)
{
	const char *at = strchr(text, '@');
	struct digest digest;

	return at && strncmp(at, "@sha256:", 8) == 0 && digest_parse(at + 1, &digest) &&
	       is_name(text, (size_t)(at - text)) && !reference_has_tag(text, (size_t)(at - text));
}

int reference_of_archive(const char *text, const char *file, char **ret)
{
	cleanup_free char *joined = NULL;

	if (strpbrk(text, ":/") || !file || !reference_is_tag(text))
		return reference_complete(text, ret);
	if (asprintf(&joined, "%s:%s", file, text) < 0)
		return -ENOMEM;
	return reference_complete(joined, ret);
}

int reference_complete(const char *text, char **ret)
{
	const char *colon = tag_colon(text);
	const char *tag = colon ? colon + 1 : "latest";
	int len = (int)(colon ? colon - text : (ptrdiff_t)strnlen(text, MAX_NAME + 1));
	char *whole;

	if (reference_is_digest(text)) {
		*ret = strdup(text);
		return *ret ? 0 : -ENOMEM;
	}
	if (!is_name(text, (size_t)len) || !reference_is_tag(tag))
		return -EINVAL;
	if (asprintf(&whole, "%.*s:%s", len, text, tag) < 0)
		return -ENOMEM;
	*ret = whole;
	return 0;
}

char *reference_of_file(const char *path)
{
	static const char *const suffixes[] = { ".tgz", ".txz", ".tbz", ".tbz2", ".tzst" };
	cleanup_free char *name = strdup(entry_name_last(path));
	char *tar = name;

	if (!name)
		return NULL;
	/* The last ".tar", and only as a whole suffix: "a.target.tar.gz" is "a.target". */
	for (char *at = name; (at = strstr(at, ".tar")); at++) {
		if (at[4] == '\0' || at[4] == '.')
			tar = at;
	}
	if (tar != name)
		*tar = '\0';
	for (size_t i = 0; tar == name && i < sizeof(suffixes) / sizeof(*suffixes); i++) {
		size_t len = strlen(name), n = strlen(suffixes[i]);

		if (len > n && strcmp(name + len - n, suffixes[i]) == 0)
			name[len - n] = '\0';
	}
	return is_name(name, strlen(name)) ? take_ptr(name) : NULL;
}

struct search {
	const char *text; /* with a tag, or hex digits */
	unsigned int n_found;
	struct reference *ret;
};

/* A tag whose last part is what was asked for: "docker.io/library/debian:12" for "debian:12". */
static int match_last(void *context, const char *tag, const struct digest *id)
{
	struct search *search = context;
	const char *colon = tag_colon(tag), *last = tag;

	for (const char *at = tag; at < colon; at++) {
		if (*at == '/')
			last = at + 1;
	}
	if (strcmp(last, search->text) != 0)
		return 0;
	search->n_found++;
	search->ret->id = *id;
	snprintf(search->ret->tag, sizeof(search->ret->tag), "%s", tag);
	return 0;
}

static int match_id(void *context, struct index_value key, struct index_value value)
{
	struct search *search = context;

	(void)value;
	if (key.size != sizeof(search->ret->id.hex) - 1)
		return -EUCLEAN;
	search->n_found++;
	memcpy(search->ret->id.hex, key.data, key.size);
	search->ret->id.hex[key.size] = '\0';
	return 0;
}

enum { NOT_FOUND = 0, FOUND = 1 };

static int find_by_name(struct index_txn *txn, const char *text, struct reference *ret)
{
	cleanup_free char *whole = NULL;
	struct search search = { .ret = ret };
	struct index_value value;
	int r = reference_complete(text, &whole);

	if (r == -EINVAL)
		return NOT_FOUND;
	if (r < 0)
		return r;
	r = index_get(txn, STORE_TAGS, whole, strlen(whole), &value);
	if (r == INDEX_FOUND && value.size == sizeof(ret->id.hex) - 1) {
		memcpy(ret->id.hex, value.data, value.size);
		ret->id.hex[value.size] = '\0';
		snprintf(ret->tag, sizeof(ret->tag), "%s", whole);
		return FOUND;
	}
	if (r != INDEX_ABSENT)
		return r < 0 ? r : -EUCLEAN;
	search.text = whole;
	r = image_each_tag(txn, match_last, &search);
	return r < 0 ? r : search.n_found > 1 ? -ENOTUNIQ : (int)search.n_found;
}

static int find_by_id(struct index_txn *txn, const char *text, struct reference *ret)
{
	struct search search = { .ret = ret };
	size_t len;
	int r;

	if (strncmp(text, "sha256:", 7) == 0)
		text += 7;
	len = strlen(text);
	if (len < 4 || len > 64 || strspn(text, "0123456789abcdef") != len)
		return NOT_FOUND;
	ret->tag[0] = '\0';
	r = index_each(txn, STORE_IMAGES, text, len, match_id, &search);
	return r < 0 ? r : search.n_found > 1 ? -ENOTUNIQ : (int)search.n_found;
}

int reference_find(struct index_txn *txn, const char *text, struct error *error,
		   struct reference *ret)
{
	struct reference found;
	int r = find_by_name(txn, text, &found);

	if (r == NOT_FOUND)
		r = find_by_id(txn, text, &found);
	if (r == NOT_FOUND)
		return error_set(error, -ENOENT, "%s: no such image", text);
	if (r == -ENOTUNIQ)
		return error_set(error, r, "%s: more than one image is called so", text);
	if (r < 0)
		return error_errno(error, r, "%s", text);
	*ret = found;
	return 0;
}
