/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Memory that the workers of a mount share, in what is theirs of struct shared; zeroed at first. */
#ifndef SURVIVE_KEPT_H
#define SURVIVE_KEPT_H

#include <stdint.h>

#include "survive/quiet.h"
#include "survive/state.h"
#include "upper/probe.h"

struct kept {
	struct state_journal journal;
	struct quiet_note quiet[QUIET_NOTES];
	struct kept_caps caps;
	uint32_t numbering; /* of lower: an enum numbering, 0: not known yet */
	uint64_t seed; /* of listings; 0: not chosen yet */
};

#endif
