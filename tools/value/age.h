/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How long ago something was, as one would say it. */
#ifndef VALUE_AGE_H
#define VALUE_AGE_H

#include <time.h>

/*
 * "3 weeks ago" of a date that printable_is_date, in `text`; the day itself of what is yet to come,
 * and "-" of one before the year 1970, which is nobody's.
 */
const char *age_text(char text[48], const char *date, time_t now);

#endif
