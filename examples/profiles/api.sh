#!/bin/sh
# Says what it was told.
echo "level $LEVEL, region $REGION"
exec sleep 1000
