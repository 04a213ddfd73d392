/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Cleanup by attribute: everything owned by a scope is declared with the
 * function that gives it back, and is given away with take_ptr or take_fd.
 */
#ifndef BASE_CLEANUP_H
#define BASE_CLEANUP_H

#include <dirent.h>
#include <stdlib.h>
#include <unistd.h>

#define CLEANUP(function) __attribute__((cleanup(function)))

/* Defines cleanup_NAME(T **) that calls free_function(T *) on a non-NULL value. */
#define DEFINE_CLEANUP(type, name, free_function)                                                  \
	static inline void cleanup_##name(type *p)                                                 \
	{                                                                                          \
		if (*p)                                                                            \
			free_function(*p);                                                         \
	}

static inline void cleanup_free_at(void *p)
{
	free(*(void **)p);
}
#define cleanup_free CLEANUP(cleanup_free_at)

static inline void cleanup_fd_at(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}
#define cleanup_fd CLEANUP(cleanup_fd_at)

DEFINE_CLEANUP(DIR *, dir_at, closedir)
#define cleanup_dir CLEANUP(cleanup_dir_at)

/* The value of a variable, which is left empty so that its cleanup does nothing. */
#define take_ptr(p)                                                                                \
	({                                                                                         \
		__auto_type taken_ = (p);                                                          \
		(p) = NULL;                                                                        \
		taken_;                                                                            \
	})

static inline int take_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

#endif
