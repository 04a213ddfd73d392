/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "archive/manifest.h"

#include <errno.h>
#include <string.h>
#include <sys/utsname.h>

#include "archive/manifest_impl.h"

int manifest_list_read(struct bundle *bundle, const char *architecture, struct error *error,
		       struct manifest_list *ret)
{
	struct manifest_list list = { 0 };
	struct manifest_reader reader = {
		.documents = { .bundle = bundle, .error = error },
		.bundle = bundle,
		.architecture = architecture,
		.error = error,
		.list = &list,
	};
	int kind = bundle_kind(bundle);
	int r;

	if (kind < 0)
		return error_errno(error, kind, "cannot look into the archive");
	r = kind == BUNDLE_DOCKER ? manifest_read_docker(&reader) : manifest_read_oci(&reader);
	for (size_t i = 0; r == 0 && i < list.n_items; i++) {
		if (list.items[i].n_layers == 0)
			r = error_set(error, -EBADMSG, "image sha256:%s has no layers",
				      list.items[i].image_id.hex);
	}
	if (r == 0 && list.n_items == 0)
		r = error_set(error, -EBADMSG, "the archive holds no image");
	if (r < 0)
		manifest_list_done(&list);
	else
		*ret = list;
	return r;
}

const char *manifest_architecture(void)
{
	static const struct {
		const char *machine, *name;
	} names[] = {
		{ "x86_64", "amd64" }, { "aarch64", "arm64" },	     { "armv7l", "arm" },
		{ "armv6l", "arm" },   { "armv8l", "arm" },	     { "i386", "386" },
		{ "i686", "386" },     { "riscv64", "riscv64" },     { "ppc64le", "ppc64le" },
		{ "s390x", "s390x" },  { "loongarch64", "loong64" }, { "mips64", "mips64le" },
	};
	struct utsname system;

	if (uname(&system) < 0)
		return "unknown";
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		if (strcmp(system.machine, names[i].machine) == 0)
			return names[i].name;
	}
	return "unknown";
}
