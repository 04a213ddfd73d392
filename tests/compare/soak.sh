#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# soak.sh SECONDS: the differ for that long, in all its ways, from seeds that no run before had.
DIFFER_SECONDS=$1
DIFFER_FIRST=$(date +%s)
export DIFFER_SECONDS DIFFER_FIRST
exec sh "$(dirname "$0")/differ.sh"
