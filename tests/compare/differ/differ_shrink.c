/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The shortest program that still fails the same way: everything behind the
 * difference goes, then ever smaller pieces of the program and of the stack are
 * taken out for good if what is left still fails ("delta debugging", Zeller).
 * The same way means with the same signature, so that one bug does not turn
 * into another while it is being shrunk.
 */
#include "differ.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

struct shrink {
	struct program *best;
	struct outcome *outcome; /* of best */
	const struct options *options;
	struct options quiet;
	unsigned int runs;
};

/* Takes `candidate`, which becomes the best if it still fails. */
static bool try(struct shrink *shrink, struct program *candidate)
{
	struct outcome outcome = { 0 };
	bool fails;

	shrink->runs++;
	fails = !stop_asked && program_run(candidate, &shrink->quiet, &outcome) >= 0 &&
		outcome.differs && shrink->outcome->signature.s &&
		!strcmp(outcome.signature.s, shrink->outcome->signature.s);
	if (fails) {
		program_done(shrink->best);
		*shrink->best = *candidate;
		outcome_done(shrink->outcome);
		*shrink->outcome = outcome;
	} else {
		program_done(candidate);
		outcome_done(&outcome);
	}
	return fails;
}

static void remove_ops(struct program *program, size_t from, size_t n)
{
	size_t i;

	for (i = from; i < from + n; i++) {
		free(program->ops[i].path);
		free(program->ops[i].path2);
	}
	memmove(&program->ops[from], &program->ops[from + n],
		(program->count - from - n) * sizeof(struct op));
	program->count -= n;
}

static void cut_tail(struct shrink *shrink)
{
	struct program candidate;
	size_t keep = shrink->outcome->op + 1;

	if (keep >= shrink->best->count)
		return;
	program_copy(shrink->best, &candidate);
	remove_ops(&candidate, keep, candidate.count - keep);
	try(shrink, &candidate);
}

static bool shrink_ops(struct shrink *shrink)
{
	size_t piece = shrink->best->count / 2, from;
	bool any = false;

	for (; piece > 0 && !stop_asked; piece /= 2) {
		for (from = shrink->best->count; from > 0 && !stop_asked;) {
			struct program candidate;
			size_t n = piece < from ? piece : from;

			from -= n;
			if (from + n > shrink->best->count)
				continue;
			program_copy(shrink->best, &candidate);
			remove_ops(&candidate, from, n);
			any |= try(shrink, &candidate);
		}
	}
	return any;
}

/* An entry goes together with what is below it in its branch. */
static void remove_entries(struct stack *stack, size_t from, size_t n)
{
	struct stack copy;
	size_t i, k;

	stack_copy(stack, &copy);
	for (i = from; i < from + n; i++)
		for (k = stack->count; k-- > 0;)
			if (stack->entries[k].branch == copy.entries[i].branch &&
			    strcmp(copy.entries[i].path, ".") != 0 &&
			    path_is_below(stack->entries[k].path, copy.entries[i].path))
				stack_remove(stack, k);
	stack_done(&copy);
}

static bool shrink_stack(struct shrink *shrink)
{
	size_t piece = shrink->best->stack.count / 2, from;
	bool any = false;

	for (; piece > 0 && !stop_asked; piece /= 2) {
		for (from = shrink->best->stack.count; from > 0 && !stop_asked;) {
			struct program candidate;
			size_t n = piece < from ? piece : from;

			from -= n;
			if (from + n > shrink->best->stack.count)
				continue;
			program_copy(shrink->best, &candidate);
			remove_entries(&candidate.stack, from, n);
			if (candidate.stack.count == shrink->best->stack.count)
				program_done(&candidate);
			else
				any |= try(shrink, &candidate);
		}
	}
	return any;
}

/* Branches that hold nothing but their root. */
static void remove_branch(struct stack *stack, int64_t branch)
{
	size_t i;

	for (i = stack->count; i-- > 0;) {
		if (stack->entries[i].branch == branch)
			stack_remove(stack, i);
		else if (stack->entries[i].branch > branch)
			stack->entries[i].branch--;
	}
	stack->n_branches--;
}

static void shrink_branches(struct shrink *shrink)
{
	int64_t branch;

	for (branch = shrink->best->stack.n_branches - 1; branch >= 1; branch--) {
		struct program candidate;

		if (shrink->best->stack.n_branches <= 2)
			return;
		program_copy(shrink->best, &candidate);
		remove_branch(&candidate.stack, branch);
		try(shrink, &candidate);
	}
}

/* Smaller numbers in what is left. */
static void simplify_op(struct op *op, int what)
{
	if (what == 0)
		op->cred = 0;
	else if (what == 1)
		op->check = 0;
	else if (what == 2)
		op->off = 0;
	else if (what == 3)
		op->len = op->len > 1 ? 1 : op->len;
}

static void simplify_entry(struct entry *entry, int what)
{
	if (what == 0)
		entry->xattrs = 0;
	else if (what == 1)
		entry->uid = entry->gid = 0;
	else if (what == 2)
		entry->size = 0;
	else if (what == 3)
		entry->mode = entry->type == ENTRY_DIR ? 0755 : 0644;
	else if (what == 4)
		entry->sparse = 0;
	else if (what == 5)
		entry->group = 0;
}

static void simplify(struct shrink *shrink)
{
	struct program candidate;
	size_t i;
	int what;

	for (i = 0; i < shrink->best->count && !stop_asked; i++) {
		for (what = 0; what < 4; what++) {
			program_copy(shrink->best, &candidate);
			simplify_op(&candidate.ops[i], what);
			if (!memcmp(&candidate.ops[i], &shrink->best->ops[i],
				    offsetof(struct op, path)))
				program_done(&candidate);
			else
				try(shrink, &candidate);
		}
	}
	for (i = 0; i < shrink->best->stack.count && !stop_asked; i++) {
		for (what = 0; what < 6; what++) {
			program_copy(shrink->best, &candidate);
			simplify_entry(&candidate.stack.entries[i], what);
			if (!memcmp(&candidate.stack.entries[i], &shrink->best->stack.entries[i],
				    offsetof(struct entry, path)))
				program_done(&candidate);
			else
				try(shrink, &candidate);
		}
	}
}

void program_shrink(struct program *program, const struct options *options, struct outcome *outcome)
{
	struct shrink shrink = {
		.best = program, .outcome = outcome, .options = options, .quiet = *options
	};
	int round;

	shrink.quiet.keep = false;
	shrink.quiet.verbose = false;
	cut_tail(&shrink);
	for (round = 0; round < 4 && !stop_asked; round++) {
		bool any = shrink_ops(&shrink);

		cut_tail(&shrink);
		any |= shrink_stack(&shrink);
		shrink_branches(&shrink);
		if (!any)
			break;
	}
	simplify(&shrink);
	fprintf(stderr, "differ: shrunk to %zu operations on %zu entries in %u runs\n",
		program->count, program->stack.count, shrink.runs);
}
