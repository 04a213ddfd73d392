/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "layer/loss.h"

void loss_note(struct loss *loss, const char *what, const char *path, int r)
{
	if (loss && loss->n++ == 0)
		error_errno(&loss->first, r, "%s of '%s'", what, path);
}
