/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "survive/numbers.h"

#include <errno.h>
#include <fcntl.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "survive/ino32.h"
#include "survive/kept.h"
#include "survive/state.h"
#include "upper/origin.h"

int numbers_open(struct numbers *numbers, const struct upper *upper)
{
	const struct fs_config *config = upper->config;
	const struct state_config state_config = {
		.stack_id = upper->stack_id.now,
		.journal = config->kept ? &config->kept->journal : NULL,
	};
	int r = 0;

	*numbers = (struct numbers){ .upper = upper };
	if (config->upper >= 0)
		r = state_open(config->work, &state_config, &numbers->state);
	if (r == 0 && config->ino32_fd >= 0)
		r = ino32_open(config->ino32_fd, INO32_MAX, &numbers->ino32);
	return r;
}

void numbers_close(struct numbers *numbers)
{
	state_close(take_ptr(numbers->state));
	ino32_close(take_ptr(numbers->ino32));
}

uint64_t numbers_noted(struct numbers *numbers, ino_t real)
{
	return state_find(numbers->state, real);
}

uint64_t numbers_own(struct numbers *numbers, int fd, const struct stat *st)
{
	uint64_t ino = S_ISDIR(st->st_mode) ? 0 : origin_get(numbers->upper, fd, st->st_ino);

	/* What it says itself counts more than what was noted before a power loss. */
	return ino ? ino : state_confirm(numbers->state, st->st_ino, fd_birth(fd));
}

uint64_t numbers_find(struct numbers *numbers, int dirfd, const char *name, const struct stat *st)
{
	cleanup_fd int fd = fd_open(dirfd, name, O_PATH, 0);

	return state_set(numbers->state, st->st_ino, fd < 0 ? 0 : numbers_own(numbers, fd, st));
}

uint64_t numbers_get(struct numbers *numbers, int dirfd, const char *name, const struct stat *st)
{
	uint64_t ino = numbers_noted(numbers, st->st_ino);

	return ino ? ino : numbers_find(numbers, dirfd, name, st);
}

uint64_t numbers_set(struct numbers *numbers, ino_t real, uint64_t ino)
{
	return state_set(numbers->state, real, ino);
}

void numbers_mark_copy(struct numbers *numbers, int fd, ino_t real, uint64_t ino)
{
	if (!origin_set(numbers->upper, fd, real, ino))
		state_set_kept(numbers->state, real, ino, fd_birth(fd));
}

uint64_t numbers_renew(struct numbers *numbers, ino_t real)
{
	uint64_t before = 0;
	uint64_t ino = state_renew(numbers->state, real, numbers->ino32 ? &before : NULL);

	if (before)
		ino32_drop(numbers->ino32, before);
	return ino;
}

void numbers_drop(struct numbers *numbers, ino_t real, uint64_t ino)
{
	state_drop(numbers->state, real);
	ino32_drop(numbers->ino32, ino);
}

int numbers_show(struct numbers *numbers, uint64_t ino, uint64_t *ret)
{
	uint32_t shown = 0;
	int r = numbers->ino32 ? ino32_get(numbers->ino32, ino, &shown) : 0;

	if (r == 0)
		*ret = numbers->ino32 ? shown : ino;
	return r;
}

bool numbers_has_room(struct numbers *numbers, uint32_t n)
{
	return ino32_has_room(numbers->ino32, n);
}
