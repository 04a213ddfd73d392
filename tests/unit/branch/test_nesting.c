/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Names of marks as a mount inside another sees them, and as they are on disk. */
#include "branch/nesting.h"

#include "scratch.h"

static const char *escaped(const char *name)
{
	static char buf[NESTING_NAME_SIZE];

	return nesting_escape(name, buf);
}

static void test_escape(void)
{
	assert_streq(escaped("trusted.overlay.opaque"), "trusted.overlay.overlay.opaque");
	assert_streq(escaped("user.overlay.opaque"), "user.overlay.overlay.opaque");
	assert_streq(escaped("user.overlay.overlay.x"), "user.overlay.overlay.overlay.x");
	assert_streq(escaped("trusted.overlay."), "trusted.overlay.overlay.");
	assert_streq(escaped("trusted.overlay"), "trusted.overlay");
	assert_streq(escaped("user.overlays.x"), "user.overlays.x");
	assert_streq(escaped("user.fuseoverlayfs.opaque"), "user.fuseoverlayfs.opaque");
	assert_streq(escaped("security.overlay.x"), "security.overlay.x");
	assert_streq(escaped(""), "");
}

static void test_is_escaped(void)
{
	assert(nesting_is_escaped("trusted.overlay.overlay.opaque"));
	assert(nesting_is_escaped("user.overlay.overlay."));
	assert(!nesting_is_escaped("user.overlay.overlay"));
	assert(!nesting_is_escaped("user.overlay.overlayx.y"));
	assert(!nesting_is_escaped("trusted.overlay.opaque"));
	assert(!nesting_is_escaped("overlay.overlay.x"));
}

static void test_length(void)
{
	char name[300];

	memset(name, 'n', sizeof(name));
	memcpy(name, "user.overlay.", 13);
	name[247] = '\0';
	assert(escaped(name));
	assert_eq(strlen(escaped(name)), 255);
	name[247] = 'n';
	name[248] = '\0';
	assert(!escaped(name));
	/* Others have no escape and any length. */
	memcpy(name, "user.overlax.", 13);
	name[248] = 'n';
	name[299] = '\0';
	assert(escaped(name) == name);
}

static void test_list(void)
{
	char names[] = "user.a\0trusted.overlay.overlay.opaque\0user.b\0user.overlay.overlay."
		       "overlay.x\0user.overlay.overlay.y\0user.c";
	static const char wanted[] = "user.a\0trusted.overlay.opaque\0user.b\0user.overlay."
				     "overlay.x\0user.overlay.y\0user.c";

	assert_eq(nesting_unescape_list(names, sizeof(names)), sizeof(wanted));
	assert(memcmp(names, wanted, sizeof(wanted)) == 0);
	assert_eq(nesting_unescape_list(names, 0), 0);
}

int main(void)
{
	test_escape();
	test_is_escaped();
	test_length();
	test_list();
	return 0;
}
