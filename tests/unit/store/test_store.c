/* SPDX-License-Identifier: GPL-3.0-or-later */
#undef NDEBUG
#include "store/store.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "store/collect.h"
#include "store/container_life.h"
#include "store/image.h"
#include "store/opening.h"
#include "store/reference.h"
#include "store/removal.h"

static char path[] = "/tmp/cairn-store.XXXXXX/deep/er";
static struct error error;

static struct digest digest(char c)
{
	struct digest d;

	memset(d.hex, c, 64);
	d.hex[64] = '\0';
	return d;
}

static struct store *reopen(struct store *store)
{
	store_free(store);
	assert(store_open(path, &error, &store) == 0);
	return store;
}

static bool exists(int dirfd, const char *name)
{
	struct stat st;

	return fd_stat(dirfd, name, &st) == 0;
}

/* A command killed after it published, before it committed: a child that ends without a word. */
static void test_orphans_are_swept(void)
{
	struct digest id = digest('a');
	struct store *store;
	pid_t child = fork();

	if (child == 0) {
		struct workspace workspace;

		assert(store_open(path, &error, &store) == 0);
		assert(workspace_begin(store, &error, &workspace) == 0);
		assert(mkdirat(workspace.fd, "x", 0700) == 0);
		assert(mkdirat(workspace.fd, "left", 0700) == 0);
		assert(workspace_publish(&workspace, "x", store->layers, id.hex) == 0);
		_exit(0);
	}
	assert(waitpid(child, NULL, 0) == child);
	assert(store_open(path, &error, &store) == 0);
	assert(!exists(store->layers, id.hex));
	assert(fd_remove_tree(store->root, "none") == 0);
	store_free(store);
}

/* What a running command has staged stays; two opens at once. */
static void test_running_staging_stays(void)
{
	struct store *store;
	struct workspace workspace;
	int fds[2], status;
	pid_t child;
	char c = 0;

	assert(pipe(fds) == 0);
	child = fork();
	if (child == 0) {
		assert(store_open(path, &error, &store) == 0);
		assert(workspace_begin(store, &error, &workspace) == 0);
		assert(write(fds[1], workspace.name, sizeof(workspace.name)) ==
		       sizeof(workspace.name));
		assert(read(fds[0], &c, 0) == 0);
		usleep(200000);
		workspace_end(&workspace);
		store_free(store);
		_exit(0);
	}
	assert(read(fds[0], workspace.name, sizeof(workspace.name)) == sizeof(workspace.name));
	assert(store_open(path, &error, &store) == 0);
	assert(exists(store->tmp, workspace.name));
	assert(waitpid(child, &status, 0) == child && status == 0);
	assert(!exists(store->tmp, workspace.name));
	store_free(store);
	close(fds[0]);
	close(fds[1]);
}

static void put_image(struct store *store, char c, const char *tag, const struct digest *branch)
{
	struct image_layer layer = { .diff_id = digest('d'), .branch = *branch };
	struct image image = {
		.id = digest(c),
		.chain = digest('e'),
		.layers = &layer,
		.n_layers = 1,
		.created = "now",
	};
	struct index_txn txn;
	char name[80];

	assert(mkdirat(store->layers, branch->hex, 0700) == 0 || errno == EEXIST);
	snprintf(name, sizeof(name), "%s/diff", branch->hex);
	assert(mkdirat(store->layers, name, 0755) == 0 || errno == EEXIST);
	assert(store_begin(store, true, &error, &txn) == 0);
	store_put_layer(&txn, branch, 12345);
	assert(image_save(&txn, &image) == 0);
	index_put(&txn, STORE_TAGS, tag, strlen(tag), image.id.hex, 64);
	assert(store_commit(&txn, &error) == 0);
}

static void test_records(void)
{
	struct digest branch = digest('b'), id = digest('1');
	struct store *store;
	struct index_txn txn;
	struct image image;
	struct reference reference;

	assert(store_open(path, &error, &store) == 0);
	put_image(store, '1', "host/app:1", &branch);
	store = reopen(store);
	assert(store_begin(store, false, &error, &txn) == 0);
	assert(image_load(&txn, &id, &image) == IMAGE_FOUND);
	assert(image.n_layers == 1 && image_size(&image) == 12345 && !image.has_manifest);
	assert(strcmp(image.created, "now") == 0 && !image.os);
	image_done(&image);
	assert(reference_find(&txn, "app:1", &error, &reference) == 0);
	assert(strcmp(reference.tag, "host/app:1") == 0 && digest_equal(&reference.id, &id));
	assert(reference_find(&txn, "1111", &error, &reference) == 0 && !reference.tag[0]);
	assert(reference_find(&txn, "111", &error, &reference) == -ENOENT);
	assert(reference_find(&txn, "other/app:1", &error, &reference) == -ENOENT);
	index_abort(&txn);
	store_free(store);
}

