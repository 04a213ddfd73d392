/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How long the kernel waits for answers, on machines where it was told not to for ever (Linux 6.16,
 * Documentation/admin-guide/sysctl/fs.rst): a request that has had none for so long ends the
 * connection, and with it the mount. The kernel looks every 15 seconds, and counts less as 15.
 *
 * All functions may be called from any thread.
 */
#ifndef REQUEST_TIMEOUT_H
#define REQUEST_TIMEOUT_H

/* Seconds that daemons get which ask for no others (fs.fuse.default_request_timeout); 0: none. */
unsigned int timeout_default(void);

/* Seconds that no daemon can exceed (fs.fuse.max_request_timeout); 0: none. */
unsigned int timeout_max(void);

#endif
