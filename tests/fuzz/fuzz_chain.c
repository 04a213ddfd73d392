/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A chain index (lower/chain.h), damaged in two ways: bytes of the file, which its seal must tell;
 * and records that are wrong below a seal that is right.  It is stale or gives right answers in
 * the first case, and errors or any answers in the second; it never leads out of the branches.
 */
#include "lower/chain.h"

#include "fuzz.h"
#include "lower/chain_format.h"
#include "lower/lower.h"

enum { N_BRANCHES = 2, MOST_OBJECTS = 4096, MOST_LISTED = 1 << 16 };

static int branches[N_BRANCHES]; /* topmost first */
static struct bytes whole;
static size_t n_objects; /* of the tree that is right */
static const char chain_id[] = "sha256:0123456789abcdef";
static const char canary[] = "CANARY";

static void fill_branches(void)
{
	char path[1400] = "deep", name[64];

	make_file(fuzz_place, "canary", canary);
	branches[0] = make_dir_open(fuzz_place, "high");
	branches[1] = make_dir_open(fuzz_place, "low");
	for (int i = 0; i < N_BRANCHES; i++) {
		make_dir(branches[i], "d", 0755);
		for (int k = 0; k < 40; k++) {
			snprintf(name, sizeof(name), "d/%d-%d", i, k);
			make_file(branches[i], name, name);
		}
	}
	make_link(branches[1], "d/1-0", "linked");
	make_whiteout(branches[0], "d/1-1");
	make_symlink(branches[0], "../../canary", "link");
	try_xattr(branches[0], "d", "user.a", "value");
	try_xattr(branches[0], "d/0-0", "user.bb", "");
	/* A path that is written as a place. */
	for (size_t at = strlen(path); at < 1200; at = strlen(path)) {
		make_dir(branches[1], path, 0755);
		snprintf(path + at, sizeof(path) - at, "/%0200d", 0);
	}
	make_dir(branches[1], path, 0755);
}

/* --- looking through --- */

struct look {
	size_t n_objects, n_listed;
	bool is_wrong; /* some answer was an error */
};

static int any_name(void *context, const char *path)
{
	(void)path;
	return ++*(size_t *)context > MOST_LISTED;
}

static void look_at_file(struct lower_obj *obj)
{
	cleanup_fd int fd = lower_open(obj, O_RDONLY);
	char content[64];
	ssize_t n = fd < 0 ? 0 : read(fd, content, sizeof(content));

	assert(n < (ssize_t)strlen(canary) || memcmp(content, canary, strlen(canary)) != 0);
}

static void look_at(struct lower_obj *obj, struct look *look)
{
	cleanup_free char *path = NULL;
	cleanup_free char *target = NULL;
	cleanup_free char *names = NULL;
	cleanup_free char *source = NULL;
	unsigned int branch;
	struct stat st;
	char value[64];
	size_t n_names = 0;
	ssize_t size = lower_xattr_list(obj, &names);

	look->is_wrong |= lower_stat(obj, &st) < 0;
	look->is_wrong |= size < 0;
	for (ssize_t at = 0; at < size; at += (ssize_t)strlen(names + at) + 1)
		lower_xattr_get(obj, names + at, value, sizeof(value));
	look->is_wrong |= lower_path(obj, &path) < 0;
	look->is_wrong |= lower_source(obj, &branch, &source) < 0;
	if (S_ISLNK(obj->type))
		look->is_wrong |= lower_readlink(obj, &target) < 0;
	if (!S_ISDIR(obj->type))
		look->is_wrong |= lower_names(obj, any_name, &n_names) < 0;
	if (S_ISREG(obj->type))
		look_at_file(obj);
}

/* A damaged tree may go round, so that all there is to count on is an end to our patience. */
static void look_below(struct lower_obj *dir, struct look *look)
{
	cleanup_listing struct listing *listing = NULL;

	look->is_wrong |= lower_list(dir, &listing) < 0;
	for (size_t i = 0; listing && i < listing_count(listing); i++) {
		const char *name = listing_at(listing, i)->name;
		cleanup_lower_obj struct lower_obj *obj = NULL;
		int r = lower_lookup(dir, name, &obj, NULL);

		look->is_wrong |= r != LOWER_FOUND;
		if (r != LOWER_FOUND || ++look->n_objects > MOST_OBJECTS)
			continue;
		look_at(obj, look);
		if (S_ISDIR(obj->type) && look->n_listed++ < MOST_OBJECTS)
			look_below(obj, look);
	}
}

