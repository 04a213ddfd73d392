/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "value/age.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static time_t seconds_of(const char *date)
{
	struct tm tm = { 0 };
	char sign = 0;
	int hours = 0, minutes = 0;
	time_t time;

	if (sscanf(date, "%4d-%2d-%2dT%2d:%2d:%2d", &tm.tm_year, &tm.tm_mon, &tm.tm_mday,
		   &tm.tm_hour, &tm.tm_min, &tm.tm_sec) != 6)
		return -1;
	tm.tm_year -= 1900;
	tm.tm_mon--;
	time = timegm(&tm);
	date += strcspn(date, "Z+") < strlen(date) ? strcspn(date, "Z+") : strlen(date) - 6;
	if (sscanf(date, "%c%2d:%2d", &sign, &hours, &minutes) == 3)
		time -= (sign == '-' ? -1 : 1) * (hours * 60 + minutes) * 60;
	return time;
}

const char *age_text(char text[48], const char *date, time_t now)
{
	static const struct {
		long seconds;
		const char *name;
	} units[] = {
		{ 365L * 86400, "year" }, { 30L * 86400, "month" }, { 7L * 86400, "week" },
		{ 86400, "day" },	  { 3600, "hour" },	    { 60, "minute" },
		{ 1, "second" },
	};
	time_t then = seconds_of(date);
	long age = (long)(now - then);
	size_t i = 0;

	if (then < 0)
		return strcpy(text, "-");
	if (age < 0) {
		snprintf(text, 48, "%.10s", date);
		return text;
	}
	/* Two of a unit before it is used: "14 days ago" says more than "2 weeks ago" would of 13.
	 */
	while (i < sizeof(units) / sizeof(*units) - 1 && age < 2 * units[i].seconds)
		i++;
	age /= units[i].seconds;
	snprintf(text, 48, "%ld %s%s ago", age, units[i].name, age == 1 ? "" : "s");
	return text;
}
