/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a program runs on: an operating system, an architecture and its variant, as Go names them.
 */
#ifndef VALUE_PLATFORM_H
#define VALUE_PLATFORM_H

#include <stdbool.h>

struct platform {
	char os[32];
	char architecture[32];
	char variant[16]; /* "": not said */
};

/* This machine: the variant is the highest level of x86-64, or version of arm, that it has. */
void platform_of_machine(struct platform *ret);

/*
 * Reads OS/ARCH or OS/ARCH/VARIANT.  Other names of an architecture (x86_64, aarch64, armhf ...)
 * are brought to Go's.  False: it is no such thing.
 */
bool platform_parse(const char *text, struct platform *ret);

/* The same of parts that an archive gives; NULL is "", and one that is too long is cut. */
void platform_set(struct platform *platform, const char *os, const char *architecture,
		  const char *variant);

/*
 * How well what is made for `offered` suits `wanted`: PLATFORM_NONE if it does not run there, else
 * more for the higher variant.  One without a variant is for the lowest there is.
 */
enum { PLATFORM_NONE = 0 };
int platform_rank(const struct platform *wanted, const struct platform *offered);

/* "OS/ARCH[/VARIANT]", in `text`; what is not said is "?". */
const char *platform_text(char text[96], const struct platform *platform);

#endif
