/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is known of lower files with several names, while names go and are counted at the same time.
 */
#include "node/linked.h"
#include "scratch.h"

static void test_a_count_is_kept_and_changed(void)
{
	struct linked linked;
	unsigned int mark;

	linked_init(&linked);
	assert_eq(linked_count(&linked, 7, &mark), -1);
	linked_keep(&linked, 7, mark, 3);
	assert_eq(linked_count(&linked, 7, &mark), 3);
	linked_begin(&linked, 7);
	linked_end(&linked, 7, -1);
	assert_eq(linked_count(&linked, 7, &mark), 2);
	assert_eq(linked_count(&linked, 8, &mark), -1);
	/* One that failed may have taken a name or not. */
	linked_begin(&linked, 7);
	linked_end(&linked, 7, LINKED_LOST);
	assert_eq(linked_count(&linked, 7, &mark), -1);
	linked_done(&linked);
}

static void test_what_changes_is_not_kept(void)
{
	struct linked linked;
	unsigned int mark;

	linked_init(&linked);
	/* A name goes between the beginning of the count and its end, ... */
	linked_count(&linked, 7, &mark);
	linked_begin(&linked, 7);
	linked_end(&linked, 7, -1);
	linked_keep(&linked, 7, mark, 3);
	assert_eq(linked_count(&linked, 7, &mark), -1);
	/* ... is about to go before it, and has gone after it, ... */
	linked_begin(&linked, 7);
	linked_count(&linked, 7, &mark);
	linked_keep(&linked, 7, mark, 3);
	assert_eq(linked_count(&linked, 7, &mark), -1);
	linked_end(&linked, 7, -1);
	/* ... or was about to go when it began. */
	linked_begin(&linked, 7);
	linked_count(&linked, 7, &mark);
	linked_end(&linked, 7, -1);
	linked_keep(&linked, 7, mark, 3);
	assert_eq(linked_count(&linked, 7, &mark), -1);
	linked_keep(&linked, 7, mark, 1);
	assert_eq(linked_count(&linked, 7, &mark), 1);
	linked_done(&linked);
}

static void test_copies_and_counts_are_apart(void)
{
	struct linked linked;
	unsigned int mark;

	linked_init(&linked);
	assert(!linked_has_no_copy(&linked, 7));
	linked_note_no_copy(&linked, 7);
	assert(linked_has_no_copy(&linked, 7) && !linked_has_no_copy(&linked, 8));
	assert_eq(linked_count(&linked, 7, &mark), -1);
	linked_keep(&linked, 8, mark, 2);
	assert(!linked_has_no_copy(&linked, 8));
	linked_done(&linked);
}

int main(void)
{
	test_a_count_is_kept_and_changed();
	test_what_changes_is_not_kept();
	test_copies_and_counts_are_apart();
	return 0;
}
