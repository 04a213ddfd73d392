/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Variants of amd64 and of both arms are versions, of which a machine runs its own and those
 * before it.  Of other architectures nothing is known but whether two are the same.
 */
#include "value/platform.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#ifdef __x86_64__
#include <cpuid.h>
#endif

#ifdef __x86_64__
struct cpu {
	unsigned int basic_c, basic_d; /* leaf 1 */
	unsigned int extended_b; /* leaf 7 */
	unsigned int amd_c; /* leaf 0x80000001 */
	unsigned int saved; /* what the system keeps for each thread: XCR0 */
};

static struct cpu ask_cpu(void)
{
	struct cpu cpu = { 0 };
	unsigned int a, b, c, d;

	__get_cpuid(1, &a, &b, &cpu.basic_c, &cpu.basic_d);
	__get_cpuid_count(7, 0, &a, &cpu.extended_b, &c, &d);
	__get_cpuid(0x80000001, &a, &b, &cpu.amd_c, &d);
	if (cpu.basic_c & bit_OSXSAVE)
		__asm__("xgetbv" : "=a"(cpu.saved), "=d"(d) : "c"(0));
	return cpu;
}

static bool has(unsigned int flags, unsigned int all)
{
	return (flags & all) == all;
}

/* The levels of the psABI of x86-64; each has what those below it have. */
static int x86_64_level(void)
{
	enum { SSE_AVX = 0x6, AVX512_TOO = 0xe6 };
	const struct cpu cpu = ask_cpu();

	if (!has(cpu.basic_c,
		 bit_CMPXCHG16B | bit_POPCNT | bit_SSE3 | bit_SSE4_1 | bit_SSE4_2 | bit_SSSE3) ||
	    !has(cpu.amd_c, bit_LAHF_LM))
		return 1;
	if (!has(cpu.basic_c, bit_AVX | bit_F16C | bit_FMA | bit_MOVBE | bit_OSXSAVE) ||
	    !has(cpu.extended_b, bit_AVX2 | bit_BMI | bit_BMI2) || !has(cpu.amd_c, bit_ABM) ||
	    !has(cpu.saved, SSE_AVX))
		return 2;
	return has(cpu.extended_b,
		   bit_AVX512F | bit_AVX512BW | bit_AVX512CD | bit_AVX512DQ | bit_AVX512VL) &&
			       has(cpu.saved, AVX512_TOO)
		       ? 4
		       : 3;
}
#else
static int x86_64_level(void)
{
	return 1;
}
#endif

/* Other names, as the kernel or a distribution has them. */
static const struct {
	const char *other, *name, *variant;
} names[] = {
	{ "x86_64", "amd64", "" },    { "x86-64", "amd64", "" }, { "aarch64", "arm64", "" },
	{ "armv8l", "arm", "v8" },    { "armv7l", "arm", "v7" }, { "armhf", "arm", "v7" },
	{ "armv6l", "arm", "v6" },    { "armel", "arm", "v6" },	 { "armv5tel", "arm", "v5" },
	{ "armv5tejl", "arm", "v5" }, { "i386", "386", "" },	 { "i486", "386", "" },
	{ "i586", "386", "" },	      { "i686", "386", "" },	 { "loongarch64", "loong64", "" },
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	{ "mips64", "mips64le", "" },
#endif
};

void platform_set(struct platform *platform, const char *os, const char *architecture,
		  const char *variant)
{
	const char *of_name = "";

	for (size_t i = 0; architecture && i < sizeof(names) / sizeof(*names); i++) {
		if (strcmp(architecture, names[i].other) == 0) {
			architecture = names[i].name;
			of_name = names[i].variant;
			break;
		}
	}
	snprintf(platform->os, sizeof(platform->os), "%s", os ? os : "");
	snprintf(platform->architecture, sizeof(platform->architecture), "%s",
		 architecture ? architecture : "");
	snprintf(platform->variant, sizeof(platform->variant), "%s",
		 variant && *variant ? variant : of_name);
}

void platform_of_machine(struct platform *ret)
{
	struct utsname system;

	platform_set(ret, "linux", uname(&system) < 0 ? "unknown" : system.machine, NULL);
	if (strcmp(ret->architecture, "amd64") == 0)
		snprintf(ret->variant, sizeof(ret->variant), "v%d", x86_64_level());
}

bool platform_parse(const char *text, struct platform *ret)
{
	char os[32] = "", architecture[32] = "", variant[16] = "";
	int end = 0, n;

	n = sscanf(text, "%31[a-z0-9]/%31[a-z0-9_-]%n/%15[a-z0-9.]%n", os, architecture, &end,
		   variant, &end);
	if (n < 2 || text[end])
		return false;
	platform_set(ret, os, architecture, variant);
	return true;
}

/* "v8.2" as 802, "8" as 800; -1: it is no version. */
static int version_of(const char *variant)
{
	unsigned int major, minor = 0;
	int end = 0;

	variant += *variant == 'v';
	if (sscanf(variant, "%2u%n.%2u%n", &major, &end, &minor, &end) < 1 || variant[end] ||
	    *variant == '+' || *variant == '-' || *variant == ' ')
		return -1;
	return (int)(major * 100 + minor);
}

/* The version that one has that names none, of an architecture whose variants are versions. */
static int lowest_version(const char *architecture)
{
	return strcmp(architecture, "amd64") == 0   ? 100
	       : strcmp(architecture, "arm64") == 0 ? 800
	       : strcmp(architecture, "arm") == 0   ? 0
						    : -1;
}

int platform_rank(const struct platform *wanted, const struct platform *offered)
{
	int lowest = lowest_version(wanted->architecture);
	int most, version;

	if (strcmp(wanted->os, offered->os) != 0 ||
	    strcmp(wanted->architecture, offered->architecture) != 0)
		return PLATFORM_NONE;
	if (lowest < 0) {
		if (*offered->variant && strcmp(wanted->variant, offered->variant) != 0)
			return PLATFORM_NONE;
		return *offered->variant ? 2 : 1;
	}
	most = *wanted->variant ? version_of(wanted->variant) : lowest;
	/* Who wants an arm and does not say which, can use what most have. */
	if (most == 0)
		most = 700;
	version = *offered->variant ? version_of(offered->variant) : lowest;
	if (version < 0 || version > most)
		return PLATFORM_NONE;
	return version + 1;
}

const char *platform_text(char text[96], const struct platform *platform)
{
	snprintf(text, 96, "%s/%s%s%s", *platform->os ? platform->os : "?",
		 *platform->architecture ? platform->architecture : "?",
		 *platform->variant ? "/" : "", platform->variant);
	return text;
}
