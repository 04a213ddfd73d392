/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "backing/user.h"

#include <pthread.h>
#include <stdlib.h>

/*
 * A connection costs a thread and two descriptors. Who may use subordinate ids is many users, so
 * there is a limit for all together too; it leaves some for others as long as one uses few of them.
 */
enum {
	PEERS_PER_USER = 512,
	PEERS_IN_ALL = 4096,
};

struct user {
	struct user *next;
	uid_t uid;
	unsigned int n_peers, n_ids;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards all that follows */
static struct user *users; /* those with connections */
static unsigned int n_peers, n_ids; /* of all */
static unsigned int ids_per_user, ids_in_all;

void user_limit_ids(unsigned int per_user, unsigned int in_all)
{
	ids_per_user = per_user;
	ids_in_all = in_all;
}

/* Called with the lock held. */
static struct user *find_or_make(uid_t uid)
{
	struct user *user = users;

	while (user && user->uid != uid)
		user = user->next;
	if (!user && (user = calloc(1, sizeof(*user)))) {
		user->uid = uid;
		user->next = users;
		users = user;
	}
	return user;
}

struct user *user_enter(uid_t uid)
{
	struct user *user = NULL;

	pthread_mutex_lock(&lock);
	if (n_peers < PEERS_IN_ALL)
		user = find_or_make(uid);
	if (user && user->n_peers >= PEERS_PER_USER)
		user = NULL;
	if (user) {
		user->n_peers++;
		n_peers++;
	}
	pthread_mutex_unlock(&lock);
	return user;
}

void user_leave(struct user *user)
{
	struct user **at = &users;

	pthread_mutex_lock(&lock);
	n_peers--;
	if (--user->n_peers == 0) {
		while (*at != user)
			at = &(*at)->next;
		*at = user->next;
		free(user);
	}
	pthread_mutex_unlock(&lock);
}

bool user_take_id(struct user *user)
{
	bool is_free;

	pthread_mutex_lock(&lock);
	is_free = user->n_ids < ids_per_user && n_ids < ids_in_all;
	user->n_ids += is_free;
	n_ids += is_free;
	pthread_mutex_unlock(&lock);
	return is_free;
}

void user_give_id(struct user *user)
{
	pthread_mutex_lock(&lock);
	user->n_ids--;
	n_ids--;
	pthread_mutex_unlock(&lock);
}
