/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Programs as data, as text and back.  A program in text is lines: `seed N`,
 * `branches N`, `threads N`, `kernel`, then `entry` lines (the stack) and one
 * line for each operation, all of the form `word key=value...`.  Values that
 * are 0 are left out.  `#` begins a comment.
 */
#include "differ.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/xattr.h>

#include "base/cleanup.h"

/* ---- memory, text, random numbers ---- */

void *xrealloc(void *p, size_t count, size_t size)
{
	p = reallocarray(p, count ? count : 1, size);
	if (!p)
		abort();
	return p;
}

char *xstrdup(const char *s)
{
	char *copy = s ? strdup(s) : NULL;

	if (s && !copy)
		abort();
	return copy;
}

char *xformat(const char *format, ...)
{
	va_list args;
	char *s;

	va_start(args, format);
	if (vasprintf(&s, format, args) < 0)
		abort();
	va_end(args);
	return s;
}

void text_add(struct text *text, const char *format, ...)
{
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(NULL, 0, format, args);
	va_end(args);
	if (text->len + len + 1 > text->size) {
		text->size = 2 * (text->len + len + 1);
		text->s = xrealloc(text->s, text->size, 1);
	}
	va_start(args, format);
	vsnprintf(text->s + text->len, text->size - text->len, format, args);
	va_end(args);
	text->len += len;
}

void text_add_word(struct text *text, const char *word)
{
	const unsigned char *c;

	for (c = (const unsigned char *)word; *c; c++) {
		if (*c > ' ' && *c < 127 && *c != '%' && *c != '#')
			text_add(text, "%c", *c);
		else
			text_add(text, "%%%02X", *c);
	}
}

void text_clear(struct text *text)
{
	text->len = 0;
	if (text->s)
		text->s[0] = '\0';
}

void text_done(struct text *text)
{
	free(text->s);
	*text = (struct text){ 0 };
}

