/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is shown on a terminal. */
#undef NDEBUG
#include "value/printable.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static void is_shown(const char *text, const char *want)
{
	char *shown = printable_copy(text);

	assert(strcmp(shown, want) == 0);
	free(shown);
}

static void test_text(void)
{
	char small[12];

	is_shown("plain text: a/b", "plain text: a/b");
	is_shown("\033]0;title\007", "\\x1b]0;title\\x07");
	is_shown("a\nb\rc\td\177", "a\\x0ab\\x0dc\\x09d\\x7f");
	is_shown("gr\303\274n \346\227\245\346\234\254 \360\237\232\200",
		 "gr\303\274n \346\227\245\346\234\254 \360\237\232\200");
	/* What some terminals take for ESC [, in UTF-8 and without. */
	is_shown("\302\23331m", "\\xc2\\x9b31m");
	is_shown("\23331m", "\\x9b31m");
	/* Cut short, too long, and none at all. */
	is_shown("\303", "\\xc3");
	is_shown("\346\227", "\\xe6\\x97");
	is_shown("\300\233", "\\xc0\\x9b");
	is_shown("\377\376", "\\xff\\xfe");
	assert(printable(small, sizeof(small), "1234567890123456") < sizeof(small));
	assert(printable(small, sizeof(small), "\1\2\3\4\5\6") == 8);
}

static void test_dates(void)
{
	assert(printable_is_date("2020-01-02T03:04:05Z"));
	assert(printable_is_date("2020-01-02T03:04:05.123456789Z"));
	assert(printable_is_date("2020-01-02T03:04:05+02:00"));
	assert(!printable_is_date("2020-01-02T03:04:05"));
	assert(!printable_is_date("2020-01-02T03:04:05.Z"));
	assert(!printable_is_date("2020-01-02 03:04:05Z"));
	assert(!printable_is_date("2020-01-02T03:04:05Z\033[2J"));
	assert(!printable_is_date("yesterday"));
	assert(!printable_is_date(""));
}

int main(void)
{
	test_text();
	test_dates();
	return 0;
}
