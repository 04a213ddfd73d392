/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "upper/privileges.h"

#include <sys/stat.h>

#include "base/fd.h"
#include "base/xattr.h"

int privileges_get(int fd, struct privileges *ret)
{
	struct stat st;
	int r = fd_stat(fd, NULL, &st);

	ret->mode = st.st_mode;
	ret->size = xattr_get(fd, "security.capability", ret->capability, sizeof(ret->capability));
	return r;
}

int privileges_restore(int fd, const struct privileges *privileges)
{
	int r = 0;

	if (privileges->size > 0)
		r = xattr_set(fd, "security.capability", privileges->capability,
			      (size_t)privileges->size, 0);
	if (r == 0 && privileges->mode & (S_ISUID | S_ISGID))
		r = fd_chmod(fd, privileges->mode & 07777);
	return r;
}
