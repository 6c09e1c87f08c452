#!/bin/sh
# One run: says when, and ends.
echo "report of $(date)"
