/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "layer/accounts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fd.h"

enum { MAX_SIZE = 16 << 20 };

/* By name; of the same name, as they stand in the file. */
static int compare(const void *a, const void *b)
{
	const struct account *x = a, *y = b;
	int order = strcmp(x->name, y->name);

	return order ? order : (x->name > y->name) - (x->name < y->name);
}

/* NAME:PASSWORD:NUMBER:...; all ones is nobody's number, as it means "unchanged" to chown. */
static bool parse(char *line, struct account *ret)
{
	char *password = strchr(line, ':');
	char *number = password ? strchr(password + 1, ':') : NULL;
	char *end;
	unsigned long id;

	if (!number || password == line || number[1] < '0' || number[1] > '9')
		return false;
	errno = 0;
	id = strtoul(number + 1, &end, 10);
	if (errno || *end != ':' || id >= UINT32_MAX)
		return false;
	*password = '\0';
	*ret = (struct account){ .name = line, .id = (uint32_t)id };
	return true;
}

static int parse_all(struct accounts *accounts)
{
	size_t lines = 1;
	char *rest = accounts->text, *line;

	for (const char *at = rest; (at = strchr(at, '\n')); at++)
		lines++;
	accounts->items = calloc(lines, sizeof(*accounts->items));
	if (!accounts->items)
		return -ENOMEM;
	while ((line = strsep(&rest, "\n")))
		accounts->n += parse(line, &accounts->items[accounts->n]);
	qsort(accounts->items, accounts->n, sizeof(*accounts->items), compare);
	return 0;
}

int accounts_read(struct accounts *accounts, int fd)
{
	cleanup_fd int in = -1;
	struct stat st;
	size_t size;
	ssize_t n;
	int r = fd_stat(fd, NULL, &st);

	if (r < 0 || !S_ISREG(st.st_mode))
		return r;
	in = fd_reopen(fd, O_RDONLY);
	if (in < 0)
		return in;
	size = st.st_size < MAX_SIZE ? (size_t)st.st_size : MAX_SIZE;
	accounts->text = malloc(size + 1);
	if (!accounts->text)
		return -ENOMEM;
	n = fd_pread_all(in, accounts->text, size, 0);
	if (n < 0)
		return (int)n;
	accounts->text[n] = '\0';
	return parse_all(accounts);
}

void accounts_done(struct accounts *accounts)
{
	free(accounts->items);
	free(accounts->text);
	*accounts = (struct accounts){ 0 };
}

int64_t accounts_find(const struct accounts *accounts, const char *name)
{
	size_t from = 0, to = accounts->n;

	while (from < to) {
		size_t middle = from + (to - from) / 2;

		if (strcmp(accounts->items[middle].name, name) < 0)
			from = middle + 1;
		else
			to = middle;
	}
	if (from == accounts->n || strcmp(accounts->items[from].name, name) != 0)
		return -1;
	return accounts->items[from].id;
}
