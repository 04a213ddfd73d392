/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/record.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool record_digest(const json_t *json, const char *key, struct digest *ret)
{
	const char *text = json_string_value(json_object_get(json, key));

	return text && digest_parse(text, ret);
}

int record_string(const json_t *json, const char *key, char **ret)
{
	const char *text = json_string_value(json_object_get(json, key));

	if (!text)
		return 0;
	*ret = strdup(text);
	return *ret ? 0 : -ENOMEM;
}

bool record_key(struct index_value key, struct digest *ret)
{
	char hex[65];

	if (key.size != 64)
		return false;
	memcpy(hex, key.data, 64);
	hex[64] = '\0';
	return digest_parse(hex, ret);
}

int record_put(struct index_txn *txn, enum store_table table, const char *key, json_t *json)
{
	cleanup_free char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;

	if (!text)
		return -ENOMEM;
	index_put(txn, table, key, strlen(key), text, strlen(text));
	return 0;
}
