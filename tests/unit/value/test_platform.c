/* SPDX-License-Identifier: GPL-3.0-or-later */
#undef NDEBUG
#include "value/platform.h"

#include <assert.h>
#include <string.h>

#include "value/age.h"

static int rank(const char *wanted, const char *offered)
{
	struct platform a, b;

	assert(platform_parse(wanted, &a) && platform_parse(offered, &b));
	return platform_rank(&a, &b);
}

static void reads(const char *text, const char *expected)
{
	struct platform platform;
	char shown[96];

	assert(platform_parse(text, &platform) == (expected != NULL));
	if (expected)
		assert(strcmp(platform_text(shown, &platform), expected) == 0);
}

static void test_parse(void)
{
	reads("linux/amd64", "linux/amd64");
	reads("linux/x86_64/v3", "linux/amd64/v3");
	reads("linux/aarch64", "linux/arm64");
	reads("linux/armhf", "linux/arm/v7");
	reads("linux/armel", "linux/arm/v6");
	reads("linux/armhf/v6", "linux/arm/v6");
	reads("windows/386", "windows/386");
	reads("", NULL);
	reads("linux", NULL);
	reads("linux/", NULL);
	reads("/amd64", NULL);
	reads("linux/amd64/", NULL);
	reads("linux/amd64/v1/x", NULL);
	reads("linux/AMD64 ", NULL);
	reads("linux/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", NULL);
}

static void test_versions(void)
{
	assert(rank("linux/amd64/v3", "linux/amd64/v3") > rank("linux/amd64/v3", "linux/amd64/v2"));
	assert(rank("linux/amd64/v3", "linux/amd64/v2") > rank("linux/amd64/v3", "linux/amd64"));
	assert(rank("linux/amd64/v3", "linux/amd64") == rank("linux/amd64/v3", "linux/amd64/v1"));
	assert(rank("linux/amd64/v3", "linux/amd64") > 0);
	assert(rank("linux/amd64/v3", "linux/amd64/v4") == 0);
	assert(rank("linux/amd64", "linux/amd64/v2") == 0);
	assert(rank("linux/amd64/v4", "linux/amd64/v9") == 0);
	assert(rank("linux/amd64/v4", "linux/amd64/haswell") == 0);
	assert(rank("linux/arm/v7", "linux/arm/v7") > rank("linux/arm/v7", "linux/arm/v6"));
	assert(rank("linux/arm/v7", "linux/arm/v5") > rank("linux/arm/v7", "linux/arm"));
	assert(rank("linux/arm/v7", "linux/arm") > 0);
	assert(rank("linux/arm/v6", "linux/arm/v7") == 0);
	assert(rank("linux/arm", "linux/arm/v7") > 0 && rank("linux/arm", "linux/arm/v8") == 0);
	assert(rank("linux/arm64", "linux/arm64/v8") > 0);
	assert(rank("linux/arm64", "linux/arm64/v8.1") == 0);
	assert(rank("linux/arm64/v9", "linux/arm64/v8") > 0);
	assert(rank("linux/arm64", "linux/arm/v7") == 0);
	assert(rank("linux/riscv64", "linux/riscv64/rva22") == 0);
	assert(rank("linux/riscv64/rva22", "linux/riscv64/rva22") > 1);
	assert(rank("linux/riscv64/rva22", "linux/riscv64") == 1);
	assert(rank("linux/amd64", "windows/amd64") == 0);
}

static void test_machine(void)
{
	struct platform here;

	platform_of_machine(&here);
	assert(strcmp(here.os, "linux") == 0 && *here.architecture);
	assert(platform_rank(&here, &here) > 0);
}

static void is_ago(const char *date, time_t now, const char *expected)
{
	char text[48];

	if (strcmp(age_text(text, date, now), expected) != 0)
		assert(!"another age");
}

static void test_ages(void)
{
	const time_t now = 1700000000; /* 2023-11-14T22:13:20Z */

	is_ago("2023-11-14T22:13:20Z", now, "0 seconds ago");
	is_ago("2023-11-14T22:13:19.5Z", now, "1 second ago");
	is_ago("2023-11-14T22:12:00Z", now, "80 seconds ago");
	is_ago("2023-11-14T23:13:20+02:00", now, "60 minutes ago");
	is_ago("2023-11-14T20:13:20-02:00", now, "0 seconds ago");
	is_ago("2023-11-13T22:13:20Z", now, "24 hours ago");
	is_ago("2023-10-23T22:13:20Z", now, "3 weeks ago");
	is_ago("2023-05-14T22:13:20Z", now, "6 months ago");
	is_ago("2020-01-02T03:04:05Z", now, "3 years ago");
	is_ago("1970-01-01T00:00:00Z", now, "53 years ago");
	is_ago("0001-01-01T00:00:00Z", now, "-");
	is_ago("2024-01-01T00:00:00Z", now, "2024-01-01");
}

int main(void)
{
	test_parse();
	test_versions();
	test_machine();
	test_ages();
	return 0;
}
