/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a layer that is being unpacked shows together with those below it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "layer/below.h"
#include "layer/layer_tree.h"

int layer_tree_all(const struct layer_tree *tree, int **ret)
{
	int *layers = malloc((tree->n_below + 1) * sizeof(int));

	if (!layers)
		return -ENOMEM;
	layers[0] = tree->root;
	if (tree->n_below > 0)
		memcpy(layers + 1, tree->below, tree->n_below * sizeof(int));
	*ret = layers;
	return 0;
}

int layer_tree_shown(struct layer_tree *tree, const char *path, int *ret)
{
	cleanup_free int *layers = NULL;
	int r = layer_tree_all(tree, &layers);

	*ret = -1;
	if (r == 0)
		r = below_follow(layers, 1, path, ret);
	if (r < 0 || r == BELOW_FOUND || tree->n_below == 0)
		return r < 0 ? r : 0;
	tree->borrowed = true;
	r = below_follow(layers, tree->n_below + 1, path, ret);
	return r < 0 ? r : 0;
}
