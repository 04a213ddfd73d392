/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Whether attributes that one thread was answered may reach the kernel after another's change. */
#include "node/answer.h"
#include "scratch.h"

static _Atomic uint32_t answered;

static void ask(uint32_t thread)
{
	answer_for(thread);
	answer_begin(&answered);
}

static bool changes_late(uint32_t thread)
{
	answer_for(thread);
	return answer_is_late(&answered);
}

static void test_nobody_was_answered(void)
{
	answered = ANSWERED_NOBODY;
	assert_eq(changes_late(7), false);
	assert_eq(changes_late(8), false);
}

static void test_own_answers_have_arrived(void)
{
	answered = ANSWERED_NOBODY;
	ask(7);
	ask(7);
	assert_eq(changes_late(7), false);
	assert_eq(changes_late(7), false);
}

static void test_another_thread_was_answered(void)
{
	answered = ANSWERED_NOBODY;
	ask(7);
	assert_eq(changes_late(8), true);
	/* The kernel has been told; nothing was answered since. */
	assert_eq(changes_late(8), false);
	assert_eq(changes_late(7), false);
}

static void test_two_threads_were_answered(void)
{
	answered = ANSWERED_NOBODY;
	ask(7);
	ask(8);
	ask(7); /* the other's may be on its way still */
	assert_eq(changes_late(7), true);
	ask(7);
	assert_eq(changes_late(7), false);
}

static void test_threads_of_other_namespaces(void)
{
	answered = ANSWERED_NOBODY;
	assert_eq(changes_late(0), false);
	/* They all have the number 0, so one is as good as another. */
	ask(0);
	assert_eq(changes_late(0), true);
	ask(7);
	assert_eq(changes_late(0), true);
}

static void test_after_a_restart(void)
{
	answered = ANSWERED_MANY;
	assert_eq(changes_late(7), true);
	assert_eq(changes_late(7), false);
}

int main(void)
{
	test_nobody_was_answered();
	test_own_answers_have_arrived();
	test_another_thread_was_answered();
	test_two_threads_were_answered();
	test_threads_of_other_namespaces();
	test_after_a_restart();
	return 0;
}
