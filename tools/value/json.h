/* SPDX-License-Identifier: GPL-3.0-or-later */
/* jansson with cleanup: `cleanup_json json_t *json = ...` gives the reference back. */
#ifndef VALUE_JSON_H
#define VALUE_JSON_H

#include <jansson.h>

#include "base/cleanup.h"

DEFINE_CLEANUP(json_t *, json, json_decref)
#define cleanup_json CLEANUP(cleanup_json)

#endif