static uint64_t mix(uint64_t z)
{
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

uint64_t rng_next(struct rng *rng)
{
	return mix(rng->state += 0x9e3779b97f4a7c15);
}

uint64_t rng_below(struct rng *rng, uint64_t n)
{
	return rng_next(rng) % n;
}

bool rng_percent(struct rng *rng, unsigned int percent)
{
	return rng_below(rng, 100) < percent;
}

void data_fill(void *buf, size_t len, uint64_t seed, uint64_t offset)
{
	unsigned char *bytes = buf;
	uint64_t word = 0;
	size_t i;

	for (i = 0; i < len; i++) {
		uint64_t at = offset + i;

		if (i == 0 || at % 8 == 0)
			word = mix((seed + 1) * 0x9e3779b97f4a7c15 + at / 8);
		bytes[i] = word >> (at % 8 * 8);
	}
}

/* ---- fields ---- */

struct flag_name {
	int64_t flag;
	const char *name;
};

#define FLAG(f)                                                                                    \
	{                                                                                          \
		f, #f                                                                              \
	}

static const struct flag_name open_flags[] = {
	FLAG(O_WRONLY), FLAG(O_RDWR),	 FLAG(O_CREAT),	    FLAG(O_EXCL),     FLAG(O_TRUNC),
	FLAG(O_APPEND), FLAG(O_TMPFILE), FLAG(O_DIRECTORY), FLAG(O_NOFOLLOW), FLAG(O_PATH),
	FLAG(O_SYNC),	FLAG(O_DIRECT),	 FLAG(O_NOATIME),   { 0, NULL },
};
static const struct flag_name fallocate_flags[] = {
	FLAG(FALLOC_FL_KEEP_SIZE),	FLAG(FALLOC_FL_PUNCH_HOLE),   FLAG(FALLOC_FL_ZERO_RANGE),
	FLAG(FALLOC_FL_COLLAPSE_RANGE), FLAG(FALLOC_FL_INSERT_RANGE), { 0, NULL },
};
static const struct flag_name mmap_flags[] = { FLAG(MAP_SHARED), FLAG(MAP_PRIVATE), { 0, NULL } };
static const struct flag_name xattr_flags[] = { FLAG(XATTR_CREATE),
						FLAG(XATTR_REPLACE),
						{ 0, NULL } };
static const struct flag_name rename_flags[] = {
	FLAG(RENAME_NOREPLACE), FLAG(RENAME_EXCHANGE), FLAG(RENAME_WHITEOUT), { 0, NULL }
};
static const struct flag_name at_flags[] = {
	FLAG(AT_SYMLINK_NOFOLLOW), FLAG(AT_SYMLINK_FOLLOW), FLAG(AT_EACCESS), { 0, NULL }
};

static const struct flag_name flock_flags[] = {
	FLAG(LOCK_SH), FLAG(LOCK_EX), FLAG(LOCK_UN), { 0, NULL }
};
static const struct flag_name lock_flags[] = { { 1, "OFD" }, { 0, NULL } };
static const struct flag_name inode_flags[] = { FLAG(FS_NODUMP_FL),
						FLAG(FS_NOATIME_FL),
						{ 0, NULL } };

static const struct {
	const char *name;
	const struct flag_name *flags;
} kinds[] = {
#define OP(kind, name, flags) { name, flags },
#include "differ_ops.inc"
#undef OP
};

enum format { DECIMAL, OCTAL, FLAGS, STRING, TYPE, MARK, OPERATION };

struct field {
	const char *name;
	enum format format;
	size_t offset;
};

#define FIELD(structure, member, format)                                                           \
	{                                                                                          \
#member, format, offsetof(struct structure, member)                                \
	}

static const struct field op_fields[] = {
	FIELD(op, thread, DECIMAL), FIELD(op, cred, DECIMAL),  FIELD(op, slot, DECIMAL),
	FIELD(op, slot2, DECIMAL),  FIELD(op, at, DECIMAL),    FIELD(op, path, STRING),
	FIELD(op, at2, DECIMAL),    FIELD(op, path2, STRING),  FIELD(op, flags, FLAGS),
	FIELD(op, mode, OCTAL),	    FIELD(op, off, DECIMAL),   FIELD(op, off2, DECIMAL),
	FIELD(op, len, DECIMAL),    FIELD(op, seed, DECIMAL),  FIELD(op, uid, DECIMAL),
	FIELD(op, gid, DECIMAL),    FIELD(op, sec, DECIMAL),   FIELD(op, nsec, DECIMAL),
	FIELD(op, rdev, DECIMAL),   FIELD(op, check, DECIMAL), { NULL, 0, 0 },
};

static const struct field entry_fields[] = {
	FIELD(entry, branch, DECIMAL), FIELD(entry, path, STRING),   FIELD(entry, type, TYPE),
	FIELD(entry, mark, MARK),      FIELD(entry, target, STRING), FIELD(entry, redirect, STRING),
	FIELD(entry, mode, OCTAL),     FIELD(entry, uid, DECIMAL),   FIELD(entry, gid, DECIMAL),
	FIELD(entry, sec, DECIMAL),    FIELD(entry, nsec, DECIMAL),  FIELD(entry, size, DECIMAL),
	FIELD(entry, sparse, DECIMAL), FIELD(entry, seed, DECIMAL),  FIELD(entry, rdev, DECIMAL),
	FIELD(entry, xattrs, DECIMAL), FIELD(entry, group, DECIMAL), { NULL, 0, 0 },
};

static const char *const type_names[] = { "dir",  "file",  "symlink",  "fifo", "socket",
					  "char", "block", "whiteout", NULL };
static const char *const mark_names[] = { "none",
					  "char",
					  "wh",
					  "attr",
					  "attr-user",
					  "trusted.overlay.opaque",
					  "user.overlay.opaque",
					  "user.fuseoverlayfs.opaque",
					  ".wh..wh..opq",
					  NULL };

int op_kind_of(const char *name)
{
	int i;

	for (i = 0; i < N_OP_KINDS; i++)
		if (!strcmp(kinds[i].name, name))
			return i;
	return -1;
}

bool op_is_barrier(const struct op *op)
{
	return op->kind == OP_COMPARE || op->kind == OP_REMOUNT || op->kind == OP_FILL;
}

static void print_flags(struct text *text, const struct flag_name *names, int64_t flags)
{
	const char *separator = "";

	for (; names && names->name && flags; names++) {
		if ((flags & names->flag) != names->flag)
			continue;
		/* O_TMPFILE and O_SYNC contain the bits of other flags. */
		text_add(text, "%s%s", separator, names->name);
		flags &= ~names->flag;
		separator = "|";
	}
	if (flags)
		text_add(text, "%s%#jx", separator, (intmax_t)flags);
}

static void print_fields(struct text *text, const void *object, const struct field *fields,
			 const struct flag_name *flags)
{
	const struct field *f;

	for (f = fields; f->name; f++) {
		const void *member = (const char *)object + f->offset;
		const char *string = f->format == STRING ? *(char *const *)member : NULL;
		int64_t number = f->format == STRING ? string != NULL : *(const int64_t *)member;

		if (!number && f->format != TYPE)
			continue;
		text_add(text, " %s=", f->name);
		if (f->format == STRING)
			text_add_word(text, string);
		else if (f->format == FLAGS)
			print_flags(text, flags, number);
		else if (f->format == TYPE)
			text_add(text, "%s", type_names[number]);
		else if (f->format == MARK)
			text_add(text, "%s", mark_names[number]);
		else
			text_add(text, f->format == OCTAL ? "%#jo" : "%jd", (intmax_t)number);
	}
}

void op_print(const struct op *op, struct text *text)
{
	text_add(text, "%s", kinds[op->kind].name);
	print_fields(text, op, op_fields, kinds[op->kind].flags);
}

void entry_print(const struct entry *entry, struct text *text)
{
	text_add(text, "entry");
	print_fields(text, entry, entry_fields, NULL);
}

void program_print(const struct program *program, FILE *out)
{
	cleanup_text struct text text = { 0 };
	size_t i;

	fprintf(out, "seed %ju\nbranches %jd\nthreads %jd\n%s", (uintmax_t)program->seed,
		(intmax_t)program->stack.n_branches, (intmax_t)program->n_threads,
		program->kernel ? "kernel\n" : "");
	for (i = 0; i < program->stack.count; i++) {
		text_clear(&text);
		entry_print(&program->stack.entries[i], &text);
		fprintf(out, "%s\n", text.s);
	}
	for (i = 0; i < program->count; i++) {
		text_clear(&text);
		op_print(&program->ops[i], &text);
		fprintf(out, "%s\n", text.s);
	}
}

/* ---- parsing ---- */

static char *unescape(const char *word)
{
	char *s = xstrdup(word), *out = s;
	const char *in;

	for (in = word; *in; in++) {
		unsigned int byte;

		if (*in == '%' && sscanf(in + 1, "%2x", &byte) == 1) {
			*out++ = byte;
			in += 2;
		} else {
			*out++ = *in;
		}
	}
	*out = '\0';
	return s;
}

static int64_t find_name(const char *const *names, const char *name)
{
	int64_t i;

	for (i = 0; names[i]; i++)
		if (!strcmp(names[i], name))
			return i;
	return -1;
}

static int64_t parse_flags(const struct flag_name *names, char *value)
{
	int64_t flags = 0;
	char *word, *rest = value;

	while ((word = strsep(&rest, "|"))) {
		const struct flag_name *n = names;

		while (n && n->name && strcmp(n->name, word))
			n++;
		flags |= n && n->name ? n->flag : strtoll(word, NULL, 0);
	}
	return flags;
}

static int parse_field(void *object, const struct field *fields, const struct flag_name *flags,
		       char *word)
{
	char *value = strchr(word, '=');
	const struct field *f = fields;
	int64_t *number;

	if (!value)
		return -EINVAL;
	*value++ = '\0';
	while (f->name && strcmp(f->name, word))
		f++;
	if (!f->name)
		return -EINVAL;
	number = (int64_t *)((char *)object + f->offset);
	if (f->format == STRING)
		*(char **)number = unescape(value);
	else if (f->format == FLAGS)
		*number = parse_flags(flags, value);
	else if (f->format == TYPE)
		*number = find_name(type_names, value);
	else if (f->format == MARK)
		*number = find_name(mark_names, value);
	else
		*number = strtoll(value, NULL, f->format == OCTAL ? 8 : 10);
	return (f->format == TYPE || f->format == MARK) && *number < 0 ? -EINVAL : 0;
}

static int parse_words(void *object, const struct field *fields, const struct flag_name *flags,
		       char *words)
{
	char *word, *rest = words;
	int r;

	while ((word = strsep(&rest, " \t"))) {
		r = *word ? parse_field(object, fields, flags, word) : 0;
		if (r < 0)
			return r;
	}
	return 0;
}

static int parse_line(struct program *program, char *line)
{
	char *rest = line, *word = strsep(&rest, " \t");
	struct entry entry = { 0 };
	struct op op = { 0 };
	int kind, r;

	if (!strcmp(word, "kernel")) {
		program->kernel = true;
	} else if (!strcmp(word, "seed") && rest) {
		program->seed = strtoull(rest, NULL, 10);
	} else if (!strcmp(word, "branches") && rest) {
		program->stack.n_branches = strtoll(rest, NULL, 10);
	} else if (!strcmp(word, "threads") && rest) {
		program->n_threads = strtoll(rest, NULL, 10);
	} else if (!strcmp(word, "entry")) {
		r = parse_words(&entry, entry_fields, NULL, rest);
		if (r < 0 || !entry.path)
			return -EINVAL;
		stack_add(&program->stack, entry);
	} else {
		kind = op_kind_of(word);
		if (kind < 0 || parse_words(&op, op_fields, kinds[kind].flags, rest) < 0)
			return -EINVAL;
		op.kind = kind;
		program_add(program, op);
	}
	return 0;
}

int program_parse(struct program *program, FILE *in, const char *name)
{
	cleanup_free char *line = NULL;
	size_t size = 0, number;

	program->n_threads = 1;
	for (number = 1; getline(&line, &size, in) >= 0; number++) {
		line[strcspn(line, "#\n")] = '\0';
		while (*line && isspace((unsigned char)line[strlen(line) - 1]))
			line[strlen(line) - 1] = '\0';
		if (!*line)
			continue;
		if (parse_line(program, line) < 0) {
			fprintf(stderr, "differ: %s:%zu: not understood: %s\n", name, number, line);
			return -EINVAL;
		}
	}
	if (stop_asked)
		return -EINTR;
	if (program->stack.n_branches < 2 || program->stack.n_branches > MAX_BRANCHES ||
	    program->n_threads < 1 || program->n_threads > MAX_THREADS) {
		fprintf(stderr, "differ: %s: wrong number of branches or threads\n", name);
		return -EINVAL;
	}
	return 0;
}

/* ---- programs ---- */

void program_add(struct program *program, struct op op)
{
	/* Grows by doubling: whenever the count is a power of two. */
	if ((program->count & (program->count - 1)) == 0)
		program->ops = xrealloc(program->ops, 2 * program->count + 1, sizeof(op));
	program->ops[program->count++] = op;
}

void program_done(struct program *program)
{
	size_t i;

	for (i = 0; i < program->count; i++) {
		free(program->ops[i].path);
		free(program->ops[i].path2);
	}
	free(program->ops);
	stack_done(&program->stack);
	*program = (struct program){ 0 };
}

void program_copy(const struct program *from, struct program *to)
{
	size_t i;

	*to = *from;
	to->ops = NULL;
	to->count = 0;
	stack_copy(&from->stack, &to->stack);
	for (i = 0; i < from->count; i++) {
		struct op op = from->ops[i];

		op.path = xstrdup(op.path);
		op.path2 = xstrdup(op.path2);
		program_add(to, op);
	}
}