/* LOWER_STALE, or 0 with what was seen. */
static int look_through(const char *name, struct look *ret)
{
	cleanup_fd int fd = fd_open(scratch, name, O_RDONLY, 0);
	struct lower *lower;
	struct lower_obj *root;
	int r = lower_of_chain(branches, N_BRANCHES, fd, chain_id, &lower);

	*ret = (struct look){ 0 };
	assert(r == 0 || r == LOWER_STALE);
	if (r != 0)
		return r;
	root = lower_root(lower);
	look_at(root, ret);
	look_below(root, ret);
	lower_unref(root);
	lower_free(lower);
	return 0;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	struct look look;

	(void)argc;
	(void)argv;
	fuzz_begin();
	fill_branches();
	case_begin();
	assert_eq(chain_build(branches, N_BRANCHES, chain_id, scratch, "whole"), 0);
	assert_eq(look_through("whole", &look), 0);
	assert(!look.is_wrong);
	n_objects = look.n_objects;
	whole = bytes_of_file(scratch, "whole");
	case_end();
	return 0;
}

/* --- damage --- */

/* The record whose turn it is, changed. */
struct change {
	struct index_txn *txn;
	struct input *input;
	unsigned int table, turn;
};

static void put_changed(struct change *change, struct index_value key, struct index_value value)
{
	struct bytes keys = { (uint8_t *)key.data, key.size };
	struct bytes values = { (uint8_t *)value.data, value.size };
	struct input damage = { change->input->data, take_byte(change->input) };
	struct bytes k, v;

	if (damage.size > change->input->size)
		damage.size = change->input->size;
	change->input->data += damage.size;
	change->input->size -= damage.size;
	/* An inode's record has a hash of itself; all of it but that is damaged. */
	if (change->table == CHAIN_INODE && values.size > 8)
		values.size -= 8;
	k = take_byte(&damage) & 1 ? damaged(&keys, &damage) : damaged(&keys, &(struct input){ 0 });
	v = damaged(&values, &damage);
	if (change->table == CHAIN_INODE) {
		uint64_t hash = table_hash_bytes(v.data, v.size);

		v.data = realloc(v.data, v.size + sizeof(hash));
		assert(v.data);
		memcpy(v.data + v.size, &hash, sizeof(hash));
		v.size += sizeof(hash);
	}
	if (k.size > 0 && k.size < INDEX_MAX_KEY)
		index_put(change->txn, change->table, k.data, k.size, v.data, v.size);
	free(k.data);
	free(v.data);
}

static int change_in_turn(void *context, struct index_value key, struct index_value value)
{
	struct change *change = context;
	uint8_t key_copy[512], value_copy[4096];

	if (change->turn-- > 0 || key.size > sizeof(key_copy) || value.size > sizeof(value_copy))
		return 0;
	/* What is in the file moves when it is written to. */
	memcpy(key_copy, key.data, key.size);
	memcpy(value_copy, value.data, value.size);
	put_changed(change, (struct index_value){ key_copy, key.size },
		    (struct index_value){ value_copy, value.size });
	return 1;
}

static void change_records(struct input *input)
{
	struct index *index;
	struct index_txn txn;
	cleanup_fd int fd = -1;

	assert_eq(index_open(scratch, "chain", INDEX_WRITE_ALONE, chain_tables, &index), 0);
	assert_eq(index_begin(index, true, &txn), 0);
	for (int i = 0; i < 8 && input->size > 0; i++) {
		struct change change = { .txn = &txn,
					 .input = input,
					 .table = take_byte(input) % 4,
					 .turn = take_byte(input) };

		index_each(&txn, change.table, NULL, 0, change_in_turn, &change);
	}
	assert_eq(index_commit(&txn), 0);
	index_close(index);
	fd = fd_open(scratch, "chain", O_RDWR, 0);
	assert_eq(chain_seal(fd), 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = { data, size };
	bool by_records = take_byte(&input) & 1;
	struct bytes bytes = by_records ? damaged(&whole, &(struct input){ 0 })
					: damaged(&whole, &input);
	bool is_whole = bytes.size == whole.size && memcmp(bytes.data, whole.data, bytes.size) == 0;
	struct look look;

	case_begin();
	bytes_to_file(scratch, "chain", bytes);
	free(bytes.data);
	if (by_records)
		change_records(&input);
	if (look_through("chain", &look) == 0 && !by_records)
		assert(is_whole && !look.is_wrong && look.n_objects == n_objects);
	case_end();
	return 0;
}
