/* SPDX-License-Identifier: GPL-3.0-or-later */
/* After the loss: everything can be read; names; directories; everything can be removed. */
#include "powerloss.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static unsigned n_wrong;

#define WRONG(...)                                                                                 \
	do {                                                                                       \
		wrong(__VA_ARGS__);                                                                \
		n_wrong++;                                                                         \
	} while (0)

/* --- everything can be read --- */

static void read_entry(int root, const struct dirent *entry, const char *path)
{
	unsigned char *bytes = NULL;
	struct stat st;
	size_t size;

	if (fstatat(root, path, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		WRONG("%s: listed, but stat: %s", path, strerror(errno));
		return;
	}
	if (st.st_ino != entry->d_ino)
		WRONG("%s: listed with number %lu, stat says %lu", path, entry->d_ino, st.st_ino);
	if (entry->d_type != DT_UNKNOWN && entry->d_type != IFTODT(st.st_mode))
		WRONG("%s: listed with another type", path);
	if (S_ISREG(st.st_mode))
		bytes = read_file(root, path, &size);
	if (S_ISREG(st.st_mode) && !bytes)
		WRONG("%s: reading: %s", path, strerror(errno));
	free(bytes);
}

static DIR *open_dir(int root, const char *path)
{
	int fd = openat(root, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (!dir)
		WRONG("%s: opening: %s", path, strerror(errno));
	return dir;
}

static bool is_dots(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* Reads, or removes, all there is in a directory. */
static void walk(int root, const char *path, bool remove)
{
	DIR *dir = open_dir(root, path);
	struct dirent *entry;
	char name[1024];

	while (dir && (errno = 0, entry = readdir(dir))) {
		bool is_dir = entry->d_type == DT_DIR;

		if (is_dots(entry->d_name))
			continue;
		snprintf(name, sizeof(name), "%.700s/%s", path, entry->d_name);
		if (is_dir)
			walk(root, name, remove);
		if (!remove)
			read_entry(root, entry, name);
		else if (unlinkat(root, name, is_dir ? AT_REMOVEDIR : 0) < 0)
			WRONG("removing %s: %s", name, strerror(errno));
	}
	if (dir && errno)
		WRONG("%s: listing: %s", path, strerror(errno));
	if (dir)
		closedir(dir);
}

unsigned remove_everything(int root)
{
	DIR *dir;
	struct dirent *entry;

	n_wrong = 0;
	walk(root, ".", true);
	dir = open_dir(root, ".");
	while (dir && (entry = readdir(dir))) {
		if (!is_dots(entry->d_name))
			WRONG("%s is still there after everything was removed", entry->d_name);
	}
	if (dir)
		closedir(dir);
	return n_wrong;
}

/* --- one directory --- */

/* The children that are there; false if there is something else. */
static bool list_children(int root, const char *path, const char *prefix, uint32_t *mask, char *why)
{
	DIR *dir = open_dir(root, path);
	struct dirent *entry;
	char name[PATH_SIZE], child[PATH_SIZE];
	bool r = dir;

	while (r && (entry = readdir(dir))) {
		unsigned i = 0;

		if (is_dots(entry->d_name))
			continue;
		snprintf(name, sizeof(name), "%s%.60s", prefix, entry->d_name);
		for (; i < N_CHILDREN; i++) {
			child_name(i, child);
			if (strcmp(name, child) == 0)
				break;
		}
		r = i < N_CHILDREN;
		if (r)
			*mask |= 1U << i;
		else
			snprintf(why, WHY_SIZE, "holds %s", name);
	}
	if (dir)
		closedir(dir);
	return r;
}

static bool dir_matches(int root, const char *path, const struct stat *st, struct slot *slot,
			int number, const struct loss *loss, char *why)
{
	struct life *life = &slot->lives[number];
	struct window window = WINDOW(life->masks, life->n_masks, loss);
	char sub[PATH_SIZE];
	uint32_t mask = 0;
	unsigned i = window.first;

	if (!attributes_match(root, path, st, life, loss, why) ||
	    !list_children(root, path, "", &mask, why))
		return false;
	child_path(path, SUB, sub);
	if (mask & 1 << SUB && !list_children(root, sub, "sub/", &mask, why))
		return false;
	while (i <= window.last && life->masks[i].mask != mask)
		i++;
	if (i > window.last) {
		snprintf(why, WHY_SIZE, "holds children %#x, expected %#x to %#x", mask,
			 life->masks[window.first].mask, life->masks[window.last].mask);
		return false;
	}
	for (unsigned child = 0; child < N_CHILDREN; child++) {
		char name[PATH_SIZE];

		child_path(path, child, name);
		if (mask & 1U << child &&
		    !child_matches(root, name, slot, number, child, loss, why))
			return false;
	}
	return true;
}

/* --- names --- */

static unsigned count_names(const struct names_event *event, int life)
{
	unsigned n = 0;

	for (unsigned i = 0; i < N_NAMES; i++)
		n += event->life[i] == life;
	return n;
}

static bool object_matches(int root, const char *path, const struct stat *st, struct slot *slot,
			   const struct names_event *event, int number, const struct loss *loss,
			   char *why)
{
	struct life *life = &slot->lives[number];
	unsigned n_links = count_names(event, number);

	if (slot->is_dir != S_ISDIR(st->st_mode)) {
		snprintf(why, WHY_SIZE, "mode %o", st->st_mode);
		return false;
	}
	if (life->is_lower && st->st_ino != life->ino) {
		snprintf(why, WHY_SIZE, "number %lu, was %lu", st->st_ino, life->ino);
		return false;
	}
	if (!slot->is_dir && st->st_nlink != n_links) {
		snprintf(why, WHY_SIZE, "%lu links, expected %u", st->st_nlink, n_links);
		return false;
	}
	if (slot->is_dir)
		return dir_matches(root, path, st, slot, number, loss, why);
	return file_matches(root, path, st, slot, life, loss, why);
}

/* Whether the slot may be as this event left it. */
static bool names_match(int root, struct slot *slot, const struct names_event *event,
			const struct loss *loss, char *why)
{
	ino_t inos[N_NAMES] = { 0 };
	char path[PATH_SIZE], reason[WHY_SIZE] = "";
	struct stat st;

	for (unsigned i = 0; i < N_NAMES; i++) {
		int life = event->life[i];
		bool is_there;

		slot_path(slot, i, path);
		is_there = fstatat(root, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
		if (!is_there && errno != ENOENT) {
			snprintf(why, WHY_SIZE, "%s: %s", path, strerror(errno));
			return false;
		}
		if (is_there != (life != NO_LIFE)) {
			snprintf(why, WHY_SIZE, "%s is %sthere", path, is_there ? "" : "not ");
			return false;
		}
		if (!is_there)
			continue;
		inos[i] = st.st_ino;
		if (!object_matches(root, path, &st, slot, event, life, loss, reason)) {
			snprintf(why, WHY_SIZE, "%.60s: %.200s", path, reason);
			return false;
		}
		for (unsigned j = 0; j < i; j++) {
			if (inos[j] && (inos[j] == inos[i]) != (event->life[j] == life)) {
				snprintf(why, WHY_SIZE, "%s and name %u: one number or not", path,
					 j);
				return false;
			}
		}
	}
	return true;
}

static void check_slot(int root, struct slot *slot, const struct loss *loss)
{
	struct window window = WINDOW(slot->names, slot->n_names, loss);
	char why[MAX_EVENTS][WHY_SIZE];

	for (unsigned i = window.first; i <= window.last; i++) {
		if (names_match(root, slot, &slot->names[i], loss, why[i]))
			return;
	}
	for (unsigned i = window.first; i <= window.last; i++) {
		const int8_t *life = slot->names[i].life;

		WRONG("slot %u.%u after change %u (%d %d %d)%s: %s", slot->process, slot->number, i,
		      life[0], life[1], life[2], i == window.first ? ", durable" : "", why[i]);
	}
}

static void check_fixed(int root, const struct fixed_dir *dir)
{
	struct stat st;

	if (fstatat(root, dir->path, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		WRONG("%s: %s", dir->path, strerror(errno));
		return;
	}
	if (st.st_ino != dir->ino)
		WRONG("%s: number %lu, was %lu", dir->path, st.st_ino, dir->ino);
	if ((st.st_mode & 07777) != 0775 || st.st_uid != 11 || st.st_gid != 12)
		WRONG("%s: attributes %o %u:%u", dir->path, st.st_mode, st.st_uid, st.st_gid);
}

unsigned check_everything(int root, const struct loss *loss)
{
	n_wrong = 0;
	walk(root, ".", false);
	for (unsigned i = 0; i < shared->n_fixed; i++)
		check_fixed(root, &shared->fixed[i]);
	for (unsigned i = 0; i < settings.n_processes * N_SLOTS; i++)
		check_slot(root, &shared->slots[i / N_SLOTS][i % N_SLOTS], loss);
	return n_wrong;
}
