/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How much each user has, and all together. All functions may be called from any thread.
 */
#ifndef BACKING_USER_H
#define BACKING_USER_H

#include <stdbool.h>
#include <sys/types.h>

struct user;

/* What a user may have of ids, and all users together. Once, before all others. */
void user_limit_ids(unsigned int per_user, unsigned int in_all);

/* One connection more for the user: until user_leave. NULL: too many, or no memory. */
struct user *user_enter(uid_t uid);
void user_leave(struct user *user);

/* One id more for the user, until user_give_id: false: too many. */
bool user_take_id(struct user *user);
void user_give_id(struct user *user);

#endif