static void test_containers(void)
{
	struct container_request request = {
		.name = "web",
		.image_name = "host/app:1",
		.mount_point = "/mnt/x",
		.image = digest('1'),
	};
	const char *const names[] = { "host/app:1" };
	struct workspace workspace = { .fd = -1 };
	struct container_hold hold = CONTAINER_NOT_HELD, other = CONTAINER_NOT_HELD;
	struct container container, found;
	struct store *store;
	struct index_txn txn;
	char *place;

	assert(store_open(path, &error, &store) == 0);
	assert(container_create(store, &request, &error, &container, &hold) == 0);
	assert(exists(store->containers, container.id));
	assert(container_create(store, &request, &error, &found, &other) == -EEXIST);
	/* While it is being mounted nobody else has it, nor its mount point. */
	assert(container_hold(store, container.id, &error, &other) == -EBUSY);
	request.name = "other";
	assert(container_create(store, &request, &error, &found, &other) == -EBUSY);
	assert(strstr(error.text, "/mnt/x: container web is mounted there"));
	container_hold_done(&hold);
	assert(container_hold(store, container.id, &error, &hold) == 0);
	assert(container_look(&container, &hold, &error, &place) == CONTAINER_UNMOUNTED);
	assert(container_hold_layer(&container, &hold, &error) == 0);
	/* What is held is not swept away, whatever the records say. */
	assert(store_begin(store, true, &error, &txn) == 0);
	container_delete(&txn, container.id);
	assert(store_commit(&txn, &error) == 0);
	assert(workspace_begin(store, &error, &workspace) == 0);
	assert(store_collect(store, &workspace, &error) == 0);
	assert(exists(store->containers, container.id));
	workspace_end(&workspace);
	assert(store_begin(store, true, &error, &txn) == 0);
	assert(container_save(&txn, &container) == 0);
	assert(store_commit(&txn, &error) == 0);
	assert(image_remove(store, names, 1, &error) == -EBUSY);
	assert(strstr(error.text, "container web uses it"));
	store = reopen(store);
	assert(store_begin(store, false, &error, &txn) == 0);
	assert(container_find(&txn, "/mnt/x", &found) == CONTAINER_FOUND);
	container_done(&found);
	assert(container_find(&txn, "we", &found) == CONTAINER_ABSENT);
	index_abort(&txn);
	assert(container_set_mount_point(store, container.id, NULL, &error) == 0);
	assert(container_remove(store, container.id, &error) == 0);
	assert(!exists(store->containers, container.id));
	container_hold_done(&hold);
	container_done(&container);
	store_free(store);
}

static void test_remove(void)
{
	struct digest branch = digest('b');
	const char *const first[] = { "host/app:1" }, *const both[] = { "two:2", "none" };
	struct store *store;

	assert(store_open(path, &error, &store) == 0);
	put_image(store, '2', "two:2", &branch);
	assert(image_remove(store, both, 2, &error) == -ENOENT);
	assert(image_remove(store, first, 1, &error) == 0);
	assert(exists(store->layers, branch.hex)); /* the other image has it */
	assert(image_remove(store, both, 1, &error) == 0);
	assert(!exists(store->layers, branch.hex));
	store_free(store);
}

static void test_foreign_format(void)
{
	struct store *store;
	struct index_txn txn;

	assert(store_open(path, &error, &store) == 0);
	assert(store_begin(store, true, &error, &txn) == 0);
	index_put(&txn, STORE_META, "format", 6, "99", 2);
	assert(store_commit(&txn, &error) == 0);
	store_free(store);
	assert(store_open(path, &error, &store) == -EPROTONOSUPPORT);
	assert(strstr(error.text, "its format is 99"));
}

/* A store.mdb that an earlier version has written, and one that has lost its seal since. */
static void make_unsealed(const char *format)
{
	static const char *const tables[] = {
		"meta", "images", "tags", "layers", "containers", NULL
	};
	int root = open(path, O_RDONLY | O_DIRECTORY);
	struct index *index;
	struct index_txn txn;

	assert(root >= 0 && unlinkat(root, "store.mdb", 0) == 0);
	assert(index_open(root, "store.mdb", INDEX_WRITE_ALONE, tables, &index) == 0);
	assert(index_begin(index, true, &txn) == 0);
	index_put(&txn, STORE_META, "format", 6, format, 1);
	index_put(&txn, STORE_LAYERS, digest('e').hex, 64, "7", 1);
	assert(index_commit(&txn) == 0);
	index_close(index);
	close(root);
}

static void test_unsealed(void)
{
	struct digest id = digest('e');
	struct index_txn txn;
	struct store *store;
	uint64_t size = 0;

	make_unsealed("1");
	for (int i = 0; i < 3; i++) { /* read, sealed, and read again */
		assert((i == 1 ? store_open : store_open_to_read)(path, &error, &store) == 0);
		assert(index_is_sealed(store->index) == (i > 0));
		assert(store_begin(store, false, &error, &txn) == 0);
		assert(store_has_layer(&txn, &id, &size) == 1 && size == 7);
		index_abort(&txn);
		store_free(store);
	}
	make_unsealed("2");
	assert(store_open(path, &error, &store) == -EUCLEAN);
	assert(strstr(error.text, "store.mdb is damaged"));
	assert(store_open_to_read(path, &error, &store) == -EUCLEAN);
}

int main(void)
{
	char *slash = strchr(path + 5, '/');
	int tmp = open("/tmp", O_RDONLY | O_DIRECTORY);

	*slash = '\0';
	assert(mkdtemp(path));
	*slash = '/';
	test_orphans_are_swept();
	test_running_staging_stays();
	test_records();
	test_containers();
	test_remove();
	test_foreign_format();
	test_unsealed();
	*slash = '\0';
	assert(fd_remove_tree(tmp, path + 5) == 0);
	close(tmp);
	return 0;
}
