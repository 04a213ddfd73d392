/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * mktar ITEM...: writes a tar to standard output, as wrong as it is told to be.
 *
 *   dir NAME               mode 0755
 *   file NAME TEXT         mode 0644
 *   link NAME TARGET       hard link
 *   symlink NAME TARGET
 *   char NAME MAJOR MINOR
 *   claim NAME SIZE TEXT   a file whose header says SIZE (decimal, any 64 bits)
 *   pax KEY VALUE          an extended header record for the next entry
 *   owner UID GID          of the entries that follow
 *   many COUNT PREFIX      so many empty files
 *   dirs COUNT PREFIX      so many empty directories
 *   deep COUNT NAME TEXT   a file below so many directories "d"; none of them is an entry itself
 *   stairs COUNT TEXT      so many directories "d", each in the one before, and in each of them a
 * file "z" and "l", a hard link to it noend                  no end of archive is written
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned long long uid, gid;
static char records[1 << 21];
static size_t records_size;

/* Octal, or base 256 where that is too small. */
static void put_number(char *field, size_t size, uint64_t value)
{
	if (value < (uint64_t)1 << (3 * (size - 1))) {
		char text[32];

		snprintf(text, sizeof(text), "%0*" PRIo64, (int)size - 1, value);
		memcpy(field, text, size - 1);
		return;
	}
	for (size_t i = size; i-- > 1; value >>= 8)
		field[i] = (char)(value & 0xff);
	field[0] = (char)0x80;
}

static void put_padded(const void *data, size_t size)
{
	static const char zeros[512];

	fwrite(data, 1, size, stdout);
	fwrite(zeros, 1, (512 - size % 512) % 512, stdout);
}

static void put_header(char type, const char *name, uint64_t size, const char *target,
		       unsigned int major, unsigned int minor)
{
	unsigned char block[512] = { 0 };
	char *header = (char *)block;
	unsigned int sum = 0;

	strncpy(header, name, 100);
	put_number(header + 100, 8, type == '5' ? 0755 : 0644);
	put_number(header + 108, 8, uid);
	put_number(header + 116, 8, gid);
	put_number(header + 124, 12, size);
	put_number(header + 136, 12, 1000000000);
	memset(header + 148, ' ', 8);
	header[156] = type;
	if (target)
		strncpy(header + 157, target, 100);
	memcpy(header + 257, "ustar\00000", 8);
	put_number(header + 329, 8, major);
	put_number(header + 337, 8, minor);
	for (size_t i = 0; i < sizeof(block); i++)
		sum += block[i];
	snprintf(header + 148, 8, "%06o", sum);
	fwrite(block, 1, sizeof(block), stdout);
}

static void put_entry(char type, const char *name, uint64_t size, const char *target,
		      unsigned int major, unsigned int minor)
{
	if (records_size > 0) {
		put_header('x', "pax", records_size, NULL, 0, 0);
		put_padded(records, records_size);
		records_size = 0;
	}
	put_header(type, name, size, target, major, minor);
}

static void add_record(const char *key, const char *value)
{
	size_t bare = strlen(key) + strlen(value) + 3, size = bare + 1;
	char digits[16];

	while ((size_t)snprintf(digits, sizeof(digits), "%zu", size) + bare != size)
		size = bare + strlen(digits);
	records_size += (size_t)snprintf(records + records_size, sizeof(records) - records_size,
					 "%zu %s=%s\n", size, key, value);
}

static void put_many(char type, unsigned long count, const char *prefix)
{
	char name[100];

	for (unsigned long i = 0; i < count; i++) {
		snprintf(name, sizeof(name), "%s%lu", prefix, i);
		put_entry(type, name, 0, NULL, 0, 0);
	}
}

/* A path of `depth` directories "d" and a name, allocated. */
static char *path_of(unsigned long depth, const char *name)
{
	char *path = malloc(2 * depth + strlen(name) + 1);

	if (!path)
		exit(1);
	for (unsigned long i = 0; i < depth; i++)
		memcpy(path + 2 * i, "d/", 2);
	strcpy(path + 2 * depth, name);
	return path;
}

static void put_long(char type, const char *path, const char *target, const char *text)
{
	add_record("path", path);
	if (target)
		add_record("linkpath", target);
	put_entry(type, "long", strlen(text), target ? "long" : NULL, 0, 0);
	put_padded(text, strlen(text));
}

static void put_deep(unsigned long depth, const char *name, const char *text)
{
	char *path = path_of(depth, name);

	put_long('0', path, NULL, text);
	free(path);
}

static void put_stairs(unsigned long depth, const char *text)
{
	for (unsigned long i = 1; i <= depth; i++) {
		char *dir = path_of(i, ""), *file = path_of(i, "z"), *other = path_of(i, "l");

		put_long('5', dir, NULL, "");
		put_long('0', file, NULL, text);
		put_long('1', other, file, "");
		free(dir);
		free(file);
		free(other);
	}
}

/* One item of the command line; how many arguments it took after its name. */
static int put_item(char **item)
{
	const char *kind = item[0];

	if (strcmp(kind, "dir") == 0) {
		put_entry('5', item[1], 0, NULL, 0, 0);
		return 1;
	}
	if (strcmp(kind, "many") == 0 || strcmp(kind, "dirs") == 0) {
		put_many(*kind == 'm' ? '0' : '5', strtoul(item[1], NULL, 10), item[2]);
		return 2;
	}
	if (strcmp(kind, "deep") == 0) {
		put_deep(strtoul(item[1], NULL, 10), item[2], item[3]);
		return 3;
	}
	if (strcmp(kind, "stairs") == 0) {
		put_stairs(strtoul(item[1], NULL, 10), item[2]);
		return 2;
	}
	if (strcmp(kind, "file") == 0) {
		put_entry('0', item[1], strlen(item[2]), NULL, 0, 0);
		put_padded(item[2], strlen(item[2]));
	} else if (strcmp(kind, "link") == 0) {
		put_entry('1', item[1], 0, item[2], 0, 0);
	} else if (strcmp(kind, "symlink") == 0) {
		put_entry('2', item[1], 0, item[2], 0, 0);
	} else if (strcmp(kind, "pax") == 0) {
		add_record(item[1], item[2]);
	} else if (strcmp(kind, "owner") == 0) {
		uid = strtoull(item[1], NULL, 10);
		gid = strtoull(item[2], NULL, 10);
	} else if (strcmp(kind, "char") == 0) {
		put_entry('3', item[1], 0, NULL, (unsigned int)atoi(item[2]),
			  (unsigned int)atoi(item[3]));
		return 3;
	} else if (strcmp(kind, "claim") == 0) {
		put_entry('0', item[1], strtoull(item[2], NULL, 10), NULL, 0, 0);
		put_padded(item[3], strlen(item[3]));
		return 3;
	} else {
		fprintf(stderr, "mktar: what is %s?\n", kind);
		exit(2);
	}
	return 2;
}

int main(int argc, char *argv[])
{
	static const char end[1024];

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "noend") == 0)
			return fflush(stdout) != 0;
		i += put_item(argv + i);
	}
	fwrite(end, 1, sizeof(end), stdout);
	return fflush(stdout) != 0;
}
